"""The emulated pairs of products, against whole numbers of Python and against the engine."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as npst

import recipe_helpers as rh
from recipe_helpers.under_the_hood.saturation import pair_sums


def by_python(row, weights):
    """One sum, product by product, in whole numbers without a size."""
    products = [int(a) * int(w) for a, w in zip(row, weights, strict=True)]
    pairs = [sum(products[i : i + 2]) for i in range(0, len(products), 2)]
    return sum(min(max(pair, -32768), 32767) for pair in pairs)


SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 9))


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.data())
def test_the_sums_are_those_of_whole_numbers(shape, data):
    rows, outputs, columns = shape
    a = torch.from_numpy(data.draw(npst.arrays("uint8", (rows, columns))))
    w = torch.from_numpy(data.draw(npst.arrays("int8", (outputs, columns))))
    result = rh.saturating_product(a, w)
    assert result.dtype == torch.int32
    assert result.tolist() == [[by_python(row, weight) for weight in w] for row in a]


def test_the_reduced_range_cannot_saturate_and_one_more_could():
    ends = torch.tensor([[127, 127], [-128, -128]], dtype=torch.int8)
    exact = [[32258, -32512]]
    assert rh.saturating_product(torch.full((1, 2), 127, dtype=torch.uint8), ends).tolist() == exact
    assert rh.saturated_share(torch.full((1, 2), 127, dtype=torch.uint8), ends) == 0
    beyond = torch.full((1, 2), 130, dtype=torch.uint8)
    assert rh.saturating_product(beyond, ends).tolist() == [[32767, -32768]]
    assert rh.saturated_share(beyond, ends) == 1


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize(
    ("a", "w", "pair"), [([255, 191], [127, 2], 32767), ([255, 1], [-128, -128], -32768)]
)
def test_the_ends_of_16_bits_are_kept_and_the_next_is_not(a, w, pair, last):
    activations = torch.tensor([[a[0], a[1] + last]], dtype=torch.uint8)
    weights = torch.tensor([w], dtype=torch.int8)
    assert pair_sums(activations, weights).item() == pair + last * w[1]
    assert rh.saturating_product(activations, weights).item() == pair
    assert rh.saturated_share(activations, weights) == last


def test_the_share_counts_pairs():
    a = torch.tensor([[255, 255, 1, 1], [0, 0, 255, 255]], dtype=torch.uint8)
    w = torch.tensor([[127, 127, 127, 127]], dtype=torch.int8)
    assert pair_sums(a, w).tolist() == [[[64770, 254]], [[0, 64770]]]
    assert rh.saturated_share(a, w) == 0.5


def test_leading_dimensions_are_kept():
    a = torch.randint(256, (5, 2, 7)).to(torch.uint8)
    w = torch.randint(-128, 128, (3, 7)).to(torch.int8)
    result = rh.saturating_product(a, w)
    assert result.shape == (5, 2, 3)
    assert torch.equal(result.flatten(0, 1), rh.saturating_product(a.flatten(0, 1), w))


def bytes_of_full_range():
    torch.manual_seed(0)
    a = torch.randint(256, (16, 64)).to(torch.uint8)
    a[0, :2] = torch.tensor([0, 255])
    return a, torch.randint(-128, 128, (32, 64)).to(torch.int8)


def test_qnnpack_gets_the_true_sums():
    a, w = bytes_of_full_range()
    assert torch.equal(rh.engine_product(a, w, engine="qnnpack"), a.int() @ w.int().T)


@pytest.mark.skipif(
    "fbgemm" not in torch.backends.quantized.supported_engines, reason="no x86 engine on this CPU"
)
def test_the_x86_engine_saturates_exactly_as_emulated_unless_the_cpu_has_vnni():
    a, w = bytes_of_full_range()
    found = getattr(torch.cpu, "get_capabilities", dict)()
    vnni = any(found.get(name) for name in ("avx_vnni", "avx512_vnni"))
    expected = a.int() @ w.int().T if vnni else rh.saturating_product(a, w)
    assert torch.equal(rh.engine_product(a, w, engine="fbgemm"), expected)


def test_the_engine_is_put_back():
    before = torch.backends.quantized.engine
    rh.engine_product(*bytes_of_full_range(), engine="qnnpack")
    assert torch.backends.quantized.engine == before


BYTES, WEIGHTS = torch.zeros(2, 3).byte(), torch.zeros(4, 3, dtype=torch.int8)


@pytest.mark.parametrize("call", [rh.saturating_product, rh.saturated_share, rh.engine_product])
@pytest.mark.parametrize(
    ("a", "w", "says"),
    [
        (BYTES.float(), WEIGHTS, "activations is a float32"),
        (BYTES, WEIGHTS.byte(), "weights is a uint8"),
        (BYTES, WEIGHTS[0], "weights is a int8 tensor of shape (3,)"),
        (BYTES, WEIGHTS[None], "weights is a int8 tensor of shape (1, 4, 3)"),
        (BYTES, WEIGHTS[:, :2], "shape (2, 3) and weights a int8 tensor of shape (4, 2)"),
        (BYTES[0, 0], WEIGHTS, "activations is a uint8 tensor of shape ()"),
        ([[1]], WEIGHTS, "activations is"),
    ],
)
def test_what_does_not_fit(refuses, call, a, w, says):
    with refuses(rh.InputError, says):
        call(a, w)


@pytest.mark.parametrize("ends", [(0, 254), (1, 255)])
def test_the_engine_needs_activations_whose_scale_is_one(refuses, ends):
    a = torch.tensor([[*ends, 7]], dtype=torch.uint8)
    with refuses(rh.InputError, "0 to 255"):
        rh.engine_product(a, torch.ones(2, 3, dtype=torch.int8))
