"""Your own model: what was promised, what was measured, and what to do about it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..common.errors import ArgumentError
from ..common.language import N_, Text, _
from ..recipe.latency import LatencyComparison
from ..recipe.timing import FASTER, INCONCLUSIVE, SLOWER, Ratio, judge
from .task_error import COMPARABLE, SETS, TaskError

MAX_RELATIVE_ERROR = 0.05
MIN_SIZE_RATIO = 1.0
MIN_SPEEDUP = 1.0
MAX_METRIC_DROP = 0.01
# A gain that pays for another format to test, to ship and to keep: either of the two.
WORTH_SIZE_RATIO = 1.5
WORTH_SPEEDUP = 1.1

SMALLER, QUICKER, CLOSE = N_("smaller"), N_("faster"), N_("nearly the same output")
GAIN = N_("a gain worth having")
KEPT, BROKEN, OPEN, NOT_ASKED = N_("kept"), N_("broken"), N_("open"), N_("not asked for")

SHIP = N_("ship INT8")
SHIP_PARTLY = N_("ship INT8 with some modules left FP32")
KEEP = N_("keep FP32")


@dataclass(frozen=True)
class Limits:
    """What INT8 has to reach to be worth shipping.

    Attributes:
        max_relative_error: the largest mean |difference| / mean |FP32| of any output tensor.
            None judges by the metric alone; without a metric it means `MAX_RELATIVE_ERROR`.
        min_size_ratio: FP32 bytes / INT8 bytes, at least.
        min_speedup: FP32 time / INT8 time, at least; 0 where the time does not matter.
        max_metric_drop: by how much the metric may fall, as a share of the FP32 model's.
        worth_size_ratio: a gain worth having is at least this FP32 bytes / INT8 bytes,
        worth_speedup: or at least this FP32 time / INT8 time, over the whole 95 % interval. A
            caller who asks for more than 1 of `min_size_ratio` or `min_speedup` has said what is
            worth having; a limit of 0 says that this side of the gain does not matter.
    """

    max_relative_error: float | None = None
    min_size_ratio: float = MIN_SIZE_RATIO
    min_speedup: float = MIN_SPEEDUP
    max_metric_drop: float = MAX_METRIC_DROP
    worth_size_ratio: float = WORTH_SIZE_RATIO
    worth_speedup: float = WORTH_SPEEDUP

    def error_limit(self, metric: object) -> float | None:
        """The limit of the relative error; None where the metric, if there is one, decides."""
        if self.max_relative_error is None and metric is None:
            return MAX_RELATIVE_ERROR
        return self.max_relative_error

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is None and name == "max_relative_error":
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= value < math.inf:
                raise ArgumentError(
                    Text(
                        "{name} is {value!r}; pass a number of at least 0.", name=name, value=value
                    )
                )


@dataclass(frozen=True)
class Promise:
    """One promise of quantization, and whether the measurement kept it.

    `state` is "kept", "broken", "open" where the interval of the measurement does not tell, or
    "not asked for" where its limit is 0. `sentence` is a `Text`, said when it is shown.
    """

    name: str
    state: str
    measured: float  # the ratio, or the relative error
    limit: float
    sentence: str


def judge_size(ratio: float, limits: Limits) -> Promise:
    """Is it smaller? `ratio` is FP32 bytes / INT8 bytes."""
    state = KEPT if ratio >= limits.min_size_ratio else BROKEN
    if ratio >= 1:
        measured = Text("{times:.2f} times smaller", times=ratio)
    else:
        measured = Text("{times:.2f} times larger", times=1 / ratio)
    if state == BROKEN and limits.min_size_ratio != 1:
        measured = _with_limit(measured, limits.min_size_ratio)
    return Promise(SMALLER, state, ratio, limits.min_size_ratio, measured)


def judge_latency(latency: LatencyComparison, limits: Limits) -> Promise:
    """Is it faster? Open where the limit lies within the noise of the measurement."""
    limit, speedup = limits.min_speedup, latency.speedup
    state = NOT_ASKED if limit == 0 else _against(limit, latency)
    found = _time_found(latency)
    if limit != 1 and state in (BROKEN, OPEN):
        found = _with_limit(found, limit)
    return Promise(QUICKER, state, speedup.median, limit, found)


def _time_found(latency: LatencyComparison) -> Text:
    """How the two compare in time."""
    threads = Text.plural("{count} thread", "{count} threads", latency.threads)
    speedup = latency.speedup
    if latency.verdict == INCONCLUSIVE:
        return Text(
            "not told apart from FP32 in time on {threads} (FP32 / INT8: {speedup})",
            threads=threads,
            speedup=speedup,
        )
    if latency.verdict == FASTER:
        return Text(
            "{times:.2f} times faster on {threads} (FP32 / INT8: {speedup})",
            times=speedup.median,
            threads=threads,
            speedup=speedup,
        )
    return Text(
        "{times:.2f} times slower on {threads} (FP32 / INT8: {speedup})",
        times=1 / speedup.median,
        threads=threads,
        speedup=speedup,
    )


def _with_limit(found: Text, limit: float) -> Text:
    return Text("{found}, asked for {limit:g}", found=found, limit=limit)


def _against(limit: float, latency: LatencyComparison) -> str:
    """Whether the speed-up is above a limit, below it, or not told apart from it."""
    speedup = latency.speedup
    scaled = Ratio(*(value / limit for value in (speedup.median, speedup.low, speedup.high)))
    return {FASTER: KEPT, SLOWER: BROKEN, INCONCLUSIVE: OPEN}[judge(scaled, latency.control)]


def judge_gain(ratio: float, latency: LatencyComparison, limits: Limits) -> Promise:
    """Is it worth the trouble? Much smaller or clearly faster; one of the two is enough.

    Not asked for where the caller has named a gain, or where one of the two got worse, which its
    own promise says already.
    """
    smaller, faster = limits.worth_size_ratio, limits.worth_speedup
    wanted = []  # for either side that matters: whether it is a gain
    if limits.min_size_ratio > 0:
        wanted.append(ratio >= smaller)
    if limits.min_speedup > 0:
        wanted.append(faster == 0 or _against(faster, latency) == KEPT)
    named = max(limits.min_size_ratio, limits.min_speedup) > 1
    worse = BROKEN in (judge_size(ratio, limits).state, judge_latency(latency, limits).state)
    if named or worse or not wanted:
        return Promise(GAIN, NOT_ASKED, ratio, smaller, "")
    if any(wanted):
        return Promise(GAIN, KEPT, ratio, smaller, "")
    if len(wanted) > 1:
        said = Text(
            "neither {smaller:g} times smaller nor {faster:g} times faster beyond doubt",
            smaller=smaller,
            faster=faster,
        )
    elif limits.min_size_ratio > 0:
        said = Text("not {times:g} times smaller beyond doubt", times=smaller)
    else:
        said = Text("not {times:g} times faster beyond doubt", times=faster)
    return Promise(GAIN, BROKEN, ratio, smaller, said)


def judge_costs(ratio: float, latency: LatencyComparison, limits: Limits) -> list[Promise]:
    """All promises about what a model costs: its size, its time, and whether that is a gain."""
    return [
        judge_size(ratio, limits),
        judge_latency(latency, limits),
        judge_gain(ratio, latency, limits),
    ]


def judge_error(relative: float, place: str, limit: float) -> Promise:
    """Is the output nearly the same? `relative` is the largest error, found at `place`."""
    state = KEPT if relative <= limit else BROKEN  # NaN is broken
    found = Text(
        "relative error {relative:.2%} in {place}, limit {percent:.3g}%",
        relative=relative,
        place=place,
        percent=100 * limit,
    )
    return Promise(CLOSE, state, relative, limit, found)


def judge_distance(task: TaskError) -> list[Promise]:
    """Can the outputs of different input sets still be told apart? Nothing without several sets."""
    if task.share is None or task.apart != SETS:
        return []
    state = KEPT if task.share < COMPARABLE else BROKEN
    found = Text(
        "the error of {place} is {share:.1%} of the distance between the outputs of different "
        "input sets, limit {limit:.0%}",
        place=task.place,
        share=task.share,
        limit=COMPARABLE,
    )
    return [Promise(CLOSE, state, task.share, COMPARABLE, found)]


def judge_metric(reference: float, candidate: float, limits: Limits) -> Promise:
    """Is the caller's metric nearly the same? The drop is a share of the FP32 model's metric."""
    drop = (reference - candidate) / abs(reference) if reference else reference - candidate
    limit = limits.max_metric_drop
    state = KEPT if drop <= limit else BROKEN
    values = {"before": reference, "after": candidate, "percent": 100 * limit}
    if drop > 0:
        found = Text(
            "the metric falls by {drop:.2%}, from {before:.5g} to {after:.5g}, limit "
            "{percent:.3g}%",
            drop=drop,
            **values,
        )
    else:
        found = Text(
            "the metric does not fall ({rise:+.2%}), from {before:.5g} to {after:.5g}, limit "
            "{percent:.3g}%",
            rise=-drop,
            **values,
        )
    return Promise(CLOSE, state, drop, limit, found)


@dataclass(frozen=True)
class Verdict:
    """What to do with this model on this machine, and why.

    Attributes:
        decision: "ship INT8", "ship INT8 with some modules left FP32" or "keep FP32".
        candidate: the conversion the verdict speaks of; None where no conversion worked.
        left_float: names of the modules to leave FP32.
        broken: the promises that this conversion does not keep, in words.
        reason: the numbers behind the decision, as a `Text`.
        code: the call that makes the model to ship; empty where none is to be shipped.
    """

    decision: str
    candidate: str | None
    left_float: tuple[str, ...]
    broken: tuple[str, ...]
    reason: str
    code: str

    def __str__(self) -> str:
        return f"{self.headline}. {self.reason}"

    @property
    def headline(self) -> str:
        """The decision as a title, in the language in force."""
        said = _(self.decision)
        return said[0].upper() + said[1:]
