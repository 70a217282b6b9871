"""Which conversion the report recommends, which it calls the nearest, and why."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, strategies as st
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common.errors import ConversionError
from recipe_helpers.recipe.inspection import Conversion, Converted, LeftAlone
from recipe_helpers.your_model.candidates import ModuleBytes, ModuleSize
from recipe_helpers.your_model.promises import Limits
from recipe_helpers.your_model.task_error import ROWS, Choices, TaskError
from recipe_helpers.your_model.verdict import (
    KEEP,
    SHIP,
    SHIP_PARTLY,
    conversion_code,
    decide,
)

from ..korean import english_in, in_both
from .made_up import candidate, measured, quickly
from .models import weak

NAMES = ["torch.ao", "torch.ao-per-channel", "plain"]


def interval(one):
    return one.whole.latencies[0].speedup


@given(st.lists(st.tuples(st.floats(0.2, 4.0), st.floats(1.01, 1.4), st.floats(0.001, 0.3)),
                min_size=3, max_size=3))  # fmt: skip
def test_the_least_error_wins_unless_another_is_faster_and_the_nearest_breaks_least(numbers):
    made = [
        candidate(name, measured(relative, low, low * width))
        for name, (low, width, relative) in zip(NAMES, numbers, strict=True)
    ]
    verdict = decide(made)
    chosen = next(one for one in made if one.name == verdict.candidate)
    broken = [len(one.whole.broken) for one in made]
    assert (verdict.decision == SHIP) is (0 in broken)
    assert len(chosen.whole.broken) == min(broken)
    assert f'"{chosen.name}"' in verdict.reason
    gains = {one.name: one.whole.promise("a gain worth having").measured
             for one in made if not one.whole.broken}  # fmt: skip
    if verdict.decision == KEEP:
        rivals = [one for one in made if len(one.whole.broken) == min(broken)]
    else:
        rivals = [one for one in made if gains.get(one.name) == max(gains.values())]
    best = min(rivals, key=lambda one: one.whole.relative)
    if verdict.decision == KEEP:
        assert chosen is best
    else:
        assert chosen is best or interval(chosen).low > interval(best).high
        worse = [one for one in rivals if one.whole.relative > chosen.whole.relative]
        assert not any(interval(one).low > interval(chosen).high for one in worse)


@pytest.mark.parametrize(("low", "chosen"), [(2.0, "plain"), (2.1, "plain"), (2.11, "torch.ao")])
def test_overlapping_intervals_decide_nothing_whatever_their_medians(low, chosen):
    slow = candidate("plain", measured(0.01, 1.5, 2.1))
    quick = candidate("torch.ao", measured(0.02, low, 3.0))
    assert decide([quick, slow]).candidate == chosen


@pytest.mark.parametrize("order", [1, -1])
def test_a_whole_conversion_comes_before_one_with_exceptions(order):
    mended = candidate("plain", measured(0.2, 2, 2.1), measured(0.001, 3, 3.1), left=("lstm",))
    whole = candidate("torch.ao", measured(0.04, 1.5, 1.6))
    verdict = decide([mended, whole][::order])
    assert (verdict.decision, verdict.candidate) == (SHIP, "torch.ao")
    for by_name in (False, True):
        assert ("modules=" in decide([whole], by_name=by_name).code) is by_name
    alone = decide([mended])
    assert (alone.decision, alone.left_float) == (SHIP_PARTLY, ("lstm",))
    assert alone.reason.startswith('The conversion "plain", with lstm left FP32, is 3.00 times')
    assert "As a whole it misses: relative error 20.00% in output" in alone.reason


# What an expert would say of: error, the speed-up's interval, FP32 bytes / INT8 bytes, limits
TABLE = {
    "much smaller, as fast": (0.01, (0.95, 1.05), 3.8, {}, SHIP),
    "a little smaller, clearly faster": (0.01, (1.15, 1.3), 1.2, {}, SHIP),
    "a little smaller, not told apart in time": (0.01, (0.98, 1.03), 1.04, {}, KEEP),
    "much smaller but slower": (0.01, (0.4, 0.5), 3.8, {}, KEEP),
    "the same where time does not matter": (0.01, (0.4, 0.5), 3.8, {"min_speedup": 0}, SHIP),
    "faster and larger": (0.01, (1.8, 2.2), 0.9, {}, KEEP),
    "the same where size does not matter": (0.01, (1.8, 2.2), 0.9, {"min_size_ratio": 0}, SHIP),
    "less than was asked for": (0.01, (1.8, 2.2), 2.9, {"min_size_ratio": 3}, KEEP),
    "much smaller, but the output is ruined": (0.4, (1.8, 2.2), 3.8, {}, KEEP),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_advice_is_that_of_an_expert_in_both_languages(case):
    relative, speed, size, given, advice = TABLE[case]
    found = measured(relative, *speed, size_ratio=size, limits=Limits(**given))
    verdict = decide([candidate("plain", found)])
    assert (verdict.decision, bool(verdict.code)) == (advice, advice == SHIP)
    assert ".." not in verdict.reason
    assert "; ;" not in verdict.reason
    other = measured(0.9, 0.5, 0.6, limits=Limits(**given))
    beside = [candidate("plain", found), candidate("torch.ao", other)]
    for made in (beside[:1], beside, [candidate("plain", other, found, left=("lstm", ""))]):
        _, korean = in_both(lambda made=made: str(decide(made)))
        assert korean.startswith("FP32 유지. " if advice == KEEP else ("INT8로 배포. ", "일부 모"))
        assert english_in(korean) == []
    assert "lstm, 모델 자체" in korean


def test_smaller_and_faster_comes_before_faster_alone():
    torch_ao = candidate("torch.ao", measured(0.024, 1.99, 2.22, 3.60))
    onnx = candidate("onnxruntime", measured(0.008, 2.31, 2.67, 1.04))
    assert decide([torch_ao, onnx]).candidate == "torch.ao"
    verdict = decide([onnx], "rh.quantize_onnx()")
    assert (verdict.candidate, verdict.code) == ("onnxruntime", "rh.quantize_onnx()")


@pytest.mark.parametrize(
    ("given", "chosen"),
    [({}, "torch.ao"), ({"min_size_ratio": 0}, "plain"), ({"worth_size_ratio": 1}, "plain")],
)
def test_a_gain_counts_as_the_caller_sees_it(given, chosen):
    limits = Limits(**given)
    smaller = candidate("torch.ao", measured(0.024, 1.99, 2.22, 3.60, limits))
    closer = candidate("plain", measured(0.008, 1.99, 2.22, 1.04, limits))
    assert decide([smaller, closer]).candidate == chosen


def mended_without_a_gain(share=950, others=0):
    """Most of the bytes had to stay FP32: what is left to convert is not worth it."""
    modules = (
        ModuleSize("head", "Linear", 980 - share, 14, True),
        ModuleSize("bridge", "Linear", 20, 20, False),
        ModuleSize("lstm", "LSTM", share, share, False),
    )
    left = LeftAlone("lstm", "LSTM", 237, "a reason")
    found = {"modules": ModuleBytes(modules, 1, others), "made": Conversion((), (left,))}
    mended = measured(0.01, 0.98, 1.03, 1.04, **found)
    return candidate("plain", measured(0.9, 1.5, 1.7, 3.5), mended, left=("lstm",))


def test_what_is_in_the_way_is_said_and_what_would_change_it():
    verdict = decide([mended_without_a_gain()])
    assert (verdict.decision, verdict.broken) == (KEEP, ("a gain worth having",))
    assert "not 1.5 times smaller; not 1.1 times faster beyond doubt" in verdict.reason
    assert "97% of the bytes stay FP32, most of them in lstm (LSTM; left FP32" in verdict.reason
    assert "closer to FP32 in lstm, or a larger max_relative_error" in verdict.reason
    assert "bytes stay FP32" in decide([mended_without_a_gain(320)]).reason
    assert "bytes stay FP32" not in decide([mended_without_a_gain(310)]).reason
    assert "bytes stay FP32" in decide([mended_without_a_gain(310, others=100)]).reason


def test_what_broke_is_said_first_and_what_did_not_after_it():
    slow = candidate("plain", measured(0.2, 0.4, 0.5, 3.8))
    reason = decide([slow]).reason
    assert reason.startswith(
        'The nearest conversion, "plain", is not faster and not nearly the same output: '
        "2.22 times slower on "
    )
    assert "; relative error 20.00% in output, limit 5%. " in reason
    assert "The most sensitive module is text " in reason
    assert "Otherwise: 3.80 times smaller." in reason
    assert "wider layers or more sequences per call" in reason


def test_where_no_conversion_works_each_says_why():
    ill = [ConversionError("{kind} is ill.", kind=name) for name in NAMES[:2]]
    failed = [replace(candidate(name), error=one) for name, one in zip(NAMES, ill, strict=False)]
    verdict = decide(failed)
    assert (verdict.decision, verdict.candidate, verdict.code) == (KEEP, None, "")
    assert verdict.reason == (
        'No conversion works: "torch.ao": torch.ao is ill; "torch.ao-per-channel": '
        "torch.ao-per-channel is ill."
    )


def test_what_could_not_be_settled_is_said_with_the_advice_to_ship():
    reason = decide([candidate("plain", measured(0.01, 0.95, 1.1, 3.8))]).reason
    assert reason.endswith("Whether it is faster could not be settled.")
    clear = decide([candidate("plain", measured(0.01, 1.5, 1.6, 3.8))]).reason
    assert "settled" not in clear


def encoder(share, metric=None, low=2.18):
    """Three wide layers of a speaker encoder: a gain as a whole, with an error above the limit."""
    task = TaskError("output", 30.0, 0.99, 3 * share, 3.0, ROWS)
    whole = measured(0.1755, low, low + 0.15, 3.84, metric=metric, tasks=(task,))
    return candidate("plain", whole, measured(0.015, 0.98, 1.01, 1.04), left=("lstm",))


def test_a_gain_that_only_misses_the_error_limit_is_left_to_a_metric_of_the_task():
    verdict = decide([encoder(share=0.17)])
    assert (verdict.decision, verdict.code) == (KEEP, "")
    assert 'As a whole "plain" is 3.84 times smaller; ' in verdict.reason
    assert "17.0% of how far the outputs of different inputs are apart" in verdict.reason
    assert "a metric= can tell" in verdict.reason
    closer = replace(encoder(0.17), name="torch.ao")
    closer = replace(closer, whole=replace(closer.whole, relative=0.1))
    for made in ([closer, encoder(0.17)], [encoder(0.17), closer]):
        assert 'The error of "torch.ao" is 17.0%' in decide(made).reason


@pytest.mark.parametrize(
    "one", [encoder(share=0.5), encoder(0.17, metric=0.9), encoder(0.17, low=0.4)]
)
def test_nobody_is_sent_to_a_metric_with_outputs_that_are_ruined_or_judged_already(one):
    assert "metric=" not in decide([one]).reason


@pytest.mark.parametrize("same", [0.95, 1.0])
def test_a_top_choice_that_changes_is_said_with_the_advice_to_ship(same):
    found = measured(0.006, 2.9, 3.0, 3.8, choices=Choices("output[0]", same, 180, 0.19))
    reason = decide([candidate("plain", found)]).reason
    assert ("In output[0] the highest score is the same in 95.00% of 180" in reason) is (same < 1)


# --- the call that makes the model --------------------------------------------


@pytest.mark.parametrize("backend", ["torch.ao", "torch.ao-per-channel", "plain"])
@pytest.mark.parametrize("partly", [False, True])
def test_the_line_of_code_makes_the_model_measured(backend, partly):
    model, x = weak()
    whole = quickly(model, x, backends=[backend]).candidates[0].whole
    limit = whole.relative * (0.9 if partly else 1.1)
    found = quickly(model, x, backends=[backend], max_relative_error=limit)
    assert bool(found.verdict.left_float) is partly
    best = found.candidates[0].best
    made = eval(found.verdict.code, {"rh": rh, "torch": torch, "model": model})
    assert rh.compare_outputs(model, made, x).relative == pytest.approx(best.relative, rel=1e-4)
    assert rh.state_dict_bytes(made) == best.size.candidate_bytes


def test_the_code_leaves_single_modules_out_of_many():
    model = nn.Sequential(*[nn.Linear(16, 16) for _ in range(12)], nn.LayerNorm(16)).eval()
    with torch.no_grad():
        model[7].weight[3] = 0
        model[7].weight[3, 5] = 1000.0
        model[8].weight[:, 3] = 0
    found = quickly(model, torch.ones(4, 16), backends=["torch.ao"], min_size_ratio=0)
    assert found.verdict.left_float
    assert "named_modules()" in found.verdict.code
    assert '"12"' not in found.verdict.code, "nobody would convert it"
    made = eval(found.verdict.code, {"rh": rh, "torch": torch, "model": model})
    kept = {name for name, part in made.named_modules() if type(part) is nn.Linear}
    assert kept == set(found.verdict.left_float)


def test_types_that_torch_ao_does_not_convert_unless_told_are_named():
    def code(*pairs, way="torch.ao"):
        made = Conversion(tuple(Converted(*pair, "Quantized") for pair in pairs), ())
        return conversion_code(way, measured(0.01, 1, 1, made=made), exact=False)

    assert code(("cell", "GRUCell"), ("out", "Linear")) == (
        'rh.quantize_dynamic(model, backend="torch.ao", '
        "modules=[torch.nn.GRUCell, torch.nn.Linear])"
    )
    assert code(("gru", "GRU"), ("out", "Linear")) == (
        'rh.quantize_dynamic(model, backend="torch.ao")'
    )
    assert code(("cell", "GRUCell"), way="plain") == 'rh.quantize_dynamic(model, backend="plain")'
    many = measured(0.01, 1, 1, made=Conversion((Converted("a", "GRU", "Int8GRU"),) * 8, ()))
    assert conversion_code("torch.ao", many, exact=True).endswith(
        f"modules={['a'] * 8})".replace("'", '"')
    )
