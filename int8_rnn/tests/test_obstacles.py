"""Parametrizations, which are removed before a model is quantized."""

import copy

import pytest
import torch
from int8_rnn.obstacles import parametrized
from made_up import kinds
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from int8_rnn import (
    ModelError,
    quantize,
    without_parametrizations,
)


class Normed(nn.Module):
    """Weight norm in an LSTM, and in two modules of one class; spectral norm in a third."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 7, 2, bidirectional=True)
        for name in ("weight_ih_l0", "weight_hh_l0", "weight_hh_l1_reverse"):
            parametrizations.weight_norm(self.lstm, name)
        layers = [parametrizations.weight_norm(nn.Linear(14, 14)) for _ in range(2)]
        self.layers = nn.Sequential(*layers, layers[0])
        self.last = parametrizations.spectral_norm(nn.Linear(14, 5))
        self.plain = nn.Linear(5, 5)

    def forward(self, x):
        return self.plain(self.last(self.layers(self.lstm(x)[0])))


@pytest.mark.parametrize("training", [True, False])
def test_parametrized_weights_become_plain_ones_and_can_be_converted(training):
    model, x = Normed().train(training), torch.randn(4, 3, 6)
    if not training:
        before = model(x)
    state = copy.deepcopy(model.state_dict())
    plain = without_parametrizations(model)
    assert parametrized(model) == ("lstm", "layers.0", "layers.1", "last")
    assert parametrized(plain) == ()
    assert {type(part) for part in plain.modules()} == {Normed, nn.LSTM, nn.Sequential, nn.Linear}
    assert plain.layers[0] is plain.layers[2]
    assert all(part.training == training for part in plain.modules())
    # The original is left as it was, although a copy shares its classes.
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert parametrize.is_parametrized(model.layers[1], "weight")
    converted = kinds(quantize(plain))
    assert [kind for kind in converted.values() if kind.startswith("Int8")] == [
        "Int8LSTM", "Int8Linear", "Int8Linear", "Int8Linear", "Int8Linear",
    ]  # fmt: skip
    if not training:
        assert torch.equal(plain(x), before)
        assert torch.equal(model(x), before)


def test_an_lstm_reads_its_plain_weights():
    lstm = without_parametrizations(Normed().eval()).lstm
    assert all(isinstance(weight, nn.Parameter) for weight in lstm._flat_weights)
    assert len(list(lstm.parameters())) == 16
    with torch.no_grad():
        for weight in lstm.parameters():
            weight.zero_()
        assert not lstm(torch.randn(4, 3, 6))[0].any()


def test_after_a_call_with_gradients_it_can_still_be_copied():
    model = Normed().train()
    model(torch.randn(4, 3, 6)).sum().backward()
    plain = without_parametrizations(model).eval()
    x = torch.randn(4, 3, 6)
    torch.testing.assert_close(plain(x), model.eval()(x))


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x


def test_a_model_that_is_parametrized_itself_and_a_buffer(refuses):
    linear = parametrizations.weight_norm(nn.Linear(3, 3)).eval()
    linear.register_buffer("scale", torch.ones(2))
    parametrize.register_parametrization(linear, "scale", Doubled())
    plain = without_parametrizations(linear)
    x = torch.randn(2, 3)
    assert torch.equal(plain(x), linear(x))
    assert {name for name, _ in plain.named_parameters()} == {"weight", "bias"}
    assert plain.scale.tolist() == [2, 2]
    with refuses(ModelError, "model is of type int"):
        without_parametrizations(3)
