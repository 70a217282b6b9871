"""Which conversion the report recommends, which it calls the nearest, and why."""

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st
from torch import nn

from recipe_helpers.recipe.inspection import LeftAlone
from recipe_helpers.your_model.candidates import ModuleBytes, ModuleSize
from recipe_helpers.your_model.promises import Limits
from recipe_helpers.your_model.task_error import Choices
from recipe_helpers.your_model.verdict import KEEP, SHIP, SHIP_PARTLY, decide

from .made_up import NAMES, TABLE, candidate, measured, sets

MODEL = nn.ModuleDict({"lstm": nn.LSTM(2, 2)})


@st.composite
def trios(draw, smallest_speedup, largest_error):
    """Three conversions with errors and speed-ups of their own, every interval about 20 % wide."""
    made = []
    for name in NAMES:
        low = draw(st.floats(smallest_speedup, 4.0))
        relative = draw(st.floats(0.001, largest_error))
        made.append(candidate(name, measured(relative, low, low * draw(st.floats(1.01, 1.4)))))
    return made


def interval(one):
    return one.whole.latencies[0].speedup


@given(trios(smallest_speedup=1.2, largest_error=0.049))
def test_the_least_error_wins_unless_another_is_faster_beyond_doubt(made):
    verdict = decide(made, MODEL)
    assert verdict.decision == SHIP
    chosen = next(one for one in made if one.name == verdict.candidate)
    best = min(made, key=lambda one: one.whole.relative)
    if chosen is not best:
        assert interval(chosen).low > interval(best).high
    worse = [one for one in made if one.whole.relative > chosen.whole.relative]
    assert not any(interval(one).low > interval(chosen).high for one in worse)


@pytest.mark.parametrize(("low", "chosen"), [(2.0, "plain"), (2.1, "plain"), (2.11, "torch.ao")])
def test_overlapping_intervals_decide_nothing_whatever_their_medians(low, chosen):
    slow = candidate("plain", measured(0.01, 1.5, 2.1))
    quick = candidate("torch.ao", measured(0.02, low, 3.0))
    assert decide([quick, slow], MODEL).candidate == chosen


@given(trios(smallest_speedup=0.2, largest_error=0.3))
def test_the_nearest_conversion_breaks_least_and_then_errs_least(made):
    verdict = decide(made, MODEL)
    if verdict.decision != KEEP:
        return
    named = next(one for one in made if one.name == verdict.candidate)

    def distance(one):
        return len(one.whole.broken), one.whole.relative

    assert distance(named) == min(map(distance, made))
    assert f'"{named.name}"' in verdict.reason


@pytest.mark.parametrize("order", [1, -1])
def test_a_whole_conversion_comes_before_one_with_exceptions(order):
    mended = candidate("plain", measured(0.2, 2, 2.1), measured(0.001, 3, 3.1), left=("lstm",))
    whole = candidate("torch.ao", measured(0.04, 1.5, 1.6))
    verdict = decide([mended, whole][::order], MODEL)
    assert (verdict.decision, verdict.candidate) == (SHIP, "torch.ao")
    alone = decide([mended], MODEL)
    assert (alone.decision, alone.left_float) == (SHIP_PARTLY, ("lstm",))
    assert alone.reason.startswith('The conversion "plain", with lstm left FP32, is 3.00 times')
    assert "As a whole it misses: relative error 20.00% in output" in alone.reason


@pytest.mark.parametrize(("case", "relative", "speed", "size", "given", "advice"), TABLE)
def test_the_advice_is_that_of_an_expert(case, relative, speed, size, given, advice):
    found = measured(relative, *speed, size_ratio=size, limits=Limits(**given))
    verdict = decide([candidate("plain", found)], MODEL)
    assert verdict.decision == advice, case
    assert bool(verdict.code) == (advice == SHIP)
    assert ".." not in verdict.reason
    assert "; ;" not in verdict.reason


def test_smaller_and_faster_comes_before_faster_alone():
    """A pronouncer of two GRUs: ONNX Runtime is a little faster and closer, and no smaller."""
    torch_ao = candidate("torch.ao", measured(0.024, 1.99, 2.22, 3.60))
    per_channel = candidate("torch.ao-per-channel", measured(0.018, 1.88, 1.95, 3.41))
    onnx = candidate("onnxruntime", measured(0.008, 2.31, 2.67, 1.04))
    assert decide([torch_ao, per_channel, onnx], MODEL).candidate == "torch.ao"
    assert decide([per_channel, onnx], MODEL).candidate == "torch.ao-per-channel"
    assert decide([onnx], MODEL, sets(1)).candidate == "onnxruntime"


@pytest.mark.parametrize(
    ("given", "chosen"),
    [({}, "torch.ao"), ({"min_size_ratio": 0}, "plain"), ({"worth_size_ratio": 1}, "plain")],
)
def test_a_gain_counts_as_the_caller_sees_it(given, chosen):
    limits = Limits(**given)
    smaller = candidate("torch.ao", measured(0.024, 1.99, 2.22, 3.60, limits))
    closer = candidate("plain", measured(0.008, 1.99, 2.22, 1.04, limits))
    assert decide([smaller, closer], MODEL).candidate == chosen


def mended_without_a_gain(share=950):
    """Most of the bytes had to stay FP32: what is left to convert is not worth it."""
    mended = measured(0.01, 0.98, 1.03, 1.04)
    modules = (
        ModuleSize("head", "Linear", 980 - share, 14, True),
        ModuleSize("bridge", "Linear", 20, 20, False),
        ModuleSize("lstm", "LSTM", share, share, False),
    )
    left = LeftAlone("lstm", "LSTM", 237, "left FP32: alone it costs a relative error of 90.00%")
    conversion = replace(mended.conversion, left_alone=(left,))
    mended = replace(mended, modules=ModuleBytes(modules, 0, 0), conversion=conversion)
    return candidate("plain", measured(0.9, 1.5, 1.7, 3.5), mended, left=("lstm",))


def test_what_is_in_the_way_is_said_and_what_would_change_it():
    verdict = decide([mended_without_a_gain()], MODEL)
    assert (verdict.decision, verdict.broken) == (KEEP, ("a gain worth having",))
    assert "not 1.5 times smaller; not 1.1 times faster beyond doubt" in verdict.reason
    assert "97% of the bytes stay FP32, most of them in lstm (LSTM; left FP32" in verdict.reason
    assert "closer to FP32 in lstm, or a larger max_relative_error" in verdict.reason
    assert "bytes stay FP32" in decide([mended_without_a_gain(320)], MODEL).reason
    assert "bytes stay FP32" not in decide([mended_without_a_gain(310)], MODEL).reason


def test_what_broke_is_said_first_and_what_did_not_after_it():
    slow = candidate("plain", measured(0.2, 0.4, 0.5, 3.8))
    reason = decide([slow], MODEL).reason
    assert reason.startswith(
        'The nearest conversion, "plain", is not faster and not nearly the same output: '
        "2.22 times slower on "
    )
    assert "; relative error 20.00% in output, limit 5%. " in reason
    assert "The most sensitive module is text " in reason
    assert "Otherwise: 3.80 times smaller." in reason
    assert "wider layers or more sequences per call" in reason


def test_where_no_conversion_works_each_says_why():
    failed = [replace(candidate(name), failure=f"{name} is ill.") for name in NAMES[:2]]
    verdict = decide(failed, MODEL)
    assert (verdict.decision, verdict.candidate, verdict.code) == (KEEP, None, "")
    assert verdict.reason == (
        'No conversion works: "torch.ao": torch.ao is ill; "torch.ao-per-channel": '
        "torch.ao-per-channel is ill."
    )


def test_what_could_not_be_settled_is_said_with_the_advice_to_ship():
    reason = decide([candidate("plain", measured(0.01, 0.95, 1.1, 3.8))], MODEL).reason
    assert reason.endswith("Whether it is faster could not be settled.")
    clear = decide([candidate("plain", measured(0.01, 1.5, 1.6, 3.8))], MODEL).reason
    assert "settled" not in clear


def encoder(share, metric=None):
    """Three wide layers of a speaker encoder: a gain as a whole, with an error above the limit."""
    whole = measured(0.1755, 2.18, 2.33, 3.84)
    task = replace(whole.task, difference=share, distance=1.0)
    whole = replace(whole, metric=metric, tasks=(task, *whole.tasks[1:]))
    return candidate("plain", whole, measured(0.015, 0.98, 1.01, 1.04), left=("lstm",))


def test_a_gain_that_only_misses_the_error_limit_is_left_to_a_metric_of_the_task():
    verdict = decide([encoder(share=0.17)], MODEL)
    assert (verdict.decision, verdict.code) == (KEEP, "")
    assert 'As a whole "plain" is 3.84 times smaller; ' in verdict.reason
    assert "17.0% of how far the outputs of different inputs are apart" in verdict.reason
    assert "a metric= can tell" in verdict.reason


@pytest.mark.parametrize("one", [encoder(share=0.5), encoder(share=0.17, metric=0.9)])
def test_nobody_is_sent_to_a_metric_with_outputs_that_are_ruined_or_judged_already(one):
    assert "metric=" not in decide([one], MODEL).reason


@pytest.mark.parametrize(("same", "said"), [(0.95, True), (1.0, False)])
def test_a_top_choice_that_changes_is_said_with_the_advice_to_ship(same, said):
    found = replace(measured(0.006, 2.9, 3.0, 3.8), choices=Choices("output[0]", same, 180, 0.19))
    reason = decide([candidate("plain", found)], MODEL).reason
    assert ("In output[0] the highest score is the same in 95.00% of 180 rows" in reason) is said
