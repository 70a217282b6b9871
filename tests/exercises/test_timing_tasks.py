"""E2 and E5: several right solutions each, and typical wrong ones; no real time is measured."""

import random
import statistics
import time
import timeit
from dataclasses import replace

import numpy as np

from recipe_helpers.exercises import timing_tasks
from recipe_helpers.recipe.latency import LatencyComparison, LatencySweep
from recipe_helpers.recipe.pair import Point
from recipe_helpers.recipe.timing import Ratio, Timing, judge, ratio_of_rounds

from .made_up import accepted, refused, refused_all

# --- E2 -------------------------------------------------------------------------------------------


def rounds(speedup, count=15, seed=0):
    """Times in µs with a noise of three percent, the same interruptions for both."""
    draw = random.Random(seed)
    fp32 = [100 * draw.uniform(0.98, 1.02) for _ in range(count)]
    return fp32, [t / speedup * draw.uniform(0.98, 1.02) for t in fp32]


def measured(speedups, count=15):
    return {width: rounds(s, count, width) for width, s in speedups.items()}


def as_sweep(speedups):
    """The same as `rh.latency_sweep` would return it."""
    points = []
    for width, (fp32, int8) in measured(speedups).items():
        speedup, control = ratio_of_rounds(fp32, int8), ratio_of_rounds(fp32, rounds(1)[0])
        verdict = judge(speedup, control)
        both = LatencyComparison(
            Timing(tuple(fp32)), Timing(tuple(int8)), speedup, control, verdict, 1
        )
        points.append(Point(width, 1, 1, both))
    return LatencySweep(tuple(points), 1, 1)


USUAL = {8: 0.4, 80: 0.6, 128: 0.8, 256: 3.0, 512: 2.0}
NEVER = {8: 0.4, 128: 0.5, 512: 0.7}
ALWAYS = {8: 1.5, 128: 2.0, 512: 4.0}


def test_e2_accepts():
    right = [(256, USUAL), (None, NEVER), (8, ALWAYS), (512, {**USUAL, 256: 1.05})]
    for width, speedups in right:
        accepted("E2", (width, measured(speedups)))
        accepted("E2", (width, as_sweep(speedups)))


def test_a_median_is_above_the_fourth_of_fifteen_in_all_but_one_case_of_forty():
    """The binomial distribution: 3 or fewer of 15 lie below it in 1.8 %, 4 or fewer in 5.9 %."""
    assert timing_tasks._low(np.arange(15.0)) == 3.0


def test_a_control_decides_how_far_from_one_is_clear():
    sweep = as_sweep({8: 0.5, 80: 1.3, 512: 2.0})
    accepted("E2", (80, sweep))
    points = [replace(p.comparison, control=Ratio(1.0, 0.7, 1.02)) for p in sweep.points]
    noisy = [replace(p, comparison=c) for p, c in zip(sweep.points, points, strict=True)]
    accepted("E2", (512, replace(sweep, points=tuple(noisy))))
    refused("E2", (512, sweep), "clearly faster at width 80")


WRONG_E2 = [
    ((128, measured(USUAL)), "INT8 is the slower one"),
    ((512, measured(USUAL)), "INT8 is clearly faster at width 256"),
    ((8, measured(USUAL)), "INT8 is the slower one"),
    ((200, measured(USUAL)), "not among the widths"),
    ((3.0, measured(USUAL)), "not among the widths"),
    ((None, measured(USUAL)), "the widest that you measured"),
    ((None, measured({8: 0.4, 32: 0.5, 80: 0.6})), "measure up to 512"),
    ((256, measured({256: 3, 512: 2, 1024: 2})), "INT8 may win below 256"),
    ((256, measured({8: 0.5, 256: 2})), "2 widths were measured"),
    ((256, measured(USUAL, count=3)), "7 rounds are the least, not 3"),
    ((256, {**measured(USUAL), 512: ([1.0] * 9, [1.0] * 8)}), "9 of the one and 8 of the other"),
    ((256, {**measured(USUAL), 512: ([-1.0] * 9, [1.0] * 9)}), "not above zero"),
    ((256, {w: (b, a) for w, (a, b) in measured(USUAL).items()}), "INT8 is the slower one"),
    ((256, dict.fromkeys(USUAL, 1.0)), "not 1.0"),
    ((256, [1, 2, 3]), "Give what rh.latency_sweep returns"),
    (("256", measured(USUAL)), "as the width, not '256'"),
    ((float("nan"), measured(USUAL)), "finite number"),
    ((256.5, measured(USUAL)), "a whole number"),
    ((256, {**measured(USUAL), 512: ([float("nan")] * 9, [1.0] * 9)}), "NaN"),
]  # fmt: skip


def test_e2_refuses():
    refused_all("E2", WRONG_E2)


# --- E5 -------------------------------------------------------------------------------------------


def one(model, clock):
    start = clock()
    model()
    return clock() - start


def in_turns(reference, candidate, clock):
    speedups, controls = [], []
    for _ in range(20):
        first, other, again = (one(m, clock) for m in (reference, candidate, reference))
        speedups.append(first / other)
        controls.append(first / again)
    return speedups, controls


def in_random_order(reference, candidate, clock):
    models = {"first": reference, "other": candidate, "again": reference}
    found = []
    for _ in range(30):
        names = random.Random(len(found)).sample(sorted(models), 3)
        found.append({name: one(models[name], clock) for name in names})
    return tuple([r["first"] / r[name] for r in found] for name in ("other", "again"))


def warmed_up_by_timeit(reference, candidate, clock):
    for model in (reference, candidate):
        timeit.timeit(model, number=3, timer=clock)
    times = [
        [timeit.timeit(m, number=5, timer=clock) for m in (reference, candidate, reference)]
        for _ in range(15)
    ]
    return [a / b for a, b, _ in times], [a / c for a, _, c in times]


def with_the_candidate_as_control(reference, candidate, clock):
    times = [[one(m, clock) for m in (candidate, reference, candidate)] for _ in range(15)]
    return [b / a for a, b, _ in times], [a / c for a, _, c in times]


def one_clock_reading_each(reference, candidate, clock, count=25):
    import numpy as np

    reads = [clock()]
    for _ in range(count):
        for model in (reference, candidate, reference):
            model()
            reads.append(clock())
    times = np.diff(reads).reshape(count, 3)
    return times[:, 0] / times[:, 1], times[:, 0] / times[:, 2]


def test_e5_accepts():
    for solution in (
        in_turns,
        in_random_order,
        warmed_up_by_timeit,
        with_the_candidate_as_control,
        one_clock_reading_each,
    ):
        accepted("E5", solution)


def broken(reference, candidate, clock):
    """The one of the task: one model after the other, and no control."""
    before = statistics.mean(one(reference, clock) for _ in range(30))
    return before / statistics.mean(one(candidate, clock) for _ in range(30))


def in_blocks(reference, candidate, clock):
    a, b, c = ([one(m, clock) for _ in range(30)] for m in (reference, candidate, reference))
    return [x / y for x, y in zip(a, b, strict=True)], [x / y for x, y in zip(a, c, strict=True)]


def control_of_its_own(reference, candidate, clock):
    controls = [one(reference, clock) / one(reference, clock) for _ in range(20)]
    return [one(reference, clock) / one(candidate, clock) for _ in range(20)], controls


def real_time(reference, candidate, clock):
    return in_turns(reference, candidate, time.perf_counter)


def divided_by_itself(reference, candidate, clock):
    times = [(one(reference, clock), one(candidate, clock)) for _ in range(20)]
    return [a / b for a, b in times], [a / a for a, _ in times]


def means(reference, candidate, clock):
    return tuple(map(statistics.mean, in_turns(reference, candidate, clock)))


def endless(reference, candidate, clock):
    start = time.monotonic()
    while time.monotonic() - start < 3600:
        reference()


WRONG_E5 = [
    (broken, "the list of speedups and the list of controls"),
    (in_blocks, "30 times in a row"),
    (control_of_its_own, "times in a row"),
    (lambda r, c, clock: in_turns(c, r, clock), "upside down"),
    (divided_by_itself, "divided by itself"),
    (lambda r, c, clock: (lambda s, k: (k, s))(*in_turns(r, c, clock)), "compare the two"),
    (lambda r, c, clock: [x[:6] for x in in_turns(r, c, clock)], "7 rounds are the least, not 6"),
    (lambda r, c, clock: [x[:i] for i, x in zip((20, 9), in_turns(r, c, clock), strict=True)],
     "20 of the one and 9 of the other"),
    (real_time, "never read"),
    (means, "Give a list of finite numbers"),
    (lambda r, c, clock: in_turns(r, r, clock), "Only one of the two models"),
    (lambda r, c, clock: [[y - 1 for y in x] for x in in_turns(r, c, clock)], "should be 1"),
    (lambda r, c, clock: [[y * float("nan") for y in x] for x in in_turns(r, c, clock)], "NaN"),
    (lambda r, c: ([1.0], [1.0]), "raised TypeError"),
    (endless, "without an end"),
    (lambda r, c, clock: [1.0] * 20, "not 20 parts"),
    (2.0, "the function itself"),
]  # fmt: skip


def test_e5_refuses():
    refused_all("E5", WRONG_E5)
