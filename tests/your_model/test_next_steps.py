"""The code to copy: it makes, checks and saves the model, and watches it by the same limits."""

import contextlib
import shlex
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.your_model.command_line import limits_of, parser
from recipe_helpers.your_model.promises import Limits
from recipe_helpers.your_model.verdict import make_step, watch_step

from .made_up import quickly
from .models import linear


@pytest.mark.parametrize("way", ["plain", "torch.ao", "onnxruntime"])
def test_the_recommended_model_is_made_checked_and_saved(way, tmp_path, monkeypatch):
    import onnxruntime

    model, x = linear()
    inputs = (x,)
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


@pytest.mark.parametrize("errors", [(0.1, 0.3), (0.3, 0.1)])
@pytest.mark.parametrize(
    ("inputs", "limit", "wrong"),
    [
        ("inputs", 0.3, False),
        ("inputs", 0.2, True),
        ("(input_sets[0],)", 0.2, True),
        ("", 0.2, None),
        ("inputs", None, None),
    ],
)
def test_every_output_is_checked_with_the_callers_inputs_where_a_limit_is_given(
    errors, inputs, limit, wrong
):
    def compare_outputs(*given):
        assert given == ("float", "int8", "mine")
        return SimpleNamespace(tensors=[SimpleNamespace(relative=error) for error in errors])

    code = make_step("torch.ao", "'int8'", inputs, limit).code.partition("#")[0]
    assert ("assert" in code) is (wrong is not None)
    names = {"rh": SimpleNamespace(compare_outputs=compare_outputs), "model": "float"}
    with pytest.raises(AssertionError) if wrong else contextlib.nullcontext():
        exec(code, {**names, "inputs": ("mine",), "input_sets": ["mine"]})


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


def test_where_fp32_is_kept_nothing_is_made_but_the_watch_goes_on():
    found = quickly(*linear(), backends=["plain"], max_relative_error=1e-9)
    (watched,) = found.next_steps
    assert "--backend" not in watched.code
    assert watched.code.endswith("--max-relative-error 1e-09 --min-speedup 0")
