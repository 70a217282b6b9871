"""E2 and E5: several right solutions each, and typical wrong ones; no real time is measured."""

import itertools
import random
import statistics
import time
from functools import partial

import numpy as np
import pytest

from recipe_helpers.exercises import timing_tasks
from recipe_helpers.exercises.timing_tasks import CANDIDATE, REFERENCE, SimulatedMachine
from recipe_helpers.exercises.verdicts import WrongAnswerError
from recipe_helpers.recipe.latency import LatencyComparison, LatencySweep
from recipe_helpers.recipe.pair import Point
from recipe_helpers.recipe.timing import Ratio, Timing, judge, ratio_of_rounds

from .made_up import accepted, judges_all, refused

# --- E2 -------------------------------------------------------------------------------------------


def rounds(speedup, count=15, seed=0):
    """Times in µs with a noise of three percent, the same interruptions for both."""
    draw = random.Random(seed)
    fp32 = [100 * draw.uniform(0.98, 1.02) for _ in range(count)]
    return fp32, [t / speedup * draw.uniform(0.98, 1.02) for t in fp32]


def measured(speedups, count=15, **changed):
    times = {width: rounds(s, count, width) for width, s in speedups.items()}
    return times | {int(width[1:]): times for width, times in changed.items()}


def as_sweep(speedups, control=None):
    """The same as `rh.latency_sweep` would return it."""
    points = []
    for width, (fp32, int8) in measured(speedups).items():
        speedup = ratio_of_rounds(fp32, int8)
        same = control or ratio_of_rounds(fp32, rounds(1)[0])
        verdict, both = judge(speedup, same), (Timing(tuple(fp32)), Timing(tuple(int8)))
        points.append(Point(width, 1, 1, LatencyComparison(*both, speedup, same, verdict, 1)))
    return LatencySweep(tuple(points), 1, 1)


USUAL = {8: 0.4, 80: 0.6, 128: 0.8, 256: 3.0, 512: 2.0}
NEVER = {8: 0.4, 128: 0.5, 512: 0.7}
ALWAYS = {8: 1.5, 128: 2.0, 512: 4.0}
RIGHT_E2 = [
    (claimed, made(speedups))
    for claimed, speedups in ((256, USUAL), (None, NEVER), (8, ALWAYS), (512, USUAL | {256: 1.05}))
    for made in (measured, as_sweep)
]
RIGHT_E2 += [
    (16, measured({16: 2, 128: 2, 512: 2})),  # narrow enough to be the first
    (256, measured(USUAL, count=7)),
    (256, dict(reversed(measured(USUAL).items()))),  # in any order
]
WRONG_E2 = [
    ((128, measured(USUAL)), "At width 128 FP32 / INT8 is 0.8", "INT8 is the slower one"),
    ((256, measured(USUAL | {512: 0.98})), "At width 512 FP32 / INT8 is 0.9"),
    ((512, measured(USUAL)), "INT8 is clearly faster at width 256"),
    (
        (200, dict(reversed(measured(USUAL).items()))),
        "200 is not among the widths that you measured: 8, 80, 128, 256, 512",
    ),
    ((None, measured(USUAL)), "INT8 is faster at width 512, the widest that you measured"),
    ((None, measured({8: 0.4, 32: 0.5, 511: 0.6})), "up to width 511 says little", "up to 512"),
    ((17, measured({17: 3, 512: 2, 1024: 2})), "INT8 may win below 17; measure down to 16"),
    ((256, measured({8: 0.5, 256: 2})), "2 widths were measured"),
    ((256, measured(USUAL, count=6)), "7 rounds are the least, not 6", "came up with width 8"),
    ((256, measured(USUAL, w512=([1.0] * 9, [1.0] * 8))), "9 of the one and 8 of the other"),
    ((256, measured(USUAL, w512=([0.0] * 9, [1.0] * 9))), "not above zero", "with width 512"),
    ((256, measured(USUAL, w512=(["1"] * 9, [1.0] * 9))), "finite numbers as the FP32 times"),
    ((256, measured(USUAL, w512=([1.0] * 9, [np.nan] * 9))), "finite numbers as the INT8 times"),
    ((256, dict.fromkeys(USUAL, 1.0)), "Give the FP32 times and the INT8 times", "not 1.0"),
    ((256, {"wide": 1.0}), "Give a finite number as a width, not 'wide'"),
    ((256, [1, 2, 3]), "Give what rh.latency_sweep returns"),
    ((256.5, measured(USUAL)), "a whole number"),
]


def test_a_control_decides_how_far_from_one_is_clear():
    speedups = {8: 0.5, 80: 1.3, 512: 2.0}
    accepted("E2", (80, as_sweep(speedups)))
    refused("E2", (512, as_sweep(speedups)), "clearly faster at width 80")
    for noisy in (Ratio(1.0, 0.7, 1.02), Ratio(1.0, 0.98, 1.4)):
        accepted("E2", (512, as_sweep(speedups, noisy)))
    # Binomial: 3 or fewer of 15 rounds lie below the median in 1.8 % of cases, 4 or fewer in 5.9 %;
    # of 8 rounds none in 0.4 %, and 1 or none in 3.5 %.
    assert [timing_tasks._low(np.arange(float(rounds))) for rounds in (15, 8)] == [3, 0]
    for ratio in (1.05, 1.2):  # without a control ten percent are noise
        (accepted if ratio < 1.1 else refused)("E2", (512, measured({8: 0.5, 80: ratio, 512: 2.0})))


# --- E5 -------------------------------------------------------------------------------------------


def times_ms(calls=40, name=REFERENCE, **how):
    machine = SimulatedMachine(**how)
    model = machine.model(name)
    found = [1e3 * one(partial(model, "any", arguments=1), machine.clock) for _ in range(calls)]
    assert machine.timings() == [name] * calls
    return found


def test_a_simulated_call_takes_its_time_and_what_a_real_machine_does_it_does_on_purpose():
    assert statistics.median(times_ms(name=CANDIDATE, speedup=4.0)) == pytest.approx(0.25, abs=0.01)
    usual = times_ms(speedup=4.0)
    assert usual == pytest.approx([1] * 40, abs=0.021)
    assert len(set(usual)) == 40
    slowing = times_ms(drift=0.1)
    assert slowing[-1] / slowing[0] == pytest.approx(1 + 39 * 0.1, rel=0.05)
    assert [round(t) for t in times_ms(warm_up=10.0)[:5]] == [10, 10, 10, 1, 1]
    machine = SimulatedMachine(warm_up=10.0)
    for name in (REFERENCE, CANDIDATE) * 3:  # the first calls of each
        machine.model(name)()
    assert machine.clock() == pytest.approx(60e-3, rel=0.02)
    interrupted = times_ms(200, interrupted=True)
    assert 2 < sum(t > 3 for t in interrupted) < 25
    assert max(interrupted) == pytest.approx(4, abs=0.1)


def one(model, clock):
    start = clock()
    model()
    return clock() - start


def in_turns(reference, candidate, clock, count=20):
    speedups, controls = [], []
    for _ in range(count):
        first, other, again = (one(m, clock) for m in (reference, candidate, reference))
        speedups.append(first / other)
        controls.append(first / again)
    return speedups, controls


def one_clock_reading_each(reference, candidate, clock, count=25):
    reads = [clock()]
    for _ in range(count):
        for model in (candidate, reference, candidate):  # the candidate is its own control
            model()
            reads.append(clock())
    times = np.diff(reads).reshape(count, 3)
    return times[:, 1] / times[:, 0], times[:, 0] / times[:, 2]


def in_blocks(reference, candidate, clock, count=30):
    a, b, c = ([one(m, clock) for _ in range(count)] for m in (reference, candidate, reference))
    return [x / y for x, y in zip(a, b, strict=True)], [x / y for x, y in zip(a, c, strict=True)]


def in_sixes(reference, candidate, clock):
    """A block of six is not yet one model after the other."""
    found = [in_blocks(reference, candidate, clock, count=3) for _ in range(3)]
    return [[*itertools.chain(*ratios)] for ratios in zip(*found, strict=True)]


def divided_by_itself(reference, candidate, clock):
    times = [(one(reference, clock), one(candidate, clock)) for _ in range(20)]
    return [a / b for a, b in times], [a / a for a, _ in times]


def endless(reference, candidate, clock):
    start = time.monotonic()
    while time.monotonic() - start < 3600:
        reference()


def changed(change):
    """What `in_turns` measures, with every ratio changed afterwards."""
    return lambda *given: [[change(ratio) for ratio in ratios] for ratios in in_turns(*given)]


RIGHT_E5 = [in_turns, in_sixes, one_clock_reading_each]
WRONG_E5 = [
    (in_blocks, "30 times in a row"),
    (lambda *given: in_blocks(*given, count=7), "7 times in a row"),
    (lambda r, c, clock: in_turns(c, r, clock), "upside down", "a candidate twice as fast"),
    (divided_by_itself, "All controls are exactly 1: a time was divided by itself"),
    (lambda *given: in_turns(*given)[::-1], "compare the two"),
    (lambda *given: [[1 / x for x in s] for s in in_turns(*given)[::-1]], "compare the two"),
    (lambda *given: in_turns(*given, count=6), "7 rounds are the least, not 6"),
    (lambda *given: [x[:i] for i, x in zip((20, 9), in_turns(*given), strict=True)],
     "20 of the one and 9 of the other"),
    (lambda r, c, clock: in_turns(r, c, time.perf_counter), "never read"),
    (lambda *given: tuple(map(statistics.mean, in_turns(*given))), "Give a list of finite numbers"),
    (lambda r, c, clock: in_turns(r, r, clock), "Only one of the two models"),
    (changed(lambda ratio: ratio - 1), "which should be 1"),
    (lambda *given: (changed(lambda ratio: 1.2 * ratio)(*given)[0], in_turns(*given)[1]),
     "2 is the truth"),
    (lambda *given: [1.0] * 20, "the list of speedups and the list of controls", "not 20 parts"),
    (endless, "without an end"),
    (2.0, "the function itself"),
]  # fmt: skip


def test_answers():
    right = {"E2": RIGHT_E2, "E5": RIGHT_E5}
    judges_all(timing_tasks, right, {"E2": WRONG_E2, "E5": WRONG_E5})


@pytest.mark.parametrize("truth", [2.0, 0.5, 1.0])
def test_the_true_ratio_of_e5_is_met_within_eight_percent_on_either_side(truth):
    for near, far in ((0.93, 0.91), (1.07, 1.09)):
        timing_tasks._check_ratios(truth, near * truth, near)
        for given in ((far * truth, 1.0), (truth, far)):
            with pytest.raises(WrongAnswerError):
                timing_tasks._check_ratios(truth, *given)
