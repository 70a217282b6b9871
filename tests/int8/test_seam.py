"""Where the int8 modules hand over to the fast path, and where they must not."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import recipe_helpers as rh
from recipe_helpers.common.errors import InputError
from recipe_helpers.common.settings import threads_set
from recipe_helpers.int8 import linear
from recipe_helpers.int8.arithmetic import Scheme
from recipe_helpers.int8.fast_path import packed_plans

from .fast_path import assert_same_bits, int8_pair, random


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


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_a_call_like_one_before_is_still_looked_at(kind, same_tanh):
    fast, plain = int8_pair(6, 7, 2, kind=kind)
    x, count = random(5, 4, 6), 2 if kind == "lstm" else 1
    states = tuple(random(2, 4, 7, seed=seed) for seed in range(count))
    hx = states if kind == "lstm" else states[0]
    fast(x, hx)
    wide = tuple(random(4, 2, 7, seed=seed).transpose(0, 1) for seed in range(count))
    for given in (hx, wide if kind == "lstm" else wide[0], None):
        assert_same_bits(fast(x, given), plain(x, given))
    assert_same_bits(fast(x.transpose(0, 1)[:, :4]), plain(x.transpose(0, 1)[:, :4]))
    for module in (fast, plain):
        module.batch_first = True
    turned = x.transpose(0, 1)
    assert_same_bits(fast(turned, hx), plain(turned, hx))
    with threads_set(2):
        assert_same_bits(fast(turned, hx), plain(turned, hx))
    for wrong in (states[0][:1], states[0].double(), states[0].numpy(), 3):
        with pytest.raises(InputError, match="hx is"):
            fast(turned, (wrong,) * count if kind == "lstm" else wrong)
    with pytest.raises(InputError, match="input is"):
        fast(turned.double(), hx)


def test_calls_of_ever_other_sizes_are_not_all_kept():
    fast, _ = int8_pair(6, 7)
    for steps in range(1, 50):
        fast(random(steps, 1, 6))
    assert len(vars(fast)["_fast_packed"].calls) <= 16


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_calls_of_other_lengths_share_buffers(kind, same_tanh, monkeypatch):
    made, original = [], packed_plans.PackedPlan.__init__

    def watched(plan, *given):
        made.append(plan)
        original(plan, *given)

    monkeypatch.setattr(packed_plans.PackedPlan, "__init__", watched)
    fast, plain = int8_pair(6, 20, kind=kind)
    for steps in (70, 1, 3, 100, 65, 4, 200, 3, 70):
        x = random(steps, 2, 6)
        assert_same_bits(fast(x), plain(x))
    assert len(made) == 3  # room for 1, 4 and 32 steps at a time
    for lengths in ([9, 4], [9, 9], [40, 2], [70, 69]):
        x = pack_padded_sequence(random(max(lengths), 2, 6), lengths)
        assert_same_bits(fast(x), plain(x))
    assert len(made) == 4  # and for 16
    for batch in (3, 3, 4):
        assert_same_bits(fast(random(5, batch, 6)), plain(random(5, batch, 6)))
    assert len(made) == 6
