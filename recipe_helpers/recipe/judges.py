"""The judges of the claims ledger: measured results in, a verdict and its numbers out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch

from ..common.intervals import Interval
from ..common.language import N_
from .accuracy import TensorComparison
from .claims import FAILS, HOLDS, IN_PART, Found, judges
from .cost_judges import JUDGES as JUDGES
from .inspection import Conversion, StoredWeight
from .rounding import ActivationStep, Rounding, ScaleChoices
from .size import SizeComparison, SizeSweep

BALLPARK = 0.05  # mean |difference| / mean |output| that still counts as "the same ballpark"
NOTICEABLE_LOSS = 0.01  # one point of accuracy, or one percent of perplexity
KEPT = 0.05  # relative error of a batch whose signal counts as kept
CLOSE_TO_FOUR = 3.5


@judges(
    "C1",
    N_("largest error {largest_error:.4f}, half a step {half_step:.4f}"),
    N_("a number lies beyond the grid"),
)
def scaling_and_rounding(rounding: Rounding) -> Found:
    """No number moves by more than half a step."""
    largest, half = float(rounding.errors.abs().max()), float(rounding.scale) / 2
    return Found(largest <= half * (1 + 1e-5), {"largest_error": largest, "half_step": half})


@judges(
    "C2",
    N_("{fp32_bytes:,} bytes -> {int8_bytes:,} bytes"),
    N_("the container outweighs the weights"),
)
def smaller(size: SizeComparison) -> Found:
    """The state dict of the recipe's model."""
    return Found(size.ratio > 1, _bytes(size))


@judges(
    "C4",
    N_("{batch}: fixed {fixed_scale:.3g}, at run time {own_scale:.3g}"),
    N_("both methods found the same scale"),
)
def scales_differ(scales: ScaleChoices) -> Found:
    """The same batch gets another scale from another method."""
    batches = _batches(scales)
    most = max(batches, key=lambda batch: batch["fixed_scale"] / batch["own_scale"])
    return Found(most["fixed_scale"] != most["own_scale"], {"batches": batches}, most)


@judges(
    "C5",
    N_(
        "range {first[range]:.3g}: step {first[step]:.3g}, range {last[range]:.3g}: step "
        "{last[step]:.3g}"
    ),
    N_("the step did not follow the range"),
)
def scale_at_run_time(*steps: ActivationStep) -> Found:
    """The step follows the range of the batch, with a whole number of levels in between."""
    levels = {round(step.levels) for step in steps}
    whole = all(abs(step.levels - round(step.levels)) < 0.01 * step.levels for step in steps)
    follows = len(levels) == 1 and whole and len({step.range for step in steps}) > 1
    found = [{"range": float(step.range), "step": float(step.step)} for step in steps]
    return Found(follows, {"steps": found}, {"first": found[0], "last": found[-1]})


@judges(
    "C6",
    N_("worst error {own:.1%} with a scale of its own, {fixed:.0%} with the fixed one"),
    N_("a scale at run time made no difference here"),
)
def signal_kept(scales: ScaleChoices) -> Found:
    """Every batch keeps its signal with its own scale."""
    batches = _batches(scales)
    own = max(batch["own_relative_error"] for batch in batches)
    fixed = max(batch["fixed_relative_error"] for batch in batches)
    return Found(own <= KEPT < fixed, {"batches": batches}, {"own": own, "fixed": fixed})


@judges(
    "C7",
    N_("{int8_weights} weights as int8, converted modules: {converted_modules}"),
    N_("nothing was converted"),
)
def weights_stored_as_int8(conversion: Conversion, weights: Sequence[StoredWeight]) -> Found:
    """Integers are there before any input came."""
    count, converted = sum(w.integers.numel() for w in weights), len(conversion.converted)
    stored = count > 0 < converted and all(weight.dtype == torch.int8 for weight in weights)
    return Found(stored, {"int8_weights": count, "converted_modules": converted})


@judges(
    "C9",
    N_("true sum {exact}: int16 gives {in_int16}, int32 {in_int32}"),
    N_("no overflow was seen"),
)
def wide_sums(in_int16: int, in_int32: int, exact: int) -> Found:
    """A sum of products of int8 in 16 and in 32 bits."""
    numbers = {"in_int16": in_int16, "in_int32": in_int32, "exact": exact}
    return Found(in_int32 == exact != in_int16, numbers)


@judges(
    "C10",
    N_("output {output}, between two quantized layers {between}"),
    N_("the output is not FP32"),
)
def rescaled(output_dtype: torch.dtype, between_dtype: torch.dtype) -> Found:
    """What a dynamically quantized layer hands on, at the end and to a quantized layer."""
    numbers = {"output": str(output_dtype), "between": str(between_dtype)}
    if output_dtype == between_dtype == torch.float32:
        return Found(IN_PART, numbers, why=N_("each layer quantizes its own input anew"))
    return Found(output_dtype == torch.float32, numbers)


@judges(
    "C11",
    N_("{arguments} arguments besides the model, all optional, and no data"),
    N_("some of them must be chosen"),
)
def few_parameters(call: Callable[..., object]) -> Found:
    """The arguments of the call; none of them is data."""
    others = list(inspect.signature(call).parameters.values())[1:]
    optional = all(parameter.default is not parameter.empty for parameter in others)
    return Found(optional, {"arguments": len(others)})


@judges(
    "C12",
    N_("mean difference {relative_difference:.2%} of the mean output"),
    N_("the outputs are ruined"),
)
def same_ballpark(outputs: TensorComparison) -> Found:
    """The mean difference of the outputs, relative to their mean magnitude."""
    relative = float(outputs.relative)
    return Found(relative <= BALLPARK, {"relative_difference": relative})


@judges(
    "C13",
    N_("{tiny:.0%} less at width 8, {close:.0%} ({ratio:.1f}x) at 80, {most:.0%} at {widest}"),
    N_("the ratio does not approach 4"),
)
def towards_four(size_sweep: SizeSweep) -> Found:
    """The ratio at width 8, at 80, and at the widest."""
    points = [
        {"width": point.width, "parameters": point.parameters, **_bytes(point.comparison)}
        for point in size_sweep.points
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


@judges(
    "C18",
    N_("digits: accuracy {accuracy:.2%} points; text: perplexity {perplexity:.2%} %"),
    N_("a loss of {loss:.0%} or more is not excluded for {lost}"),
)
def trained_model(study: AccuracyStudy, perplexity: TextStudy) -> Found:
    """Both intervals exclude a noticeable loss."""
    numbers = {"accuracy": study.difference(), "perplexity": perplexity.relative}
    digits = numbers["accuracy"].low > -NOTICEABLE_LOSS
    text = numbers["perplexity"].high < NOTICEABLE_LOSS
    lost = N_("the digits") if text else N_("the text") if digits else N_("either")
    verdict = HOLDS if digits and text else IN_PART if digits or text else FAILS
    return Found(verdict, numbers, {"loss": NOTICEABLE_LOSS, "lost": lost})


def _bytes(size: SizeComparison) -> dict[str, Any]:
    return {"fp32_bytes": size.reference_bytes, "int8_bytes": size.candidate_bytes}


def _batches(scales: ScaleChoices) -> list[dict[str, Any]]:
    return [
        {
            "batch": batch.name,
            "fixed_scale": float(batch.fixed.scale),
            "own_scale": float(batch.dynamic.scale),
            "fixed_relative_error": float(batch.fixed.relative),
            "own_relative_error": float(batch.dynamic.relative),
        }
        for batch in scales.batches
    ]
