"""The code that a report ends with does what it says, when it is copied."""

import shlex

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.your_model import command_line
from recipe_helpers.your_model.promises import KEEP

from .report_models import quickly


@pytest.fixture
def model_and_inputs():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 64)).eval(), (torch.linspace(-1, 1, 128).view(2, 64),)


@pytest.mark.parametrize("way", ["plain", "torch.ao"])
def test_the_recommended_model_is_made_checked_and_saved(
    way, model_and_inputs, tmp_path, monkeypatch
):
    model, inputs = model_and_inputs
    monkeypatch.chdir(tmp_path)
    found = quickly(model, *inputs, backends=[way])
    made, watched = found.next_steps
    names = {"rh": rh, "torch": torch, "model": model, "inputs": inputs}
    exec(made.code, names)
    assert type(names["quantized"][0]) is not nn.Linear
    assert type(model[0]) is nn.Linear
    if way == "plain":
        with torch.inference_mode():
            again = names["loaded"](*inputs)
        assert torch.equal(again, names["quantized"](*inputs))
    else:
        state = torch.load("model.pt", weights_only=True)
        assert torch.equal(state["0.weight"], model[0].weight)
    for step in (made, watched):
        assert step.code in str(found)
        assert step.title in found.to_html()
    assert [step["code"] for step in found.to_dict()["next_steps"]] == [made.code, watched.code]


def test_the_check_that_is_copied_can_fail(model_and_inputs):
    model, inputs = model_and_inputs
    code = quickly(model, *inputs, backends=["plain"]).next_steps[0].code
    code = code.partition("rh.save_int8")[0].replace("<= 0.05", "<= 1e-9")
    with pytest.raises(AssertionError):
        exec(code, {"rh": rh, "model": model, "inputs": inputs})


def test_the_command_that_is_copied_is_one_that_the_command_line_takes(model_and_inputs):
    model, inputs = model_and_inputs
    limits = {"max_relative_error": 0.02, "min_size_ratio": 2, "max_metric_drop": 0.03}
    watched = quickly(model, *inputs, backends=["plain"], **limits).next_steps[-1]
    words = shlex.split(watched.code)
    assert words[:3] == ["python", "-m", "recipe_helpers"]
    options = command_line._parser().parse_args(words[3:])
    assert options.backend == ["plain"]
    assert {name: getattr(options, name) for name in limits} == limits
    assert options.min_speedup == 0


def test_where_fp32_is_kept_nothing_is_made_but_the_watch_goes_on(model_and_inputs):
    model, inputs = model_and_inputs
    found = quickly(model, *inputs, backends=["plain"], max_relative_error=1e-9)
    assert found.verdict.decision == KEEP
    (watched,) = found.next_steps
    assert "--backend" not in watched.code
