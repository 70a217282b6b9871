"""The judges of the claims ledger: measured results in, a finding out, with the reason for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from ..common.intervals import Interval
from ..common.language import Text
from ..common.tables import in_bytes
from ..common.wording import joined
from .accuracy import OutputComparison
from .claims import ELSEWHERE, FAILS, HOLDS, IN_PART, JUDGES as JUDGES, Finding, holds_if, judges
from .inspection import Conversion, StoredWeight
from .latency_judges import peak_macs as peak_macs
from .memory import LESS, MemorySweep, in_megabytes
from .rounding import ActivationStep, Rounding, ScaleChoices
from .size import SizeComparison, SizeSweep

BALLPARK = 0.05  # mean |difference| / mean |output| that still counts as "the same ballpark"
NOTICEABLE_LOSS = 0.01  # one point of accuracy, or one percent of perplexity
KEPT = 0.05  # relative error of a batch whose signal counts as kept


@judges("C1")
def scaling_and_rounding(rounding: Rounding) -> Finding:
    """No number moves by more than half a step."""
    largest, half = float(rounding.errors.abs().max()), rounding.scale / 2
    return holds_if(
        "C1",
        largest <= half * (1 + 1e-5),
        Text("largest error {largest:.4f}, half a step {half:.4f}", largest=largest, half=half),
        Text("a number lies beyond the grid"),
    )


@judges("C2")
def smaller(size: SizeComparison) -> Finding:
    """The state dict of the recipe's model."""
    measured = Text(
        "{before} -> {after}",
        before=in_bytes(size.reference_bytes),
        after=in_bytes(size.candidate_bytes),
    )
    return holds_if("C2", size.ratio > 1, measured, Text("the container outweighs the weights"))


@judges("C4")
def scales_differ(choices: ScaleChoices) -> Finding:
    """The same batch gets another scale from another method."""
    batch = max(choices.batches, key=lambda b: b.fixed.scale / b.dynamic.scale)
    measured = Text(
        "{batch}: fixed {fixed:.3g}, at run time {dynamic:.3g}",
        batch=Text(batch.name),
        fixed=batch.fixed.scale,
        dynamic=batch.dynamic.scale,
    )
    differ = batch.fixed.scale != batch.dynamic.scale
    return holds_if("C4", differ, measured, Text("both methods found the same scale"))


@judges("C5")
def scale_at_run_time(*steps: ActivationStep) -> Finding:
    """The step follows the range of the batch, with a whole number of levels in between."""
    grids = (Text("range {range:.3g}: step {step:.3g}", range=s.range, step=s.step) for s in steps)
    measured = joined(grids, ", ")
    levels = {round(step.levels) for step in steps}
    whole = all(abs(step.levels - round(step.levels)) < 0.01 * step.levels for step in steps)
    holds = len(levels) == 1 and whole and len({step.range for step in steps}) > 1
    return holds_if("C5", holds, measured, Text("the step did not follow the range"))


@judges("C6")
def signal_kept(choices: ScaleChoices) -> Finding:
    """Every batch keeps its signal with its own scale."""
    worst = max(choices.batches, key=lambda batch: batch.dynamic.relative)
    lost = max(choices.batches, key=lambda batch: batch.fixed.relative)
    measured = Text(
        "worst error {own:.1%} with a scale of its own, {fixed:.0%} with the fixed one",
        own=worst.dynamic.relative,
        fixed=lost.fixed.relative,
    )
    kept = worst.dynamic.relative <= KEPT < lost.fixed.relative
    return holds_if("C6", kept, measured, Text("a scale at run time made no difference here"))


@judges("C7")
def weights_stored_as_int8(conversion: Conversion, weights: Sequence[StoredWeight]) -> Finding:
    """Integers are there before any input came."""
    count = sum(weight.integers.numel() for weight in weights)
    measured = Text.plural(
        "{weights} weights of {count} module as int8",
        "{weights} weights of {count} modules as int8",
        len(conversion.converted),
        weights=count,
    )
    int8 = bool(weights) and all(weight.dtype == torch.int8 for weight in weights)
    stored = int8 and bool(conversion.converted)
    return holds_if("C7", stored, measured, Text("nothing was converted"))


@judges("C9")
def wide_sums(in_int16: int, in_int32: int, exact: int) -> Finding:
    """A sum of products of int8 in 16 and in 32 bits."""
    measured = Text(
        "true sum {exact}: int16 gives {in_int16}, int32 {in_int32}",
        exact=exact,
        in_int16=in_int16,
        in_int32=in_int32,
    )
    seen = in_int32 == exact != in_int16
    return holds_if("C9", seen, measured, Text("no overflow was seen"))


@judges("C10")
def rescaled(output_dtype: torch.dtype, between_dtype: torch.dtype) -> Finding:
    """What a dynamically quantized layer hands on, at the end and to a quantized layer."""
    measured = Text(
        "output {output}, between two quantized layers {between}",
        output=_short(output_dtype),
        between=_short(between_dtype),
    )
    if output_dtype != torch.float32:
        return Finding("C10", measured, FAILS, Text("the output is not FP32"))
    if between_dtype == torch.float32:
        reason = Text("each layer quantizes its own input anew")
        return Finding("C10", measured, IN_PART, reason)
    return Finding("C10", measured, HOLDS)


@judges("C11")
def few_parameters(call: Callable[..., object]) -> Finding:
    """The arguments of the call; none of them is data."""
    names = list(inspect.signature(call).parameters)
    measured = Text(
        "{count} arguments besides the model, all optional, and no data", count=len(names) - 1
    )
    optional = list(inspect.signature(call).parameters.values())[1:]
    few = all(parameter.default is not parameter.empty for parameter in optional)
    return holds_if("C11", few, measured, Text("some of them must be chosen"))


@judges("C12")
def same_ballpark(comparison: OutputComparison) -> Finding:
    """The mean difference of the outputs, relative to their mean magnitude."""
    relative = comparison.relative
    measured = Text("mean difference {relative:.2%} of the mean output", relative=relative)
    return holds_if("C12", relative <= BALLPARK, measured, Text("the outputs are ruined"))


@judges("C13")
def towards_four(sweep: SizeSweep) -> Finding:
    """The ratio at width 8, at 80, and at the widest."""
    tiny, close, widest = sweep.at(8), sweep.at(80), sweep.points[-1]
    saved = [1 - 1 / point.comparison.ratio for point in (tiny, close, widest)]
    measured = Text(
        "{tiny:.0%} less at width 8, {close:.0%} ({ratio:.1f}x) at 80, {most:.0%} at {widest}",
        tiny=saved[0],
        close=saved[1],
        ratio=close.comparison.ratio,
        most=saved[2],
        widest=widest.width,
    )
    holds = saved[0] < saved[1] < saved[2] and close.comparison.ratio > 3.5
    return holds_if("C13", holds, measured, Text("the ratio does not approach 4"))


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
        return Finding("C18", Text("see trained_models.ipynb"), ELSEWHERE)
    points, perplexity = study.difference(), language.relative
    measured = Text(
        "digits: accuracy {accuracy} points; text: perplexity {perplexity} %",
        accuracy=points.percent(),
        perplexity=perplexity.percent(),
    )
    kept = [points.low > -NOTICEABLE_LOSS, perplexity.high < NOTICEABLE_LOSS]
    if all(kept):
        return Finding("C18", measured, HOLDS)
    lost = Text("the digits") if kept[1] else Text("the text") if kept[0] else Text("either")
    reason = Text(
        "a loss of {loss:.0%} or more is not excluded for {lost}", loss=NOTICEABLE_LOSS, lost=lost
    )
    return Finding("C18", measured, IN_PART if any(kept) else FAILS, reason)


@judges("C19")
def less_memory(sweep: MemorySweep) -> Finding:
    """The widest model, in a process of its own: once loaded, and at the peak of a call."""
    widest = sweep.points[-1]
    before, after = widest.comparison.reference, widest.comparison.candidate
    sizes = (before.loaded_bytes, after.loaded_bytes, before.peak_bytes, after.peak_bytes)
    held, holds, most, takes = map(in_megabytes, sizes)
    values = {"width": widest.width, "held": held, "holds": holds}
    if widest.comparison.peak is None:
        measured = Text("at width {width} {held} -> {holds} loaded", **values)
        reason = Text("this system does not tell the peak of a call")
        verdict = IN_PART if widest.comparison.loaded == LESS else FAILS
        return Finding("C19", measured, verdict, reason)
    measured = Text(
        "at width {width} {held} -> {holds} loaded, {most} -> {takes} during a call",
        **values,
        most=most,
        takes=takes,
    )
    less = [told == LESS for told in (widest.comparison.loaded, widest.comparison.peak)]
    if all(less):
        return Finding("C19", measured, HOLDS)
    reason = Text("not less in both") if any(less) else Text("no less in either")
    return Finding("C19", measured, IN_PART if any(less) else FAILS, reason)


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
