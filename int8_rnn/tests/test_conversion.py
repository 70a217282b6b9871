"""`quantize`: which modules become int8, why others do not, and how close the result is."""

import copy

import pytest
import torch
from int8_rnn.conversion import why_left_alone
from int8_rnn.scheme import EIGHT_BIT, EXACT
from made_up import FLOATS, INT8, every_recurrent, exact_run, kinds, relative_error, torch_ao
from torch import nn
from torch.nn.functional import cosine_similarity
from torch.nn.utils import parametrizations

from int8_rnn import (
    ArgumentError,
    Int8GRU,
    Int8Linear,
    Int8LSTM,
    ModelError,
    NothingQuantizedError,
    Scheme,
    quantize,
)


class Renamed(nn.LSTM):
    """A subclass that changes nothing."""


class Overridden(nn.Linear):
    def forward(self, x):
        return super().forward(x).relu()


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (nn.LSTM(4, 4), Int8LSTM),
        (Renamed(4, 4), Int8LSTM),
        (nn.GRU(4, 4), Int8GRU),
        (nn.Linear(4, 4), Int8Linear),
    ],
)
def test_bare_modules_and_subclasses_are_converted(module, kind):
    assert type(quantize(module)) is kind
    assert type(quantize(nn.Sequential(module))[0]) is kind


def test_only_what_is_asked_for_is_converted():
    model = nn.ModuleDict({"lstm": nn.LSTM(4, 4), "linear": nn.Linear(4, 4), "gru": nn.GRU(4, 4)})
    for asked in ([nn.Linear], ["linear"]):
        found = kinds(quantize(model, modules=asked))
        assert found == {"": "ModuleDict", "lstm": "LSTM", "linear": "Int8Linear", "gru": "GRU"}
    found = kinds(quantize(model))
    assert {found["lstm"], found["gru"]} == {"Int8LSTM", "Int8GRU"}


def test_the_rest_of_the_model_is_copied_and_the_original_left_alone():
    model = nn.Sequential(nn.Embedding(9, 4), nn.LSTM(4, 4), nn.LayerNorm(4)).eval()
    before, state = kinds(model), copy.deepcopy(model.state_dict())
    converted = quantize(model)
    assert kinds(model) == before
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert torch.equal(converted[0].weight, model[0].weight)
    own = {t.untyped_storage().data_ptr() for t in model.state_dict().values()}
    theirs = [*converted.state_dict().values(), *converted.buffers()]
    assert own.isdisjoint(t.untyped_storage().data_ptr() for t in theirs)
    assert not any(part.training for part in converted.modules())
    assert all(part.training for part in quantize(model.train()).modules())


def test_a_module_at_two_places_stays_one():
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.Tanh(), shared)
    model.aside = [shared]  # not a registered child, yet the same module
    converted = quantize(model)
    assert converted[0] is converted[2] is converted.aside[0]
    assert type(converted[0]) is Int8Linear


def test_a_tie_with_an_embedding_is_lost_and_the_embedding_kept():
    model = nn.ModuleDict({"embedding": nn.Embedding(9, 4), "head": nn.Linear(4, 9)})
    model["head"].weight = model["embedding"].weight
    converted = quantize(model)
    assert type(converted["head"]) is Int8Linear
    assert torch.equal(converted["embedding"].weight, model["embedding"].weight)


def test_attention_and_transformer_layers_still_run():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    model = nn.Sequential(nn.Linear(8, 8), layer).eval()
    converted = quantize(model)
    assert type(converted[0]) is Int8Linear
    assert "Int8Linear" not in kinds(converted[1]).values()
    x = torch.randn(2, 5, 8)
    with torch.inference_mode():
        torch.testing.assert_close(converted(x), model(x), atol=0.1, rtol=0.1)


def _empty():
    with pytest.warns(UserWarning, match="zero-element"):
        return nn.Linear(0, 3)


def _patched():
    linear = nn.Linear(4, 4)
    linear.forward = lambda x: x
    return linear


def _hooked(before):
    linear = nn.Linear(4, 4)
    register = linear.register_forward_pre_hook if before else linear.register_forward_hook
    register(lambda *given: None)
    return linear


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Overridden(4, 4), "overrides the forward"),
        (_patched(), "overrides the forward"),
        (_hooked(True), "forward hooks"),
        (_hooked(False), "forward hooks"),
        (parametrizations.weight_norm(nn.Linear(4, 4)), "parametrization"),
        (nn.LazyLinear(4), "lazy"),
        (_empty(), "it has an empty weight"),
        (nn.MultiheadAttention(4, 2).out_proj, "read by the nn.MultiheadAttention"),
        (nn.RNN(4, 4), "only nn.LSTM, nn.GRU and nn.Linear"),
        (nn.LSTMCell(4, 4), "only nn.LSTM, nn.GRU and nn.Linear"),
        (nn.Embedding(4, 4), "look-up table"),
        (nn.LayerNorm(4), "parameters of its own"),
    ],
)
def test_what_cannot_be_converted_stays_as_it_is_with_a_reason(module, reason):
    assert reason in why_left_alone(module)
    converted = quantize(nn.ModuleList([module, nn.Linear(2, 2)]))
    assert type(converted[0]) is type(module)
    assert type(converted[1]) is Int8Linear


def test_a_model_without_anything_to_convert_is_refused(refuses):
    with refuses(NothingQuantizedError, "no module to convert: 0 (RNN; only nn.LSTM"):
        quantize(nn.Sequential(nn.RNN(4, 4)))
    with refuses(NothingQuantizedError, "it has no parameters"):
        quantize(nn.Tanh())
    for count, end in ((3, "be converted); pass"), (4, "be converted); ...; pass")):
        with refuses(NothingQuantizedError, "2 (LayerNorm; ", end):
            quantize(nn.Sequential(*(nn.LayerNorm(2) for _ in range(count))))


def test_a_broken_weight_is_named(refuses):
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.LSTM(4, 4)))
    model[1][0].weight_ih_l0.data[0, 0] = torch.inf
    with refuses(ModelError, "model.1.0.weight_ih_l0 has NaN or infinity"):
        quantize(model)
    with refuses(ModelError, "model.weight is of torch.float64"):
        quantize(nn.Linear(2, 2).double())
    with refuses(ModelError, "model is of type int"):
        quantize(3)


def test_the_choices_reach_every_module(refuses):
    model = nn.ModuleDict({"lstm": nn.LSTM(5, 6, 2, proj_size=4), "head": nn.Linear(8, 3)})
    int8 = quantize(model, scheme=Scheme("tensor", activation_bits=9))
    assert int8["lstm"].activation_bits == int8["head"].activation_bits == 9
    assert int8["lstm"].weight_hr_l1_scale.shape == int8["head"].weight_scale.shape == (1,)
    assert "activation_bits=9" in repr(int8)
    assert quantize(model)["lstm"].hidden_bits == 8
    for bits, expected in ((8, EIGHT_BIT), (16, EXACT)):
        made = quantize(model, activation_bits=bits)
        assert made["lstm"].scheme == made["head"].scheme == expected
    with refuses(ArgumentError, "activation_bits is 8 beside the scheme"):
        quantize(model, activation_bits=8, scheme="torch.ao")


def test_weights_do_not_depend_on_the_cpu_and_pairs_are_asked_for():
    linear = nn.Linear(64, 64)
    usual = quantize(linear, activation_bits=8)
    assert not usual.scheme.pairs
    assert torch.equal(usual.weight, quantize(linear).weight)
    assert not torch.equal(
        usual.weight, quantize(linear, activation_bits=8, scheme=Scheme(pairs=True)).weight
    )


# -- how close -------------------------------------------------------------------------------


@pytest.mark.fbgemm
@pytest.mark.parametrize(("width", "seeds"), [(8, 30), (32, 10), (80, 5), (256, 1)])
def test_the_error_is_at_most_half_of_torch_aos(width, seeds, fast):
    for seed in range(seeds):
        torch.manual_seed(seed)
        lstm, x = nn.LSTM(width, width).eval(), torch.randn(20, 1, width)
        ours = Int8LSTM.from_float(lstm, fast=fast)(x)[0]
        with torch.inference_mode():
            theirs = torch_ao(lstm)(x)[0]
        exact = exact_run(lstm, x)[0]
        assert relative_error(ours, exact) <= 0.5 * relative_error(theirs, exact)


@pytest.mark.fbgemm
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
    with torch.inference_mode():
        theirs = torch_ao(lstm)(x)[0].double().flatten()
    ours = Int8LSTM.from_float(lstm)(x)[0].double().flatten()
    exact = exact_run(lstm, x)[0].flatten()
    assert cosine_similarity(theirs, exact, dim=0) < 0.7
    assert cosine_similarity(ours, exact, dim=0) >= 0.99


@every_recurrent
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
@pytest.mark.parametrize("times", [1, 3])
def test_the_hidden_state_in_8_bits_costs_little_and_the_input_much(kind, options, times):
    module, x = FLOATS[kind](64, 64, **options).eval(), torch.randn(20, 4, 64)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            weight *= times if "weight_hh" in name else 1
    exact = exact_run(module, x)[0]

    def error(**choices):
        return relative_error(INT8[kind].from_float(module, fast=False, **choices)(x)[0], exact)

    best, default = error(activation_bits=16), error()
    reverse = error(scheme=Scheme(activation_bits=8, symmetric=False, hidden_bits=16))
    assert best < default < (1.1 if times == 1 else 1.35) * best
    assert default < 0.85 * reverse
    assert reverse < error(activation_bits=8) < (0.012 if times == 1 else 0.02)
    assert default < 0.0062 * times


@every_recurrent
@pytest.mark.parametrize("seed", range(2))
def test_columns_and_residuals_more_than_halve_the_error_where_they_help(seed, kind):
    torch.manual_seed(seed)
    heavy, listening = FLOATS[kind](32, 32).eval(), FLOATS[kind](16, 32).eval()
    # Inputs of very different size, and first weights that make up for it.
    sizes, quiet = torch.exp(2 * torch.randn(32)), slice(8, None)
    x, y = torch.randn(20, 2, 32) * sizes, torch.randn(20, 2, 16)
    with torch.no_grad():
        heavy.weight_ih_l0 /= sizes
        # Some units listen to quiet features.
        listening.weight_ih_l0[::8, quiet] *= 64
    y[:, :, quiet] /= 64
    for module, data, without in (
        (heavy, x, Scheme(columns=False, hidden_bits=8)),
        (listening, y, Scheme(residual=False, hidden_bits=8)),
    ):
        exact = exact_run(module, data)[0]
        ours, theirs = (
            relative_error(INT8[kind].from_float(module, scheme=scheme)(data)[0], exact)
            for scheme in ("default", without)
        )
        assert ours < theirs / 2


@pytest.mark.parametrize("weights", ["channel", "tensor"])
@pytest.mark.parametrize("activations", ["row", "step", "sequence"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_finer_choices_come_closer(weights, activations, symmetric, fast):
    lstm, x = nn.LSTM(16, 16, 2).eval(), torch.randn(12, 3, 16)
    exact, errors = exact_run(lstm, x)[0], []
    for bits in (5, 7, 10):
        scheme = Scheme(weights, activations, bits, symmetric)
        int8 = Int8LSTM.from_float(lstm, scheme=scheme, fast=fast)
        assert int8.activation_bits == bits
        errors.append(float((int8(x)[0] - exact).abs().mean()))
    assert errors[0] > 1.5 * errors[1] > 1.5 * errors[2]
    assert errors[2] < 0.01
