"""Judges are asked on both sides of each limit, and the flags are read back by the real parser."""

import math
from dataclasses import fields

import pytest
from hypothesis import given, strategies as st

from recipe_helpers.common.errors import ArgumentError
from recipe_helpers.recipe.latency import LatencyComparison
from recipe_helpers.recipe.timing import Ratio, Timing, judge
from recipe_helpers.your_model.command_line import limits_of, parser
from recipe_helpers.your_model.promises import (
    CLOSE,
    GAIN,
    Limits,
    judge_costs,
    judge_distance,
    judge_error,
    judge_gain,
    judge_latency,
    judge_metric,
    judge_outputs,
    judge_size,
)
from recipe_helpers.your_model.task_error import COMPARABLE, ROWS, SETS, TaskError

from .made_up import measured

NAMES = [one.name for one in fields(Limits)]
VALUES = [0, 0.0, 0.005, 0.0049999, 1, 1.0, 1.1, 1.005, 1 / 3, 1e-9, 123456.789, 1e22]


def latency(low, high, noise=1.0, median=None):
    speedup = Ratio((low + high) / 2 if median is None else median, low, high)
    control, timing = Ratio(1.0, 1 / noise, noise), Timing((1.0,) * 7)
    return LatencyComparison(timing, timing, speedup, control, judge(speedup, control), 2)


# --- the list of limits ---------------------------------------------------------------------------


def read_back(limits):
    return Limits(**limits_of(parser().parse_args(["report", "a:b", *limits.flags()])))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", VALUES)
def test_each_limit_is_told_to_the_command_line_to_the_last_digit(name, value):
    limits = Limits(**{name: value})
    assert read_back(limits) == limits


@given(st.lists(st.floats(0, 1e300), min_size=len(NAMES), max_size=len(NAMES)))
def test_all_limits_at_once(values):
    limits = Limits(*values)
    assert read_back(limits) == limits


def test_what_was_not_changed_is_left_to_the_defaults():
    assert Limits().flags() == []
    assert Limits(min_speedup=0).flags() == ["--min-speedup", "0"]
    assert read_back(Limits()) == Limits()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf, "1", True])
def test_limits_are_checked(name, value):
    with pytest.raises(ArgumentError, match=f"{name} is .*number of at least 0"):
        Limits(**{name: value})


@pytest.mark.parametrize("name", NAMES[1:])
def test_only_the_limit_of_the_error_may_be_left_open(name):
    assert Limits(max_relative_error=None).max_relative_error is None
    with pytest.raises(ArgumentError, match=name):
        Limits(**{name: None})


@pytest.mark.parametrize(
    ("given", "metric", "limit"),
    [(None, None, 0.05), (None, 0.9, None), (None, 0.0, None), (0.1, 0.9, 0.1), (0.1, None, 0.1),
     (0, None, 0), (0, 0.9, 0)],
)  # fmt: skip
def test_a_metric_replaces_the_limit_of_the_error_unless_that_is_given(given, metric, limit):
    assert Limits(max_relative_error=given).error_limit(metric) == limit


# --- size, time, gain -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "limit", "state", "words"),
    [
        (1.0, 1.0, "kept", "1.00 times smaller"),
        (0.999, 1.0, "broken", "1.00 times larger"),
        (0.5, 1.0, "broken", "2.00 times larger"),
        (3.6, 3.6, "kept", "3.60 times smaller"),
        (3.59, 3.6, "broken", "3.59 times smaller, asked for 3.6"),
        (0.8, 0.8, "kept", "1.25 times larger"),
        (0.2, 0, "not asked for", "5.00 times larger"),
    ],
)
def test_size(ratio, limit, state, words):
    promise = judge_size(ratio, Limits(min_size_ratio=limit))
    assert (promise.state, promise.sentence) == (state, words)
    assert (promise.measured, promise.limit) == (ratio, limit)


@pytest.mark.parametrize(
    ("interval", "limit", "noise", "state"),
    [
        ((1.03, 1.3), 1.0, 1.0, "kept"),
        ((1.01, 1.3), 1.0, 1.0, "open"),  # two percent are told apart by nobody
        ((0.7, 0.97), 1.0, 1.0, "broken"),
        ((0.7, 0.99), 1.0, 1.0, "open"),
        ((1.55, 2.2), 1.5, 1.0, "kept"),
        ((1.55, 2.2), 2.0, 1.0, "open"),
        ((1.55, 2.2), 2.3, 1.0, "broken"),
        ((0.8, 0.95), 0.7, 1.0, "kept"),
        ((1.2, 1.4), 1.0, 1.3, "open"),  # the float model against itself gave 1.3
        ((1.31, 1.4), 1.0, 1.3, "kept"),
        ((0.1, 0.2), 0, 1.0, "not asked for"),
    ],
)
def test_speed_is_judged_by_the_whole_interval(interval, limit, noise, state):
    found = latency(*interval, noise)
    promise = judge_latency(found, Limits(min_speedup=limit))
    assert promise.state == state
    assert (promise.measured, promise.limit) == (found.speedup.median, limit)
    assert ("asked for" in promise.sentence) is (limit not in (0, 1) and state != "kept")


@pytest.mark.parametrize(
    ("interval", "median", "says"),
    [
        ((1.5, 2.2), 2.0, "2.00 times faster on 2 threads"),
        ((0.4, 0.6), 0.5, "2.00 times slower on 2 threads"),
        ((0.9, 1.1), 1.05, "not told apart from FP32 in time on 2 threads"),
    ],
)
def test_speed_says_which_way_it_went(interval, median, says):
    sentence = judge_latency(latency(*interval, median=median), Limits()).sentence
    assert sentence.startswith(f"{says} (FP32 / INT8: {median:.2f} (95 % interval ")


# bytes, interval of the speed-up, limits -> how many gains; None: nobody asks
GAINS = [
    (1.5, (0.98, 1.02), {}, 1),
    (1.49, (0.98, 1.02), {}, 0),
    (1.0, (1.13, 1.3), {}, 1),
    (1.0, (1.11, 1.3), {}, 0),  # within two percent of 1.1
    (1.5, (1.13, 1.3), {}, 2),
    (1.5, (1.13, 1.3), {"min_size_ratio": 0}, 1),
    (1.5, (1.13, 1.3), {"min_speedup": 0}, 1),
    (1.5, (1.0, 1.1), {"min_size_ratio": 0}, 0),
    (1.4, (1.13, 1.3), {"min_speedup": 0}, 0),
    (1.5, (1.13, 1.3), {"min_speedup": 0, "min_size_ratio": 0}, None),
    (1.25, (0.98, 1.02), {"min_size_ratio": 1.2}, 1),  # kept, and so the gain asked for
    (1.25, (0.98, 1.02), {"min_size_ratio": 1.0}, 0),
    (1.25, (1.21, 1.3), {"min_speedup": 1.2}, 1),
    (1.2, (0.98, 1.02), {"worth_size_ratio": 1.2}, 1),
    (1.0, (1.03, 1.3), {"worth_speedup": 1.0}, 1),
    (1.0, (0.98, 1.02), {"worth_size_ratio": 0}, 1),
    (1.0, (0.98, 1.02), {"worth_speedup": 0}, 1),
]


@pytest.mark.parametrize(("ratio", "interval", "given", "count"), GAINS)
def test_one_gain_is_enough(ratio, interval, given, count):
    promises = judge_gain(ratio, latency(*interval), Limits(**given))
    assert [promise.measured for promise in promises] == ([] if count is None else [count])
    assert [promise.state for promise in promises] == (
        [] if count is None else ["kept" if count else "broken"]
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "not 1.5 times smaller; not 1.1 times faster beyond doubt"),
        ({"min_size_ratio": 0}, "not 1.1 times faster beyond doubt"),
        ({"min_speedup": 0}, "not 1.5 times smaller"),
    ],
)
def test_a_missing_gain_says_what_would_be_one(given, says):
    (promise,) = judge_gain(1.2, latency(0.9, 1.1), Limits(**given))
    assert promise.sentence == says


@pytest.mark.parametrize(
    ("ratio", "interval", "names"),
    [
        (1.2, (0.98, 1.02), ["smaller", "faster", GAIN]),
        (0.9, (0.98, 1.02), ["smaller", "faster"]),  # it got worse, which is enough to know
        (1.2, (0.5, 0.6), ["smaller", "faster"]),
    ],
)
def test_a_gain_is_asked_for_where_nothing_got_worse(ratio, interval, names):
    assert [p.name for p in judge_costs(ratio, latency(*interval), Limits())] == names


# --- outputs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("relative", "limit", "state"),
    [
        (0.05, 0.05, "kept"),
        (0.0501, 0.05, "broken"),
        (0.0, 0, "kept"),
        (1e-9, 0, "broken"),
        (math.inf, 0.05, "broken"),
        (math.nan, 0.05, "broken"),
    ],
)
def test_error(relative, limit, state):
    promise = judge_error(relative, "output[1]", limit)
    assert (promise.name, promise.state, promise.limit) == (CLOSE, state, limit)
    assert "in output[1], limit" in promise.sentence


@pytest.mark.parametrize(
    ("before", "after", "limit", "state"),
    [
        (0.9, 0.891, 0.01 + 1e-12, "kept"),
        (0.9, 0.8909, 0.01, "broken"),
        (0.9, 0.95, 0, "kept"),
        (0.9, 0.9, 0, "kept"),
        (0.9, 0.8999, 0, "broken"),
        (-13.4, -13.5, 0.01, "kept"),  # minus a perplexity
        (-13.4, -13.6, 0.01, "broken"),
        (0.0, -0.5, 0.01, "broken"),
        (0.0, 0.0, 0.01, "kept"),
    ],
)
def test_a_metric_may_fall_by_a_share_of_itself(before, after, limit, state):
    promise = judge_metric(before, after, limit)
    assert (promise.name, promise.state, promise.limit) == (CLOSE, state, limit)
    assert promise.measured == pytest.approx((before - after) / (abs(before) or 1))
    assert f"from {before:.5g} to {after:.5g}" in promise.sentence


def task(share, apart=SETS, place="output"):
    return TaskError(place, 30.0, 0.99, share, 1.0, apart)


@pytest.mark.parametrize(("share", "state"), [(COMPARABLE - 1e-9, "kept"), (COMPARABLE, "broken")])
@pytest.mark.parametrize("first", [True, False])
def test_an_error_as_large_as_the_distance_breaks_a_promise(share, state, first):
    tasks = [task(share, place="output[1]"), task(0.2)][:: 1 if first else -1]
    (promise,) = judge_distance(tasks)
    assert (promise.name, promise.state, promise.measured) == (CLOSE, state, share)
    assert f"error of output[1] is {share:.1%} of the distance" in promise.sentence


def test_rows_of_one_output_break_no_promise():
    assert judge_distance([task(9.0, ROWS), TaskError("output", 30, 1, 9.0, None, SETS)]) == []


@pytest.mark.parametrize(
    ("given", "before", "after", "count", "broken"),
    [
        ({}, None, None, 2, 1),
        ({}, 0.9, 0.9, 1, 0),  # the metric alone
        ({"max_relative_error": 0.1}, 0.9, 0.9, 3, 0),
        ({"max_relative_error": 0.1}, 0.9, 0.5, 3, 1),
        ({"max_relative_error": 0.05}, 0.9, 0.9, 3, 1),
        ({"max_relative_error": 0}, 0.9, 0.5, 3, 2),
        ({"max_metric_drop": 0.5}, 0.9, 0.5, 1, 0),
    ],
)
def test_a_metric_and_a_limit_of_the_error_judge_together(given, before, after, count, broken):
    found = measured(0.06, 1, 1)
    errors = type(found)(**{**vars(found), "tasks": (task(0.4),)})
    promises = judge_outputs(errors, before, after, Limits(**given))
    states = [promise.state for promise in promises]
    assert (len(states), states.count("broken")) == (count, broken)
