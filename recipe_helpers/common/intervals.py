"""How surely a mean is known: Student's interval, for differences between paired measurements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .errors import ArgumentError
from .language import _

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % confidence interval, after Student."""

    mean: float
    low: float
    high: float

    def percent(self, digits: int = 2) -> str:
        """As percentages with a sign: `-0.03 (-0.20 to +0.13)`."""
        mean, low, high = (
            f"{round(100 * x, digits) + 0.0:+.{digits}f}"  # + 0.0: no negative zero
            for x in (self.mean, self.low, self.high)
        )
        return _("{mean} ({low} to {high})", mean=mean, low=low, high=high)

    def __format__(self, spec: str) -> str:
        """`{interval:.1%}` is `interval.percent(1)`; anything else is not known."""
        if not re.fullmatch(r"\.\d%", spec):
            raise ValueError(f"unknown format of an interval: {spec!r}")
        return self.percent(int(spec[1]))


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean of independent values and its 95 % t interval.

    Raises:
        ArgumentError: there are fewer than two values.
    """
    from scipy import stats  # half a second: only where it is used

    array = np.asarray(values, dtype=float)
    if array.size < 2:
        raise ArgumentError(
            "values has {count} elements; an interval needs at least two.", count=array.size
        )
    mean, error = float(array.mean()), float(stats.sem(array))
    if error == 0:  # all values are equal: t.interval would give NaN
        return Interval(mean, mean, mean)
    low, high = stats.t.interval(CONFIDENCE, array.size - 1, loc=mean, scale=error)
    return Interval(mean, float(low), float(high))
