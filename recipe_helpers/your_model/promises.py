"""Your own model: what INT8 has to reach, in one list, and the judges that hold it against that.

The fields of `Limits` are that list: arguments of `rh.report`, flags of the command line and their
help, rows of the page, and words of the command for continuous integration are all made of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from ..common.errors import ArgumentError
from ..common.language import N_, Text
from ..common.wording import in_turn
from ..recipe.latency import LatencyComparison
from ..recipe.timing import FASTER, INCONCLUSIVE, SLOWER, Ratio, judge
from .task_error import COMPARABLE, SETS, OutputErrors, TaskError

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
    sentence: str  # what was measured in words, a Text; empty for a gain that is there


def judge_costs(ratio: float, latency: LatencyComparison, limits: Limits) -> list[Promise]:
    """Is it smaller, is it faster, and where neither is broken: is that a gain?"""
    promises = [judge_size(ratio, limits), judge_latency(latency, limits)]
    if all(promise.state != BROKEN for promise in promises):
        promises += judge_gain(ratio, latency, limits)
    return promises


def judge_size(ratio: float, limits: Limits) -> Promise:
    """Is it smaller? `ratio` is FP32 bytes / INT8 bytes."""
    limit = limits.min_size_ratio
    if ratio >= 1:
        found = Text("{times:.2f} times smaller", times=ratio)
    else:
        found = Text("{times:.2f} times larger", times=1 / ratio)
    return _cost(SMALLER, KEPT if ratio >= limit else BROKEN, ratio, limit, found)


def judge_latency(latency: LatencyComparison, limits: Limits) -> Promise:
    """Is it faster? Open where the limit lies within the noise of the measurement."""
    limit, times = limits.min_speedup, latency.speedup.median
    found = Text(
        _TIMES[latency.verdict],
        times=max(times, 1 / times),
        threads=Text.plural("{count} thread", "{count} threads", latency.threads),
        speedup=latency.speedup,
    )
    return _cost(QUICKER, _against(limit, latency), times, limit, found)


def _cost(name: str, state: str, measured: float, limit: float, found: Text) -> Promise:
    if limit == 0:
        return Promise(name, NOT_ASKED, measured, limit, found)
    if limit != 1 and state != KEPT:
        found = Text("{found}, asked for {limit:g}", found=found, limit=limit)
    return Promise(name, state, measured, limit, found)


def _against(limit: float, latency: LatencyComparison) -> str:
    """Whether the speed-up is above a limit, below it, or not told apart from it."""
    if limit == 0:
        return KEPT
    scaled = Ratio(*(value / limit for value in vars(latency.speedup).values()))
    return {FASTER: KEPT, SLOWER: BROKEN, INCONCLUSIVE: OPEN}[judge(scaled, latency.control)]


def judge_gain(ratio: float, latency: LatencyComparison, limits: Limits) -> list[Promise]:
    """Is it worth the trouble? One gain is enough; nothing where neither side matters."""
    smaller, faster = limits.worth_size_ratio, limits.worth_speedup
    gains, missed = [], []
    if limits.min_size_ratio > 0:
        gains.append(limits.min_size_ratio > 1 or ratio >= smaller)
        missed.append(Text("not {times:g} times smaller", times=smaller))
    if limits.min_speedup > 0:
        gains.append(limits.min_speedup > 1 or _against(faster, latency) == KEPT)
        missed.append(Text("not {times:g} times faster beyond doubt", times=faster))
    if not gains or any(gains):
        return [Promise(GAIN, KEPT, sum(gains), 1, "")] if gains else []
    return [Promise(GAIN, BROKEN, 0, 1, in_turn(missed))]


def judge_outputs(
    errors: OutputErrors, before: float | None, after: float | None, limits: Limits
) -> list[Promise]:
    """Is the output nearly the same? By its error, the metric before and after, or both."""
    promises, limit = [], limits.error_limit(before)
    if limit is not None:
        promises = [judge_error(errors.relative, errors.place, limit)]
        promises += judge_distance(errors.tasks)
    if before is not None and after is not None:
        promises.append(judge_metric(before, after, limits.max_metric_drop))
    return promises


def judge_error(relative: float, place: str, limit: float) -> Promise:
    """Is the largest relative error, found at `place`, within the limit?"""
    found = Text(
        "relative error {relative:.2%} in {place}, limit {percent:.3g}%",
        relative=relative,
        place=place,
        percent=100 * limit,
    )
    return Promise(CLOSE, KEPT if relative <= limit else BROKEN, relative, limit, found)


def judge_distance(tasks: Iterable[TaskError]) -> list[Promise]:
    """Can the outputs of different input sets still be told apart? Nothing without several sets."""
    shares = [(t.share, t.place) for t in tasks if t.share is not None and t.apart == SETS]
    if not shares:
        return []
    share, place = max(shares)
    found = Text(
        "the error of {place} is {share:.1%} of the distance between the outputs of different "
        "input sets, limit {limit:.0%}",
        place=place,
        share=share,
        limit=COMPARABLE,
    )
    return [Promise(CLOSE, KEPT if share < COMPARABLE else BROKEN, share, COMPARABLE, found)]


def judge_metric(before: float, after: float, limit: float) -> Promise:
    """Has the caller's metric fallen by no more than this share of the FP32 model's?"""
    drop = (before - after) / abs(before) if before else before - after
    found = Text(
        "the metric changes by {change:+.2%}, from {before:.5g} to {after:.5g}, limit "
        "-{percent:.3g}%",
        change=0 - drop,
        before=before,
        after=after,
        percent=100 * limit,
    )
    return Promise(CLOSE, KEPT if drop <= limit else BROKEN, drop, limit, found)
