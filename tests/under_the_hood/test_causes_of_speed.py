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
    found = causes_of_speed.Gains((SMALL, LARGE), 2)
    assert found.table().rows == [
        ("8", "1.00", "6.00", "1.25", "2.00", "15.00", "30.00"),
        ("512", "1.50", "2.00", "4.00", "1.25", "15.00", "3.75"),
    ]
    assert found.table().caption.endswith("batch 1, 2 threads")
    assert found.sentence == "The largest factor: fusion at width 8; fewer bytes at width 512."
    assert list(LARGE.factors) == ["no rearranging", "fusion", "fewer bytes", "integers"]
    for at in found.points:
        product = math.prod(ratio.median for ratio in at.factors.values())
        assert product == pytest.approx(at.over_fp32.median)


def test_each_time_is_that_of_the_model_that_its_name_says(monkeypatch):
    results, onednn = [], []

    def record(calls, budget_s):
        assert (torch.is_inference_mode_enabled(), torch.get_num_threads(), budget_s) == (
            True,
            2,
            9,
        )
        lstm = calls[0].func
        original = type(lstm).forward

        def watched(self, *inputs):
            onednn.append(torch._C._get_mkldnn_enabled())
            return original(self, *inputs)

        with settings.threads_set(1), pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(lstm), "forward", watched)
            results.extend(call()[0].clone() for call in calls)
        return tuple(Timing((float(1 + i),) * 7) for i in range(len(calls)))

    monkeypatch.setattr(causes_of_speed, "interleave", record)
    gains = rh.compare_gains([48], sequence_length=7, threads=2, budget_s=9)
    found = gains.points[0]
    assert (gains.widths, gains.threads) == ((48,), 2)
    assert [getattr(found, field).median_us for field in FIELDS] == [1, 2, 3, 4, 5, 6]
    assert onednn[:2] == [torch._C._get_mkldnn_enabled(), False]
    demo = rh.demonstration(width=48, sequence_length=7)
    rounded = copy.deepcopy(demo.model.lstm)
    scheme = int8_rnn.Scheme(columns=False, residual=False)
    bytes_ = int8_rnn.Int8LSTM.from_float(demo.model.lstm, scheme=scheme).state_dict()
    for name in ("weight_ih_l0", "weight_hh_l0"):
        getattr(rounded, name).data = bytes_[name].float() * bytes_[f"{name}_scale"][:, None]
    int8 = int8_rnn.Int8LSTM.from_float(demo.model.lstm)
    models = (demo.model, rh.quantize_dynamic(demo.model), rounded, int8)
    with torch.inference_mode():
        exact, torch_ao, rounded, int8 = (model(*demo.arguments)[0] for model in models)
    expected = [exact, exact, torch_ao, exact, rounded, int8]
    assert all(map(lambda a, b: torch.allclose(a, b, atol=2e-6), results, expected))
    # The four are told apart by this tolerance.
    different = pairwise((exact, torch_ao, rounded, int8))
    assert all(not torch.allclose(a, b, atol=2e-6) for a, b in different)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_the_fused_lstm_computes_what_pytorchs_does(weights, bias):
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
