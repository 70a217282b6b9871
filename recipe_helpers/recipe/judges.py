"""The judges of the claims ledger: measured results in, a verdict and its numbers out.

In the order of the notebook: numbers and modules, sizes and memory, outputs, and what a call costs.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch

from ..common.intervals import Interval
from ..common.language import N_
from .accuracy import TensorComparison
from .claims import FAILS, HOLDS, IN_PART, INCONCLUSIVE, JUDGES as JUDGES, Found, judges
from .costs import OperatorCounts, StepCosts
from .inspection import Conversion, StoredWeight
from .latency import LatencyComparison, LatencySweep
from .memory import LESS, UNKNOWN, MemorySweep, in_megabytes
from .rounding import ActivationStep, Rounding, ScaleChoices
from .size import SizeComparison, SizeSweep
from .timing import FASTER, Ratio

BALLPARK = 0.05  # mean |difference| / mean |output| that still counts as "the same ballpark"
NOTICEABLE_LOSS = 0.01  # one point of accuracy, or one percent of perplexity
KEPT = 0.05  # relative error of a batch whose signal counts as kept
CLOSE_TO_FOUR = 3.5
DEPENDS = 1.5  # largest over smallest ratio from which on it depends
# No core multiplies faster than this with scalar instructions: 6 GHz, two multipliers.
SCALAR_LIMIT_MACS = 12e9
_STEPS = ("width", "batch_size", "threads", "step_speedup")  # of `StepCosts`, for the file


@judges("C1")
def scaling_and_rounding(rounding: Rounding) -> Found:
    """No number moves by more than half a step."""
    largest, half = float(rounding.errors.abs().max()), float(rounding.scale) / 2
    return Found(largest <= half * (1 + 1e-5), {"largest_error": largest, "half_step": half})


@judges("C2")
def smaller(size: SizeComparison) -> Found:
    """The state dict of the recipe's model."""
    return Found(size.ratio > 1, _bytes(size))


@judges("C4")
def scales_differ(scales: ScaleChoices) -> Found:
    """The same batch gets another scale from another method."""
    batches = _batches(scales)
    most = max(batches, key=lambda batch: batch["fixed_scale"] / batch["own_scale"])
    return Found(most["fixed_scale"] != most["own_scale"], {"batches": batches}, most)


@judges("C5")
def scale_at_run_time(*steps: ActivationStep) -> Found:
    """The step follows the range of the batch, with a whole number of levels in between."""
    levels = {round(step.levels) for step in steps}
    whole = all(abs(step.levels - round(step.levels)) < 0.01 * step.levels for step in steps)
    follows = len(levels) == 1 and whole and len({step.range for step in steps}) > 1
    found = [{"range": float(step.range), "step": float(step.step)} for step in steps]
    return Found(follows, {"steps": found}, {"first": found[0], "last": found[-1]})


@judges("C6")
def signal_kept(scales: ScaleChoices) -> Found:
    """Every batch keeps its signal with its own scale."""
    batches = _batches(scales)
    own = max(batch["own_relative_error"] for batch in batches)
    fixed = max(batch["fixed_relative_error"] for batch in batches)
    return Found(own <= KEPT < fixed, {"batches": batches}, {"own": own, "fixed": fixed})


@judges("C7")
def weights_stored_as_int8(conversion: Conversion, weights: Sequence[StoredWeight]) -> Found:
    """Integers are there before any input came."""
    count, converted = sum(w.integers.numel() for w in weights), len(conversion.converted)
    stored = count > 0 < converted and all(weight.dtype == torch.int8 for weight in weights)
    return Found(stored, {"int8_weights": count, "converted_modules": converted})


@judges("C9")
def wide_sums(in_int16: int, in_int32: int, exact: int) -> Found:
    """A sum of products of int8 in 16 and in 32 bits."""
    numbers = {"in_int16": in_int16, "in_int32": in_int32, "exact": exact}
    return Found(in_int32 == exact != in_int16, numbers)


@judges("C10")
def rescaled(output_dtype: torch.dtype, between_dtype: torch.dtype) -> Found:
    """What a dynamically quantized layer hands on, at the end and to a quantized layer."""
    numbers = {"output": str(output_dtype), "between": str(between_dtype)}
    if output_dtype == between_dtype == torch.float32:
        return Found(IN_PART, numbers, why=N_("each layer quantizes its own input anew"))
    return Found(output_dtype == torch.float32, numbers)


@judges("C11")
def few_parameters(call: Callable[..., object]) -> Found:
    """The arguments of the call; none of them is data."""
    others = list(inspect.signature(call).parameters.values())[1:]
    optional = all(parameter.default is not parameter.empty for parameter in others)
    return Found(optional, {"arguments": len(others)})


@judges("C12")
def same_ballpark(outputs: TensorComparison) -> Found:
    """The mean difference of the outputs, relative to their mean magnitude."""
    relative = float(outputs.relative)
    return Found(relative <= BALLPARK, {"relative_difference": relative})


@judges("C13")
def towards_four(size_sweep: SizeSweep) -> Found:
    """The ratio at width 8, at 80, and at the widest."""
    points = [
        _of(point, "width", "parameters") | _bytes(point.comparison) for point in size_sweep.points
    ]
    ratios = [size_sweep.at(8), size_sweep.at(80), size_sweep.points[-1]]
    tiny, close, most = (1 - 1 / point.comparison.ratio for point in ratios)
    values = {"tiny": tiny, "close": close, "most": most, "widest": size_sweep.widths[-1]}
    values["ratio"] = ratio = ratios[1].comparison.ratio
    return Found(tiny < close < most and ratio > CLOSE_TO_FOUR, {"points": points}, values)


@runtime_checkable
class AccuracyStudy(Protocol):
    """Classifiers in FP32 and INT8, as `digit_study` compares them."""

    def difference(self) -> Interval:
        """INT8 less FP32 accuracy."""


@runtime_checkable
class TextStudy(Protocol):
    """A language model in FP32 and INT8, as `compare_perplexity` compares them."""

    @property
    def relative(self) -> Interval:
        """INT8 over FP32 perplexity, less 1."""


@judges("C18")
def trained_model(study: AccuracyStudy, perplexity: TextStudy) -> Found:
    """Both intervals exclude a noticeable loss."""
    numbers = {"accuracy": study.difference(), "perplexity": perplexity.relative}
    digits = numbers["accuracy"].low > -NOTICEABLE_LOSS
    text = numbers["perplexity"].high < NOTICEABLE_LOSS
    lost = N_("the digits") if text else N_("the text") if digits else N_("either")
    verdict = HOLDS if digits and text else IN_PART if digits or text else FAILS
    return Found(verdict, numbers, {"loss": NOTICEABLE_LOSS, "lost": lost})


@judges("C3")
def throughput(single: StepCosts, batch: StepCosts) -> Found:
    """Multiply-adds per second of the time steps, at the batch size where INT8 does most.

    The price per step leaves out what a call costs beside its arithmetic, such as packing weights.
    """
    costs = max(single, batch, key=lambda one: one.macs_per_s(one.candidate))
    fp32, int8 = costs.macs_per_s(costs.reference), costs.macs_per_s(costs.candidate)
    numbers = _both("macs_per_s", fp32, int8) | _of(costs, *_STEPS)
    return _above_one(costs.step_speedup, numbers, fp32=fp32 / 1e9, int8=int8 / 1e9)


@judges("C8")
def vectorized(latency_sweep: LatencySweep) -> Found:
    """More multiply-adds per second than scalar instructions can do: that much a rate can show."""
    limit = SCALAR_LIMIT_MACS * latency_sweep.threads
    fp32, int8 = (
        max(p.macs / getattr(p.comparison, side).median_us for p in latency_sweep.points) * 1e6
        for side in ("reference", "candidate")
    )
    numbers = _both("macs_per_s", fp32, int8) | _of(latency_sweep, "threads")
    values = {"rate": int8 / 1e9, "limit": limit / 1e9}
    if int8 <= limit:
        return Found(False, numbers, values)
    why = N_("a rate shows that vectors are multiplied, not that they hold INT8")
    return Found(IN_PART, numbers, values, why)


@judges("C14")
def fewer_bytes(single: StepCosts, batch: StepCosts) -> Found:
    """INT8 gains, and most where each weight is read for one sequence alone."""
    alone, together = single.step_speedup, batch.step_speedup
    numbers = _costs(single=single, batch=batch)
    if alone.low > max(1.0, together.high):
        return Found(True, numbers)
    if alone.high < max(1.0, together.low):
        return Found(False, numbers)
    return Found(INCONCLUSIVE, numbers, why=N_("the intervals overlap"))


@judges("C15")
def faster_arithmetic(single: StepCosts, batch: StepCosts) -> Found:
    """A gain that is left where weights are reused and arithmetic is what takes the time."""
    return _above_one(batch.step_speedup, _costs(single=single, batch=batch))


@judges("C16")
def simple_network_faster(latency: LatencyComparison, operators: OperatorCounts) -> Found:
    """The recipe's own model."""
    counts = _both("operators", operators.reference_total, operators.candidate_total)
    numbers = _times(latency) | counts | _of(latency, "threads")
    if latency.verdict == INCONCLUSIVE:
        return Found(INCONCLUSIVE, numbers, why=N_("no difference beyond the noise"))
    return Found(latency.verdict == FASTER, numbers)


@judges("C17")
def it_depends(latency_sweep: LatencySweep) -> Found:
    """The spread of the ratio over widths, which is one of the things it may depend on."""
    numbers = _of(latency_sweep, "threads", "batch_size") | {
        "crossover_width": latency_sweep.crossover,
        "points": [_of(p, "width") | _times(p.comparison) for p in latency_sweep.points],
    }
    ratios = [point.comparison.speedup.median for point in latency_sweep.points]
    values = {"least": min(ratios), "most": max(ratios)}
    if max(ratios) <= DEPENDS * min(ratios):
        return Found(False, numbers, values)
    why = N_("the width alone was varied, on one machine")
    return Found(IN_PART, numbers, values, why)


@judges("C19")
def less_memory(memory: MemorySweep) -> Found:
    """The widest model, in a process of its own: once loaded, and at the peak of a call."""
    points = []
    for point in memory.points:
        fp32, int8 = point.comparison.reference, point.comparison.candidate
        loaded = _both("loaded_bytes", fp32.loaded_bytes, int8.loaded_bytes)
        peak = _both("peak_bytes", fp32.peak_bytes, int8.peak_bytes)
        points.append(_of(point, "width", "parameters") | loaded | peak)
    said = (UNKNOWN if size is None else in_megabytes(size) for size in (loaded | peak).values())
    names = ("held", "holds", "most", "takes")
    values = {"width": point.width, **dict(zip(names, said, strict=True))}
    told = point.comparison.loaded, point.comparison.peak
    less = [one == LESS for one in told]
    why = N_("not less in both") if any(less) else ""
    if told[1] is None:
        why = N_("this system does not tell the peak of a call")
    verdict = HOLDS if all(less) else IN_PART if any(less) else FAILS
    return Found(verdict, {"points": points}, values, why)


def _above_one(ratio: Ratio, numbers: Mapping[str, Any], **values: Any) -> Found:
    """Whether a ratio lies above 1 with its whole interval."""
    if ratio.low <= 1 <= ratio.high:
        return Found(INCONCLUSIVE, numbers, values, N_("the interval holds 1, no gain at all"))
    return Found(ratio.low > 1, numbers, values)


def _both(unit: str, fp32: Any, int8: Any) -> dict[str, Any]:
    """One quantity of both models, by the names that it has in a ledger's file."""
    return {f"fp32_{unit}": fp32, f"int8_{unit}": int8}


def _of(result: Any, *names: str) -> dict[str, Any]:
    """What a result has by these names."""
    return {name: getattr(result, name) for name in names}


def _bytes(size: SizeComparison) -> dict[str, Any]:
    return _both("bytes", size.reference_bytes, size.candidate_bytes)


def _times(latency: LatencyComparison) -> dict[str, Any]:
    medians = _both("us", latency.reference.median_us, latency.candidate.median_us)
    return medians | _of(latency, "speedup", "control", "verdict")


def _costs(**found: StepCosts) -> dict[str, Any]:
    return {
        name: _of(costs, *_STEPS)
        | _both("overhead_us", costs.reference.overhead_us, costs.candidate.overhead_us)
        | _both("step_us", costs.reference.step_us, costs.candidate.step_us)
        for name, costs in found.items()
    }


def _batches(scales: ScaleChoices) -> list[dict[str, Any]]:
    return [
        {
            "batch": batch.name,
            "fixed_scale": float(batch.fixed.scale),
            "own_scale": float(batch.dynamic.scale),
            "fixed_relative_error": batch.fixed.relative,
            "own_relative_error": batch.dynamic.relative,
        }
        for batch in scales.batches
    ]
