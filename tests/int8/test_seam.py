"""Where the int8 modules hand over to the fast path, and where they must not."""

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.int8 import arithmetic, linear
from recipe_helpers.int8.arithmetic import Scheme


class Recorder:
    """Stands in for the fast path: notes what it is given, and lets the reference run."""

    def __init__(self):
        self.calls = []

    def run_lstm(self, module, data, hx):
        self.calls.append(("run_lstm", data, hx))

    def run_layers(self, *arguments):
        self.calls.append(("run_layers", *arguments))

    def run_linear(self, *arguments):
        self.calls.append(("run_linear", *arguments))
        return arithmetic.run_linear(*arguments)


def test_the_fast_path_is_asked_where_it_may_be(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(linear, "_kernels", lambda: recorder)
    lstm, x = nn.LSTM(6, 7, 2, bidirectional=True).eval(), torch.randn(5, 4, 6)
    slow = rh.Int8LSTM.from_float(lstm, fast=False)
    expected = slow(x)[0]
    rh.Int8LSTM.from_float(lstm, scheme="torch.ao")(x)
    assert not recorder.calls

    fast = rh.Int8LSTM.from_float(lstm)
    assert torch.equal(fast(x)[0], expected)
    (short, *arguments), (general, tensors, suffixes, data, batch_sizes, state, most) = (
        recorder.calls
    )
    assert (short, arguments) == ("run_lstm", [x, None])
    assert (general, tensors) == ("run_layers", fast._buffers)
    assert suffixes == ["_l0", "_l0_reverse", "_l1", "_l1_reverse"]
    assert (len(data), batch_sizes, most) == (20, (4,) * 5, 2**15 - 1)
    assert [part.shape for part in state] == [(4, 4, 7), (4, 4, 7)]
    recorder.calls.clear()
    rh.Int8LSTM.from_float(lstm, scheme=Scheme(activation_bits=9))(x)
    rh.Int8Linear.from_float(nn.Linear(6, 3))(x)
    assert recorder.calls[1][-1] == 2**8 - 1
    assert recorder.calls[2][0] == "run_linear"
    assert recorder.calls[2][4] == 16


def test_export_takes_the_reference(monkeypatch):
    monkeypatch.setattr(linear, "_kernels", lambda: pytest.fail("the fast path was asked"))
    int8, x = rh.Int8LSTM.from_float(nn.LSTM(3, 4, bidirectional=True)), torch.randn(2, 2, 3)
    exported = torch.export.export(int8, (x,)).module()
    int8.fast = False
    for inputs in (x, 3 * x):
        assert torch.equal(exported(inputs)[0], int8(inputs)[0])
