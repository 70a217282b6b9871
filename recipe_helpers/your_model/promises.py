"""Your own model: what was promised, what was measured, and what to do about it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..common.errors import ArgumentError
from ..common.tables import in_threads
from ..recipe.latency import LatencyComparison
from ..recipe.timing import FASTER, INCONCLUSIVE, SLOWER, Ratio, judge

MAX_RELATIVE_ERROR = 0.05
MIN_SIZE_RATIO = 1.0
MIN_SPEEDUP = 1.0
MAX_METRIC_DROP = 0.01

SMALLER, QUICKER, CLOSE = "smaller", "faster", "nearly the same output"
KEPT, BROKEN, OPEN, NOT_ASKED = "kept", "broken", "open", "not asked for"

SHIP = "ship INT8"
SHIP_PARTLY = "ship INT8 with some modules left FP32"
KEEP = "keep FP32"


@dataclass(frozen=True)
class Limits:
    """What INT8 has to reach to be worth shipping.

    Attributes:
        max_relative_error: the largest mean |difference| / mean |FP32| of any output tensor.
            None judges by the metric alone; without a metric it means `MAX_RELATIVE_ERROR`.
        min_size_ratio: FP32 bytes / INT8 bytes, at least.
        min_speedup: FP32 time / INT8 time, at least; 0 where the time does not matter.
        max_metric_drop: by how much the metric may fall, as a share of the FP32 model's.
    """

    max_relative_error: float | None = None
    min_size_ratio: float = MIN_SIZE_RATIO
    min_speedup: float = MIN_SPEEDUP
    max_metric_drop: float = MAX_METRIC_DROP

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
                raise ArgumentError(f"{name} is {value!r}; pass a number of at least 0.")


@dataclass(frozen=True)
class Promise:
    """One promise of quantization, and whether the measurement kept it.

    `state` is "kept", "broken", "open" where the interval of the measurement does not tell, or
    "not asked for" where its limit is 0.
    """

    name: str
    state: str
    measured: float  # the ratio, or the relative error
    limit: float
    sentence: str


def judge_size(ratio: float, limits: Limits) -> Promise:
    """Is it smaller? `ratio` is FP32 bytes / INT8 bytes."""
    state = KEPT if ratio >= limits.min_size_ratio else BROKEN
    measured = f"{ratio:.2f} times smaller" if ratio >= 1 else f"{1 / ratio:.2f} times larger"
    if state == BROKEN and limits.min_size_ratio != 1:
        measured += f", asked for {limits.min_size_ratio:g}"
    return Promise(SMALLER, state, ratio, limits.min_size_ratio, measured)


def judge_latency(latency: LatencyComparison, limits: Limits) -> Promise:
    """Is it faster? Open where the limit lies within the noise of the measurement."""
    limit, speedup = limits.min_speedup, latency.speedup
    if limit == 0:
        state = NOT_ASKED
    else:
        scaled = Ratio(*(value / limit for value in (speedup.median, speedup.low, speedup.high)))
        answer = judge(scaled, latency.control)
        state = {FASTER: KEPT, SLOWER: BROKEN, INCONCLUSIVE: OPEN}[answer]
    threads = in_threads(latency.threads)
    if latency.verdict == INCONCLUSIVE:
        found = f"not told apart from FP32 in time on {threads} (FP32 / INT8: {speedup})"
    else:
        times = speedup.median if latency.verdict == FASTER else 1 / speedup.median
        found = f"{times:.2f} times {latency.verdict} on {threads} (FP32 / INT8: {speedup})"
    if limit != 1 and state in (BROKEN, OPEN):
        found += f", asked for {limit:g}"
    return Promise(QUICKER, state, speedup.median, limit, found)


def judge_error(relative: float, place: str, limit: float) -> Promise:
    """Is the output nearly the same? `relative` is the largest error, found at `place`."""
    state = KEPT if relative <= limit else BROKEN  # NaN is broken
    found = f"relative error {relative:.2%} in {place}, limit {100 * limit:.3g}%"
    return Promise(CLOSE, state, relative, limit, found)


def judge_metric(reference: float, candidate: float, limits: Limits) -> Promise:
    """Is the caller's metric nearly the same? The drop is a share of the FP32 model's metric."""
    drop = (reference - candidate) / abs(reference) if reference else reference - candidate
    limit = limits.max_metric_drop
    state = KEPT if drop <= limit else BROKEN
    change = f"falls by {drop:.2%}" if drop > 0 else f"does not fall ({-drop:+.2%})"
    found = (
        f"the metric {change}, from {reference:.5g} to {candidate:.5g}, limit {100 * limit:.3g}%"
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
        reason: the numbers behind the decision.
        code: the call that makes the model to ship; empty where none is to be shipped.
    """

    decision: str
    candidate: str | None
    left_float: tuple[str, ...]
    broken: tuple[str, ...]
    reason: str
    code: str

    def __str__(self) -> str:
        return f"{self.decision[0].upper()}{self.decision[1:]}. {self.reason}"
