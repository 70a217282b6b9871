"""Interleaved timings and their statistics: what may be said of two models, and how surely.

One round times each model once, a few milliseconds apart, so that whatever slows the machine for
a while slows both. The ratio is taken within each round; the median of those ratios ignores the
rounds that an interruption spoilt, and a bootstrap tells how far it can be trusted.
"""

import math
import random
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..common.errors import ArgumentError
from ..common.language import N_, _
from ..common.settings import time_to_measure
from ..common.tables import microseconds

CONFIDENCE = 0.95
# Two timings of one and the same model differ by a percent or two, whatever the interval says.
SMALLEST_DIFFERENCE = 0.02

_SMALLEST_BUDGET_S = 0.01
_FEWEST_ROUNDS = 7
_BLOCK_S = 2e-3  # long beside the clock's resolution, short beside what disturbs a machine
_RESAMPLES = 2000
_SEED = 0

FASTER, SLOWER, INCONCLUSIVE = N_("faster"), N_("slower"), N_("inconclusive")


@dataclass(frozen=True)
class Timing:
    """The time of one call in each round."""

    times_us: tuple[float, ...]

    @property
    def median_us(self) -> float:
        """The median over the rounds."""
        return float(np.median(self.times_us))

    @property
    def quartiles_us(self) -> tuple[float, float]:
        """The first and third quartile; half of the rounds lie between them."""
        low, high = np.percentile(self.times_us, [25, 75])
        return float(low), float(high)

    def __str__(self) -> str:
        low, high = self.quartiles_us
        return _(
            "{mean} ({low} to {high})",
            mean=microseconds(self.median_us),
            low=microseconds(low),
            high=microseconds(high),
        )


@dataclass(frozen=True)
class Ratio:
    """The median of per-round ratios, and its 95 % bootstrap interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return _(
            "{median:.2f} (95 % interval {low:.2f} to {high:.2f})",
            median=self.median,
            low=self.low,
            high=self.high,
        )


def check_budget(budget_s: Any) -> None:
    """ArgumentError unless the budget is a number of seconds that can hold a measurement."""
    number = isinstance(budget_s, int | float) and not isinstance(budget_s, bool)
    if not number or not _SMALLEST_BUDGET_S <= budget_s < math.inf:
        raise ArgumentError(
            "budget_s is {value}; pass at least {least} seconds, less cannot hold a measurement.",
            value=repr(budget_s),
            least=_SMALLEST_BUDGET_S,
        )


def interleave(calls: Sequence[Callable[[], object]], budget_s: float) -> tuple[Timing, ...]:
    """Time each callable once in each of many rounds, in an order drawn anew for each round.

    A callable may be named twice, as a control. The rounds may take about `budget_s` seconds
    together, or up to twice that where the machine is busier than when they were counted; at least
    seven are done, whatever they take.
    """
    once_s = [min(timeit.repeat(call, number=1, repeat=3)) for call in calls]  # warms up, too
    number = max(1, math.ceil(_BLOCK_S / min(once_s)))
    rounds = max(_FEWEST_ROUNDS, int(time_to_measure(budget_s) / ((number + 1) * sum(once_s))))
    shuffle = random.Random(_SEED).shuffle
    order = list(range(len(calls)))
    times_us: list[list[float]] = [[] for _call in calls]
    spent_s = 0.0
    for done in range(rounds):
        if done >= _FEWEST_ROUNDS and spent_s > 2 * time_to_measure(budget_s):
            break
        shuffle(order)
        for index in order:
            calls[index]()  # bring the weights back into the caches that another model used
            elapsed_s = timeit.timeit(calls[index], number=number)
            times_us[index].append(elapsed_s / number * 1e6)
            spent_s += elapsed_s
    return tuple(Timing(tuple(times)) for times in times_us)


def ratio_of_rounds(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """The median of `numerator[i] / denominator[i]` with a percentile bootstrap interval.

    Rounds are resampled as pairs. The resampling has a generator of its own with a fixed seed, so
    equal timings always give equal intervals.

    Source: B. Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979; as implemented by
    `scipy.stats.bootstrap`.
    """
    return _bootstrap(np.median, np.divide(numerator, denominator))


def ratio_of_medians(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """The ratio of two medians over rounds, with a percentile bootstrap interval.

    For differences of times, which may come out near zero in a single round, where their ratio
    means nothing. Rounds are resampled as pairs.
    """

    def statistic(upper: Any, lower: Any, axis: int = -1) -> Any:
        return np.median(upper, axis) / np.median(lower, axis)

    return _bootstrap(statistic, numerator, denominator)


def _bootstrap(statistic: Callable[..., Any], *series: Any) -> Ratio:
    from scipy import stats  # half a second: only where it is used

    low, high = stats.bootstrap(
        series,
        statistic,
        paired=True,
        n_resamples=_RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return Ratio(float(statistic(*series)), float(low), float(high))


def judge(speedup: Ratio, control: Ratio) -> str:
    """FASTER, SLOWER or INCONCLUSIVE: what a ratio says, given that of a model against itself.

    A difference counts where the whole interval lies beyond every ratio that the control, whose
    true value is 1, could not exclude either, and beyond `SMALLEST_DIFFERENCE`. Both are reference
    time / other time, from the same rounds.
    """
    noise = max(control.high, 1 / control.low, 1 + SMALLEST_DIFFERENCE)
    if speedup.low > noise:
        return FASTER
    if speedup.high < 1 / noise:
        return SLOWER
    return INCONCLUSIVE
