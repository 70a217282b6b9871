"""Section 4, latency: the time of one call, measured so that the answer deserves trust."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from ..common import checks, settings
from ..common.checks import renamed
from ..common.language import _
from ..common.tables import Shown, Table, in_threads, microseconds
from .pair import Sweep, sweep
from .timing import (
    FASTER,
    INCONCLUSIVE,
    SLOWER,
    Ratio,
    Timing,
    check_budget,
    interleave,
    judge,
    ratio_of_rounds,
)

WIDTHS = (8, 32, 80, 128, 192, 256, 512, 1024)
BUDGET_S = 0.5
SWEEP_BUDGET_S = 0.3


@dataclass(frozen=True)
class LatencyComparison(Shown):
    """How two models compare in the time of one call, on this machine, now."""

    reference: Timing
    candidate: Timing
    speedup: Ratio  # reference / candidate: above 1 the candidate is faster
    control: Ratio  # the reference against itself: 1 but for noise
    verdict: str  # "faster", "slower" or "inconclusive", said of the candidate
    threads: int

    @property
    def rounds(self) -> int:
        """How often each model was timed."""
        return len(self.reference.times_us)

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.verdict == INCONCLUSIVE:
            return _("INT8 against FP32 is inconclusive: the ratio is {ratio}.", ratio=self.speedup)
        times = self.speedup.median
        if self.verdict == FASTER:
            return _("INT8 is {times:.2f} times as fast as FP32 here.", times=times)
        return _("INT8 takes {times:.2f} times as long as FP32 here.", times=1 / times)

    def table(self) -> Table:
        """Both times, the ratio, the control, the verdict."""
        rows = [
            (_("FP32, median (quartiles)"), str(self.reference)),
            (_("INT8, median (quartiles)"), str(self.candidate)),
            ("FP32 / INT8", str(self.speedup)),
            (_("control, FP32 / FP32"), str(self.control)),
            (_("verdict"), _(self.verdict)),
        ]
        threads = in_threads(self.threads)
        caption = _("{rounds} interleaved rounds on {threads}", rounds=self.rounds, threads=threads)
        return Table((_("time of one call"), ""), rows, caption, self.sentence)


def compare_latency(
    reference: nn.Module,
    candidate: nn.Module,
    *inputs: Any,
    threads: int | None = None,
    budget_s: float = BUDGET_S,
) -> LatencyComparison:
    """Time two models against each other, in interleaved rounds of random order.

    Each round times the reference, the candidate and the reference again (the control), in an
    order drawn anew. Both run under `inference_mode` on the same inputs and threads, after a
    warm-up. Thread count, grad mode and random state are put back, also after an interrupt.

    Args:
        reference: the model to compare with, in eval mode.
        candidate: the model in question, in eval mode.
        *inputs: what both are called with.
        threads: intra-op threads; None for as many as PyTorch uses now.
        budget_s: about how long to measure, in seconds. Models so slow that it does not hold
            seven rounds take longer.

    Raises:
        ModelError: a model is in training mode, on another device, or holds NaN.
        InputError: the inputs do not fit one of the models.
        ArgumentError: `threads` is not at least 1, or `budget_s` is below 0.01.
    """
    checks.runnable_model("reference", reference)
    checks.runnable_model("candidate", candidate)
    if threads is not None:
        checks.positive_int("threads", threads)
    check_budget(budget_s)
    with settings.threads_set(threads) as used, torch.inference_mode():
        checks.runs("reference", reference, inputs)
        checks.runs("candidate", candidate, inputs)
        calls = [partial(reference, *inputs), partial(candidate, *inputs)]
        first, second, third = interleave([*calls, calls[0]], budget_s)
    speedup, control = (
        ratio_of_rounds(first.times_us, other.times_us) for other in (second, third)
    )
    return LatencyComparison(first, second, speedup, control, judge(speedup, control), used)


@dataclass(frozen=True)
class LatencySweep(Sweep[LatencyComparison]):
    """FP32 against INT8 on the recipe's LSTM over a range of widths."""

    threads: int
    batch_size: int

    @property
    def crossover(self) -> int | None:
        """The smallest width from which INT8 is faster at every wider one, or None."""
        found = None
        for point in reversed(self.points):
            if point.comparison.verdict != FASTER:
                break
            found = point.width
        return found

    @property
    def sentence(self) -> str:
        """What the sweep showed, in words."""
        where = {"threads": in_threads(self.threads), "batch": self.batch_size}
        if self.crossover is None:
            return _(
                "On this machine ({threads}, batch of {batch}) no crossover was found up to width "
                "{widest}.",
                **where,
                widest=self.widths[-1],
            )
        fastest = max(self.points, key=lambda point: point.comparison.speedup.median)
        slower = [str(p.width) for p in self.points if p.comparison.verdict == SLOWER]
        return _(
            "On this machine ({threads}, batch of {batch}) INT8 is faster from width {crossover} "
            "on, {times:.1f} times as fast at width {fastest}; slower at {slower}.",
            **where,
            crossover=self.crossover,
            times=fastest.comparison.speedup.median,
            fastest=fastest.width,
            slower=", ".join(slower) or _("no width"),
        )

    def table(self) -> Table:
        """One row per width."""
        rows = [
            (
                str(point.width),
                microseconds(point.comparison.reference.median_us),
                microseconds(point.comparison.candidate.median_us),
                str(point.comparison.speedup),
                _(point.comparison.verdict),
            )
            for point in self.points
        ]
        headers = (_("width"), "FP32", "INT8", "FP32 / INT8", _("INT8 is"))
        return Table(headers, rows, "", self.sentence)


@renamed(dimensions="widths")
def latency_sweep(
    widths: Iterable[int] = WIDTHS,
    *,
    threads: int | None = None,
    batch_size: int = 1,
    budget_s: float = SWEEP_BUDGET_S,
    backend: str = "torch.ao",
) -> LatencySweep:
    """Compare FP32 with INT8 at several widths of the recipe's LSTM.

    Args:
        widths: rising widths (`dimensions` in versions 1.0 and 2.0).
        threads: intra-op threads; None for as many as PyTorch uses now.
        batch_size: sequences per call.
        budget_s: about how long to measure at each width, in seconds.
        backend: what quantizes, see `quantize_dynamic`.

    Raises:
        ArgumentError: an argument is out of range.
    """
    points = sweep(
        widths,
        lambda pair: compare_latency(*pair.both, threads=threads, budget_s=budget_s),
        batch_size=batch_size,
        backend=backend,
    )
    return LatencySweep(points, points[0].comparison.threads, batch_size)
