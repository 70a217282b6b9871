"""The judges of the claims ledger: measured results in, a finding out, with the reason for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from ..common.intervals import Interval
from ..common.tables import in_bytes
from .accuracy import OutputComparison
from .claims import ELSEWHERE, FAILS, HOLDS, IN_PART, INCONCLUSIVE, Finding
from .costs import StepCosts
from .inspection import Conversion, StoredWeight
from .latency import LatencyComparison, LatencySweep
from .memory import LESS, MemorySweep, in_megabytes
from .operators import OperatorCounts
from .rounding import ActivationStep, Rounding, ScaleChoices
from .size import SizeComparison, SizeSweep
from .timing import FASTER

BALLPARK = 0.05  # mean |difference| / mean |output| that still counts as "the same ballpark"
NOTICEABLE_LOSS = 0.01  # one point of accuracy, or one percent of perplexity
KEPT = 0.05  # relative error of a batch whose signal counts as kept
# No core multiplies faster than this with scalar instructions: 6 GHz, two multipliers.
SCALAR_LIMIT_MACS = 12e9

Judge = Callable[..., Finding]
JUDGES: dict[str, Judge] = {}


def judges(claim: str) -> Callable[[Judge], Judge]:
    """Register a function as the judge of a claim: measured results in, a Finding out."""

    def register(function: Judge) -> Judge:
        JUDGES[claim] = function
        return function

    return register


def _holds(claim: str, holds: bool, measured: str, otherwise: str = "") -> Finding:
    return Finding(claim, measured, HOLDS if holds else FAILS, "" if holds else otherwise)


@judges("C1")
def scaling_and_rounding(rounding: Rounding) -> Finding:
    """No number moves by more than half a step."""
    largest, half = float(rounding.errors.abs().max()), rounding.scale / 2
    return _holds(
        "C1",
        largest <= half * (1 + 1e-5),
        f"largest error {largest:.4f}, half a step {half:.4f}",
        "a number lies beyond the grid",
    )


@judges("C2")
def smaller(size: SizeComparison) -> Finding:
    """The state dict of the recipe's model."""
    measured = f"{in_bytes(size.reference_bytes)} -> {in_bytes(size.candidate_bytes)}"
    return _holds("C2", size.ratio > 1, measured, "the container outweighs the weights")


@judges("C3")
def throughput(sweep: LatencySweep) -> Finding:
    """The most multiply-adds per second that each reached at any width."""
    before, after = peak_macs(sweep, "reference"), peak_macs(sweep, "candidate")
    return _holds(
        "C3",
        after > before,
        f"at most {before / 1e9:.1f} G multiply-adds per second in FP32, {after / 1e9:.1f} in INT8",
        "no width was large enough, or the engine is slow here",
    )


@judges("C4")
def scales_differ(choices: ScaleChoices) -> Finding:
    """The same batch gets another scale from another method."""
    batch = max(choices.batches, key=lambda b: b.fixed.scale / b.dynamic.scale)
    measured = f"{batch.name}: fixed {batch.fixed.scale:.3g}, at run time {batch.dynamic.scale:.3g}"
    differ = batch.fixed.scale != batch.dynamic.scale
    return _holds("C4", differ, measured, "both methods found the same scale")


@judges("C5")
def scale_at_run_time(*steps: ActivationStep) -> Finding:
    """The step follows the range of the batch, with a whole number of levels in between."""
    measured = ", ".join(f"range {s.range:.3g}: step {s.step:.3g}" for s in steps)
    levels = {round(step.levels) for step in steps}
    whole = all(abs(step.levels - round(step.levels)) < 0.01 * step.levels for step in steps)
    holds = len(levels) == 1 and whole and len({step.range for step in steps}) > 1
    return _holds("C5", holds, measured, "the step did not follow the range")


@judges("C6")
def signal_kept(choices: ScaleChoices) -> Finding:
    """Every batch keeps its signal with its own scale."""
    worst = max(choices.batches, key=lambda batch: batch.dynamic.relative)
    lost = max(choices.batches, key=lambda batch: batch.fixed.relative)
    measured = (
        f"worst error {worst.dynamic.relative:.1%} with a scale of its own, "
        f"{lost.fixed.relative:.0%} with the fixed one"
    )
    kept = worst.dynamic.relative <= KEPT < lost.fixed.relative
    return _holds("C6", kept, measured, "a scale at run time made no difference here")


@judges("C7")
def weights_stored_as_int8(conversion: Conversion, weights: Sequence[StoredWeight]) -> Finding:
    """Integers are there before any input came."""
    count = sum(weight.integers.numel() for weight in weights)
    modules = len(conversion.converted)
    measured = f"{count} weights of {modules} module{'s' * (modules != 1)} as int8"
    int8 = bool(weights) and all(weight.dtype == torch.int8 for weight in weights)
    return _holds("C7", int8 and bool(conversion.converted), measured, "nothing was converted")


@judges("C8")
def vectorized(sweep: LatencySweep) -> Finding:
    """More multiply-adds per second than scalar instructions can do."""
    limit = SCALAR_LIMIT_MACS * sweep.threads
    rate = peak_macs(sweep, "candidate")
    measured = f"{rate / 1e9:.1f} G multiply-adds per second, scalar code at most {limit / 1e9:.0f}"
    return _holds("C8", rate > limit, measured, "not more than scalar code could do")


@judges("C9")
def wide_sums(in_int16: int, in_int32: int, exact: int) -> Finding:
    """A sum of products of int8 in 16 and in 32 bits."""
    measured = f"true sum {exact}: int16 gives {in_int16}, int32 {in_int32}"
    return _holds("C9", in_int32 == exact != in_int16, measured, "no overflow was seen")


@judges("C10")
def rescaled(output_dtype: torch.dtype, between_dtype: torch.dtype) -> Finding:
    """What a dynamically quantized layer hands on, at the end and to a quantized layer."""
    measured = (
        f"output {_short(output_dtype)}, between two quantized layers {_short(between_dtype)}"
    )
    if output_dtype != torch.float32:
        return Finding("C10", measured, FAILS, "the output is not FP32")
    if between_dtype == torch.float32:
        return Finding("C10", measured, IN_PART, "each layer quantizes its own input anew")
    return Finding("C10", measured, HOLDS)


@judges("C11")
def few_parameters(call: Callable[..., object]) -> Finding:
    """The arguments of the call; none of them is data."""
    names = list(inspect.signature(call).parameters)
    measured = f"{len(names) - 1} arguments besides the model, all optional, and no data"
    optional = list(inspect.signature(call).parameters.values())[1:]
    few = all(parameter.default is not parameter.empty for parameter in optional)
    return _holds("C11", few, measured, "some of them must be chosen")


@judges("C12")
def same_ballpark(comparison: OutputComparison) -> Finding:
    """The mean difference of the outputs, relative to their mean magnitude."""
    measured = f"mean difference {comparison.relative:.2%} of the mean output"
    return _holds("C12", comparison.relative <= BALLPARK, measured, "the outputs are ruined")


@judges("C13")
def towards_four(sweep: SizeSweep) -> Finding:
    """The ratio at width 8, at 80, and at the widest."""
    tiny, close, widest = sweep.at(8), sweep.at(80), sweep.points[-1]
    saved = [1 - 1 / point.comparison.ratio for point in (tiny, close, widest)]
    measured = (
        f"{saved[0]:.0%} less at width 8, {saved[1]:.0%} ({close.comparison.ratio:.1f}x) at 80, "
        f"{saved[2]:.0%} at {widest.dimension}"
    )
    holds = saved[0] < saved[1] < saved[2] and close.comparison.ratio > 3.5
    return _holds("C13", holds, measured, "the ratio does not approach 4")


@judges("C14")
def fewer_bytes(single: StepCosts, batch: StepCosts) -> Finding:
    """INT8 gains most where each weight is read for one sequence alone."""
    measured = _gains(single, batch)
    if single.step_speedup.low > max(1.0, batch.step_speedup.high):
        return Finding("C14", measured, HOLDS)
    if single.step_speedup.high < max(1.0, batch.step_speedup.low):
        return Finding("C14", measured, FAILS, "no more is gained where fewer bytes should matter")
    return Finding("C14", measured, INCONCLUSIVE, "the intervals overlap")


@judges("C15")
def faster_arithmetic(single: StepCosts, batch: StepCosts) -> Finding:
    """A gain that is left where weights are reused and arithmetic is what takes the time."""
    measured, left = _gains(single, batch), batch.step_speedup
    if left.low <= 1 <= left.high:
        return Finding("C15", measured, INCONCLUSIVE, "the interval holds 1, no gain at all")
    return _holds("C15", left.low > 1, measured, "no gain is left once weights are reused")


@judges("C16")
def simple_network_faster(latency: LatencyComparison, operators: OperatorCounts) -> Finding:
    """The recipe's own model."""
    measured = f"FP32 / INT8 {latency.speedup.median:.2f}, {latency.verdict}"
    reason = (
        f"one INT8 call runs {operators.candidate_total} operators, FP32 "
        f"{operators.reference_total}, and at this width operators are the cost"
    )
    if latency.verdict == INCONCLUSIVE:
        return Finding("C16", measured, INCONCLUSIVE, "no difference beyond the noise")
    return _holds("C16", latency.verdict == FASTER, measured, reason)


@judges("C17")
def it_depends(sweep: LatencySweep) -> Finding:
    """The spread of the ratio over widths."""
    ratios = [point.comparison.speedup.median for point in sweep.points]
    measured = f"FP32 / INT8 from {min(ratios):.2f} to {max(ratios):.2f} over the widths"
    return _holds("C17", max(ratios) > 1.5 * min(ratios), measured, "it hardly depends on width")


class AccuracyStudy(Protocol):
    """Classifiers in FP32 and INT8, as `digit_study` compares them."""

    def difference(self) -> Interval:
        """INT8 less FP32 accuracy."""


class TextStudy(Protocol):
    """A language model in FP32 and INT8, as `compare_perplexity` compares them."""

    @property
    def relative(self) -> Interval:
        """INT8 over FP32 perplexity, less 1."""


@judges("C18")
def trained_model(study: AccuracyStudy | None = None, language: TextStudy | None = None) -> Finding:
    """Both intervals exclude a noticeable loss; without results it is measured elsewhere."""
    if study is None or language is None:
        return Finding("C18", "see trained_models.ipynb", ELSEWHERE)
    points, perplexity = study.difference(), language.relative
    measured = (
        f"digits: accuracy {points.percent()} points; text: perplexity {perplexity.percent()} %"
    )
    kept = [points.low > -NOTICEABLE_LOSS, perplexity.high < NOTICEABLE_LOSS]
    if all(kept):
        return Finding("C18", measured, HOLDS)
    lost = "the digits" if kept[1] else "the text" if kept[0] else "either"
    reason = f"a loss of {NOTICEABLE_LOSS:.0%} or more is not excluded for {lost}"
    return Finding("C18", measured, IN_PART if any(kept) else FAILS, reason)


@judges("C19")
def less_memory(sweep: MemorySweep) -> Finding:
    """The widest model, in a process of its own: once loaded, and at the peak of a call."""
    widest = sweep.points[-1]
    before, after = widest.comparison.reference, widest.comparison.candidate
    sizes = (before.loaded_bytes, after.loaded_bytes, before.peak_bytes, after.peak_bytes)
    held, holds, most, takes = map(in_megabytes, sizes)
    measured = f"at width {widest.dimension} {held} -> {holds} loaded"
    if widest.comparison.peak is None:
        reason = "this system does not tell the peak of a call"
        verdict = IN_PART if widest.comparison.loaded == LESS else FAILS
        return Finding("C19", measured, verdict, reason)
    measured += f", {most} -> {takes} during a call"
    less = [told == LESS for told in (widest.comparison.loaded, widest.comparison.peak)]
    if all(less):
        return Finding("C19", measured, HOLDS)
    reason = "not less in both" if any(less) else "no less in either"
    return Finding("C19", measured, IN_PART if any(less) else FAILS, reason)


def peak_macs(sweep: LatencySweep, side: str) -> float:
    """The most multiply-adds per second that one side of a sweep reached, over all its widths."""
    return max(
        point.macs / (getattr(point.comparison, side).median_us * 1e-6) for point in sweep.points
    )


def _gains(single: StepCosts, batch: StepCosts) -> str:
    return (
        f"per step FP32 / INT8 {single.step_speedup} at batch {single.batch_size}, "
        f"{batch.step_speedup} at {batch.batch_size}"
    )


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
