"""Where the int8 modules hand over to the fast path, and where they must not."""

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.int8 import linear
from recipe_helpers.int8.arithmetic import Scheme


class Recorder:
    """Stands in for the fast path: notes what it is given, and lets the reference run."""

    def __init__(self):
        self.calls = []

    def run_usual(self, *arguments):
        self.calls.append(("run_usual", *arguments))

    def run_recurrent(self, *arguments):
        self.calls.append(("run_recurrent", *arguments))

    def run_linear(self, *arguments):
        self.calls.append(("run_linear", *arguments))


@pytest.mark.parametrize(
    ("floats", "int8", "parts"), [(nn.LSTM, rh.Int8LSTM, 2), (nn.GRU, rh.Int8GRU, 1)]
)
def test_the_fast_path_is_asked_where_it_may_be(floats, int8, parts, monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(linear, "_kernels", lambda: recorder)
    module, x = floats(6, 7, 2, bidirectional=True).eval(), torch.randn(5, 4, 6)
    slow = int8.from_float(module, fast=False)
    expected = slow(x)[0]
    for other in ("torch.ao", Scheme("tensor"), Scheme(symmetric=False, activation_bits=9)):
        int8.from_float(module, scheme=other)(x)
    assert not recorder.calls

    fast = int8.from_float(module)
    assert torch.equal(fast(x)[0], expected)
    usual, (general, asked, data, batch_sizes, states) = recorder.calls
    assert usual == ("run_usual", fast, x, None)
    assert (general, asked) == ("run_recurrent", fast)
    assert (len(data), batch_sizes) == (20, (4,) * 5)
    assert [part.shape for part in states] == [(4, 4, 7)] * parts


def test_a_linear_layer_asks_the_fast_path_for_its_rows(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(linear, "_kernels", lambda: recorder)
    for bits in (None, 8):
        fast, x = rh.Int8Linear.from_float(nn.Linear(6, 3), activation_bits=bits), torch.ones(5, 6)
        assert fast(x[:, None]).shape == (5, 1, 3)
        name, module, rows = recorder.calls.pop()
        assert (name, module) == ("run_linear", fast)
        assert torch.equal(rows, x)


def test_export_takes_the_reference(monkeypatch):
    monkeypatch.setattr(linear, "_kernels", lambda: pytest.fail("the fast path was asked"))
    int8, x = rh.Int8LSTM.from_float(nn.LSTM(3, 4, bidirectional=True)), torch.randn(2, 2, 3)
    exported = torch.export.export(int8, (x,)).module()
    int8.fast = False
    for inputs in (x, 3 * x):
        assert torch.equal(exported(inputs)[0], int8(inputs)[0])
