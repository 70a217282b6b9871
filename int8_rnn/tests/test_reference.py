"""Quantized activations and their products, against numpy and by their bounds."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from int8_rnn.reference import run_linear
from int8_rnn.scheme import DEFAULT, EIGHT_BIT, EXACT, TORCH_AO, most_activation_bits
from int8_rnn.weights import quantize_weight
from made_up import PAIRS, ROWS, SEEDS, drawn, numpy_linear, torch_ao
from torch import nn

from int8_rnn import Scheme, quantize_activations


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


def test_the_end_of_an_affine_range_is_clipped():
    """-101.5 makes the zero point 102, beside which 153.5 would be 256."""
    values, scale = quantize_activations(torch.tensor([[-101.5, 153.5]]), 8, EIGHT_BIT)
    assert values.tolist() == [[-102, 153]]
    assert scale.tolist() == [[1.0]]


@given(ROWS, st.sampled_from([torch.nan, torch.inf, -torch.inf]), st.data())
def test_nan_and_infinity_stay_in_their_row(rows, bad, data):
    x = torch.from_numpy(rows)
    weight = quantize_weight("weight", torch.randn(3, x.shape[1]).clamp(-1, 1))
    weight = weight._replace(bias=torch.ones(3))
    for bits, how in ((12, EXACT), (8, EIGHT_BIT)):
        clean = run_linear(x, weight, bits, how)
        dirty = x.clone()
        row = data.draw(st.integers(0, len(x) - 1))
        dirty[row, data.draw(st.integers(0, x.shape[1] - 1))] = bad
        result = run_linear(dirty, weight, bits, how)
        others = torch.arange(len(x)) != row
        assert bool(result[row].isnan().all())
        assert torch.equal(result[others], clean[others])


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
    weight = weight._replace(bias=drawn(9, seed=seed + 3) if seed % 2 else None)
    bits = most_activation_bits(width, how)
    ours = run_linear(x, weight, bits, how)
    assert np.array_equal(ours.numpy(), numpy_linear(x, weight, bits, not how.symmetric))


@given(ROWS, st.integers(-20, 20), st.integers(4, 16))
def test_a_linear_layer_stays_within_the_bound_of_its_scales(rows, exponent, bits):
    x = torch.from_numpy(rows).clamp(-1e18, 1e18)
    w = drawn(4, x.shape[1], seed=bits) * 10.0**exponent
    weight = quantize_weight("weight", w)
    _, scale = quantize_activations(x, bits)
    d, half = 0.501 * scale.double(), 0.501 * weight.scale.double()
    result = run_linear(x, weight, bits).double()
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
    assert torch.equal(run_linear(x, weight, bits), expected)


@pytest.mark.fbgemm
def test_the_integers_are_those_of_torch_ao():
    lstm = nn.LSTM(8, 16)
    packed = torch_ao(lstm).get_weight()
    for name in ("weight_ih_l0", "weight_hh_l0"):
        ours = quantize_weight(name, getattr(lstm, name), TORCH_AO)
        assert torch.equal(ours.values, packed[name].int_repr())
        assert ours.scale.item() == packed[name].q_scale()
