import dataclasses
import json

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.recipe.timing import Timing
from recipe_helpers.your_model import reference
from recipe_helpers.your_model.promises import KEEP, SHIP, SHIP_PARTLY

from .report_models import Classifier, Shared, Sleeping, Weak, made_up_latency, quickly, weak


@pytest.fixture(scope="module")
def model_and_inputs():
    return weak()


@pytest.fixture(scope="module")
def found(model_and_inputs):
    model, x = model_and_inputs
    return quickly(model, x, max_relative_error=0.02)


def relative(model, other, x):
    """The definition, once more and by hand."""
    with torch.inference_mode():
        before, after = model(x).double(), other(x).double()
    return float((after - before).abs().mean() / before.abs().mean())


def test_every_conversion_is_measured_against_the_same_float_model(found, model_and_inputs):
    model, x = model_and_inputs
    ways = {
        "torch.ao": rh.quantize_dynamic(model),
        "torch.ao-per-channel": rh.quantize_dynamic(model, weights="per-channel"),
        "plain": rh.quantize_dynamic(model, backend="plain"),
    }
    assert [candidate.name for candidate in found.candidates] == list(ways)
    for name, quantized in ways.items():
        whole = found.candidate(name).whole
        assert whole.relative == pytest.approx(relative(model, quantized, x), rel=1e-4)
        sizes = rh.state_dict_bytes(model), rh.state_dict_bytes(quantized)
        assert (whole.size.reference_bytes, whole.size.candidate_bytes) == sizes


def test_the_sensitivity_of_a_module_is_the_error_of_converting_it_alone(found, model_and_inputs):
    model, x = model_and_inputs
    measured = {m.name: m.relative for m in found.candidate("torch.ao").sensitivity.modules}
    for name in ("encoder", "bridge", "decoder"):
        alone = rh.quantize_dynamic(model, modules=[name])
        assert measured[name] == pytest.approx(relative(model, alone, x), rel=1e-4)
    assert found.candidate("torch.ao").sensitivity.worst.name == "decoder"


def test_the_culprit_is_left_fp32_and_the_rest_is_built_and_measured(found, model_and_inputs):
    model, x = model_and_inputs
    candidate = found.candidate("torch.ao")
    assert [p.name for p in candidate.whole.broken] == ["nearly the same output"]
    assert candidate.left_float == ("decoder",)
    rest = rh.quantize_dynamic(model, modules=["encoder", "bridge"])
    assert candidate.partly.relative == pytest.approx(relative(model, rest, x), rel=1e-4)
    assert candidate.partly.size.candidate_bytes == rh.state_dict_bytes(rest)
    left = {x.name: x.reason for x in candidate.partly.conversion.left_alone}
    assert left.keys() == {"decoder"}
    assert "left FP32: alone it costs" in left["decoder"]


def test_where_scales_per_row_mend_the_model_the_verdict_is_to_ship_it_whole(found):
    assert found.verdict.decision == SHIP
    assert found.verdict.candidate in ("torch.ao-per-channel", "plain")
    assert found.passed


def test_with_one_scale_per_matrix_alone_the_verdict_names_the_module_to_leave(model_and_inputs):
    model, x = model_and_inputs
    found = quickly(model, x, backends=["torch.ao"], max_relative_error=0.02)
    assert (found.verdict.decision, found.verdict.left_float) == (SHIP_PARTLY, ("decoder",))
    assert found.passed
    assert "decoder left FP32" in str(found)


@pytest.mark.parametrize("backend", ["torch.ao", "torch.ao-per-channel", "plain"])
@pytest.mark.parametrize("decision", [SHIP, SHIP_PARTLY])
def test_the_line_of_code_makes_the_model_measured(model_and_inputs, found, backend, decision):
    model, x = model_and_inputs
    limit = found.candidate(backend).whole.relative * (1.1 if decision == SHIP else 0.9)
    found = quickly(model, x, backends=[backend], max_relative_error=limit)
    assert found.verdict.decision == decision
    best = found.candidate(backend).best
    made = eval(found.verdict.code, {"rh": rh, "torch": torch, "model": model})
    assert relative(model, made, x) == pytest.approx(best.relative, rel=1e-4)
    assert rh.state_dict_bytes(made) == best.size.candidate_bytes


def test_the_code_leaves_single_modules_out_of_many():
    model = nn.Sequential(*[nn.Linear(16, 16) for _ in range(12)]).eval()
    with torch.no_grad():
        model[7].weight[3] = 0
        model[7].weight[3, 5] = 1000.0
        model[8].weight[:, 3] = 0
    x = torch.ones(4, 16)
    found = quickly(model, x, backends=["torch.ao"], min_size_ratio=0, max_relative_error=0.05)
    assert found.verdict.decision == SHIP_PARTLY
    assert "named_modules()" in found.verdict.code
    made = eval(found.verdict.code, {"rh": rh, "torch": torch, "model": model})
    kept = {name for name, part in made.named_modules() if type(part) is nn.Linear}
    assert kept == set(found.verdict.left_float)


def test_gru_models_are_told_to_name_their_types():
    model, x = Classifier().eval(), torch.randn(4, 9, 8)
    found = quickly(model, x, backends=["torch.ao"])
    made = eval(found.verdict.code, {"rh": rh, "torch": torch, "model": model})
    assert relative(model, made, x) == pytest.approx(found.candidates[0].whole.relative, rel=1e-4)


def test_no_conversion_in_the_limits_keeps_fp32_and_says_what_broke(model_and_inputs):
    model, x = model_and_inputs
    found = quickly(model, x, backends=["torch.ao"], max_relative_error=1e-9, min_size_ratio=3.99)
    assert (found.verdict.decision, found.verdict.code) == (KEEP, "")
    assert not found.passed
    assert found.verdict.broken == ("smaller", "nearly the same output")
    assert "decoder" in str(found.verdict)


QUICK = {"backends": ["torch.ao"], "threads": 1, "budget_s": 0.02, "memory": False}


def test_a_model_that_gets_slower_breaks_the_promise_of_speed_alone():
    model, x = Sleeping(when_float=False).eval(), torch.randn(1, 64)
    found = rh.report(
        model, x, backends=["torch.ao"], threads=1, budget_s=0.02, min_size_ratio=0, memory=False
    )
    assert found.verdict.broken == ("faster",)
    assert found.verdict.decision == KEEP


def test_a_model_that_gets_faster_keeps_it():
    model, x = Sleeping(when_float=True).eval(), torch.randn(1, 64)
    found = rh.report(
        model, x, backends=["torch.ao"], threads=1, budget_s=0.02, min_size_ratio=0, memory=False
    )
    states = {promise.name: promise.state for promise in found.candidates[0].whole.promises}
    assert states["faster"] == "kept"
    assert found.verdict.decision == SHIP


def test_the_right_models_are_timed_on_the_callers_threads_and_on_one(model_and_inputs):
    timed = []

    def watch(reference, candidate, *inputs, **options):
        timed.append((type(reference.decoder), type(candidate.decoder), options["threads"]))
        return made_up_latency(reference, candidate, *inputs, **options)

    model, x = model_and_inputs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "compare_latency", watch)
        rh.report(model, x, backends=["plain"], threads=2, min_speedup=0, memory=False)
    assert timed == [(nn.Linear, rh.Int8Linear, 2), (nn.Linear, rh.Int8Linear, 1)]


@pytest.mark.parametrize(("slowdown", "told"), [(1.0, 0), (1.49, 0), (1.51, 1), (4.0, 1)])
def test_threads_that_wait_for_each_other_are_pointed_out(model_and_inputs, slowdown, told):
    def waiting(*models, threads, **options):
        found = made_up_latency(*models, threads=threads, **options)
        times = Timing((100.0 * (slowdown if threads > 1 else 1),) * 8)
        return dataclasses.replace(found, reference=times)

    model, x = model_and_inputs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "compare_latency", waiting)
        found = rh.report(model, x, threads=2, min_speedup=0, memory=False)
    said = f"{slowdown:.1f} times slower on 2 threads"
    assert sum(said in note for note in found.notes) == told


def test_a_time_that_is_left_open_is_taken_again_for_longer(model_and_inputs):
    budgets = []

    def watch(*models, budget_s, **options):
        budgets.append(budget_s)
        return made_up_latency(*models, **options)

    model, x = model_and_inputs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "compare_latency", watch)
        found = rh.report(model, x, backends=["plain"], threads=1, budget_s=0.1, memory=False)
    assert budgets == pytest.approx([0.1, 0.4])
    assert "could not be settled" in str(found.verdict)


def test_outputs_are_compared_on_every_input_set():
    model, x = weak()
    sets = [(x,), (1000 * x,), {"x": x[:3]}]
    found = quickly(model, input_sets=sets, backends=["plain"])
    whole = found.candidates[0].whole
    made = rh.quantize_dynamic(model, backend="plain")
    errors = [relative(model, made, one) for one in (x, 1000 * x, x[:3])]
    assert [o.relative for o in whole.outputs] == pytest.approx(errors, rel=1e-4)
    assert whole.relative == pytest.approx(max(errors), rel=1e-4)
    assert whole.place.endswith(f"input set {1 + errors.index(max(errors))}")
    assert any("3 sets" in note for note in found.notes)


def test_the_metric_decides_where_there_is_one(model_and_inputs):
    model, x = model_and_inputs
    with torch.inference_mode():
        truth = model(x)

    def likeness(other):
        return 2.0 if torch.allclose(other(x), truth, rtol=0.05, atol=0.05) else 1.0

    found = quickly(model, x, backends=["torch.ao"], metric=likeness)
    candidate = found.candidates[0]
    assert (found.reference_metric, candidate.whole.metric) == (2.0, 1.0)
    assert [p.limit for p in candidate.whole.promises if p.name.startswith("nearly")] == [0.01]
    assert found.verdict.decision == SHIP_PARTLY
    assert candidate.partly.metric == 2.0

    constant = quickly(model, x, backends=["torch.ao"], metric=lambda other: 1.0)
    assert constant.verdict.decision == SHIP  # whatever the outputs are
    both = quickly(
        model, x, backends=["torch.ao"], metric=lambda other: 1.0, max_relative_error=1e-9
    )
    assert both.verdict.decision == KEEP


@pytest.mark.parametrize("metric", [lambda m: "much", lambda m: float("nan"), lambda m: m.nothing])
def test_a_metric_that_fails_is_named(model_and_inputs, metric):
    model, x = model_and_inputs
    with pytest.raises(rh.ArgumentError, match="metric"):
        quickly(model, x, backends=["torch.ao"], metric=metric)


def test_chosen_modules_only(model_and_inputs):
    model, x = model_and_inputs
    found = quickly(model, x, modules=["encoder"], min_size_ratio=0)
    for candidate in found.candidates:
        assert [c.name for c in candidate.whole.conversion.converted] == ["encoder"]
    assert found.verdict.code.endswith('modules=["encoder"])')


def test_shared_modules_are_measured_once_and_their_fate_is_told():
    model, x = Shared().eval(), torch.randn(2, 64)
    found = quickly(model, x, backends=["torch.ao"], min_size_ratio=0)
    assert len(found.candidates[0].sensitivity.modules) == 2
    left = found.candidates[0].whole.conversion.left_alone
    assert [(entry.name, "only a was converted" in entry.reason) for entry in left] == [("b", True)]


def test_json_holds_the_numbers_and_no_nan(found):
    data = json.loads(found.to_json(), parse_constant=pytest.fail)
    assert data["verdict"]["decision"] == found.verdict.decision
    assert data["version"] == 1
    for entry, candidate in zip(data["candidates"], found.candidates, strict=True):
        assert entry["whole"]["relative"] == candidate.whole.relative
        assert entry["whole"]["size"]["ratio"] == candidate.whole.size.ratio
        speedup = candidate.whole.latencies[0].speedup
        assert entry["whole"]["latencies"][0]["speedup"]["median"] == speedup.median
        assert len(entry["sensitivity"]["modules"]) == 3


def test_an_exact_output_is_null_in_json_where_its_sqnr_is_infinite():
    class Constant(Weak):
        def forward(self, x):
            return super().forward(x), torch.ones(3)

    model, x = Constant().eval(), weak()[1]
    data = json.loads(quickly(model, x, backends=["plain"]).to_json())
    tensors = data["candidates"][0]["whole"]["outputs"][0]
    assert (tensors[1]["relative"], tensors[1]["sqnr_db"]) == (0.0, None)


def test_text_leads_with_the_verdict_and_shows_the_chosen_conversion(found):
    text = str(found)
    assert text.startswith("Ship INT8.")
    assert found.verdict.code in text
    for word in ("encoder", "95 % interval", "SQNR", "converted alone", "container"):
        assert word in text


def test_bytes_by_module_add_up(found, model_and_inputs):
    model, _ = model_and_inputs
    sizes = found.candidate("torch.ao").partly.modules
    assert sum(m.float_bytes for m in sizes.modules) == rh.size_breakdown(model).payload_bytes
    after = {m.name: m.int8_bytes for m in sizes.modules}
    total = found.candidate("torch.ao").partly.size.candidate.payload_bytes
    assert sum(after.values()) == total
    assert after["decoder"] == 4 * (32 * 10 + 10)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"backends": ["onnx"]}, "backends"),
        ({"backends": []}, "backends"),
        ({"threads": 0}, "threads"),
        ({"budget_s": 0}, "budget_s"),
        ({"max_relative_error": -1}, "max_relative_error"),
        ({"min_size_ratio": float("nan")}, "min_size_ratio"),
        ({"min_speedup": "2"}, "min_speedup"),
        ({"metric": 3}, "metric"),
        ({"modules": "encoder"}, "modules"),
        ({"modules": ["nothing"]}, "modules"),
        ({"modules": [3]}, "modules"),
        ({"kwargs": [1]}, "kwargs"),
    ],
)
def test_arguments_out_of_range_are_named(model_and_inputs, options, name):
    model, x = model_and_inputs
    with pytest.raises(rh.ArgumentError, match=name):
        rh.report(model, x, **options, memory=False)


class Second(nn.Module):
    """Its first output is a plain copy; its second comes out of the weak decoder."""

    def __init__(self):
        super().__init__()
        self.weak = weak()[0]

    def forward(self, x):
        return x, {"scores": self.weak(x)}


def test_every_output_tensor_is_judged_and_not_the_first_alone():
    _, x = weak()
    found = quickly(Second().eval(), x, backends=["torch.ao"], max_relative_error=0.02)
    whole = found.candidate("torch.ao").whole
    first, second = whole.outputs[0].tensors
    assert first.relative == 0
    assert whole.relative == second.relative > 0.02
    assert second.name in whole.place
    assert [promise.name for promise in whole.broken] == ["nearly the same output"]
