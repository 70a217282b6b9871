"""Interleaved timings and their statistics, on a clock of our own and on made-up timings."""

import timeit

import numpy as np
import pytest

from recipe_helpers.common.language import speaking
from recipe_helpers.recipe import timing
from recipe_helpers.recipe.timing import FASTER, INCONCLUSIVE, SLOWER, Ratio, Timing


class Clock:
    """A clock that runs only when a call takes time; it writes down who was called."""

    def __init__(self, monkeypatch):
        self.now_s = 0.0
        self.log = []
        for function in (timeit.timeit, timeit.repeat):
            changed = [
                self.read if value is timeit.default_timer else value
                for value in function.__defaults__
            ]
            monkeypatch.setattr(function, "__defaults__", tuple(changed))

    def read(self):
        return self.now_s

    def call(self, name, cost_us, cold_us=0.0):
        """A callable that takes so long, and longer where another one ran just before."""

        def run():
            if not self.log or self.log[-1] != name:
                self.now_s += cold_us * 1e-6
            self.log.append(name)
            self.now_s += (cost_us(self.now_s) if callable(cost_us) else cost_us) * 1e-6

        return run


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_every_callable_runs_once_a_round_in_an_order_drawn_anew(clock, untouched):
    calls = [clock.call(name, cost) for name, cost in (("a", 1000), ("b", 250), ("c", 500))]
    with untouched():
        found = timing.interleave(calls, 0.5)
    block = 8 + 1  # of the quickest, 250 µs, to fill two milliseconds, and one to warm up
    rounds = int(0.5 / (block * 1750e-6))
    for times, cost in zip(found, (1000, 250, 500), strict=True):
        assert times.times_us == pytest.approx([cost] * rounds)
    blocks = [clock.log[start : start + block] for start in range(9, len(clock.log), block)]
    assert all(len(set(names)) == 1 for names in blocks)
    order = "".join(names[0] for names in blocks)
    orders = [order[start : start + 3] for start in range(0, len(order), 3)]
    assert len(orders) == rounds
    assert set(orders) == {"abc", "acb", "bac", "bca", "cab", "cba"}


def test_a_warm_call_before_each_block_is_not_timed(clock):
    calls = [clock.call("a", 400, cold_us=7000), clock.call("b", 1000, cold_us=9000)]
    first, second = timing.interleave(calls, 0.3)
    assert first.times_us == pytest.approx([400] * len(first.times_us))
    assert second.times_us == pytest.approx([1000] * len(second.times_us))


def test_one_callable_may_be_named_twice(clock):
    shared = clock.call("a", lambda now_s: 1000 + 1000 * now_s)  # the machine slows down
    first, _other, control = timing.interleave([shared, clock.call("b", 500), shared], 1.0)
    assert first.times_us != control.times_us
    assert first.median_us == pytest.approx(control.median_us, rel=0.03)


def test_what_is_slower_than_the_budget_gets_seven_rounds(clock):
    found = timing.interleave([clock.call("a", 50_000), clock.call("b", 100_000)], 0.01)
    assert [len(t.times_us) for t in found] == [7, 7]
    assert len(clock.log) == 2 * 3 + 7 * 2 * 2  # warm-up, then one warm and one timed call each


@pytest.mark.parametrize(("slower", "budgets"), [(1.5, 1.2), (30, 2)])
def test_a_machine_that_grows_busy_is_not_waited_for(clock, slower, budgets):
    def cost(now_s):
        return 500 * (slower if now_s > 0.01 else 1)

    first, second = timing.interleave([clock.call("a", cost), clock.call("b", cost)], 1.0)
    timed_s = (sum(first.times_us) + sum(second.times_us)) * 4e-6  # four calls in a block
    assert timed_s == pytest.approx(budgets, rel=0.1)
    assert len(first.times_us) == len(second.times_us)


def test_drift_and_interruptions_leave_the_ratio_alone(clock):
    def slowing(cost_us):
        def cost(now_s):
            stolen = 20_000 if 0.10 < now_s % 0.37 < 0.12 else 0
            return cost_us * (1 + now_s) + stolen

        return cost

    calls = [clock.call("a", slowing(900)), clock.call("b", slowing(300))]
    first, second = timing.interleave(calls, 2.0)
    found = timing.ratio_of_rounds(first.times_us, second.times_us)
    assert found.median == pytest.approx(3, rel=0.02)
    assert found.low < 3.03
    assert found.high > 2.97


def bootstrap(statistic, rounds, resamples=4000):
    """A percentile bootstrap of our own."""
    draws = np.random.default_rng(5).integers(0, rounds, (resamples, rounds))
    return np.percentile([statistic(draw) for draw in draws], [2.5, 97.5])


def noisy(ratio, seed, *, rounds=80, noise=0.03, drift=0.0, outliers=0.05):
    """Made-up timings: reference, candidate, and the reference again as a control."""
    rng = np.random.default_rng(seed)
    machine = 1 + drift * np.linspace(0, 1, rounds)
    series = []
    for true_us in (300.0, 300.0 / ratio, 300.0):
        times = true_us * machine * rng.lognormal(0, noise, rounds)
        spoilt = rng.random(rounds) < outliers
        series.append(np.where(spoilt, times * rng.uniform(2, 20, rounds), times))
    return series


def test_ratios_are_the_right_way_up_with_the_intervals_of_a_bootstrap(untouched):
    upper, lower = [2.0, 40.0, 9.0, 8.0, 30.0], [1.0, 10.0, 3.0, 8.0, 5.0]
    with untouched():
        assert timing.ratio_of_rounds(upper, lower).median == 3  # of 2, 4, 3, 1, 6
        assert timing.ratio_of_medians(upper, lower).median == 9 / 5
        assert timing.ratio_of_rounds([6.0] * 9, [3.0] * 9) == Ratio(2, 2, 2)
    upper, lower, _ = noisy(1.7, 0, noise=0.2)
    rounds, medians = timing.ratio_of_rounds(upper, lower), timing.ratio_of_medians(upper, lower)
    expected = bootstrap(lambda i: np.median((upper / lower)[i]), 80)
    assert [rounds.low, rounds.high] == pytest.approx(expected, abs=0.012)
    expected = bootstrap(lambda i: np.median(upper[i]) / np.median(lower[i]), 80)
    assert [medians.low, medians.high] == pytest.approx(expected, abs=0.012)
    assert rounds == timing.ratio_of_rounds(upper, lower), "the same each time"


def test_rounds_are_resampled_as_pairs():
    """What slows a round slows both: it must not widen the interval."""
    machine = np.random.default_rng(1).lognormal(0, 0.5, 80)
    found = timing.ratio_of_medians(300 * machine, 100 * machine)
    assert (found.low, found.median, found.high) == pytest.approx((3, 3, 3))


def verdicts(ratio, seeds, **noise):
    """What is said of a pair with this true ratio, and of how many its interval holds the truth."""
    said, held = [], 0
    for seed in range(seeds):
        first, second, third = noisy(ratio, seed, **noise)
        speedup = timing.ratio_of_rounds(first, second)
        said.append(timing.judge(speedup, timing.ratio_of_rounds(first, third)))
        held += speedup.low <= ratio <= speedup.high
    return said, held


@pytest.mark.parametrize(
    "noise",
    [
        {"noise": 0.05, "outliers": 0.2},
        {"noise": 0.03, "drift": 1.0, "rounds": 30},
        {"noise": 0.3, "rounds": 12},
    ],
)
def test_a_pair_without_difference_is_inconclusive(noise):
    said, held = verdicts(1.0, 40, **noise)
    assert said.count(INCONCLUSIVE) >= 39
    assert held >= 34  # 95 % of 40 is 38


@pytest.mark.parametrize(
    ("ratio", "verdict"), [(0.5, SLOWER), (0.8, SLOWER), (1.25, FASTER), (3.0, FASTER)]
)
def test_a_true_difference_is_found_with_its_direction(ratio, verdict):
    said, held = verdicts(ratio, 15, drift=0.5, outliers=0.1)
    assert said == [verdict] * 15
    assert held >= 12


@pytest.mark.parametrize(
    ("speedup", "control", "expected"),
    [
        # The smallest difference that counts is two percent, in both directions.
        ((1.2, 1.0201, 1.5), (1, 1, 1), FASTER),
        ((1.2, 1.0199, 1.5), (1, 1, 1), INCONCLUSIVE),
        ((0.9, 0.5, 0.9803), (1, 1, 1), SLOWER),
        ((0.9, 0.5, 0.9805), (1, 1, 1), INCONCLUSIVE),
        # What the control could not exclude, in either direction, does not count.
        ((1.2, 1.15, 1.25), (1, 0.95, 1.16), INCONCLUSIVE),
        ((1.2, 1.17, 1.25), (1, 0.86, 1.16), FASTER),
        ((1.4, 1.26, 1.5), (1, 0.8, 1.02), FASTER),  # a control below 1 is noise as well
        ((1.4, 1.24, 1.5), (1, 0.8, 1.02), INCONCLUSIVE),
        ((0.8, 0.75, 0.87), (1, 0.95, 1.16), INCONCLUSIVE),
        ((0.8, 0.75, 0.85), (1, 0.95, 1.16), SLOWER),
        ((0.7, 0.6, 0.81), (1, 0.8, 1.02), INCONCLUSIVE),
        ((0.7, 0.6, 0.79), (1, 0.8, 1.02), SLOWER),
    ],
)
def test_the_verdict_weighs_interval_and_control(speedup, control, expected):
    assert timing.judge(Ratio(*speedup), Ratio(*control)) == expected


def test_numbers_in_words_in_both_languages():
    timing_, ratio = Timing((5.0, 1.0, 100.0, 2.0, 4.0)), Ratio(3.0, 1.006, 6.0)
    assert str(timing_) == "4 µs (2 µs to 5 µs)"
    assert str(ratio) == "3.00 (95 % interval 1.01 to 6.00)"
    with speaking("ko"):
        assert str(timing_) == "4 µs (2 µs ~ 5 µs)"
        assert str(ratio) == "3.00 (95 % 신뢰구간 1.01~6.00)"
