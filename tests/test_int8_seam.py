"""Where the int8 modules hand over to the fast path, and where they must not."""

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers import int8_linear, integers
from recipe_helpers.integers import Scheme


class Recorder:
    """Stands in for the fast path: notes what it is given, and lets the reference run."""

    def __init__(self):
        self.calls = []

    def run_layer(self, *arguments):
        self.calls.append(arguments)
        return integers.run_layer(*arguments)

    def run_linear(self, *arguments):
        self.calls.append(arguments)
        return integers.run_linear(*arguments)


def test_the_fast_path_is_asked_where_it_may_be(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(int8_linear, "_kernels", lambda: recorder)
    lstm, x = nn.LSTM(6, 7, 2, bidirectional=True).eval(), torch.randn(5, 4, 6)
    slow = rh.Int8LSTM.from_float(lstm, fast=False)
    expected = slow(x)[0]
    rh.Int8LSTM.from_float(lstm, scheme="torch.ao")(x)
    assert not recorder.calls

    fast = rh.Int8LSTM.from_float(lstm)
    assert torch.equal(fast(x)[0], expected)
    assert [call[6] for call in recorder.calls] == [False, True, False, True]
    for data, batch_sizes, _, weights, bits, _, _ in recorder.calls:
        assert (len(data), batch_sizes, bits) == (20, [4] * 5, 16)
        assert weights.ih.values.shape == (28, data.shape[1])
        assert weights.hh.scale.shape == weights.bias_ih.shape == weights.bias_hh.shape == (28,)
    recorder.calls.clear()
    rh.Int8LSTM.from_float(lstm, scheme=Scheme(activation_bits=9))(x)
    rh.Int8Linear.from_float(nn.Linear(6, 3))(x)
    assert [call[4 if len(call) == 7 else 3] for call in recorder.calls] == [9] * 4 + [16]


def test_export_takes_the_reference(monkeypatch):
    monkeypatch.setattr(int8_linear, "_kernels", lambda: pytest.fail("the fast path was asked"))
    int8, x = rh.Int8LSTM.from_float(nn.LSTM(3, 4, bidirectional=True)), torch.randn(2, 2, 3)
    exported = torch.export.export(int8, (x,)).module()
    int8.fast = False
    for inputs in (x, 3 * x):
        assert torch.equal(exported(inputs)[0], int8(inputs)[0])
