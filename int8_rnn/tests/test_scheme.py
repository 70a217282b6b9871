"""What a scheme may say, and how many bits a sum leaves room for."""

import pytest
from int8_rnn.scheme import (
    DEFAULT,
    EIGHT_BIT,
    EXACT,
    INT32_MAX,
    SCHEMES,
    TORCH_AO,
    chosen_scheme,
    most_activation_bits,
)
from made_up import PAIRS

from int8_rnn import ArgumentError, Scheme


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
    with refuses(ArgumentError, "fewer than 4 bits"):
        most_activation_bits(2_500_000, base)


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
    assert chosen_scheme("default") == DEFAULT == Scheme(hidden_bits=8)
    assert chosen_scheme("torch.ao") == TORCH_AO
    assert chosen_scheme(EXACT) is EXACT
    with refuses(ArgumentError, "scheme is 'onnx'; pass one of 'default',"):
        chosen_scheme("onnx")


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
