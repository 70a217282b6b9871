"""Statistics of interleaved timings: what may be said about two models, and how surely.

One round times each model once, a few milliseconds apart, so that whatever slows the machine for
a while slows both. The ratio is taken within each round; the median of those ratios ignores the
rounds that an interruption spoilt, and a bootstrap tells how far it can be trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .show import microseconds

CONFIDENCE = 0.95
# Two timings of one and the same model differ by a percent or two, whatever the interval says.
SMALLEST_DIFFERENCE = 0.02
_RESAMPLES = 2000
_SEED = 0

FASTER, SLOWER, INCONCLUSIVE = "faster", "slower", "inconclusive"


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
        return f"{microseconds(self.median_us)} ({microseconds(low)} to {microseconds(high)})"


@dataclass(frozen=True)
class Ratio:
    """The median of per-round ratios, and its 95 % bootstrap interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} (95 % interval {self.low:.2f} to {self.high:.2f})"


def ratio_of_rounds(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """The median of `numerator[i] / denominator[i]` with a percentile bootstrap interval.

    Rounds are resampled as pairs. The resampling has a generator of its own with a fixed seed, so
    equal timings always give equal intervals.

    Source: B. Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979; as implemented by
    `scipy.stats.bootstrap`.
    """
    from scipy import stats  # half a second: only where it is used

    ratios = np.asarray(numerator, dtype=float) / np.asarray(denominator, dtype=float)
    middle = float(np.median(ratios))
    if np.all(ratios == ratios[0]):  # nothing to resample, which SciPy warns about
        return Ratio(middle, middle, middle)
    found = stats.bootstrap(
        (ratios,),
        np.median,
        n_resamples=_RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    )
    interval = found.confidence_interval
    return Ratio(middle, float(interval.low), float(interval.high))


def judge(speedup: Ratio, control: Ratio) -> str:
    """FASTER, SLOWER or INCONCLUSIVE, given the same measurement of a model against itself.

    A difference counts where the whole interval lies beyond every ratio that the control, whose
    true value is 1, could not exclude either, and beyond `SMALLEST_DIFFERENCE`.

    Args:
        speedup: reference time / candidate time.
        control: reference time / reference time, from the same rounds.
    """
    noise = max(control.high, 1 / control.low, 1 + SMALLEST_DIFFERENCE)
    if speedup.low > noise:
        return FASTER
    if speedup.high < 1 / noise:
        return SLOWER
    return INCONCLUSIVE
