"""The call: its arguments, what it tries and judges, and what it says while it works."""

import sys

import pytest

import recipe_helpers as rh
from recipe_helpers.your_model.verdict import KEEP, SHIP, SHIP_PARTLY

from .made_up import quickly, weak_report
from .models import Weak, weak

X = weak()[1]


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"backends": ["onnx"]}, "backends is 'onnx'"),
        ({"backends": []}, "backends is empty"),
        ({"threads": 0}, "threads is 0"),
        ({"budget_s": 0}, "budget_s is 0"),
        ({"max_relative_error": -1}, "max_relative_error is -1"),
        ({"min_sped": 2}, "limit is 'min_sped'; pass one of 'max_relative_error', 'min_size"),
        ({"metric": 3}, "metric is 3"),
        ({"metric": lambda model: None}, "metric raised TypeError"),
        ({"modules": "encoder"}, "modules is 'encoder'"),
        ({"modules": ["nothing"]}, "modules names 'nothing'"),
        ({"modules": [3]}, "modules is "),
        ({"scores": "output[0]"}, "scores is 'output.0.'.*: output\\."),
    ],
)
def test_arguments_out_of_range_are_named(options, pattern):
    with pytest.raises(rh.ArgumentError, match=pattern):
        quickly(*weak(), **options)


def test_the_verdict_follows_the_limits():
    model, x = weak()
    found = weak_report()
    assert (found.verdict.decision, found.passed) == (SHIP, True)
    assert found.verdict.candidate in ("torch.ao-per-channel", "plain")
    partly = quickly(model, x, backends=["torch.ao"], max_relative_error=0.02)
    assert (partly.verdict.decision, partly.passed) == (SHIP_PARTLY, True)
    assert partly.verdict.left_float == ("decoder",)
    kept = quickly(model, x, backends="torch.ao", max_relative_error=0, min_size_ratio=3.99)
    assert (kept.verdict.decision, kept.verdict.code, kept.passed) == (KEEP, "", False)
    assert kept.verdict.broken == ("smaller", "nearly the same output")
    assert (kept.error_limit, kept.limits.min_size_ratio) == (0, 3.99)


def test_the_same_conversion_is_tried_once_and_all_but_one_outside_pytorch():
    model, x = weak()
    names = [one.name for one in weak_report().candidates]
    assert names == ["torch.ao", "torch.ao-per-channel", "plain"]
    twice = quickly(model, x, backends=["plain", "onnxruntime", "plain"])
    assert [one.name for one in twice.candidates] == ["plain", "onnxruntime"]
    onnx = twice.candidate("onnxruntime")
    assert (onnx.failure, onnx.partly, onnx.sensitivity) == (None, None, None)
    assert onnx.whole.close
    with pytest.raises(rh.ArgumentError, match="'plain', 'onnxruntime'"):
        twice.candidate("torch.ao")


def test_what_one_backend_refuses_is_told_and_what_all_refuse_is_an_error():
    model, x = weak()
    found = quickly(model, x, backends=["onnxruntime", "plain"], modules=["encoder"])
    assert "converts a model as a whole" in found.candidate("onnxruntime").failure
    assert found.verdict.code == 'rh.quantize_dynamic(model, backend="plain", modules=["encoder"])'
    with pytest.raises(rh.ArgumentError, match="converts a model as a whole"):
        quickly(model, x, backends=["onnxruntime"], modules=["encoder"])


class Scaled(Weak):
    def forward(self, x, times=1.0):
        return times * super().forward(x)


@pytest.mark.parametrize(
    ("given", "checked"),
    [
        ({"input_sets": [X]}, True),
        ({"kwargs": {"x": X}}, False),
        ({"input_sets": [X], "kwargs": {"times": 2.0}}, False),
    ],
)
def test_the_check_to_copy_needs_positional_inputs_alone(given, checked):
    code = quickly(Scaled().eval(), backends=["plain"], **given).next_steps[0].code
    assert ("compare_outputs(model, quantized, *(input_sets[0],))" in code) is checked
    assert ("compare_outputs" in code) is checked


def test_a_model_says_what_it_is_and_who_is_tied():
    model, x = weak()
    model.decoder.bias = model.second = model.decoder.bias  # in the model and in its decoder
    found = quickly(model, x, backends=["plain"])
    assert (found.model, found.parameters) == ("Weak", sum(p.numel() for p in model.parameters()))
    assert found.tied == (("second", "decoder.bias"),)
    apart = quickly(model, x, backends=["plain"], modules=["encoder"])
    assert apart.tied == (), "what holds it stays FP32"
    assert apart.by_name is not found.by_name is False


def test_progress_is_shown_where_somebody_looks(monkeypatch, capsys):
    model, x = weak()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    quickly(model, x, backends=["plain"])
    shown = capsys.readouterr().out
    for doing in ("run the float model", "plain: time on 1 thread", "plain: decoder alone"):
        assert doing in shown
    quickly(model, x, backends=["plain"], progress=False)
    assert capsys.readouterr().out == ""
