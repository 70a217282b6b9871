"""`convert_modules`: which modules of a model become int8, and why others do not."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import recipe_helpers as rh
from recipe_helpers.common.errors import ModelError, NothingQuantizedError
from recipe_helpers.int8.conversion import convert_modules, why_left_alone


class Renamed(nn.LSTM):
    """A subclass that changes nothing."""


class Overridden(nn.Linear):
    def forward(self, x):
        return super().forward(x).relu()


def kinds(model):
    return {name: type(part).__name__ for name, part in model.named_modules()}


def test_bare_modules_and_subclasses_are_converted():
    for module in (nn.LSTM(4, 4), Renamed(4, 4)):
        assert type(convert_modules(module)) is rh.Int8LSTM
    assert type(convert_modules(nn.Linear(4, 4))) is rh.Int8Linear
    assert type(convert_modules(nn.Sequential(Renamed(4, 4)))[0]) is rh.Int8LSTM


def test_only_the_kinds_asked_for_are_converted():
    model = nn.ModuleDict({"lstm": nn.LSTM(4, 4), "linear": nn.Linear(4, 4)})
    assert kinds(convert_modules(model, {nn.Linear}))["lstm"] == "LSTM"
    assert kinds(convert_modules(model, {nn.Linear}))["linear"] == "Int8Linear"
    assert kinds(convert_modules(model))["lstm"] == "Int8LSTM"


def test_the_rest_of_the_model_is_copied_and_the_original_left_alone():
    model = nn.Sequential(nn.Embedding(9, 4), nn.LSTM(4, 4), nn.LayerNorm(4)).eval()
    before = kinds(model)
    converted = convert_modules(model)
    assert kinds(model) == before
    assert torch.equal(converted[0].weight, model[0].weight)
    assert converted[0].weight.data_ptr() != model[0].weight.data_ptr()
    assert not any(part.training for part in converted.modules())


def test_a_module_at_two_places_stays_one():
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.Tanh(), shared)
    model.aside = [shared]  # not a registered child, yet the same module
    converted = convert_modules(model)
    assert converted[0] is converted[2] is converted.aside[0]
    assert type(converted[0]) is rh.Int8Linear


def test_a_tie_with_an_embedding_is_lost_and_the_embedding_kept():
    model = nn.ModuleDict({"embedding": nn.Embedding(9, 4), "head": nn.Linear(4, 9)})
    model["head"].weight = model["embedding"].weight
    converted = convert_modules(model)
    assert type(converted["head"]) is rh.Int8Linear
    assert torch.equal(converted["embedding"].weight, model["embedding"].weight)


def test_attention_and_transformer_layers_still_run():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    model = nn.Sequential(nn.Linear(8, 8), layer).eval()
    converted = convert_modules(model)
    assert type(converted[0]) is rh.Int8Linear
    assert "Int8Linear" not in kinds(converted[1]).values()
    x = torch.randn(2, 5, 8)
    with torch.inference_mode():
        torch.testing.assert_close(converted(x), model(x), atol=0.1, rtol=0.1)


def _patched():
    linear = nn.Linear(4, 4)
    linear.forward = lambda x: x
    return linear


def _hooked():
    linear = nn.Linear(4, 4)
    linear.register_forward_hook(lambda module, inputs, output: 2 * output)
    return linear


def _parametrized():
    linear = parametrizations.weight_norm(nn.Linear(4, 4))
    assert parametrize.is_parametrized(linear)
    return linear


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Overridden(4, 4), "overrides the forward of nn.Linear"),
        (_patched(), "overrides the forward of nn.Linear"),
        (_hooked(), "forward hooks"),
        (_parametrized(), "parametrization"),
        (nn.LazyLinear(4), "lazy"),
        (nn.MultiheadAttention(4, 2).out_proj, "read by the nn.MultiheadAttention"),
        (nn.RNN(4, 4), "only nn.LSTM, nn.GRU and nn.Linear"),
        (nn.LSTMCell(4, 4), "only nn.LSTM, nn.GRU and nn.Linear"),
        (nn.Embedding(4, 4), "look-up table"),
        (nn.LayerNorm(4), "parameters of its own"),
    ],
)
def test_what_cannot_be_converted_stays_as_it_is_with_a_reason(module, reason):
    assert reason in why_left_alone(module)
    model = nn.ModuleList([module, nn.Linear(2, 2)])
    converted = convert_modules(model)
    assert type(converted[0]) is type(module)
    assert type(converted[1]) is rh.Int8Linear


def test_a_model_without_anything_to_convert_is_refused():
    with pytest.raises(NothingQuantizedError, match=r"no module to convert: 0 \(RNN; only"):
        convert_modules(nn.Sequential(nn.RNN(4, 4)))
    with pytest.raises(NothingQuantizedError, match="it has no parameters"):
        convert_modules(nn.Tanh())


def test_a_broken_weight_is_named():
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.LSTM(4, 4)))
    model[1][0].weight_ih_l0.data[0, 0] = torch.inf
    with pytest.raises(ModelError, match=r"model\.1\.0: weight_ih_l0 has NaN or infinity"):
        convert_modules(model)
    with pytest.raises(ModelError, match="model is of type int"):
        convert_modules(3)
