"""A weight matrix in integers: rows, columns, residuals."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from int8_rnn.scheme import (
    EXACT,
)
from int8_rnn.weights import (
    Int8Weight,
    column_scales,
    dequantize_weight,
    quantize_weight,
)
from made_up import PAIRS, SEEDS, drawn
from torch import nn

from int8_rnn import Int8LSTM, ModelError, Scheme

# -- weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["channel", "tensor"])
def test_a_weight_is_off_by_at_most_half_its_scale(weights):
    weight = torch.randn(12, 30) * torch.logspace(-20, 20, 12)[:, None]
    quantized = quantize_weight("weight", weight, Scheme(weights=weights, columns=False))
    scale = quantized.scale.double()
    assert quantized.values.dtype == torch.int8
    assert 120 <= quantized.values.abs().max() <= 127
    assert quantized.scale.shape == ((12,) if weights == "channel" else (1,))
    off = (quantized.values.double() * scale[:, None] - weight.double()).abs()
    assert bool((off <= 0.5001 * scale[:, None]).all())
    peak = weight.double().abs().amax(1 if weights == "channel" else None)
    assert bool((scale >= peak / 127.01).all())


def test_trying_several_scales_lowers_the_squared_error_of_every_row():
    weight = torch.randn(200, 8)

    def error(candidates):
        quantized = quantize_weight("weight", weight, Scheme(weight_candidates=candidates))
        return (dequantize_weight(quantized) - weight).double().square().sum(dim=1)

    assert bool((error(8) <= error(1) * (1 + 1e-5)).all())
    assert error(8).sum() < 0.7 * error(1).sum()


@pytest.mark.parametrize(
    ("weight", "fault"),
    [
        (torch.tensor([[1.0, torch.nan]]), "NaN or infinity"),
        (torch.tensor([[1.0, -torch.inf]]), "NaN or infinity"),
        (torch.zeros(0, 3), "no element"),
        (torch.zeros(2, 3).double(), "torch.float64"),
    ],
)
def test_a_weight_without_a_scale_is_refused(weight, fault, refuses):
    with refuses(ModelError, "weight_ih_l0", fault):
        quantize_weight("weight_ih_l0", weight)


@given(st.integers(1, 6), st.integers(1, 30), SEEDS, st.integers(1, 8))
def test_neighbours_in_pairs_never_exceed_128_and_the_scale_is_no_coarser_than_it_must(
    rows, width, seed, candidates
):
    w = drawn(rows, width, seed=seed) ** 3
    how = Scheme(pairs=True, weight_candidates=candidates, columns=False)
    values, step, *_ = quantize_weight("w", w, how)
    sizes = np.pad(np.abs(values.numpy().astype(int)), ((0, 0), (0, width % 2)))
    sums = sizes[:, ::2] + sizes[:, 1::2]
    assert sums.max() <= 128
    assert (sums.max(axis=1) >= 119).all()
    assert bool(((values * step[:, None] - w).abs() <= 0.5001 * step[:, None]).all())


def test_int8_weight_gives_back_its_matrix():
    weight = Int8Weight(torch.tensor([[127, -64]], dtype=torch.int8), torch.tensor([0.5]))
    assert dequantize_weight(weight).tolist() == [[63.5, -32.0]]


# -- columns ---------------------------------------------------------------------------------


@given(st.integers(2, 12), SEEDS, st.integers(-30, 30))
def test_column_scales_follow_a_change_of_units_and_no_outlying_row(width, seed, exponent):
    w = torch.rand(16, width, generator=torch.Generator().manual_seed(seed)) + 1
    w[:, 1:] *= torch.tensor([1.0, -1.0])[torch.arange(width - 1) % 2]
    before = column_scales(w)
    assert bool((before == 1).all())
    changed = w.clone()
    changed[:, 0] *= 2.0**exponent
    after = column_scales(changed)
    assert abs(float((after[0] / after[1]).log2()) - exponent) <= 1
    assert float(after.max()) == 1
    assert bool((after.log2() == after.log2().round()).all())
    loud = w.clone()
    loud[3] *= 3000
    assert torch.equal(column_scales(loud), before)


def test_columns_of_zeros_have_the_scale_one():
    w = torch.tensor([[0.0, 1e-3, 2.0], [0.0, -2e-3, 1.0]])
    assert column_scales(w)[0] == 1
    assert column_scales(torch.zeros(3, 4)).tolist() == [1.0] * 4


def test_the_columns_of_a_large_matrix_are_measured_over_all_its_rows():
    """Above 2^19 weights in several blocks: their sums, not those of the last one."""
    w = torch.ones(2**10, 1030)
    w[:512, 7] = w[512:, 8] = 2.0**-9
    w[:, 9] = 2.0**-9
    scales = column_scales(w)
    # The root of half the rows is 0.7, whose power of two is 1; that of none 2^-9.
    assert scales[7] == scales[8] == 1
    assert scales[9] == 2.0**-9


def test_columns_alike_change_nothing():
    lstm, x = nn.LSTM(24, 32).eval(), torch.randn(6, 3, 24)
    with_columns = Int8LSTM.from_float(lstm, fast=False)
    without = Int8LSTM.from_float(lstm, scheme=Scheme(columns=False, hidden_bits=8), fast=False)
    assert bool((with_columns.weight_ih_l0_columns == 1).all())
    assert torch.equal(with_columns(x)[0], without(x)[0])


# -- residuals -------------------------------------------------------------------------------


def test_just_the_coarse_rows_have_a_residual():
    weight = torch.rand(40, 16) + 1
    weight[[3, 20]] *= 64
    weight[:, 5] /= 256
    made = quantize_weight("w", weight, residual=True)
    assert made.residual.rows.tolist() == [3, 20]
    assert made.residual.values.shape == (2, 16)
    missed = (dequantize_weight(made) - weight).abs().amax(dim=1)
    assert float(missed[[3, 20]].max()) < made.scale[3] / 200
    for how in (Scheme(residual=False), Scheme("tensor")):
        assert quantize_weight("w", weight, how, residual=True).residual is None
    assert quantize_weight("w", weight).residual is None


def test_of_the_coarse_rows_only_those_that_are_missed_have_one():
    weight = torch.rand(40, 16) + 1
    weight[[3, 7, 20]] *= 64
    weight[7] = 127.0 * torch.ones(16)  # which its integers hit
    made = quantize_weight("w", weight, Scheme(columns=False), residual=True)
    assert made.residual.rows.tolist() == [3, 20]
    assert len(made.residual.values) == len(made.residual.scale) == 2


@pytest.mark.parametrize("times", [3.6, 4.4])
def test_a_row_is_coarse_from_four_times_the_median_on(times):
    weight = torch.rand(9, 64, generator=torch.Generator().manual_seed(1)) + 1
    weight[:, 0] = 2
    weight[5] *= times
    made = quantize_weight("w", weight, Scheme(weight_candidates=1), residual=True)
    assert (made.residual is not None) == (times > 4)


@given(st.integers(1, 60), st.integers(1, 40), SEEDS, st.sampled_from([1e-30, 1, 1e6]))
def test_rows_alike_have_none(rows, columns, seed, size):
    draw = torch.Generator().manual_seed(seed)
    even = (torch.rand(rows, columns, generator=draw) + 1) * size
    for how in (EXACT, PAIRS):
        assert quantize_weight("w", even, how, residual=True).residual is None


def test_a_row_that_its_integers_hit_has_none():
    single = torch.tensor([[0.01], [0.02], [0.015], [7.3], [-9.1]])
    assert quantize_weight("w", single, residual=True).residual is None
    assert quantize_weight("w", torch.zeros(3, 4), residual=True).residual is None
    mostly_zeros = torch.zeros(9, 4)
    mostly_zeros[0] = torch.tensor([0.3, -0.7, 0.11, 0.2])
    assert quantize_weight("w", mostly_zeros, residual=True).residual is None
