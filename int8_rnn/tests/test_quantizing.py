"""Scales, integers and sums: weights, activations, one product; with numpy as the oracle."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from int8_rnn.reference import run_linear
from int8_rnn.scheme import (
    DEFAULT,
    EIGHT_BIT,
    EXACT,
    INT32_MAX,
    SCHEMES,
    TORCH_AO,
    as_scheme,
    chosen_scheme,
    most_activation_bits,
)
from int8_rnn.weights import (
    Int8Weight,
    column_scales,
    dequantize_weight,
    in_pairs,
    quantize_weight,
)
from made_up import torch_ao
from torch import nn

from int8_rnn import ArgumentError, Int8LSTM, ModelError, Scheme, quantize_activations

PAIRS = Scheme(activation_bits=8, symmetric=False, pairs=True)
# Float32 rows: zeros, subnormals, constant rows, anything between.
ROWS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 9)),
    elements=st.floats(-(2.0**66), 2.0**66, width=32)
    | st.floats(-(2.0**-120), 2.0**-120, width=32)
    | st.just(0.0),
)
SEEDS = st.integers(0, 10**6)


def drawn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


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
    assert in_pairs(values)
    assert (sums.max(axis=1) >= 119).all()
    assert bool(((values * step[:, None] - w).abs() <= 0.5001 * step[:, None]).all())


def test_weights_that_would_saturate_are_told_apart():
    assert in_pairs(torch.tensor([[127, 1, -128, 0, 100]], dtype=torch.int8))
    assert not in_pairs(torch.tensor([[0, 127, -66, 64, 64]], dtype=torch.int8))


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
    made = quantize_weight("w", weight, residual=True)
    assert made.residual.rows.tolist() == [3, 20]
    assert made.residual.values.shape == (2, 16)
    missed = (dequantize_weight(made) - weight).abs().amax(dim=1)
    assert float(missed[[3, 20]].max()) < made.scale[3] / 200
    for how in (Scheme(residual=False), Scheme("tensor")):
        assert quantize_weight("w", weight, how, residual=True).residual is None
    assert quantize_weight("w", weight).residual is None


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


# -- activations and products ----------------------------------------------------------------


@pytest.mark.parametrize("activations", ["row", "sequence"])
@pytest.mark.parametrize(("bits", "symmetric"), [*itertools.product((7, 8, 12), (True, False))])
def test_activations_are_off_by_at_most_half_their_scale(activations, bits, symmetric):
    scheme = Scheme(activations=activations, activation_bits=bits, symmetric=symmetric)

    @given(ROWS)
    def check(rows):
        x = torch.from_numpy(rows)
        values, scale = quantize_activations(x, bits, scheme)
        assert values.dtype == torch.int16
        assert int(values.abs().max()) <= scheme.largest_integer(bits)
        assert scale.shape == ((len(x), 1) if activations == "row" else (1, 1))
        assert bool((values[x == 0] == 0).all())
        # Clipping at the end of an affine range costs what its zero point was rounded by.
        half = 0.5001 if symmetric else 1.0001
        off = (values.double() * scale.double() - x.double()).abs()
        assert bool((off <= half * scale.double()).all())

    check()


@given(ROWS, st.sampled_from([torch.nan, torch.inf, -torch.inf]), st.data())
def test_nan_and_infinity_stay_in_their_row(rows, bad, data):
    x = torch.from_numpy(rows)
    weight = quantize_weight("weight", torch.randn(3, x.shape[1]).clamp(-1, 1))
    for bits, how in ((12, EXACT), (8, EIGHT_BIT)):
        clean = run_linear(x, weight, torch.ones(3), bits, how)
        dirty = x.clone()
        row = data.draw(st.integers(0, len(x) - 1))
        dirty[row, data.draw(st.integers(0, x.shape[1] - 1))] = bad
        result = run_linear(dirty, weight, torch.ones(3), bits, how)
        others = torch.arange(len(x)) != row
        assert bool(result[row].isnan().all())
        assert torch.equal(result[others], clean[others])


def numpy_linear(x, weight, bits, affine):
    """What `reference` documents, in a few lines of numpy, row by row."""
    columns = np.ones(x.shape[1]) if weight.columns is None else weight.columns.numpy()
    w, scale = weight.values.numpy().astype(np.int64), weight.scale.numpy()
    results = []
    for row in x.numpy() * columns.astype(np.float32):
        if affine:
            low, high = min(float(row.min()), 0.0), max(float(row.max()), 0.0)
            exact = max((high - low) / (2**bits - 1), 2.0**-126)
            zero, step = np.rint(-low / exact), np.float32(exact)
            inverse = np.float32(1) / step
            q = np.rint((row.astype(np.float64) * inverse + zero).astype(np.float32))
            q = np.clip(q, 0, 2**bits - 1) - zero
        else:
            most = 2 ** (bits - 1) - 1
            step = max(np.abs(row).max() / np.float32(most), np.float32(2.0**-126))
            q = np.rint(row * (np.float32(1) / step))
        sums = w @ q.astype(np.int64)
        results.append(sums.astype(np.float32) * (step * scale))
    found = np.stack(results)
    if weight.residual is not None:
        rows, values, of_rows = weight.residual
        again = weight._replace(values=values, scale=of_rows, residual=None)
        found[:, rows.numpy()] += numpy_linear(x, again, bits, affine)
    return found


@given(
    st.integers(1, 9),
    st.integers(1, 40),
    SEEDS,
    st.floats(0, 6),
    st.booleans(),
    st.sampled_from(
        [EXACT, Scheme(columns=False), EIGHT_BIT, PAIRS, DEFAULT.hidden, Scheme(activation_bits=11)]
    ),
)
def test_a_product_is_that_of_numpy_to_the_bit(rows, width, seed, spread, loud, how):
    sizes = torch.exp(spread * drawn(width, seed=seed))
    x = drawn(rows, width, seed=seed + 1) / sizes + (seed % 3 - 1)
    w = drawn(9, width, seed=seed + 2) * sizes
    if loud:
        w[[1, 7]] *= 1000
    weight = quantize_weight("w", w, how, residual=True)
    bits = most_activation_bits(width, how)
    ours = run_linear(x, weight, None, bits, how)
    assert np.array_equal(ours.numpy(), numpy_linear(x, weight, bits, not how.symmetric))


@given(ROWS, st.integers(-20, 20), st.integers(4, 16))
def test_a_linear_layer_stays_within_the_bound_of_its_scales(rows, exponent, bits):
    x = torch.from_numpy(rows).clamp(-1e18, 1e18)
    w = drawn(4, x.shape[1], seed=bits) * 10.0**exponent
    weight = quantize_weight("weight", w)
    _, scale = quantize_activations(x, bits)
    d, half = 0.501 * scale.double(), 0.501 * weight.scale.double()
    result = run_linear(x, weight, None, bits).double()
    exact = x.double() @ w.double().T
    bound = (x.double().abs() + d).sum(1, keepdim=True) * half + d @ w.double().abs().sum(1)[None]
    fits = exact.abs() + bound < torch.finfo(torch.float32).max
    # Products of scales below float32's range are zero; so is what they stand for, nearly.
    tiny = x.shape[1] * 2.0 ** (bits + 6) * 2.0**-149
    off = (result - exact).abs()
    assert bool((off <= bound + 1e-6 * exact.abs() + tiny)[fits].all())


@pytest.mark.parametrize("columns", [8, 516, 1032, 8260])
def test_sums_are_exact_to_the_last_integer(columns):
    """At the largest sum that is allowed, and at random ones, against Python's own integers."""
    bits = most_activation_bits(columns)
    x = torch.stack([torch.ones(columns), -torch.ones(columns), torch.randn(columns)])
    w = torch.stack([torch.ones(columns), torch.randn(columns)])
    weight = quantize_weight("weight", w, Scheme(weight_candidates=1, columns=False))
    values, scale = quantize_activations(x, bits)
    exact = [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in weight.values.tolist()]
        for row in values.tolist()
    ]
    assert exact[0][0] == columns * 127 * (2 ** (bits - 1) - 1)
    multiplier = (scale * weight.scale).double()
    expected = (torch.tensor(exact, dtype=torch.float64) * multiplier).float()
    assert torch.equal(run_linear(x, weight, None, bits), expected)


@pytest.mark.fbgemm
def test_the_integers_are_those_of_torch_ao():
    lstm = nn.LSTM(8, 16)
    packed = torch_ao(lstm).get_weight()
    for name in ("weight_ih_l0", "weight_hh_l0"):
        ours = quantize_weight(name, getattr(lstm, name), TORCH_AO)
        assert torch.equal(ours.values, packed[name].int_repr())
        assert ours.scale.item() == packed[name].q_scale()


# -- schemes and bits ------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [1, 8, 516, 517, 1032, 1033, 2048, 8260, 8261, 133152])
@pytest.mark.parametrize(
    "base", [EXACT, Scheme(symmetric=False), Scheme("tensor", weight_limit=127.5)]
)
def test_the_largest_sum_fits_int32_and_one_more_bit_would_not(columns, base, refuses):
    bits = most_activation_bits(columns, base)
    largest_weight = 127 if base.weight_limit == 127.0 else 128

    def asked(bits):
        return Scheme(base.weights, "row", bits, base.symmetric, base.weight_limit)

    assert columns * largest_weight * base.largest_integer(bits) <= INT32_MAX
    assert most_activation_bits(columns, asked(bits)) == bits
    if bits < (16 if base.symmetric else 15):
        assert columns * largest_weight * base.largest_integer(bits + 1) > INT32_MAX
        with refuses(ArgumentError, f"activation_bits is {bits + 1}", f"up to {bits} bits"):
            most_activation_bits(columns, asked(bits + 1))


def test_even_four_bits_are_refused_where_they_would_overflow(refuses):
    with refuses(ArgumentError, "fewer than 4 bits"):
        most_activation_bits(2_500_000)


@pytest.mark.parametrize(
    ("choices", "fragments"),
    [
        ({"weights": "row"}, ["weights is 'row'", "'channel', 'tensor'"]),
        ({"activations": "batch"}, ["activations is 'batch'", "'row', 'step', 'sequence'"]),
        ({"activation_bits": 17}, ["activation_bits is 17", "at most 16"]),
        ({"activation_bits": 16, "symmetric": False}, ["activation_bits is 16", "at most 15"]),
        ({"activation_bits": 3}, ["activation_bits is 3", "from 4 to 16"]),
        ({"hidden_bits": 17}, ["hidden_bits is 17", "at most 16"]),
        ({"hidden_bits": 3}, ["hidden_bits is 3", "from 4 to 16"]),
        ({"weight_limit": 100.0}, ["weight_limit is 100.0"]),
        ({"weight_candidates": 0}, ["weight_candidates is 0"]),
        ({"pairs": True, "weights": "tensor"}, ["pairs is True with weights='tensor'"]),
        ({"pairs": True, "weight_limit": 127.5}, ["pairs is True with weights='channel' and"]),
    ],
)
def test_unknown_choices_are_refused(choices, fragments, refuses):
    with refuses(ArgumentError, *fragments):
        Scheme(**choices)


def test_schemes_have_names(refuses):
    assert as_scheme("default") == DEFAULT == Scheme(hidden_bits=8)
    assert as_scheme("torch.ao") == TORCH_AO
    assert as_scheme(EXACT) is EXACT
    with refuses(ArgumentError, "scheme is 'onnx'; pass one of 'default',"):
        as_scheme("onnx")


@pytest.mark.parametrize(
    ("hidden_bits", "bits", "symmetric"),
    [(None, 11, True), (4, 4, False), (8, 8, False), (9, 9, True), (16, 16, True)],
)
def test_the_hidden_state_has_a_zero_point_up_to_a_byte(hidden_bits, bits, symmetric):
    how = Scheme(activation_bits=11, hidden_bits=hidden_bits)
    assert (how.hidden.activation_bits, how.hidden.symmetric) == (bits, symmetric)
    assert how.hidden.weights == how.weights
    assert TORCH_AO.hidden == TORCH_AO


def test_activation_bits_stand_for_both(refuses):
    paired = Scheme(pairs=True, hidden_bits=8)
    assert chosen_scheme("default", None) == DEFAULT
    assert chosen_scheme("default", 16) == EXACT
    assert chosen_scheme("default", 8) == EIGHT_BIT
    assert chosen_scheme(paired, 8) == PAIRS
    assert chosen_scheme(paired, 16) == Scheme(pairs=True)
    for wrong in (9, True, "8", 8.5):
        with refuses(ArgumentError, f"activation_bits is {wrong!r}; pass 8 or 16"):
            chosen_scheme("default", wrong)
    for name in ("torch.ao", "8-bit"):
        with refuses(ArgumentError, "activation_bits is 8 beside the scheme Scheme("):
            chosen_scheme(name, 8)
    assert set(SCHEMES) == {"default", "exact", "8-bit", "torch.ao"}
