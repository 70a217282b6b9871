"""How close the int8 LSTM comes to its float original, against torch.ao's default."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

import recipe_helpers as rh
from recipe_helpers.common.settings import deprecations_silenced, engine_set
from recipe_helpers.int8.arithmetic import Scheme


def torch_ao(model, inputs):
    from torch.ao.quantization import quantize_dynamic

    with deprecations_silenced(), engine_set("fbgemm"), torch.inference_mode():
        return quantize_dynamic(nn.Sequential(model), {nn.LSTM})[0](inputs)[0]


@pytest.mark.parametrize(("width", "seeds"), [(8, 60), (32, 20), (80, 10), (256, 3), (1024, 1)])
def test_the_error_is_at_most_half_of_torch_aos(width, seeds):
    for seed in range(seeds):
        torch.manual_seed(seed)
        lstm = nn.LSTM(width, width).eval()
        x = torch.randn(20, 1, width)
        theirs, ours = torch_ao(lstm, x), rh.Int8LSTM.from_float(lstm, fast=False)(x)[0]
        with torch.inference_mode():
            exact = lstm(x)[0]
        assert (ours - exact).abs().mean() <= 0.5 * (theirs - exact).abs().mean()


@pytest.mark.parametrize("case", ["outlier rows", "power spectra"])
@pytest.mark.parametrize("seed", range(2))
def test_hard_models_keep_their_direction_where_torch_ao_loses_it(case, seed):
    torch.manual_seed(seed)
    lstm = nn.LSTM(64, 64, num_layers=3).eval()
    with torch.no_grad():
        for name, parameter in lstm.named_parameters():
            if name.startswith("bias"):
                parameter.zero_()  # else the bias alone points the way
            elif case == "outlier rows":
                parameter[3] *= 3000
    x = torch.randn(40, 2, 64)
    if case == "power spectra":  # most entries near 1e-5, a few near 1, and weights to match
        x = torch.rand(40, 2, 64) * 2e-5
        x[::8, :, :5] = torch.rand(5, 2, 5)
        lstm.weight_ih_l0.data *= 1e5
    theirs, ours = torch_ao(lstm, x), rh.Int8LSTM.from_float(lstm, fast=False)(x)[0]
    with torch.inference_mode():
        exact = lstm.double()(x.double())[0].flatten()
    assert cosine_similarity(theirs.double().flatten(), exact, dim=0) < 0.7
    assert cosine_similarity(ours.double().flatten(), exact, dim=0) >= 0.99


@pytest.mark.parametrize("weights", ["channel", "tensor"])
@pytest.mark.parametrize("activations", ["row", "step", "sequence"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_finer_choices_come_closer(weights, activations, symmetric):
    lstm = nn.LSTM(16, 16, 2).eval()
    x = torch.randn(12, 3, 16)
    with torch.inference_mode():
        exact = lstm(x)[0]
    errors = []
    for bits in (5, 7, 10):
        scheme = Scheme(weights, activations, bits, symmetric)
        int8 = rh.Int8LSTM.from_float(lstm, scheme=scheme)
        assert int8.activation_bits == bits
        errors.append(float((int8(x)[0] - exact).abs().mean()))
    assert errors[0] > 1.5 * errors[1] > 1.5 * errors[2]
    assert errors[2] < 0.01
