"""Judges are asked on both sides of each limit, and the flags are read back by the real parser."""

import math
from dataclasses import fields

import pytest
from hypothesis import given, strategies as st

from recipe_helpers.common.errors import ArgumentError
from recipe_helpers.your_model.command_line import limits_of, parser
from recipe_helpers.your_model.promises import CLOSE, Limits, judge_costs, judge_outputs
from recipe_helpers.your_model.task_error import COMPARABLE, ROWS, SETS, TaskError

from .made_up import measured, speed

NAMES = [one.name for one in fields(Limits)]


# --- the list of limits ---------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1e300) | st.integers(0, 2**53)))
def test_limits_are_told_to_the_command_line_to_the_last_digit(values):
    limits = Limits(**values)
    assert Limits(**limits_of(parser().parse_args(["report", "a:b", *limits.flags()]))) == limits
    defaults = vars(Limits())
    changed = [name for name in NAMES if name in values and values[name] != defaults[name]]
    assert limits.flags()[::2] == [f"--{name.replace('_', '-')}" for name in changed]


@pytest.mark.parametrize("name", NAMES)
def test_limits_are_checked(name):
    for value in (-1e-9, math.nan, math.inf, "1", True, *([None] if name in NAMES[1:] else [])):
        with pytest.raises(ArgumentError, match=f"{name} is .*number of at least 0"):
            Limits(**{name: value})


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
    promise = judge_costs(ratio, speed(1, 1), Limits(min_size_ratio=limit))[0]
    assert (promise.name, promise.state, promise.sentence) == ("smaller", state, words)
    assert (promise.measured, promise.limit) == (ratio, limit)


@pytest.mark.parametrize(
    ("interval", "limit", "noise", "state"),
    [
        ((1.03, 1.3), 1.0, 1.0, "kept"),
        ((1.01, 1.3), 1.0, 1.0, "open"),  # two percent are told apart by nobody
        ((0.7, 0.97), 1.0, 1.0, "broken"),
        ((1.55, 2.2), 1.5, 1.0, "kept"),
        ((1.55, 2.2), 2.0, 1.0, "open"),
        ((1.55, 2.2), 2.3, 1.0, "broken"),
        ((1.2, 1.4), 1.0, 1.3, "open"),  # the float model against itself gave 1.3
        ((1.31, 1.4), 1.0, 1.3, "kept"),
        ((0.1, 0.2), 0, 1.0, "not asked for"),
    ],
)
def test_speed_is_judged_by_the_whole_interval(interval, limit, noise, state):
    found = speed(*interval, noise)
    promise = judge_costs(2.0, found, Limits(min_speedup=limit))[1]
    assert (promise.name, promise.state) == ("faster", state)
    assert (promise.measured, promise.limit) == (found.speedup.median, limit)
    asked = f", asked for {limit:g}"
    assert promise.sentence.endswith(asked) is (limit not in (0, 1) and state != "kept")


def test_speed_says_which_way_it_went():
    for interval, threads, says in (
        ((1.5, 2.5), 2, "2.00 times faster on 2 threads (FP32 / INT8: 2.00 (95 % interval 1.50"),
        ((0.4, 0.6), 1, "2.00 times slower on 1 thread (FP32 / INT8: 0.50 (95 % interval 0.40"),
        ((0.9, 1.2), 2, "not told apart from FP32 in time on 2 threads (FP32 / INT8: 1.05 (95"),
    ):
        sentence = judge_costs(2.0, speed(*interval, threads=threads), Limits())[1].sentence
        assert sentence.startswith(says)


# bytes, interval of the speed-up, limits -> how many gains; None: nobody asks, or worse already
GAINS = [
    (1.5, (0.98, 1.02), {}, 1),
    (1.49, (0.98, 1.02), {}, 0),
    (1.0, (1.13, 1.3), {}, 1),
    (1.0, (1.11, 1.3), {}, 0),  # within two percent of 1.1
    (1.5, (1.13, 1.3), {}, 2),
    (1.5, (1.13, 1.3), {"min_size_ratio": 0}, 1),
    (1.5, (1.13, 1.3), {"min_speedup": 0}, 1),
    (1.5, (1.0, 1.1), {"min_size_ratio": 0}, 0),
    (1.5, (1.13, 1.3), {"min_speedup": 0, "min_size_ratio": 0}, None),
    (1.25, (0.98, 1.02), {"min_size_ratio": 1.2}, 1),  # kept, and so the gain asked for
    (1.25, (1.08, 1.09), {"min_speedup": 1.05}, 1),
    (1.2, (0.98, 1.02), {"worth_size_ratio": 1.2}, 1),
    (1.0, (1.03, 1.3), {"worth_speedup": 1.0}, 1),
    (1.0, (0.98, 1.02), {"worth_speedup": 0}, 1),
    (0.9, (1.5, 1.6), {}, None),
    (1.6, (0.5, 0.6), {}, None),
]


@pytest.mark.parametrize(("ratio", "interval", "given", "count"), GAINS)
def test_one_gain_is_enough_and_asked_for_where_nothing_got_worse(ratio, interval, given, count):
    gains = judge_costs(ratio, speed(*interval), Limits(**given))[2:]
    found = [(one.name, one.measured, one.state, one.sentence == "") for one in gains]
    expected = ("a gain worth having", count, "kept" if count else "broken", bool(count))
    assert found == ([] if count is None else [expected])


def test_a_missing_gain_says_what_would_be_one():
    smaller, faster = "not 1.5 times smaller", "not 1.1 times faster beyond doubt"
    for limits, says in (
        ({}, f"{smaller}; {faster}"),
        ({"min_size_ratio": 0}, faster),
        ({"min_speedup": 0}, smaller),
    ):
        assert judge_costs(1.2, speed(0.9, 1.1), Limits(**limits))[-1].sentence == says


# --- outputs --------------------------------------------------------------------------------------


def judged(relative=0.01, before=None, after=None, tasks=(), **limits):
    found = measured(relative, 1, 1)
    found = type(found)(**{**vars(found), "tasks": (*tasks, *found.tasks)})
    return list(judge_outputs(found, before, after, Limits(**limits)))


@pytest.mark.parametrize(
    ("relative", "limit", "state"),
    [
        (0.05, 0.05, "kept"),
        (0.0501, 0.05, "broken"),
        (0.0, 0, "kept"),
        (1e-9, 0, "broken"),
        (math.nan, 0.05, "broken"),
    ],
)
def test_error(relative, limit, state):
    (promise,) = judged(relative, max_relative_error=limit)
    assert (promise.name, promise.state, promise.limit) == (CLOSE, state, limit)
    assert promise.sentence == (
        f"relative error {relative:.2%} in output, limit {100 * limit:.3g}%"
    )


@pytest.mark.parametrize(
    ("before", "after", "limit", "state"),
    [
        (0.9, 0.891, 0.01 + 1e-12, "kept"),
        (0.9, 0.8909, 0.01, "broken"),
        (0.9, 0.9, 0, "kept"),
        (-13.4, -13.5, 0.01, "kept"),  # minus a perplexity
        (-13.4, -13.6, 0.01, "broken"),
        (0.0, -0.5, 0.01, "broken"),
        (0.0, 0.0, 0.01, "kept"),
    ],
)
def test_a_metric_may_fall_by_a_share_of_itself(before, after, limit, state):
    (promise,) = judged(9.9, before, after, max_metric_drop=limit)
    assert (promise.name, promise.state, promise.limit) == (CLOSE, state, limit)
    drop = (before - after) / (abs(before) or 1)
    assert promise.measured == pytest.approx(drop)
    change = f"changes by {0 - drop:+.2%}, from {before:.5g} to {after:.5g}, limit -"
    assert change + f"{100 * limit:.3g}%" in promise.sentence


def task(share, apart=SETS, place="output[1]", distance=2.0):
    return TaskError(place, 30.0, 0.99, 2 * share, distance, apart)


@pytest.mark.parametrize(("share", "state"), [(COMPARABLE - 1e-9, "kept"), (COMPARABLE, "broken")])
@pytest.mark.parametrize("order", [1, -1])
def test_an_error_as_large_as_the_distance_breaks_a_promise(share, state, order):
    tasks = [task(share), task(0.2, place="output")][::order]
    _close, promise = judged(tasks=tasks)
    assert (promise.name, promise.state, promise.measured) == (CLOSE, state, share)
    assert promise.limit == COMPARABLE
    assert promise.sentence == (
        f"the error of output[1] is {share:.1%} of the distance between the outputs of different "
        "input sets, limit 50%"
    )
    assert len(judged(tasks=[task(0.0)])) == 2, "no error is one as well"
    assert len(judged(tasks=[task(9.0, ROWS), task(9.0, distance=None)])) == 1


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
    states = [one.state for one in judged(0.06, before, after, [task(0.4)], **given)]
    assert (len(states), states.count("broken")) == (count, broken)
