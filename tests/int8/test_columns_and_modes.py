"""Scales of columns, the 8-bit mode and pairs: an oracle in numpy, what they gain, old states."""

import copy
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

import recipe_helpers as rh
from recipe_helpers.int8 import arithmetic, scheme
from recipe_helpers.int8.arithmetic import Scheme, eight_bit

DATA = Path(__file__).parent / "data"
FEW = settings(max_examples=40, derandomize=True, deadline=None)


def numpy_linear(x, weight, bits, affine):
    """The contract of `arithmetic` in a few lines of numpy, row by row."""
    columns = np.ones(x.shape[1]) if weight.columns is None else weight.columns.numpy()
    w, scale = weight.values.numpy().astype(np.int64), weight.scale.numpy()
    results = []
    for row in x.numpy() * columns.astype(np.float32):
        if affine:
            low, high = min(float(row.min()), 0.0), max(float(row.max()), 0.0)
            exact = max((high - low) / 255, 2.0**-126)
            zero, step = np.rint(-low / exact), np.float32(exact)
            inverse = np.float32(1) / step
            q = np.rint((row.astype(np.float64) * inverse + zero).astype(np.float32))
            q = np.clip(q, 0, 255) - zero
        else:
            most = 2 ** (bits - 1) - 1
            step = max(np.abs(row).max() / np.float32(most), np.float32(2.0**-126))
            q = np.rint(row * (np.float32(1) / step))
        sums = w @ q.astype(np.int64)
        results.append(sums.astype(np.float32) * (step * scale))
    return np.stack(results)


@FEW
@given(
    st.integers(1, 9),
    st.integers(1, 40),
    st.integers(0, 10**6),
    st.floats(0, 6),
    st.sampled_from([Scheme(), Scheme(columns=False), eight_bit(False), eight_bit(True)]),
)
def test_a_product_is_that_of_numpy_to_the_bit(rows, width, seed, spread, how):
    draw = torch.Generator().manual_seed(seed)
    sizes = torch.exp(spread * torch.randn(width, generator=draw))
    x = torch.randn(rows, width, generator=draw) / sizes + (seed % 3 - 1)
    weight = arithmetic.quantize_weight("w", torch.randn(5, width, generator=draw) * sizes, how)
    bits = arithmetic.most_activation_bits(width, how)
    ours = arithmetic.run_linear(x, weight, None, bits, how)
    assert np.array_equal(ours.numpy(), numpy_linear(x, weight, bits, not how.symmetric))


@FEW
@given(st.integers(1, 6), st.integers(1, 30), st.integers(0, 10**6), st.integers(1, 8))
def test_neighbours_in_pairs_never_exceed_128_and_the_scale_is_no_coarser_than_it_must(
    rows, width, seed, candidates
):
    w = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)) ** 3
    how = Scheme(pairs=True, weight_candidates=candidates, columns=False)
    values, step, *_ = arithmetic.quantize_weight("w", w, how)
    sizes = np.pad(np.abs(values.numpy().astype(int)), ((0, 0), (0, width % 2)))
    sums = sizes[:, ::2] + sizes[:, 1::2]
    assert sums.max() <= 128
    assert arithmetic.in_pairs(values)
    assert (sums.max(axis=1) >= 119).all()
    off = (values * step[:, None] - w).abs()
    assert bool((off <= 0.5001 * step[:, None]).all())


def test_weights_that_would_saturate_are_told_apart():
    assert arithmetic.in_pairs(torch.tensor([[127, 1, -128, 0, 100]], dtype=torch.int8))
    assert not arithmetic.in_pairs(torch.tensor([[0, 127, -66, 64, 64]], dtype=torch.int8))


def test_columns_alike_have_the_scale_one_and_nothing_changes():
    lstm, x = nn.LSTM(24, 32).eval(), torch.randn(6, 3, 24)
    with_columns = rh.Int8LSTM.from_float(lstm, fast=False)
    without = rh.Int8LSTM.from_float(lstm, scheme=Scheme(columns=False), fast=False)
    assert bool((with_columns.weight_ih_l0_columns == 1).all())
    assert torch.equal(with_columns(x)[0], without(x)[0])


@FEW
@given(st.integers(2, 12), st.integers(0, 10**6), st.integers(-30, 30))
def test_column_scales_follow_a_change_of_units_and_no_outlying_row(width, seed, exponent):
    """One column in other units: its scale follows by the same power. A loud row changes none."""
    w = torch.rand(16, width, generator=torch.Generator().manual_seed(seed)) + 1
    w[:, 1:] *= torch.tensor([1.0, -1.0])[torch.arange(width - 1) % 2]
    before = arithmetic.column_scales(w)
    assert bool((before == 1).all())
    changed = w.clone()
    changed[:, 0] *= 2.0**exponent
    after = arithmetic.column_scales(changed)
    assert abs(float((after[0] / after[1]).log2()) - exponent) <= 1
    assert float(after.max()) == 1
    assert bool((after.log2() == after.log2().round()).all())
    loud = w.clone()
    loud[3] *= 3000
    assert torch.equal(arithmetic.column_scales(loud), before)


def test_columns_of_zeros_have_the_scale_one():
    w = torch.tensor([[0.0, 1e-3, 2.0], [0.0, -2e-3, 1.0]])
    assert arithmetic.column_scales(w)[0] == 1
    assert arithmetic.column_scales(torch.zeros(3, 4)).tolist() == [1.0] * 4


def heavy(seed):
    """Inputs of very different size, and first weights that make up for it."""
    torch.manual_seed(seed)
    lstm, sizes = nn.LSTM(32, 32).eval(), torch.exp(2 * torch.randn(32))
    with torch.no_grad():
        lstm.weight_ih_l0 /= sizes
    return lstm, torch.randn(20, 2, 32) * sizes


def error(int8, lstm, x):
    with torch.inference_mode():
        exact = copy.deepcopy(lstm).double()(x.double())[0]
    return float((int8(x)[0] - exact).abs().mean() / exact.abs().mean())


@pytest.mark.parametrize("seed", range(3))
def test_columns_at_least_halve_the_error_on_heavy_tailed_inputs(seed):
    lstm, x = heavy(seed)
    ours = error(rh.Int8LSTM.from_float(lstm, fast=False), lstm, x)
    before = error(rh.Int8LSTM.from_float(lstm, scheme=Scheme(columns=False)), lstm, x)
    assert ours <= before / 2
    stored = rh.stored_weights(rh.Int8LSTM.from_float(lstm))[0]
    weight = lstm.weight_ih_l0.detach()
    relative = (stored.dequantized() - weight).norm(dim=0) / weight.norm(dim=0)
    assert float(relative.max()) < 0.02, "every column keeps its weights"


@pytest.mark.parametrize(("pairs", "most"), [(False, 0.01), (True, 0.012)])
def test_the_8_bit_mode_is_close_on_a_random_model(pairs, most):
    lstm, x = nn.LSTM(64, 64).eval(), torch.randn(20, 2, 64)
    coarse = error(rh.Int8LSTM.from_float(lstm, scheme=eight_bit(pairs)), lstm, x)
    assert error(rh.Int8LSTM.from_float(lstm), lstm, x) < coarse < most


def test_activation_bits_8_asks_the_cpu_for_the_weights(monkeypatch, refuses):
    linear, lstm = nn.Linear(8, 4), nn.LSTM(8, 4).eval()
    for dot in (True, False):
        monkeypatch.setattr(scheme, "has_u8s8_dot", lambda dot=dot: dot)
        for made in (
            rh.Int8LSTM.from_float(lstm, activation_bits=8),
            rh.Int8Linear.from_float(linear, activation_bits=8),
            rh.quantize_dynamic(lstm, backend="plain", activation_bits=8),
        ):
            assert made.activation_bits == 8
            assert made.scheme == eight_bit(pairs=not dot)
    with refuses(rh.ArgumentError, "activation_bits is 9; pass 8"):
        rh.Int8LSTM.from_float(lstm, activation_bits=9)
    with refuses(rh.ArgumentError, "activation_bits is 8 beside the scheme"):
        rh.Int8LSTM.from_float(lstm, scheme="torch.ao", activation_bits=8)
    with refuses(rh.ArgumentError, "activation_bits is 8, but torch.ao has its own"):
        rh.quantize_dynamic(nn.Sequential(lstm).eval(), activation_bits=8)


class OfVersion10(nn.Module):
    """The model whose state and file version 1.0 of this package wrote."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 4, 2, bidirectional=True), nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.lstm(x)[0])


INPUTS = torch.arange(30.0).reshape(5, 2, 3).sin()


def in_reference(model):
    for part in model.modules():
        part.fast = False
    return model


def uneven():
    model = OfVersion10().eval()
    with torch.no_grad():
        model.lstm.weight_ih_l0[:, 1] *= 100
    return in_reference(rh.quantize_dynamic(model, backend="plain"))


@pytest.mark.parametrize("assign", [True, False])
def test_a_state_of_version_1_0_loads(assign):
    old = torch.load(DATA / "version_1_0.pt", weights_only=True)
    model = uneven()
    newer, expected = copy.deepcopy(model.state_dict()), model(INPUTS)
    assert model.lstm.weight_ih_l0_columns.min() < 1
    model.load_state_dict(old["state"], assign=assign)
    torch.testing.assert_close(model(INPUTS), old["output"], rtol=0, atol=1e-6)
    assert model.lstm.weight_ih_l0_columns is None
    assert set(model.state_dict()) == set(old["state"])
    model.load_state_dict(newer, assign=assign)
    assert torch.equal(model(INPUTS), expected)


@pytest.mark.parametrize("converted", [True, False])
def test_a_file_of_version_1_0_loads_and_is_saved_again(tmp_path, converted):
    expected = torch.load(DATA / "version_1_0.pt", weights_only=True)["output"]
    loaded = rh.load_int8(
        DATA / "version_1_0.safetensors", uneven() if converted else OfVersion10()
    )
    torch.testing.assert_close(in_reference(loaded)(INPUTS), expected, rtol=0, atol=1e-6)
    rh.save_int8(loaded, tmp_path / "again")
    again = in_reference(rh.load_int8(tmp_path / "again", OfVersion10()))
    assert torch.equal(again(INPUTS), loaded(INPUTS))


@pytest.mark.parametrize("bits", [None, 8])
def test_columns_travel_with_the_model(tmp_path, bits):
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)).eval()
    with torch.no_grad():
        model[0].weight[:, 2] /= 500
    int8 = in_reference(rh.quantize_dynamic(model, backend="plain", activation_bits=bits))
    x = torch.randn(4, 6)
    assert int8[0].weight_columns[2] < 0.01
    rh.save_int8(int8, tmp_path / "file")
    file = io.BytesIO()
    torch.save(int8.state_dict(), file)
    file.seek(0)
    anew = in_reference(rh.quantize_dynamic(copy.deepcopy(model), backend="plain"))
    if bits is None:
        with torch.no_grad():
            anew[0].weight_columns.fill_(1)
        anew.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(anew(x), int8(x))
    for other in (
        copy.deepcopy(int8),
        pickle.loads(pickle.dumps(int8)),
        in_reference(rh.load_int8(tmp_path / "file", model)),
    ):
        assert torch.equal(other(x), int8(x))
