"""E2 and E5: from which width INT8 wins here; a benchmark that can tell noise from a difference."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy import stats

from ..common.language import N_, Text
from .answers import function, numbers, parts, result, unfit, whole
from .simulated_machine import CANDIDATE, REFERENCE, Conditions, SimulatedMachine
from .verdicts import Finding, near, refuse, tried_on

FEWEST_ROUNDS = 7
NOISE = 1.1  # a ratio within this of 1 may be called either way, unless a control says more
NARROW, WIDE = 16, 512  # what has to be measured before one may say "everywhere" or "nowhere"
TOLERANCE = 0.08

Array = np.ndarray


def crossover(answer: Any) -> Iterator[Finding]:
    """E2: (the width or None, a sweep): `rh.latency_sweep` or {width: (FP32 times, INT8 times)}."""
    claimed, sweep = parts(answer, Text("the width from which INT8 wins"), Text("the measurements"))
    ratios = {width: _ratios(width, *times) for width, times in sorted(_times(sweep).items())}
    few = {N_("Only {count} widths were measured; three are the least."): len(ratios) < 3}
    refuse(few, count=len(ratios))
    yield Text("The measurements are complete: {count} widths in rounds.", count=len(ratios))
    noise = _noise(sweep)
    clear = [w for w in ratios if _low(ratios[w]) > noise.get(w, NOISE)]  # INT8 is faster, surely
    if claimed is not None:
        width = whole(Text("the width"), claimed)
        _check_somewhere(width, ratios, clear)
        yield Text("From width {width} on INT8 is faster in your own measurements.", width=width)
        return
    widest = max(ratios)
    mistakes = {
        N_("INT8 is faster at width {width}, the widest that you measured."): widest in clear,
        N_("No crossover up to width {width} says little; measure up to {wide}."): widest < WIDE,
    }
    refuse(mistakes, width=widest, wide=WIDE)
    yield Text("INT8 does not win up to width {width} here.", width=widest)


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
    refuse(mistakes, width=width, wider=wider, median=medians.get(wider or 0, 0), **values)


def _times(sweep: Any) -> dict[int, tuple[Any, Any]]:
    if hasattr(sweep, "points"):  # a LatencySweep
        pairs = ((p.width, p.comparison) for p in sweep.points)
        return {w: (pair.reference.times_us, pair.candidate.times_us) for w, pair in pairs}
    if not isinstance(sweep, Mapping):
        wanted = Text("what rh.latency_sweep returns, or a dict of two lists for each width")
        raise unfit(wanted, Text("the measurements"), sweep)
    names = Text("the FP32 times"), Text("the INT8 times")
    return {whole(Text("a width"), width): parts(times, *names) for width, times in sweep.items()}


def _noise(sweep: Any) -> dict[int, float]:
    """How far from 1 a ratio has to be to be clear, at each width: what a control says, if any."""
    controls = {p.width: p.comparison.control for p in getattr(sweep, "points", ())}
    return {w: max(NOISE, control.high, 1 / control.low) for w, control in controls.items()}


def _ratios(width: int, before: Any, after: Any) -> Array:
    with tried_on(Text("width {width}", width=width)):
        fp32, int8 = numbers(Text("the FP32 times"), before), numbers(Text("the INT8 times"), after)
        _check_pairs(fp32, int8)
        refuse({N_("A time is not above zero."): min(*fp32, *int8) <= 0})
    return fp32 / int8


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

CONDITIONS = (
    Conditions(Text("a steady machine and a candidate twice as fast"), speedup=2.0),
    Conditions(Text("a steady machine and a candidate half as fast"), speedup=0.5),
    Conditions(Text("a machine that gets slower and two models alike"), speedup=1.0, drift=3e-3),
    Conditions(Text("a machine that warms up and two models alike"), speedup=1.0, warm_up=10.0),
    Conditions(Text("a machine that is interrupted and two models alike"), 1.0, interrupted=True),
)


def controlled_benchmark(answer: Any) -> Iterator[Finding]:
    """E5: a function of (reference, candidate, clock) to (speedups, controls), one per round."""
    benchmark = function(answer)
    names = Text("the list of speedups"), Text("the list of controls")
    for how in CONDITIONS:
        machine = SimulatedMachine(how)
        with tried_on(how.name):
            models = machine.model(REFERENCE), machine.model(CANDIDATE)
            lists = parts(result(benchmark, *models, machine.clock), *names)
            speedups, controls = map(numbers, names, lists)
            _check_pairs(speedups, controls)
            _check_rounds(machine, controls)
            _check_ratios(how.speedup, float(np.median(speedups)), float(np.median(controls)))
        yield Text("Right for {case}.", case=how.name)


def _check_rounds(machine: SimulatedMachine, controls: Array) -> None:
    blocks = [len(list(block)) for _, block in itertools.groupby(machine.timings())]
    in_a_row = max(blocks, default=0)
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
    between = near(control, truth, TOLERANCE) or near(control, 1 / truth, TOLERANCE)
    mistakes = {
        N_(
            "The controls lie at {control:.2f}: they compare the two models. A control compares a "
            "model with itself."
        ): between,
        N_("The controls lie at {control:.2f}, which should be 1."): True,
    }
    refuse(mistakes, near(control, 1, TOLERANCE), control=control)
    mistakes = {
        N_("The speedups are upside down: divide reference by candidate."): near(
            speedup, 1 / truth, TOLERANCE
        ),
        N_("The speedups lie at {speedup:.2f}; {truth:g} is the truth."): True,
    }
    refuse(mistakes, near(speedup, truth, TOLERANCE), speedup=speedup, truth=truth)
