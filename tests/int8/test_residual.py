"""Residuals: which rows have one, what they gain, and that nothing about them goes unnoticed."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common.settings import threads_set
from recipe_helpers.int8 import arithmetic
from recipe_helpers.int8.arithmetic import Scheme, dequantize_weight, eight_bit, quantize_weight
from recipe_helpers.int8.fast_path import calls, ready

from .fast_path import assert_fast_path_ran, assert_same_bits, int8_pair, random
from .test_columns_and_modes import error, numpy_linear

FEW = settings(max_examples=40, derandomize=True, deadline=None)


def listening(kind=nn.LSTM, units=(3, 20), width=32):
    """A layer of which some units listen to quiet features, and an input that has such."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module, x = kind(16, width).eval(), torch.randn(20, 2, 16)
    quiet, gates = slice(8, None), len(module.weight_ih_l0) // width
    rows = [gate * width + unit for gate in range(gates) for unit in units]
    with torch.no_grad():
        for row in rows:
            module.weight_ih_l0[row, quiet] *= 64
    x[:, :, quiet] /= 64
    return module, x, rows


# --- which rows, and how well --------------------------------------------------------------------


def test_just_the_coarse_rows_have_one():
    lstm, _, rows = listening()
    int8 = rh.Int8LSTM.from_float(lstm)
    assert int8.weight_ih_l0_residual_rows.tolist() == rows
    assert int8.weight_ih_l0_residual.shape == (len(rows), 16)
    assert "weight_hh_l0_residual" not in int8.state_dict()
    weight, stored = lstm.weight_ih_l0.detach(), rh.stored_weights(int8)[0]
    missed = (stored.dequantized() - weight).abs().amax(dim=1)
    step = stored.scales[rows].max()
    assert float(missed[rows].max()) < step / 200
    assert torch.equal(stored.dequantized(), dequantize_weight(stored.as_weight()))


def test_recurrent_weights_have_none():
    lstm = nn.LSTM(4, 8).eval()
    with torch.no_grad():
        lstm.weight_hh_l0[::9] *= 50
    assert not [name for name in rh.Int8LSTM.from_float(lstm).state_dict() if "residual" in name]


@FEW
@given(
    st.integers(1, 60), st.integers(1, 40), st.integers(0, 10**6), st.sampled_from([1e-30, 1, 1e6])
)
def test_rows_alike_have_none(rows, columns, seed, size):
    draw = torch.Generator().manual_seed(seed)
    even = (torch.rand(rows, columns, generator=draw) + 1) * size
    for how in (Scheme(), eight_bit(True)):
        assert quantize_weight("w", even, how, residual=True).residual is None


def test_a_row_that_its_integers_hit_has_none():
    single = torch.tensor([[0.01], [0.02], [0.015], [7.3], [-9.1]])
    assert quantize_weight("w", single, residual=True).residual is None
    assert quantize_weight("w", torch.zeros(3, 4), residual=True).residual is None
    mostly_zeros = torch.zeros(9, 4)
    mostly_zeros[0] = torch.tensor([0.3, -0.7, 0.11, 0.2])
    assert quantize_weight("w", mostly_zeros, residual=True).residual is None


@pytest.mark.parametrize("scheme", ["torch.ao", Scheme("tensor"), Scheme(residual=False)])
def test_schemes_without_residuals_have_none(scheme):
    lstm, *_ = listening()
    state = rh.Int8LSTM.from_float(lstm, scheme=scheme, fast=False).state_dict()
    assert not [name for name in state if "residual" in name]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_units_that_listen_to_quiet_features_err_less_than_half(kind):
    module, x, _ = listening(kind, range(0, 32, 8))
    int8 = {nn.LSTM: rh.Int8LSTM, nn.GRU: rh.Int8GRU}[kind]
    ours = error(int8.from_float(module, fast=False), module, x)
    for without in (Scheme(residual=False), Scheme(residual=False, columns=False)):
        assert ours < error(int8.from_float(module, scheme=without, fast=False), module, x) / 2


@FEW
@given(
    st.integers(1, 9),
    st.integers(2, 40),
    st.integers(0, 10**6),
    st.sampled_from([Scheme(), Scheme(columns=False), eight_bit(False), eight_bit(True)]),
)
def test_a_product_is_that_of_numpy_to_the_bit(rows, width, seed, how):
    draw = torch.Generator().manual_seed(seed)
    x, w = torch.randn(rows, width, generator=draw), torch.randn(9, width, generator=draw)
    w[[1, 7]] *= 1000
    made = quantize_weight("w", w, how, residual=True)
    bits = arithmetic.most_activation_bits(width, how)
    expected = numpy_linear(x, made, bits, not how.symmetric)
    if made.residual is not None:
        again = made._replace(values=made.residual.values, scale=made.residual.scale)
        expected[:, made.residual.rows.numpy()] += numpy_linear(x, again, bits, not how.symmetric)
    assert np.array_equal(arithmetic.run_linear(x, made, None, bits, how).numpy(), expected)


# --- the fast path -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("bits", [None, 8])
@pytest.mark.parametrize("batch", [1, 3, 70])
def test_compiled_code_adds_the_same(kind, bits, batch, same_tanh, monkeypatch):
    fast, plain = int8_pair(
        20, 37, 2, kind=kind, activation_bits=bits, bidirectional=True, loud_rows=True
    )
    assert "weight_ih_l1_reverse_residual" in fast.state_dict()
    x = random(9, batch, 20)
    for _ in ("first", "known"):
        assert_same_bits(assert_fast_path_ran(monkeypatch, lambda: fast(x)), plain(x))


def test_threads_add_what_is_theirs(same_tanh):
    fast, plain = int8_pair(512, 520, loud_rows=True)
    x = random(40, 8, 512)
    with threads_set(2):
        assert_same_bits(fast(x), plain(x))


def loud_linear(fast=None):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        linear = nn.Linear(20, 130)
    with torch.no_grad():
        linear.weight[[3, 64, 129]] *= 100
    return rh.Int8Linear.from_float(linear, fast=fast)


def test_a_linear_layer_adds_the_same(monkeypatch):
    fast, plain, x = loud_linear(), loud_linear(False), random(77, 20)
    assert fast.weight_residual_rows.tolist() == [3, 64, 129]
    assert torch.equal(assert_fast_path_ran(monkeypatch, lambda: fast(x)), plain(x))


CHANGES = {
    "values": lambda m, name: m._buffers[f"{name}_residual"].neg_(),
    "values by data": lambda m, name: m._buffers[f"{name}_residual"].data.zero_(),
    "rows": lambda m, name: m._buffers[f"{name}_residual_rows"][:1].add_(1),
    "scale": lambda m, name: m._buffers[f"{name}_residual_scale"].mul_(3),
    "other scale": lambda m, name: m.register_buffer(
        f"{name}_residual_scale", m._buffers[f"{name}_residual_scale"] * 2
    ),
    "none": lambda m, name: [
        m._buffers.pop(f"{name}_residual{part}") for part in ("", "_rows", "_scale")
    ],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_no_change_goes_unnoticed(change, same_tanh):
    lstms = int8_pair(20, 37, loud_rows=True)
    linears = loud_linear(), loud_linear(False)
    for (fast, plain), name, x in (
        (lstms, "weight_ih_l0", random(5, 2, 20)),
        (linears, "weight", random(5, 20)),
    ):
        before = fast(x)
        states = [module.state_dict() for module in (fast, plain)]
        states = [{key: value.clone() for key, value in state.items()} for state in states]
        change(fast, name)
        change(plain, name)
        after, expected = fast(x), plain(x)
        first = [out[0] if isinstance(out, tuple) else out for out in (before, after, expected)]
        assert torch.equal(first[1], first[2])
        assert not torch.equal(first[0], first[1])
        fast.load_state_dict(states[0])  # and back again
        again = fast(x)
        assert torch.equal(again[0] if isinstance(again, tuple) else again, first[0])


def test_one_that_comes_is_seen(same_tanh):
    lstms = int8_pair(20, 37, loud_rows=True)
    linears = loud_linear(), loud_linear(False)
    for (fast, plain), x in ((lstms, random(5, 2, 20)), (linears, random(5, 20))):
        names = [name for name in fast._buffers if "_residual" in name]
        assert len(names) == 3
        kept = {name: fast._buffers.pop(name) for name in names}
        before = fast(x)
        for name, tensor in kept.items():
            fast.register_buffer(name, tensor)
        after, expected = fast(x), plain(x)
        first = [out[0] if isinstance(out, tuple) else out for out in (before, after, expected)]
        assert torch.equal(first[1], first[2])
        assert not torch.equal(first[0], first[1])


def test_buffers_of_none_are_none(same_tanh):
    fast, plain = int8_pair(20, 37)
    for module in (fast, plain):
        for part in ("_rows", "", "_scale"):
            module.register_buffer(f"weight_ih_l0_residual{part}", None)
    x = random(5, 2, 20)
    assert_same_bits(fast(x), plain(x))
    packed = vars(fast)["_fast_packed"]
    fast(x)
    assert vars(fast)["_fast_packed"] is packed


def test_the_kernel_that_knows_none_is_not_asked(monkeypatch):
    kernels = ready.compiled()
    monkeypatch.setattr(kernels, "is_exact", lambda name: False)
    for loud in (True, False):
        fast, _ = int8_pair(5, 1024, loud_rows=loud)
        assert calls._row_by_row(kernels, fast) != loud


# --- state and files -----------------------------------------------------------------------------


@pytest.mark.parametrize("assign", [True, False])
def test_it_comes_and_goes_with_the_state(assign):
    lstm, x, _ = listening()
    int8, other = rh.Int8LSTM.from_float(lstm, fast=False), rh.Int8LSTM(16, 32, fast=False)
    bare = other.state_dict()
    other.load_state_dict(int8.state_dict(), assign=assign)
    assert_same_bits(other(x), int8(x))
    for copied in (copy.deepcopy(other), pickle.loads(pickle.dumps(other)), other.half()):
        assert_same_bits(copied(x), int8(x))
    other.load_state_dict(bare, assign=assign)
    assert set(other.state_dict()) == set(bare)


def broken(state):
    """States whose residual cannot be, by what is wrong."""
    rows, values, scale = (f"weight_ih_l0_residual{part}" for part in ("_rows", "", "_scale"))
    yield {name: tensor for name, tensor in state.items() if name != scale}
    for name, tensor in (
        (rows, state[rows] + 128),
        (rows, state[rows] - 50),
        (rows, state[rows].flip(0)),
        (rows, state[rows].int()),
        (rows, state[rows][1:]),
        (values, state[values][:, 1:]),
        (values, state[values].float()),
        (scale, state[scale].double()),
        (scale, state[scale][:, None]),
    ):
        yield {**state, name: tensor}
    yield {**state, rows: state[rows][:0], values: state[values][:0], scale: state[scale][:0]}


def test_a_residual_that_cannot_be_is_refused():
    lstm, x, _ = listening()
    int8 = rh.Int8LSTM.from_float(lstm)
    states = list(broken(int8.state_dict()))
    assert len(states) == 11
    for state in states:
        with pytest.raises(RuntimeError, match="the residual of weight_ih_l0 is"):
            rh.Int8LSTM(16, 32).load_state_dict(state)
    int8(x)
    int8.weight_ih_l0_residual_rows[-1] = 10**9
    for fast in (None, False):
        int8.fast = fast
        with pytest.raises(rh.ModelError, match="the residual of weight_ih_l0 is"):
            int8(x)


def test_it_travels_in_files(tmp_path, refuses):
    lstm, x, _ = listening()
    model = nn.Sequential(lstm).eval()
    int8 = rh.quantize_dynamic(model, backend="plain")
    rh.save_int8(int8, tmp_path / "file")
    fresh = nn.Sequential(nn.LSTM(16, 32)).eval()
    for taker in (model, fresh, rh.quantize_dynamic(fresh, backend="plain")):
        assert_same_bits(rh.load_int8(tmp_path / "file", taker)(x), int8(x))
    int8[0].weight_ih_l0_residual_rows.add_(1000)
    rh.save_int8(int8, tmp_path / "file")
    with refuses(rh.SavedModelError, "file does not fit: the residual of 0.weight_ih_l0 is"):
        rh.load_int8(tmp_path / "file", fresh)


def test_it_is_exported():
    lstm, x, _ = listening()
    int8 = rh.Int8LSTM.from_float(lstm)
    exported = torch.export.export(int8, (x,)).module()
    assert torch.allclose(exported(x)[0], int8(x)[0], atol=2e-4)
