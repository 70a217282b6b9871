"""E2 and E5: from which width INT8 wins here; a benchmark that can tell noise from a difference."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..common.language import N_
from .answers import function, numbers, parts, result, shown, whole
from .simulated_machine import CANDIDATE, REFERENCE, Conditions, SimulatedMachine
from .verdicts import Notes, WrongAnswer, said

FEWEST_ROUNDS = 7
NOISE = 1.1  # a ratio within this of 1 may be called either way, unless a control says more
NARROW, WIDE = 16, 512  # what has to be measured before one may say "everywhere" or "nowhere"
TOLERANCE = 0.08

Array = np.ndarray


# --- E2 -------------------------------------------------------------------------------------------


def crossover(answer: Any, notes: Notes) -> None:
    """E2: (the width or None, a sweep): `rh.latency_sweep` or {width: (FP32 times, INT8 times)}."""
    claimed, sweep = parts(answer, (N_("the width from which INT8 wins"), N_("your measurements")))
    ratios = {width: _ratios(width, *times) for width, times in sorted(_times(sweep).items())}
    noise = _noise(sweep)
    clear = {w: _low(r) > noise.get(w, NOISE) for w, r in ratios.items()}  # INT8 is faster, surely
    widths = list(ratios)
    if len(widths) < 3:
        raise WrongAnswer(
            "Only {count} widths were measured; three are the least.", count=len(widths)
        )
    notes.good("The measurements are complete: {count} widths in rounds.", count=len(widths))
    if claimed is None:
        _check_nowhere(widths, clear)
        notes.good("INT8 does not win up to width {width} here.", width=widths[-1])
        return
    width = whole(N_("The width"), claimed)
    if width not in widths:
        raise WrongAnswer(
            "{width} is not among the widths that you measured: {widths}.",
            width=width,
            widths=", ".join(map(str, widths)),
        )
    _check_somewhere(width, widths, ratios, clear)
    notes.good("From width {width} on INT8 is faster in your own measurements.", width=width)


def _check_nowhere(widths: list[int], clear: dict[int, bool]) -> None:
    if clear[widths[-1]]:
        raise WrongAnswer(
            "You found no crossover, but at width {width} INT8 is faster in your own measurements.",
            width=widths[-1],
        )
    if widths[-1] < WIDE:
        raise WrongAnswer(
            "No crossover up to width {width} says little; measure up to {wide} at least.",
            width=widths[-1],
            wide=WIDE,
        )


def _check_somewhere(
    width: int, widths: list[int], ratios: dict[int, Array], clear: dict[int, bool]
) -> None:
    for wider in widths[widths.index(width) :]:
        if (median := float(np.median(ratios[wider]))) <= 1:
            raise WrongAnswer(
                "At width {wider} FP32 / INT8 is {median:.2f} in your measurements: below 1 INT8 "
                "is the slower one. It has to win at the width you name and at every wider one.",
                wider=wider,
                median=median,
            )
    narrower = widths[: widths.index(width)]
    if narrower and clear[narrower[-1]]:
        raise WrongAnswer(
            "INT8 is clearly faster at width {width} as well, which is narrower than yours.",
            width=narrower[-1],
        )
    if not narrower and width > NARROW:
        raise WrongAnswer(
            "Nothing narrower than width {width} was measured, so INT8 may win earlier: go down to "
            "{narrow} at least.",
            width=width,
            narrow=NARROW,
        )


def _times(sweep: Any) -> dict[int, tuple[Any, Any]]:
    if hasattr(sweep, "points"):  # a LatencySweep
        return {
            point.dimension: (
                point.comparison.reference.times_us,
                point.comparison.candidate.times_us,
            )
            for point in sweep.points
        }
    if not isinstance(sweep, Mapping):
        raise WrongAnswer(
            "Your measurements are {came}; give what rh.latency_sweep returns, or a dict of a pair "
            "of lists, FP32 and INT8 times, for each width.",
            came=shown(sweep),
        )
    pairs = (N_("the FP32 times"), N_("the INT8 times"))
    return {whole(N_("A width"), width): parts(times, pairs) for width, times in sweep.items()}


def _noise(sweep: Any) -> dict[int, float]:
    """How far from 1 a ratio has to be to be clear, at each width: what a control says, if any."""
    controls = {p.dimension: p.comparison.control for p in getattr(sweep, "points", ())}
    return {w: max(NOISE, control.high, 1 / control.low) for w, control in controls.items()}


def _ratios(width: int, before: Any, after: Any) -> Array:
    fp32, int8 = (
        numbers(said("The list of {name} times at width {width}", name=name, width=width), times)
        for name, times in (("FP32", before), ("INT8", after))
    )
    if len(fp32) != len(int8) or len(fp32) < FEWEST_ROUNDS:
        raise WrongAnswer(
            "At width {width} there are {fp32} FP32 and {int8} INT8 times; give one of each for "
            "every round, {fewest} rounds at least.",
            width=width,
            fp32=len(fp32),
            int8=len(int8),
            fewest=FEWEST_ROUNDS,
        )
    if min(fp32.min(), int8.min()) <= 0:
        raise WrongAnswer("At width {width} a time is not above zero.", width=width)
    return fp32 / int8


def _low(ratios: Array) -> float:
    """Below this the median lies in one case of forty: the order statistics' interval.

    Source: H. A. David and H. N. Nagaraja, "Order Statistics", 3rd edition, section 7.1.
    """
    count, below, cut = len(ratios), 0.0, 0
    while below + math.comb(count, cut) / 2**count <= 0.025:
        below += math.comb(count, cut) / 2**count
        cut += 1
    return float(np.sort(ratios)[max(cut - 1, 0)])


# --- E5 -------------------------------------------------------------------------------------------

CONDITIONS = (
    Conditions(N_("a steady machine and a candidate twice as fast"), speedup=2.0),
    Conditions(N_("a steady machine and a candidate half as fast"), speedup=0.5),
    Conditions(N_("a machine that gets slower and two models alike"), speedup=1.0, drift=3e-3),
    Conditions(N_("a machine that warms up and two models alike"), speedup=1.0, warm_up=10.0),
    Conditions(N_("a machine that is interrupted and two models alike"), 1.0, interrupted=True),
)


def controlled_benchmark(answer: Any, notes: Notes) -> None:
    """E5: a function of (reference, candidate, clock) to (speedups, controls), one per round."""
    benchmark = function(answer, "reference", "candidate", "clock")
    for how in CONDITIONS:
        machine = SimulatedMachine(how)
        models = machine.model(REFERENCE), machine.model(CANDIDATE)
        found = result(benchmark, *models, machine.clock, case=how.name)
        names = (N_("the list of speedups"), N_("the list of controls"))
        lists = parts(found, names)
        speedups, controls = (
            numbers(said("Given {case}, {name}", case=how.name, name=name), values)
            for name, values in zip(names, lists, strict=True)
        )
        _check_rounds(machine, speedups, controls)
        _check_ratios(how, float(np.median(speedups)), float(np.median(controls)))
        notes.good("Right on {case}.", case=how.name)


def _check_rounds(machine: SimulatedMachine, speedups: Array, controls: Array) -> None:
    case, rounds = machine.conditions.name, len(speedups)
    if not machine.reads:
        raise WrongAnswer("Time with the clock that the function is given; it was never read.")
    for name in (REFERENCE, CANDIDATE):
        if name not in machine.calls:
            raise WrongAnswer("Given {case}, the {name} was never called.", case=case, name=name)
    if rounds < FEWEST_ROUNDS or len(controls) != rounds:
        raise WrongAnswer(
            "Given {case}, there are {speedups} speedups and {controls} controls; return one of "
            "each for every round, {fewest} rounds at least.",
            case=case,
            speedups=rounds,
            controls=len(controls),
            fewest=FEWEST_ROUNDS,
        )
    if np.ptp(controls) == 0:
        raise WrongAnswer(
            "All controls are exactly {value:g}: a time was divided by itself. A control is a "
            "second measurement of the same model.",
            value=controls[0],
        )
    blocks = [len(list(block)) for _, block in itertools.groupby(machine.timings())]
    if max(blocks) > max(6, rounds // 2):
        raise WrongAnswer(
            "One model was timed {count} times in a row: what slows the machine meanwhile counts "
            "against it alone. Let the models take turns, the control included.",
            count=max(blocks),
        )


def _check_ratios(how: Conditions, speedup: float, control: float) -> None:
    if abs(control - 1) > TOLERANCE:
        others = {how.speedup, 1 / how.speedup} - {1}
        if any(abs(control - other) < TOLERANCE for other in others):
            message = N_(
                "Given {case}, the controls lie at {control:.2f}: they compare the two models. "
                "A control compares a model with itself."
            )
        else:
            message = N_("Given {case}, the controls lie at {control:.2f}, which should be 1.")
        raise WrongAnswer(message, case=how.name, control=control)
    if abs(speedup - how.speedup) <= TOLERANCE * how.speedup:
        return
    if abs(speedup - 1 / how.speedup) < TOLERANCE:
        message = N_(
            "Given {case}, the speedups lie at {speedup:.2f}: upside down, divide the "
            "reference's time by the candidate's."
        )
    else:
        message = N_("Given {case}, the speedups lie at {speedup:.2f}; {truth:g} is the truth.")
    raise WrongAnswer(message, case=how.name, speedup=speedup, truth=how.speedup)
