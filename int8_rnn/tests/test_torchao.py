"""The way in through torchao, tested with the real package."""

import sys

import pytest
import torch
from made_up import drawn, same
from torch import nn
from traced import Tagger

import int8_rnn
from int8_rnn import ArgumentError, ConversionError, ModelError


def test_torchao_converts_what_its_filter_lets_through(refuses):
    quantization = pytest.importorskip("torchao.quantization")
    model = nn.ModuleDict({"a": Tagger(), "b": Tagger("gru"), "c": nn.Conv1d(2, 2, 1)}).eval()
    expected = {name: int8_rnn.quantize(model[name], activation_bits=8) for name in "ab"}
    config = int8_rnn.Int8RecurrentConfig(activation_bits=8)
    quantization.quantize_(model, config, filter_fn=int8_rnn.recurrent_or_linear)
    assert type(model["c"]) is nn.Conv1d
    x = drawn(9, 3, 6, seed=0)
    with torch.no_grad():
        for name in "ab":
            assert same(model[name](x), expected[name](x))
    with refuses(ModelError, "itself an nn.LSTM", "int8_rnn.quantize"):
        quantization.quantize_(nn.LSTM(2, 2), config, filter_fn=int8_rnn.recurrent_or_linear)
    with refuses(ArgumentError, "activation_bits is 9"):
        int8_rnn.Int8RecurrentConfig(activation_bits=9)
    hooked = nn.Linear(2, 2)
    hooked.register_forward_hook(lambda *given: None)
    assert not int8_rnn.recurrent_or_linear(hooked, "")


def test_without_torchao_one_sentence_says_what_to_install(monkeypatch, refuses):
    monkeypatch.delitem(sys.modules, "int8_rnn.torchao", raising=False)
    monkeypatch.delattr(int8_rnn, "torchao", raising=False)
    monkeypatch.setitem(sys.modules, "torchao.core.config", None)
    with refuses(ConversionError, 'pip install "int8-rnn[torchao]"'):
        _ = int8_rnn.Int8RecurrentConfig
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = int8_rnn.nonsense
