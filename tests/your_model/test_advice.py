"""Which conversion the report recommends, and which it calls the nearest."""

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st
from torch import nn

from recipe_helpers.recipe.inspection import LeftAlone
from recipe_helpers.your_model.advice import decide
from recipe_helpers.your_model.module_bytes import ModuleSize
from recipe_helpers.your_model.promises import KEEP, SHIP, SHIP_PARTLY, Limits

from .made_up import candidate, measured

NAMES = ["torch.ao", "torch.ao-per-channel", "plain"]
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


def test_overlapping_intervals_decide_nothing_whatever_their_medians():
    slow = candidate("plain", measured(0.01, 1.5, 2.1))
    quick = candidate("torch.ao", measured(0.02, 2.0, 3.0))
    beyond_doubt = candidate("torch.ao", measured(0.02, 2.2, 3.0))
    assert decide([quick, slow], MODEL).candidate == "plain"
    assert decide([beyond_doubt, slow], MODEL).candidate == "torch.ao"


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


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_whole_conversion_comes_before_one_with_exceptions(order):
    names = ("lstm",)
    mended = candidate("plain", measured(0.2, 2, 2.1), measured(0.001, 3, 3.1), left=names)
    whole = candidate("torch.ao", measured(0.04, 1.5, 1.6))
    made = [[mended, whole][place] for place in order]
    assert decide(made, MODEL).decision == SHIP
    assert decide(made, MODEL).candidate == "torch.ao"
    alone = decide([mended], MODEL)
    assert (alone.decision, alone.left_float) == (SHIP_PARTLY, names)


# --- made-up measurements, and what an expert would say of them -----------------------------------
# error, the speed-up's interval, FP32 bytes / INT8 bytes, limits that the caller set -> the advice
TABLE = [
    ("much smaller, as fast", 0.01, (0.95, 1.05), 3.8, {}, SHIP),
    ("much smaller and faster", 0.01, (1.8, 2.2), 3.8, {}, SHIP),
    ("a little smaller, clearly faster", 0.01, (1.15, 1.3), 1.2, {}, SHIP),
    ("just small enough", 0.01, (0.95, 1.05), 1.5, {}, SHIP),
    ("not quite small enough", 0.01, (0.95, 1.05), 1.49, {}, KEEP),
    ("1.04 times smaller, not told apart in time", 0.01, (0.98, 1.03), 1.04, {}, KEEP),
    ("a little faster, but within the noise of 1.1", 0.01, (1.03, 1.3), 1.04, {}, KEEP),
    ("much smaller but slower", 0.01, (0.4, 0.5), 3.8, {}, KEEP),
    ("much smaller but slower, where time does not matter", 0.01, (0.4, 0.5), 3.8,
     {"min_speedup": 0}, SHIP),
    ("a little smaller, where time does not matter", 0.01, (0.4, 0.5), 1.2, {"min_speedup": 0},
     KEEP),
    ("faster and larger", 0.01, (1.8, 2.2), 0.9, {}, KEEP),
    ("faster and larger, where size does not matter", 0.01, (1.8, 2.2), 0.9,
     {"min_size_ratio": 0}, SHIP),
    ("as fast, where size does not matter", 0.01, (0.98, 1.03), 3.8, {"min_size_ratio": 0}, KEEP),
    ("the gain that was asked for", 0.01, (0.95, 1.05), 1.25, {"min_size_ratio": 1.2}, SHIP),
    ("less than was asked for", 0.01, (1.8, 2.2), 2.9, {"min_size_ratio": 3}, KEEP),
    ("much smaller, but the output is ruined", 0.4, (1.8, 2.2), 3.8, {}, KEEP),
    ("another idea of a gain", 0.01, (0.95, 1.05), 1.25, {"worth_size_ratio": 1.2}, SHIP),
]  # fmt: skip


@pytest.mark.parametrize(("case", "relative", "speed", "size", "given", "advice"), TABLE)
def test_the_advice_is_that_of_an_expert(case, relative, speed, size, given, advice):
    found = measured(relative, *speed, size_ratio=size, limits=Limits(**given))
    verdict = decide([candidate("plain", found)], MODEL)
    assert verdict.decision == advice, case
    assert bool(verdict.code) == (advice == SHIP)
    assert ".." not in verdict.reason
    assert "; ;" not in verdict.reason


def test_a_mended_model_without_a_gain_is_kept_fp32_and_what_is_in_the_way_is_said():
    """Most of the bytes had to stay FP32: what is left to convert is not worth it."""
    ruined = measured(0.9, 1.5, 1.7, 3.5)
    mended = measured(0.01, 0.98, 1.03, 1.04)
    sizes = replace(
        mended.modules,
        modules=(
            ModuleSize("lstm", "LSTM", 950, 950, False),
            ModuleSize("head", "Linear", 50, 14, True),
        ),
        others_bytes=0,
    )
    left = LeftAlone("lstm", "LSTM", 237, "left FP32: alone it costs a relative error of 90.00%")
    mended = replace(
        mended, modules=sizes, conversion=replace(mended.conversion, left_alone=(left,))
    )
    verdict = decide([candidate("plain", ruined, mended, left=("lstm",))], MODEL)
    assert verdict.decision == KEEP
    assert "neither 1.5 times smaller nor 1.1 times faster beyond doubt" in verdict.reason
    assert "95% of the bytes stay FP32, most of them in lstm (LSTM; left FP32" in verdict.reason
    assert "closer to FP32 in lstm, or a larger max_relative_error" in verdict.reason


def with_task(found, **changes):
    return replace(found, task=replace(found.task, **changes))


def test_smaller_and_faster_comes_before_faster_alone():
    """A pronouncer of two GRUs: ONNX Runtime is a little faster and closer, and no smaller."""
    torch_ao = candidate("torch.ao", measured(0.024, 1.99, 2.22, 3.60))
    per_channel = candidate("torch.ao-per-channel", measured(0.018, 1.88, 1.95, 3.41))
    onnx = candidate("onnxruntime", measured(0.008, 2.31, 2.67, 1.04))
    assert decide([torch_ao, per_channel, onnx], MODEL).candidate == "torch.ao"
    assert decide([per_channel, onnx], MODEL).candidate == "torch.ao-per-channel"
    assert decide([onnx], MODEL).candidate == "onnxruntime"


def test_a_gain_that_does_not_matter_to_the_caller_does_not_count():
    limits = Limits(min_size_ratio=0)
    smaller = candidate("torch.ao", measured(0.024, 1.99, 2.22, 3.60, limits))
    closer = candidate("plain", measured(0.008, 1.99, 2.22, 1.04, limits))
    assert decide([smaller, closer], MODEL).candidate == "plain"


def encoder(share):
    """Three wide layers of a speaker encoder: a gain as a whole, with an error above the limit."""
    whole = with_task(measured(0.1755, 2.18, 2.33, 3.84), difference=share, distance=1.0)
    whole = replace(whole, metric=None)
    mended = measured(0.015, 0.98, 1.01, 1.04)
    return candidate("plain", whole, mended, left=("lstm",))


def test_a_gain_that_only_misses_the_error_limit_is_left_to_a_metric_of_the_task():
    verdict = decide([encoder(share=0.17)], MODEL)
    assert verdict.decision == KEEP
    assert verdict.code == ""
    assert 'As a whole "plain" is 3.84 times smaller; ' in verdict.reason
    assert "17.0% of how far the outputs of different inputs are apart" in verdict.reason
    assert "a metric= can tell" in verdict.reason


def test_nobody_is_sent_to_a_metric_with_outputs_that_are_ruined_or_judged_already():
    assert "metric=" not in decide([encoder(share=0.6)], MODEL).reason
    judged = encoder(share=0.17)
    judged = replace(judged, whole=replace(judged.whole, metric=0.9))
    assert "metric=" not in decide([judged], MODEL).reason


@pytest.mark.parametrize(("same", "said"), [(0.95, True), (1.0, False), (None, False)])
def test_a_top_choice_that_changes_is_said_with_the_advice_to_ship(same, said):
    found = with_task(measured(0.006, 2.9, 3.0, 3.8), same_choice=same, rows=180, lead=0.19)
    reason = decide([candidate("plain", found)], MODEL).reason
    assert ("the highest score is the same in 95.00% of 180 rows" in reason) is said
