"""Your own model: what INT8 has to reach, in one list, and the judges that hold it against that.

The fields of `Limits` are that list: arguments of `rh.report`, flags of the command line and their
help, rows of the page, and words of the command for continuous integration are all made of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from ..common.errors import ArgumentError
from ..common.language import N_, _
from ..common.tables import in_threads
from ..recipe.latency import LatencyComparison
from ..recipe.timing import FASTER, INCONCLUSIVE, SLOWER, Ratio, judge
from .task_error import COMPARABLE, SETS, OutputErrors

MAX_RELATIVE_ERROR = 0.05  # where neither a limit nor a metric is given

SMALLER, QUICKER, CLOSE = N_("smaller"), N_("faster"), N_("nearly the same output")
GAIN = N_("a gain worth having")
KEPT, BROKEN, OPEN, NOT_ASKED = N_("kept"), N_("broken"), N_("open"), N_("not asked for")

_TIMES = {
    FASTER: N_("{times:.2f} times faster on {threads} (FP32 / INT8: {speedup})"),
    SLOWER: N_("{times:.2f} times slower on {threads} (FP32 / INT8: {speedup})"),
    INCONCLUSIVE: N_("not told apart from FP32 in time on {threads} (FP32 / INT8: {speedup})"),
}


def _limit(default: float | None, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Limits:
    """What INT8 has to reach to be shipped: limits that it must keep, and a gain.

    It must keep the size and the time (`min_...`; of the time the whole 95 % interval has to miss
    it to count) and return nearly the same (`max_...`). And it must bring a gain, which pays for
    another format to test and to keep: one of the two `worth_...` is enough. A `min_...` above 1 is
    itself the gain that was asked for; where it is 0 that side does not matter, neither as a loss
    nor as a gain. Without `max_relative_error` a metric alone decides, and where there is none
    `MAX_RELATIVE_ERROR` does.
    """

    max_relative_error: float | None = _limit(
        None, N_("largest mean |difference| / mean |FP32| of an output tensor, 0.02 for 2 %")
    )
    min_size_ratio: float = _limit(1.0, N_("FP32 bytes / INT8 bytes, at least"))
    min_speedup: float = _limit(1.0, N_("FP32 time / INT8 time, at least; 0: speed is no matter"))
    max_metric_drop: float = _limit(0.01, N_("how much the metric may fall, as a share"))
    worth_size_ratio: float = _limit(1.5, N_("a gain is at least so many times smaller"))
    worth_speedup: float = _limit(1.1, N_("or at least so many times faster beyond doubt"))

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is None and name == "max_relative_error":
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= value < math.inf:
                raise ArgumentError(
                    "{name} is {value!r}; pass a number of at least 0.", name=name, value=value
                )

    def error_limit(self, metric: object) -> float | None:
        """The limit of the relative error; None where the metric, if there is one, decides."""
        if self.max_relative_error is None and metric is None:
            return MAX_RELATIVE_ERROR
        return self.max_relative_error

    def flags(self) -> list[str]:
        """The words that tell the command line these limits: flags, each followed by its value."""
        changed = [one.name for one in fields(self) if getattr(self, one.name) != one.default]
        return [word for name in changed for word in (flag(name), str(getattr(self, name)))]


def flag(name: str) -> str:
    """How the command line calls a limit."""
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class Promise:
    """One promise of quantization, and whether the measurement kept it."""

    name: str  # SMALLER, QUICKER, GAIN or CLOSE
    state: str  # OPEN where the interval does not tell, NOT_ASKED where this does not matter
    measured: float  # the ratio, the relative error, the drop, or how many gains there are
    limit: float  # what that was held against
    sentence: str  # what was measured, in words; empty for a gain that is there


def judge_costs(ratio: float, latency: LatencyComparison, limits: Limits) -> list[Promise]:
    """Is it smaller, is it faster, and where neither is broken: is that a gain?

    Args:
        ratio: FP32 bytes / INT8 bytes.
        latency: the times of both; open where a limit lies within their noise.
        limits: what they are held against.
    """
    smaller = _("{times:.2f} times smaller", times=ratio)
    if ratio < 1:
        smaller = _("{times:.2f} times larger", times=1 / ratio)
    kept = KEPT if ratio >= limits.min_size_ratio else BROKEN
    times, threads = latency.speedup.median, in_threads(latency.threads)
    values = {"times": max(times, 1 / times), "threads": threads, "speedup": latency.speedup}
    faster = _(_TIMES[latency.verdict], **values)
    promises = [
        _cost(SMALLER, kept, ratio, limits.min_size_ratio, smaller),
        _cost(QUICKER, judge_speed(latency, limits.min_speedup), times, limits.min_speedup, faster),
    ]
    if all(promise.state != BROKEN for promise in promises):
        promises += _gain(ratio, latency, limits)
    return promises


def judge_speed(latency: LatencyComparison, limit: float) -> str:
    """KEPT above a limit of the speed-up, BROKEN below it, OPEN where the two are not told apart.

    The whole interval counts, and the noise that the float model has against itself.
    """
    if limit == 0:
        return KEPT
    scaled = Ratio(*(value / limit for value in vars(latency.speedup).values()))
    return {FASTER: KEPT, SLOWER: BROKEN, INCONCLUSIVE: OPEN}[judge(scaled, latency.control)]


def _cost(name: str, state: str, measured: float, limit: float, found: str) -> Promise:
    if limit == 0:
        state = NOT_ASKED
    elif limit != 1 and state != KEPT:
        found = _("{found}, asked for {limit:g}", found=found, limit=limit)
    return Promise(name, state, measured, limit, found)


def _gain(ratio: float, latency: LatencyComparison, limits: Limits) -> list[Promise]:
    """Is it worth the trouble? One gain is enough; nothing where neither side matters."""
    gains, missed = [], []
    if limits.min_size_ratio > 0:
        gains.append(limits.min_size_ratio > 1 or ratio >= limits.worth_size_ratio)
        missed.append(_("not {times:g} times smaller", times=limits.worth_size_ratio))
    if limits.min_speedup > 0:
        quicker = judge_speed(latency, limits.worth_speedup) == KEPT
        gains.append(limits.min_speedup > 1 or quicker)
        missed.append(_("not {times:g} times faster beyond doubt", times=limits.worth_speedup))
    if not gains:
        return []
    if any(gains):
        return [Promise(GAIN, KEPT, sum(gains), 1, "")]
    return [Promise(GAIN, BROKEN, 0, 1, "; ".join(missed))]


def judge_outputs(
    errors: OutputErrors, before: float | None, after: float | None, limits: Limits
) -> Iterator[Promise]:
    """Is the output nearly the same? By its error, the metric before and after, or both.

    Where an error counts at all, the outputs of different input sets must be told apart, too.
    """
    if (limit := limits.error_limit(before)) is not None:
        kept = KEPT if errors.relative <= limit else BROKEN
        found = _(
            "relative error {relative:.2%} in {place}, limit {percent:.3g}%",
            relative=errors.relative,
            place=errors.place,
            percent=100 * limit,
        )
        yield Promise(CLOSE, kept, errors.relative, limit, found)
        sets = [one for one in errors.tasks if one.apart == SETS]
        if shares := [(one.share, one.place) for one in sets if one.share is not None]:
            share, place = max(shares)
            found = _(
                "the error of {place} is {share:.1%} of the distance between the outputs of "
                "different input sets, limit {limit:.0%}",
                place=place,
                share=share,
                limit=COMPARABLE,
            )
            kept = KEPT if share < COMPARABLE else BROKEN
            yield Promise(CLOSE, kept, share, COMPARABLE, found)
    if before is not None and after is not None:
        drop = (before - after) / abs(before) if before else before - after
        found = _(
            "the metric changes by {change:+.2%}, from {before:.5g} to {after:.5g}, limit "
            "-{percent:.3g}%",
            change=0 - drop,
            before=before,
            after=after,
            percent=100 * limits.max_metric_drop,
        )
        kept = KEPT if drop <= limits.max_metric_drop else BROKEN
        yield Promise(CLOSE, kept, drop, limits.max_metric_drop, found)
