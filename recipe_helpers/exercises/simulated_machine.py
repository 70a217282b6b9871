"""A machine on which time passes only when a model is called: benchmarks are tried on it.

What a real one does to a measurement, it does on purpose and always alike: it warms up, it slows
down while it gets hot, it is interrupted, and no two calls take quite the same time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

REFERENCE, CANDIDATE = "reference", "candidate"
_MOST_CALLS = 20_000  # a loop that waits for real time to pass would never end


@dataclass
class SimulatedMachine:
    """Two models that take simulated time, and the clock to time them with."""

    speedup: float = 1.0  # the true one, reference time / candidate time
    drift: float = 0.0  # by how much of its first duration each call takes longer than the last
    warm_up: float = 1.0  # how many times as long the first calls of each model take
    interrupted: bool = False  # now and then a call takes four times as long
    now_s: float = 0.0
    calls: list[str] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)  # how many calls had been made at each reading
    random: Random = field(default_factory=lambda: Random(5))

    def model(self, name: str) -> Callable[..., None]:
        """One of the two models: takes any arguments, returns nothing, and takes its time."""

        def call(*_: object, **__: object) -> None:
            self._let_pass(name)

        return call

    def clock(self) -> float:
        """Seconds since the start."""
        self.reads.append(len(self.calls))
        return self.now_s

    def timings(self) -> list[str]:
        """Which model was called between each two readings of the clock between which one was."""
        pairs = itertools.pairwise(self.reads)
        return [self.calls[start] for start, stop in pairs if start != stop]

    def _let_pass(self, name: str) -> None:
        if len(self.calls) >= _MOST_CALLS:
            raise RuntimeError(f"the models were called {_MOST_CALLS} times without an end")
        takes_s = 1e-3 if name == REFERENCE else 1e-3 / self.speedup
        takes_s *= 1 + self.drift * len(self.calls)
        takes_s *= self.warm_up if len(self.calls) < 9 and self.calls.count(name) < 3 else 1
        takes_s *= 4 if self.interrupted and self.random.random() < 0.05 else 1
        self.now_s += takes_s * self.random.uniform(0.98, 1.02)
        self.calls.append(name)
