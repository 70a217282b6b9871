"""Parametrized models become plain ones: the same outputs, and the original stays as it is."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import recipe_helpers as rh

from ..your_model.made_up import quickly

LSTM_WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "weight_hh_l1_reverse")


class Normed(nn.Module):
    """Weight norm in an LSTM, and in two modules of one class; spectral norm in a third."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 7, 2, bidirectional=True)
        for name in LSTM_WEIGHTS:
            parametrizations.weight_norm(self.lstm, name)
        norms = parametrizations.weight_norm, parametrizations.weight_norm
        self.layers = nn.Sequential(*(norm(nn.Linear(14, 14)) for norm in norms))
        self.last = parametrizations.spectral_norm(nn.Linear(14, 5))
        self.plain = nn.Linear(5, 5)

    def forward(self, x):
        return self.plain(self.last(self.layers(self.lstm(x)[0])))


@pytest.fixture
def model():
    return Normed().eval()


def test_the_outputs_are_the_same_and_nothing_is_computed_any_more(model):
    x = torch.randn(4, 3, 6)
    before, state = model(x), copy.deepcopy(model.state_dict())
    plain = rh.without_parametrizations(model)
    assert not any(parametrize.is_parametrized(part) for part in plain.modules())
    assert {type(part) for part in plain.modules()} == {Normed, nn.LSTM, nn.Sequential, nn.Linear}
    assert torch.equal(plain(x), before)
    # The original is left as it was, although a copy shares its classes.
    assert torch.equal(model(x), before)
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert parametrize.is_parametrized(model.layers[1], "weight")


def test_an_lstm_reads_its_plain_weights(model):
    lstm = rh.without_parametrizations(model).lstm
    with torch.no_grad():
        for weight in lstm.parameters():
            weight.zero_()
        assert not lstm(torch.randn(4, 3, 6))[0].any()


def test_every_layer_can_then_be_converted(model):
    x = torch.randn(4, 3, 6)
    found = quickly(model, x, backends=["plain"], min_size_ratio=0)
    (note,) = (note for note in found.notes if "parametrization" in note)
    assert note.startswith("lstm, layers.0, layers.1, last: ")
    assert "rh.without_parametrizations(model)" in note
    plain = rh.without_parametrizations(model)
    mended = quickly(plain, x, min_size_ratio=0)
    assert mended.notes == ()
    for candidate in mended.candidates:
        converted = [done.name for done in candidate.whole.conversion.converted]
        assert converted == ["lstm", "layers.0", "layers.1", "last", "plain"]


def test_a_model_that_is_parametrized_itself(refuses):
    linear = parametrizations.weight_norm(nn.Linear(3, 3)).eval()
    plain = rh.without_parametrizations(linear)
    x = torch.randn(2, 3)
    assert torch.equal(plain(x), linear(x))
    with refuses(rh.ModelError, "model is of type int"):
        rh.without_parametrizations(3)
