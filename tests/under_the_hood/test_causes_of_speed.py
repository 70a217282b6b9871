"""The causes of the gain: the right models are timed, and the ratios are the right way up."""

import copy
import math
from itertools import pairwise

import pytest
import torch
from torch import nn

import int8_rnn
import recipe_helpers as rh
from recipe_helpers.common import settings
from recipe_helpers.recipe.timing import Timing
from recipe_helpers.under_the_hood import causes_of_speed

pytest.importorskip("numba", reason="the compiled kernel needs numba")


def point(dimension, *times_us):
    """A point of constant times: torch FP32, native, torch.ao, kernel FP32, bytes, integers."""
    return causes_of_speed.GainPoint(dimension, *(Timing((time,) * 9) for time in times_us))


SMALL, LARGE = point(8, 60, 90, 120, 10, 8, 4), point(512, 600, 400, 150, 200, 50, 40)
FIELDS = ("torch_fp32", "torch_fp32_native", "torch_ao", "fused_fp32", "fused_bytes", "int8")


def test_the_factors_are_the_ratios_that_their_names_say_and_multiply_up_to_the_whole():
    assert [ratio.median for ratio in SMALL.factors.values()] == [1, 6, 1.25, 2]
    assert [ratio.median for ratio in LARGE.factors.values()] == [1.5, 2, 4, 1.25]
    assert list(LARGE.factors) == ["no rearranging", "fusion", "fewer bytes", "integers"]
    assert (SMALL.over_fp32.median, SMALL.over_torch_ao.median) == (15, 30)
    for at in (SMALL, LARGE):
        product = math.prod(ratio.median for ratio in at.factors.values())
        assert product == pytest.approx(at.over_fp32.median)


def test_the_table_and_the_sentence_say_what_was_found():
    found = causes_of_speed.Gains((SMALL, LARGE), 2)
    assert found.table().rows == [
        ("8", "1.00", "6.00", "1.25", "2.00", "15.00", "30.00"),
        ("512", "1.50", "2.00", "4.00", "1.25", "15.00", "3.75"),
    ]
    assert found.table().caption.endswith("batch 1, 2 threads")
    assert found.sentence == "The largest factor: fusion at width 8; fewer bytes at width 512."


def test_each_time_is_that_of_the_model_that_its_name_says(monkeypatch):
    results, onednn = [], []

    def record(calls, budget_s):
        assert torch.is_inference_mode_enabled()
        lstm = calls[0].func
        original = type(lstm).forward

        def watched(self, *inputs):
            onednn.append(torch._C._get_mkldnn_enabled())
            return original(self, *inputs)

        monkeypatch.setattr(type(lstm), "forward", watched)
        results.extend(call()[0].clone() for call in calls)
        return tuple(Timing((float(1 + i),) * 7) for i in range(len(calls)))

    monkeypatch.setattr(causes_of_speed, "interleave", record)
    found = rh.compare_gains([48], threads=1).points[0]
    assert [getattr(found, field).median_us for field in FIELDS] == [1, 2, 3, 4, 5, 6]
    assert onednn[0] != onednn[1] or not torch.backends.mkldnn.is_available()
    assert not onednn[1]
    assert torch._C._get_mkldnn_enabled() == onednn[0]
    demo = rh.demonstration(width=48)
    rounded = copy.deepcopy(demo.model.lstm)
    scheme = int8_rnn.Scheme(columns=False, residual=False)
    bytes_ = int8_rnn.Int8LSTM.from_float(demo.model.lstm, scheme=scheme).state_dict()
    for name in ("weight_ih_l0", "weight_hh_l0"):
        values = bytes_[name].float() * bytes_[f"{name}_scale"][:, None]
        getattr(rounded, name).data = values
    int8 = int8_rnn.Int8LSTM.from_float(demo.model.lstm)
    models = (demo.model, rh.quantize_dynamic(demo.model), rounded, int8)
    with torch.inference_mode():
        exact, torch_ao, rounded, int8 = (model(*demo.arguments)[0] for model in models)
    expected = [exact, exact, torch_ao, exact, rounded, int8]
    assert all(map(lambda a, b: torch.allclose(a, b, atol=2e-6), results, expected))
    # The four are told apart by this tolerance.
    different = pairwise((exact, torch_ao, rounded, int8))
    assert all(not torch.allclose(a, b, atol=2e-6) for a, b in different)


def test_nothing_global_is_changed(untouched):
    before = torch._C._get_mkldnn_enabled()
    with untouched():
        found = rh.compare_gains([4, 8], sequence_length=3, threads=2, budget_s=0.01)
    assert (found.widths, found.threads) == ((4, 8), 2)
    assert torch._C._get_mkldnn_enabled() == before


@pytest.mark.parametrize(
    "arguments",
    [{"widths": [8, 8]}, {"sequence_length": 0}, {"threads": 0}, {"budget_s": 0.001}],
)
def test_bad_arguments_are_named(refuses, arguments):
    with refuses(rh.ArgumentError, next(iter(arguments))):
        rh.compare_gains(**arguments)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_the_fused_lstm_computes_what_pytorchs_does(weights, bias):
    """Several layers, both directions, with and without biases, batches; and with states."""
    with settings.seeded(0):
        lstm = nn.LSTM(20, 24, 2, bidirectional=True, bias=bias).eval()
        x, states = torch.randn(7, 3, 20), (torch.randn(4, 3, 24), torch.randn(4, 3, 24))
    fused = rh.FusedFloatLSTM.from_float(lstm, weights=weights)
    with torch.inference_mode():
        for given in ((x,), (x, states)):
            found, wanted = fused(*given), lstm(*given)
            for one, other in zip((found[0], *found[1]), (wanted[0], *wanted[1]), strict=True):
                assert torch.allclose(one, other, atol=2e-6 if weights == "float32" else 5e-3)
                assert (one - other).abs().max() > 1e-5 or weights == "float32"


def test_what_the_fused_lstm_refuses(refuses, monkeypatch):
    lstm = nn.LSTM(2, 3).eval()
    with refuses(rh.ArgumentError, "weights is 'int4'"):
        rh.FusedFloatLSTM.from_float(lstm, weights="int4")
    for wrong in (torch.ones(4, 1, 5), torch.empty(4, 0, 2)):
        with refuses(rh.InputError, "input is a float32 tensor", "shape"):
            rh.FusedFloatLSTM.from_float(lstm)(wrong)
    none = int8_rnn.FastPath(False, "no numba", 0.0)
    monkeypatch.setattr(causes_of_speed, "fast_path", lambda: none)
    with pytest.raises(rh.EngineError, match="no kernel: no numba"):
        rh.FusedFloatLSTM.from_float(lstm)
