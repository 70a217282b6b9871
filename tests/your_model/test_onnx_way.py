"""The report with ONNX Runtime as a candidate: measured beside the others, in the same terms."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.your_model.advice import decide
from recipe_helpers.your_model.command_line import main
from recipe_helpers.your_model.next_steps import next_steps
from recipe_helpers.your_model.promises import KEEP, SHIP, Limits

from .made_up import candidate, measured
from .report_models import quickly


class Mixed(nn.Module):
    """An LSTM, which ONNX Runtime quantizes, and a GRU, which it does not."""

    def __init__(self):
        super().__init__()
        self.lstm, self.gru, self.linear = nn.LSTM(24, 48), nn.GRU(48, 16), nn.Linear(16, 9)

    def forward(self, x):
        return self.linear(self.gru(self.lstm(x)[0])[0])


@pytest.fixture(scope="module")
def found():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        sets = [(torch.randn(n, 2, 24),) for n in (9, 6)]
        ways = {"backends": ["onnxruntime", "plain"], "min_size_ratio": 0, "memory": True}
        return quickly(Mixed().eval(), input_sets=sets, **ways)


def test_it_is_measured_like_the_others(found):
    onnx = found.candidate("onnxruntime")
    whole = onnx.whole
    assert (onnx.failure, onnx.partly, onnx.left_float, onnx.sensitivity) == (None, None, (), None)
    after = {one.after for one in whole.conversion.converted}
    assert after == {"DynamicQuantizeLSTM", "MatMulInteger"}
    (left,) = whole.conversion.left_alone
    assert left.kind == "GRU"
    (gru,) = (one for one in whole.modules.modules if one.kind == "GRU")
    assert gru.float_bytes == gru.int8_bytes == 4 * sum(p.numel() for p in Mixed().gru.parameters())
    assert "no dynamic quantization" in left.reason
    assert whole.size.reference_bytes == found.candidate("plain").whole.size.reference_bytes
    assert 1.2 < whole.size.ratio < 4
    assert len(whole.outputs) == 2
    assert 0 < whole.relative < 0.05
    assert whole.memory.candidate.loaded_bytes > 0
    assert any("traced graph" in note for note in found.notes)


def test_every_form_shows_it(found):
    for text in (str(found), found.to_html()):
        assert "DynamicQuantizeLSTM" in text or "onnxruntime" in text
    data = json.loads(found.to_json())["candidates"][0]
    assert data["name"] == "onnxruntime"
    assert data["sensitivity"] is None
    assert data["whole"]["size"]["candidate_bytes"] > 0


def test_it_is_tried_only_where_it_is_asked_for():
    model, x = Mixed().eval(), torch.randn(5, 1, 24)
    names = [one.name for one in quickly(model, x, min_size_ratio=0).candidates]
    assert names == ["torch.ao", "torch.ao-per-channel", "plain"]


def test_the_faster_runtime_is_recommended_with_code_that_runs(tmp_path, monkeypatch):
    ours = candidate("plain", measured(0.003, 1.1, 1.2))
    theirs = candidate("onnxruntime", measured(0.01, 2.0, 2.4))
    verdict = decide([ours, theirs], nn.Module())
    assert (verdict.decision, verdict.candidate) == (SHIP, "onnxruntime")
    step = next_steps(verdict, Limits(), 0.05)[0]
    monkeypatch.chdir(tmp_path)
    import onnxruntime

    inputs = (torch.randn(5, 1, 24),)
    scope = {"rh": rh, "model": Mixed().eval(), "inputs": inputs, "onnxruntime": onnxruntime}
    exec(step.code, scope)
    assert isinstance(scope["quantized"], rh.OnnxModel)
    assert scope["session"].run(None, {"input_0": inputs[0].numpy()})[0].shape == (5, 1, 9)


def test_an_error_without_a_sensitivity_is_explained():
    bad = replace(candidate("onnxruntime", measured(0.9, 2.0, 2.4)), sensitivity=None)
    verdict = decide([bad], nn.Module())
    assert verdict.decision == KEEP


def test_what_it_cannot_do_is_said():
    x = torch.randn(5, 1, 24)
    found = quickly(
        Mixed().eval(), x, backends=["onnxruntime", "plain"], modules=["lstm"], min_size_ratio=0
    )
    assert "converts a model as a whole" in found.candidate("onnxruntime").failure
    gru = nn.Sequential(nn.GRU(24, 8)).eval()
    with pytest.raises(rh.NothingQuantizedError, match="no product that ONNX Runtime quantizes"):
        quickly(gru, x, backends=["onnxruntime"], min_size_ratio=0)


def test_the_command_line_takes_it(capsys):
    options = ["--threads", "1", "--budget", "0.02", "--no-memory", "--min-speedup", "0"]
    assert main(["recipe", "--backend", "onnxruntime", "--width", "64", *options]) == 0
    assert "DynamicQuantizeLSTM" in capsys.readouterr().out
