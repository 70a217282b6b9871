"""One row of `peers.py`: all contenders on one case, who leads, and how surely."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from contenders import OURS, PEERS, Case
from limits import Limits

from recipe_helpers.recipe.timing import FASTER, SLOWER, Ratio, judge, ratio_of_rounds


@dataclass(frozen=True)
class Entry:
    """One contender in one row."""

    name: str
    times_us: tuple[float, ...]
    error: float  # mean |difference to torch FP32| / mean |torch FP32|
    file_bytes: int

    @property
    def median_us(self) -> float:
        """The median over the rounds."""
        return float(np.median(self.times_us))


@dataclass(frozen=True)
class Row:
    """All contenders on one case, with what the machine could do at best."""

    case: Case
    entries: tuple[Entry, ...]
    control_us: tuple[float, ...]  # Int8LSTM once more
    limits: Limits

    def entry(self, name: str) -> Entry:
        """The contender of this name."""
        return next(entry for entry in self.entries if entry.name == name)

    def has(self, name: str) -> bool:
        """Whether a contender of this name took part."""
        return any(entry.name == name for entry in self.entries)

    @property
    def ours(self) -> Entry:
        """Int8LSTM."""
        return self.entry(OURS)

    def some(self, names: Iterable[str]) -> list[Entry]:
        """Those of these contenders that took part."""
        names = tuple(names)
        return [entry for entry in self.entries if entry.name in names]

    def best(self, names: Iterable[str]) -> Entry | None:
        """The fastest of these contenders, of those that took part."""
        return min(self.some(names), key=lambda entry: entry.median_us, default=None)

    def lead(self, names: Iterable[str], mode: str = OURS) -> Ratio:
        """How many times as fast as the best of these one of our modes is."""
        return ratio_of_rounds(self.best(names).times_us, self.entry(mode).times_us)

    def noise(self) -> Ratio:
        """What a difference of nothing looks like: ours against ours."""
        return ratio_of_rounds(self.control_us, self.ours.times_us)

    def verdict(self, mode: str = OURS) -> str:
        """Whether it leads in time against every peer; "level" where the noise forbids to say."""
        found = judge(self.lead(PEERS, mode), self.noise())
        return {FASTER: "yes", SLOWER: "no"}.get(found, "level")

    def least_error(self, names: Iterable[str] = PEERS) -> float:
        """The least error of those of these that quantize; infinite if none took part."""
        quantized = [entry.error for entry in self.some(names) if "INT8" in entry.name]
        return min(quantized, default=float("inf"))

    def most_exact(self, mode: str = OURS) -> bool:
        """Whether its error is below that of every peer that quantizes."""
        return self.entry(mode).error < self.least_error()
