"""E2 and E5: from which width INT8 wins here; a benchmark that can tell noise from a difference."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
from scipy import stats

from ..common.language import N_
from .answers import ANSWER, Array, anything, function, numbers, parts, result, unfit, whole
from .verdicts import Findings, Sentence, near, refuse, tried_on

FEWEST_ROUNDS = 7
NOISE = 1.1  # a ratio within this of 1 may be called either way, unless a control says more
NARROW, WIDE = 16, 512  # what has to be measured before one may say "everywhere" or "nowhere"
TOLERANCE = 0.08


def crossover(answer: Any) -> Findings:
    """E2: (the width or None, a sweep): `rh.latency_sweep` or {width: (FP32 times, INT8 times)}."""
    names = N_("the width from which INT8 wins"), N_("the measurements")
    claimed, sweep = parts(answer, dict.fromkeys(names, anything))
    ratios, clear = {}, []  # of FP32 to INT8 times; the widths at which INT8 is faster, surely
    for width, (times, noise) in sorted(_measured(sweep).items()):
        with tried_on(Sentence(N_("width {width}"), width=width)):
            pair = parts(times, {N_("the FP32 times"): numbers, N_("the INT8 times"): numbers})
            _check_pairs(*pair)
            refuse({N_("A time is not above zero."): np.min(pair) <= 0})
        ratios[width] = pair[0] / pair[1]
        if _low(ratios[width]) > noise:
            clear.append(width)
    few = {N_("Only {count} widths were measured; three are the least."): len(ratios) < 3}
    refuse(few, count=len(ratios))
    praise = N_("The measurements are complete: {count} widths in rounds.")
    yield Sentence(praise, count=len(ratios))
    if claimed is not None:
        width = whole(N_("the width"), claimed)
        _check_somewhere(width, ratios, clear)
        praise = N_("From width {width} on INT8 is faster in your own measurements.")
        yield Sentence(praise, width=width)
        return
    widest = max(ratios)
    mistakes = {
        N_("INT8 is faster at width {width}, the widest that you measured."): widest in clear,
        N_("No crossover up to width {width} says little; measure up to {wide}."): widest < WIDE,
    }
    refuse(mistakes, width=widest, wide=WIDE)
    yield Sentence(N_("INT8 does not win up to width {width} here."), width=widest)


def _check_somewhere(width: int, ratios: Mapping[int, Array], clear: list[int]) -> None:
    medians = {w: float(np.median(found)) for w, found in ratios.items() if w >= width}
    wider = next((w for w, median in medians.items() if median <= 1), None)
    narrower = max((w for w in ratios if w < width), default=None)
    mistakes = {
        N_("{width} is not among the widths that you measured: {widths}."): width not in ratios,
        N_(
            "At width {wider} FP32 / INT8 is {median:.2f}: below 1 INT8 is the slower one. It has "
            "to win at your width and at every wider one."
        ): wider is not None,
        N_("INT8 is clearly faster at width {narrower} as well."): narrower in clear,
        N_("INT8 may win below {width}; measure down to {narrow}."): width == min(ratios) > NARROW,
    }
    values = {"widths": ", ".join(map(str, ratios)), "narrower": narrower, "narrow": NARROW}
    refuse(mistakes, width=width, wider=wider, median=medians.get(wider or 0), **values)


def _measured(sweep: Any) -> dict[int, tuple[Any, float]]:
    """For each width both models' times, and the ratio above which INT8 is clearly faster."""
    if hasattr(sweep, "points"):  # a LatencySweep: its controls say how far from 1 noise reaches
        found = {p.width: p.comparison for p in sweep.points}
        return {
            width: (
                (pair.reference.times_us, pair.candidate.times_us),
                max(NOISE, pair.control.high, 1 / pair.control.low),
            )
            for width, pair in found.items()
        }
    if not isinstance(sweep, Mapping):
        wanted = N_("what rh.latency_sweep returns, or a dict of two lists for each width")
        raise unfit(wanted, N_("the measurements"), sweep)
    return {whole(N_("a width"), width): (times, NOISE) for width, times in sweep.items()}


def _check_pairs(first: Array, second: Array) -> None:
    mistakes = {
        N_("There are {first} of the one and {second} of the other; give one of each per round."): (
            len(first) != len(second)
        ),
        N_("{fewest} rounds are the least, not {first}."): len(first) < FEWEST_ROUNDS,
    }
    refuse(mistakes, first=len(first), second=len(second), fewest=FEWEST_ROUNDS)


def _low(ratios: Array) -> float:
    """Below this the median lies in one case of forty."""
    return float(stats.quantile_test(ratios, q=1, p=0.5).confidence_interval(0.95).low)


# --- E5 -------------------------------------------------------------------------------------------

REFERENCE, CANDIDATE = "reference", "candidate"
_MOST_CALLS = 20_000  # a loop that waits for real time to pass would never end


@dataclass
class SimulatedMachine:
    """Two models, and a clock whose time passes only when one of them is called.

    What a real machine does to a measurement, it does on purpose and always alike: it warms up, it
    slows down while it gets hot, it is interrupted, and no two calls take quite the same time.
    """

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


CONDITIONS: dict[str, dict[str, Any]] = {
    N_("a steady machine and a candidate twice as fast"): {"speedup": 2.0},
    N_("a steady machine and a candidate half as fast"): {"speedup": 0.5},
    N_("a machine that gets slower and two models alike"): {"drift": 3e-3},
    N_("a machine that warms up and two models alike"): {"warm_up": 10.0},
    N_("a machine that is interrupted and two models alike"): {"interrupted": True},
}


def controlled_benchmark(answer: Any) -> Findings:
    """E5: a function of (reference, candidate, clock) to (speedups, controls), one per round."""
    benchmark = function(ANSWER, answer)
    wanted = {N_("the list of speedups"): numbers, N_("the list of controls"): numbers}
    for case, conditions in CONDITIONS.items():
        machine = SimulatedMachine(**conditions)
        models = machine.model(REFERENCE), machine.model(CANDIDATE)
        with tried_on(case):
            speedups, controls = parts(result(benchmark, *models, machine.clock), wanted)
            _check_pairs(speedups, controls)
            _check_rounds(machine, controls)
            _check_ratios(machine.speedup, float(np.median(speedups)), float(np.median(controls)))
        yield Sentence(N_("Right for {case}."), case=case)


def _check_rounds(machine: SimulatedMachine, controls: Array) -> None:
    in_a_row = max((len([*block]) for _, block in itertools.groupby(machine.timings())), default=0)
    mistakes = {
        N_("Time with the clock that the function is given; it was never read."): not machine.reads,
        N_("Only one of the two models was ever called."): len(set(machine.calls)) < 2,
        N_(
            "All controls are exactly {control:g}: a time was divided by itself. A control is a "
            "second measurement of the same model."
        ): np.ptp(controls) == 0,
        N_(
            "One model was timed {count} times in a row: what slows the machine meanwhile counts "
            "against it alone. Let the models take turns, the control included."
        ): in_a_row > max(6, len(controls) // 2),
    }
    refuse(mistakes, control=controls[0], count=in_a_row)


def _check_ratios(truth: float, speedup: float, control: float) -> None:
    of_controls = {
        N_(
            "The controls lie at {control:.2f}: they compare the two models. A control compares a "
            "model with itself."
        ): near(control, truth, TOLERANCE) or near(control, 1 / truth, TOLERANCE),
        N_("The controls lie at {control:.2f}, which should be 1."): True,
    }
    refuse(of_controls, near(control, 1, TOLERANCE), control=control)
    of_speedups = {
        N_("The speedups are upside down: divide reference by candidate."): (
            near(speedup, 1 / truth, TOLERANCE)
        ),
        N_("The speedups lie at {speedup:.2f}; {truth:g} is the truth."): True,
    }
    refuse(of_speedups, near(speedup, truth, TOLERANCE), speedup=speedup, truth=truth)
