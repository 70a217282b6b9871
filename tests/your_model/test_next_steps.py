"""The code that a report ends with does what it says, when it is copied."""

import shlex

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.your_model.command_line import limits_of, parser
from recipe_helpers.your_model.preparation import as_input_sets
from recipe_helpers.your_model.promises import Limits
from recipe_helpers.your_model.verdict import conversion_code, make_step, watch_step

from .made_up import Classifier, measured, quickly, sets, weak


@pytest.fixture
def model_and_inputs():
    return nn.Sequential(nn.Linear(64, 64)).eval(), (torch.linspace(-1, 1, 128).view(2, 64),)


# --- the call that makes the model ----------------------------------------------------------------


@pytest.mark.parametrize("backend", ["torch.ao", "torch.ao-per-channel", "plain"])
@pytest.mark.parametrize("partly", [False, True])
def test_the_line_of_code_makes_the_model_measured(backend, partly):
    model, x = weak()
    limit = {
        "max_relative_error": quickly(model, x, backends=[backend]).candidates[0].whole.relative
    }
    limit["max_relative_error"] *= 0.9 if partly else 1.1
    found = quickly(model, x, backends=[backend], **limit)
    assert bool(found.verdict.left_float) is partly
    best = found.candidates[0].best
    made = eval(found.verdict.code, {"rh": rh, "torch": torch, "model": model})
    assert rh.compare_outputs(model, made, x).relative == pytest.approx(best.relative, rel=1e-4)
    assert rh.state_dict_bytes(made) == best.size.candidate_bytes


def test_the_code_leaves_single_modules_out_of_many():
    model = nn.Sequential(*[nn.Linear(16, 16) for _ in range(12)]).eval()
    with torch.no_grad():
        model[7].weight[3] = 0
        model[7].weight[3, 5] = 1000.0
        model[8].weight[:, 3] = 0
    found = quickly(model, torch.ones(4, 16), backends=["torch.ao"], min_size_ratio=0)
    assert found.verdict.left_float
    assert "named_modules()" in found.verdict.code
    made = eval(found.verdict.code, {"rh": rh, "torch": torch, "model": model})
    kept = {name for name, part in made.named_modules() if type(part) is nn.Linear}
    assert kept == set(found.verdict.left_float)


def test_types_that_torch_ao_does_not_convert_unless_told_are_named():
    cells = nn.ModuleDict({"cell": nn.GRUCell(4, 4), "out": nn.Linear(4, 4)})
    found = measured(0.01, 1, 1, names=("cell", "out"))
    code = conversion_code("torch.ao", found, cells, sets(1), exact=False)
    assert code == (
        'rh.quantize_dynamic(model, backend="torch.ao", '
        "modules=[torch.nn.GRUCell, torch.nn.Linear])"
    )
    found = measured(0.01, 1, 1, names=("gru", "out"))
    code = conversion_code("torch.ao", found, Classifier(), sets(1), exact=False)
    assert code == 'rh.quantize_dynamic(model, backend="torch.ao")'


# --- ONNX -----------------------------------------------------------------------------------------


class Scaled(nn.Module):
    """Takes what it is called with as positions or as keywords."""

    def __init__(self):
        super().__init__()
        self.lstm, self.linear = nn.LSTM(8, 16), nn.Linear(16, 4)

    def forward(self, x, shift=None):
        y = self.linear(self.lstm(x)[0])
        return y if shift is None else y + shift


def steps(length, batch=1):
    return torch.linspace(-1, 1, length * batch * 8).view(length, batch, 8)


X, SHIFT = steps(5), torch.ones(4)
# what the caller gives to the report -> inputs of other sizes that its graph then takes
ONNX_CALLS = {
    "positions": ({"inputs": (X,)}, []),
    "both": ({"inputs": (X,), "kwargs": {"shift": SHIFT}}, []),
    "keywords": ({"kwargs": {"x": X, "shift": SHIFT}}, []),
    "tensors": ({"input_sets": [X, steps(7)]}, [((steps(9),), {})]),
    "tuples": ({"input_sets": [(X, SHIFT), (steps(7), SHIFT)]}, [((steps(9), SHIFT), {})]),
    "dicts": ({"input_sets": [{"x": X}, {"x": steps(7)}]}, [((), {"x": steps(9)})]),
    "keywords of all": (
        {"kwargs": {"shift": SHIFT}, "input_sets": [{"x": X}, {"x": steps(7)}]},
        [((), {"x": steps(9), "shift": SHIFT})],
    ),
    "tuples with keywords": (
        {"kwargs": {"shift": SHIFT}, "input_sets": [(X,), (steps(5, 3),), (steps(7),)]},
        [((steps(9, 2),), {"shift": SHIFT})],
    ),
}


@pytest.mark.parametrize("case", ONNX_CALLS)
def test_the_line_for_onnx_takes_what_the_report_has_measured(case):
    given, others = ONNX_CALLS[case]
    model = Scaled().eval()
    inputs = as_input_sets(given.get("inputs", ()), given.get("kwargs"), given.get("input_sets"))
    code = conversion_code("onnxruntime", None, model, inputs, exact=False)
    made = eval(code, {"rh": rh, "model": model, **given})
    for args, kwargs in [*((one.args, one.kwargs) for one in inputs), *others]:
        expected = model(*args, **kwargs).detach()
        assert torch.allclose(made(*args, **kwargs), expected, atol=0.05)


def test_only_sets_that_free_a_size_are_exported_with():
    inputs = as_input_sets((), None, [X, 2 * X, steps(6), steps(7), steps(7, 2)])
    code = conversion_code("onnxruntime", None, Scaled(), inputs, exact=False)
    assert code == (
        "rh.quantize_onnx(model, *(input_sets[0],), "
        "others=[((input_sets[2],), {}), ((input_sets[4],), {})])"
    )


# --- make, check, save ----------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["plain", "torch.ao", "onnxruntime"])
def test_the_recommended_model_is_made_checked_and_saved(
    way, model_and_inputs, tmp_path, monkeypatch
):
    import onnxruntime

    model, inputs = model_and_inputs
    monkeypatch.chdir(tmp_path)
    found = quickly(model, *inputs, backends=[way])
    made, watched = found.next_steps
    names = {"rh": rh, "torch": torch, "model": model, "inputs": inputs}
    exec(made.code, {**names, "onnxruntime": onnxruntime}, names)
    assert type(model[0]) is nn.Linear
    assert 0 < rh.compare_outputs(model, names["quantized"], *inputs).relative < 0.05
    if way == "plain":
        with torch.inference_mode():
            assert torch.equal(names["loaded"](*inputs), names["quantized"](*inputs))
    elif way == "torch.ao":
        state = torch.load("model.pt", weights_only=True)
        assert torch.equal(state["0.weight"], model[0].weight)
    else:
        (again,) = names["session"].run(None, {"input_0": inputs[0].numpy()})
        assert torch.equal(torch.from_numpy(again), names["quantized"](*inputs))
    for step in (made, watched):
        assert step.code in str(found)
        assert step.title in found.to_html()
    assert [step["code"] for step in found.to_dict()["next_steps"]] == [made.code, watched.code]


@pytest.mark.parametrize(
    ("call", "limit", "check"),
    [
        (sets(1)[0], 0.005, "quantized, *inputs)\nassert max("), (sets(1)[0], 0.005, " <= 0.005\n"),
        (as_input_sets((), None, [X])[0], 0.05, "*(input_sets[0],))\nassert"),
        (as_input_sets((), None, [(X,)])[0], 0.05, "*input_sets[0])\nassert"),
        (sets(x=1)[0], 0.05, ""),  # with keywords it is left out
        (sets(1)[0], None, ""),  # and where a metric decides
    ],
)  # fmt: skip
def test_the_check_has_the_callers_inputs_and_the_limit(call, limit, check):
    code = make_step("plain", "made()", call, limit).code
    assert ("compare_outputs" in code) is bool(check)
    assert check in code


def test_the_check_that_is_copied_can_fail(model_and_inputs):
    model, inputs = model_and_inputs
    code = make_step("plain", 'rh.quantize_dynamic(model, backend="plain")', sets(1)[0], 1e-9).code
    with pytest.raises(AssertionError):
        exec(code.partition("rh.save")[0], {"rh": rh, "model": model, "inputs": inputs})


# --- continuous integration -----------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["onnxruntime", None])
@pytest.mark.parametrize("metric", [0.9, None])
def test_the_command_that_is_copied_judges_by_the_same_limits(backend, metric):
    limits = Limits(0.005, 2, 0, 0.03, 1.25, 1.005)
    code = watch_step(backend, limits, metric).code
    words = shlex.split(code, comments=True)
    assert words[:3] == ["python", "-m", "recipe_helpers"]
    options = parser().parse_args(words[3:])
    assert options.backend == (backend and [backend])
    assert Limits(**limits_of(options)) == limits
    assert ("returns three things" in code) is (metric is not None)


def test_where_fp32_is_kept_nothing_is_made_but_the_watch_goes_on(model_and_inputs):
    model, inputs = model_and_inputs
    found = quickly(model, *inputs, backends=["plain"], max_relative_error=1e-9)
    (watched,) = found.next_steps
    assert "--backend" not in watched.code
    assert watched.code.endswith("--max-relative-error 1e-09 --min-speedup 0")
