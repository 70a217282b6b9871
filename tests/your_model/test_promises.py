import math

import pytest

from recipe_helpers.common.errors import ArgumentError
from recipe_helpers.recipe.latency import LatencyComparison
from recipe_helpers.recipe.timing import Ratio, Timing, judge
from recipe_helpers.your_model.promises import (
    Limits,
    judge_error,
    judge_latency,
    judge_metric,
    judge_size,
)


def latency(low, median, high, noise=1.0):
    speedup, control = Ratio(median, low, high), Ratio(1.0, 1 / noise, noise)
    timing = Timing((1.0,) * 7)
    verdict = judge(speedup, control)
    return LatencyComparison(timing, timing, speedup, control, verdict, 2)


@pytest.mark.parametrize(
    ("interval", "limit", "state"),
    [
        ((1.8, 2.0, 2.2), 1.0, "kept"),
        ((0.4, 0.5, 0.6), 1.0, "broken"),
        ((0.9, 1.0, 1.1), 1.0, "open"),
        ((1.8, 2.0, 2.2), 1.5, "kept"),
        ((1.8, 2.0, 2.2), 2.5, "broken"),
        ((1.8, 2.0, 2.2), 2.0, "open"),
        ((0.8, 0.9, 0.95), 0.7, "kept"),
        ((0.4, 0.5, 0.6), 0, "not asked for"),
    ],
)
def test_speed_is_judged_by_the_whole_interval(interval, limit, state):
    assert judge_latency(latency(*interval), Limits(min_speedup=limit)).state == state


def test_noise_of_the_control_leaves_the_promise_open():
    assert judge_latency(latency(1.2, 1.3, 1.4), Limits()).state == "kept"
    assert judge_latency(latency(1.2, 1.3, 1.4, noise=1.5), Limits()).state == "open"


def test_speed_says_which_way_it_went():
    assert judge_latency(latency(1.8, 2.0, 2.2), Limits()).sentence.startswith("2.00 times faster")
    assert judge_latency(latency(0.4, 0.5, 0.6), Limits()).sentence.startswith("2.00 times slower")
    assert "not told apart" in judge_latency(latency(0.9, 1.0, 1.1), Limits()).sentence


@pytest.mark.parametrize(
    ("ratio", "limit", "state", "words"),
    [
        (3.5, 1.0, "kept", "3.50 times smaller"),
        (0.5, 1.0, "broken", "2.00 times larger"),
        (3.5, 3.6, "broken", "asked for 3.6"),
        (0.8, 0.7, "kept", "1.25 times larger"),
    ],
)
def test_size(ratio, limit, state, words):
    promise = judge_size(ratio, Limits(min_size_ratio=limit))
    assert promise.state == state
    assert words in promise.sentence


@pytest.mark.parametrize(
    ("relative", "state"),
    [(0.0, "kept"), (0.05, "kept"), (0.0501, "broken"), (math.inf, "broken"), (math.nan, "broken")],
)
def test_error(relative, state):
    assert judge_error(relative, "output", 0.05).state == state


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [
        (0.90, 0.90, "kept"),
        (0.90, 0.95, "kept"),
        (0.90, 0.892, "kept"),
        (0.90, 0.88, "broken"),
        (-13.4, -13.5, "kept"),  # minus a perplexity
        (-13.4, -14.0, "broken"),
        (0.0, -0.5, "broken"),
        (0.0, 0.0, "kept"),
    ],
)
def test_metric_may_fall_by_a_share_of_itself(before, after, state):
    assert judge_metric(before, after, Limits()).state == state


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "1", None, True])
def test_limits_are_checked(value):
    with pytest.raises(ArgumentError, match="min_speedup"):
        Limits(min_speedup=value)


def test_a_metric_replaces_the_limit_of_the_error_unless_that_is_given():
    assert Limits().error_limit(None) == 0.05
    assert Limits().error_limit(0.9) is None
    assert Limits(max_relative_error=0.1).error_limit(0.9) == 0.1
