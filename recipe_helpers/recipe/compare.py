"""Two models side by side in everything that the recipe measures: size, time, outputs, memory."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from ..common.language import N_, _
from ..common.tables import Shown, Table, in_bytes, microseconds
from .accuracy import OutputComparison, compare_outputs
from .latency import BUDGET_S, LatencyComparison, compare_latency
from .memory import MemoryComparison, compare_memory, in_megabytes
from .size import SizeComparison, compare_size
from .timing import FASTER, INCONCLUSIVE, SLOWER

_CALLS = {
    FASTER: N_("{times:.2f} times faster"),
    SLOWER: N_("{times:.2f} times slower"),
    INCONCLUSIVE: N_("as fast within the noise"),
}


@dataclass(frozen=True)
class Comparison(Shown):
    """What was measured of two models; memory only where it was asked for."""

    size: SizeComparison
    latency: LatencyComparison
    outputs: OutputComparison
    memory: MemoryComparison | None = None

    @property
    def sentence(self) -> str:
        """What quantizing brings, in words."""
        size, speed = self.size.ratio, self.latency.speedup.median
        smaller = _("{times:.2f} times smaller", times=size)
        larger = _("{times:.2f} times larger", times=1 / size)
        return _(
            "In INT8 the file is {size}, a call is {call}, and the outputs differ by "
            "{relative:.2%} on average.",
            size=smaller if size >= 1 else larger,
            call=_(_CALLS[self.latency.verdict], times=max(speed, 1 / speed)),
            relative=self.outputs.relative,
        )

    def table(self) -> Table:
        """One row each for size, latency, outputs, and for memory if it was measured."""
        outcome = _(self.latency.verdict)
        if self.latency.verdict != INCONCLUSIVE:
            outcome = _("INT8 is {faster_or_slower}", faster_or_slower=outcome)
        rows = [
            (
                _("state dict"),
                in_bytes(self.size.reference_bytes),
                in_bytes(self.size.candidate_bytes),
                _("{ratio:.2f} to 1", ratio=self.size.ratio),
            ),
            (
                _("time of one call, median"),
                microseconds(self.latency.reference.median_us),
                microseconds(self.latency.candidate.median_us),
                _("{ratio:.2f} to 1, {what}", ratio=self.latency.speedup.median, what=outcome),
            ),
            (
                _("mean |output|"),
                f"{self.outputs.reference_mean:.5f}",
                f"{self.outputs.candidate_mean:.5f}",
                _(
                    "differ by {relative:.2%}, SQNR {sqnr:.1f} dB",
                    relative=self.outputs.relative,
                    sqnr=self.outputs.sqnr_db,
                ),
            ),
        ]
        if self.memory is not None:
            before, after = self.memory.reference.peak_bytes, self.memory.candidate.peak_bytes
            told = _(self.memory.peak or self.memory.loaded)
            rows.append((_("memory in a call"), in_megabytes(before), in_megabytes(after), told))
        return Table(("", "FP32", "INT8", _("FP32 against INT8")), rows, "", self.sentence)


def compare(
    reference: nn.Module,
    candidate: nn.Module,
    *inputs: Any,
    threads: int | None = None,
    budget_s: float = BUDGET_S,
    memory: bool = False,
) -> Comparison:
    """Compare two models in size, in the time of a call and in their outputs, at one go.

    Args:
        reference: the float model, in eval mode.
        candidate: the model in question, in eval mode.
        *inputs: what both are called with.
        threads: intra-op threads; None for as many as PyTorch uses now.
        budget_s: about how long to time the two, in seconds.
        memory: whether to measure memory as well, which takes some seconds more.

    Raises:
        ModelError: a model is in training mode, on another device, or holds NaN.
        InputError: the inputs do not fit one of the models, or the outputs differ in structure.
        ArgumentError: `threads` is not at least 1, or `budget_s` is below 0.01.
    """
    latency = compare_latency(reference, candidate, *inputs, threads=threads, budget_s=budget_s)
    return Comparison(
        compare_size(reference, candidate),
        latency,
        compare_outputs(reference, candidate, *inputs),
        compare_memory(reference, candidate, *inputs, threads=latency.threads) if memory else None,
    )
