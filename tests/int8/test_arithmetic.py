"""The arithmetic under the int8 LSTM: scales, integers, exact sums, and torch.ao as an oracle."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from recipe_helpers.common.errors import ArgumentError, ModelError
from recipe_helpers.common.settings import deprecations_silenced, engine_set
from recipe_helpers.int8 import arithmetic
from recipe_helpers.int8.arithmetic import DEFAULT, TORCH_AO, Int8Weight, Scheme
from recipe_helpers.int8.lstm import Int8LSTM

FEW = settings(max_examples=30, derandomize=True, deadline=None)
INT32_MAX = 2**31 - 1

SCHEMES = [
    Scheme("channel", activations, bits, symmetric)
    for activations, bits, symmetric in itertools.product(
        ("row", "sequence"), (7, 8, 12), (True, False)
    )
]
# Float32 rows: zeros, subnormals, constant rows, anything between.
ROWS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 9)),
    elements=st.floats(-(2.0**66), 2.0**66, width=32)
    | st.floats(-(2.0**-120), 2.0**-120, width=32)
    | st.just(0.0),
)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(29592)


def torch_ao_lstm(lstm):
    from torch.ao.quantization import quantize_dynamic

    with deprecations_silenced(), engine_set("fbgemm"):
        return quantize_dynamic(nn.Sequential(lstm), {nn.LSTM}, dtype=torch.qint8)[0]


@pytest.mark.parametrize("weights", ["channel", "tensor"])
def test_a_weight_is_off_by_at_most_half_its_scale(weights):
    weight = torch.randn(12, 30) * torch.logspace(-20, 20, 12)[:, None]
    quantized = arithmetic.quantize_weight("weight", weight, Scheme(weights=weights, columns=False))
    scale = quantized.scale.double()
    assert quantized.values.dtype == torch.int8
    assert 120 <= quantized.values.abs().max() <= 127
    assert quantized.scale.shape == ((12,) if weights == "channel" else (1,))
    off = (quantized.values.double() * scale[:, None] - weight.double()).abs()
    assert bool((off <= 0.5001 * scale[:, None]).all())
    assert bool(
        (scale >= weight.double().abs().amax(1 if weights == "channel" else None) / 127.01).all()
    )


def test_trying_several_weight_scales_lowers_the_squared_error_of_every_row():
    weight = torch.randn(200, 8)

    def error(candidates):
        quantized = arithmetic.quantize_weight(
            "weight", weight, Scheme(weight_candidates=candidates)
        )
        return (arithmetic.dequantize_weight(quantized) - weight).double().square().sum(dim=1)

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
def test_a_weight_without_a_scale_is_refused(weight, fault):
    with pytest.raises(ModelError, match=f"weight_ih_l0 .*{fault}"):
        arithmetic.quantize_weight("weight_ih_l0", weight)


@pytest.mark.parametrize(
    "scheme", SCHEMES, ids=lambda s: f"{s.activations}-{s.activation_bits}-{s.symmetric}"
)
def test_activations_are_off_by_at_most_half_their_scale(scheme):
    @FEW
    @given(ROWS)
    def check(rows):
        x = torch.from_numpy(rows)
        values, scale = arithmetic.quantize_activations(x, scheme.activation_bits, scheme)
        assert values.dtype == torch.int16
        assert int(values.abs().max()) <= scheme.largest_integer(scheme.activation_bits)
        assert scale.shape == ((len(x), 1) if scheme.activations == "row" else (1, 1))
        assert bool((values[x == 0] == 0).all())
        # Clipping at the end of an affine range costs what its zero point was rounded by.
        half = 0.5001 if scheme.symmetric else 1.0001
        off = (values.double() * scale.double() - x.double()).abs()
        assert bool((off <= half * scale.double()).all())

    check()


@FEW
@given(ROWS, st.sampled_from([torch.nan, torch.inf, -torch.inf]), st.data())
def test_nan_and_infinity_stay_in_their_row(rows, bad, data):
    x = torch.from_numpy(rows)
    weight = arithmetic.quantize_weight("weight", torch.randn(3, x.shape[1]).clamp(-1, 1))
    clean = arithmetic.run_linear(x, weight, torch.ones(3), 12)
    row = data.draw(st.integers(0, len(x) - 1))
    x[row, data.draw(st.integers(0, x.shape[1] - 1))] = bad
    result = arithmetic.run_linear(x, weight, torch.ones(3), 12)
    others = torch.arange(len(x)) != row
    assert bool(result[row].isnan().all())
    assert torch.equal(result[others], clean[others])


@pytest.mark.parametrize("columns", [1, 8, 516, 517, 1032, 1033, 2048, 8260, 8261, 133152])
@pytest.mark.parametrize(
    "base", [DEFAULT, Scheme(symmetric=False), Scheme("tensor", weight_limit=127.5)]
)
def test_the_largest_sum_fits_int32_and_one_more_bit_would_not(columns, base):
    bits = arithmetic.most_activation_bits(columns, base)
    largest_weight = 127 if base.weight_limit == 127.0 else 128
    assert columns * largest_weight * base.largest_integer(bits) <= INT32_MAX
    widest = 16 if base.symmetric else 15
    if bits < widest:
        assert columns * largest_weight * base.largest_integer(bits + 1) > INT32_MAX
        with pytest.raises(
            ArgumentError, match=f"activation_bits is {bits + 1}.*up to {bits} bits"
        ):
            arithmetic.most_activation_bits(columns, Scheme(*_choices(base, bits + 1)))
    assert arithmetic.most_activation_bits(columns, Scheme(*_choices(base, bits))) == bits


def _choices(base, bits):
    return base.weights, base.activations, bits, base.symmetric, base.weight_limit


def test_even_four_bits_are_refused_where_they_would_overflow():
    with pytest.raises(ArgumentError, match="fewer than 4 bits"):
        arithmetic.most_activation_bits(2_500_000)


@pytest.mark.parametrize("columns", [8, 516, 1032, 8260])
def test_sums_are_exact_to_the_last_integer(columns):
    """At the largest sum that is allowed, and at random ones, against Python's own integers."""
    bits = arithmetic.most_activation_bits(columns)
    x = torch.stack([torch.ones(columns), -torch.ones(columns), torch.randn(columns)])
    w = torch.stack([torch.ones(columns), torch.randn(columns)])
    weight = arithmetic.quantize_weight("weight", w, Scheme(weight_candidates=1, columns=False))
    values, scale = arithmetic.quantize_activations(x, bits)
    exact = [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in weight.values.tolist()]
        for row in values.tolist()
    ]
    assert exact[0][0] == columns * 127 * (2 ** (bits - 1) - 1)
    multiplier = (scale * weight.scale).double()
    expected = (torch.tensor(exact, dtype=torch.float64) * multiplier).float()
    assert torch.equal(arithmetic.run_linear(x, weight, None, bits), expected)


@FEW
@given(ROWS, st.integers(-20, 20), st.integers(4, 16))
def test_a_linear_layer_stays_within_the_bound_of_its_scales(rows, exponent, bits):
    x = torch.from_numpy(rows).clamp(-1e18, 1e18)
    w = torch.randn(4, x.shape[1], generator=torch.Generator().manual_seed(bits)) * 10.0**exponent
    weight = arithmetic.quantize_weight("weight", w)
    _, scale = arithmetic.quantize_activations(x, bits)
    d = 0.501 * scale.double()
    half = 0.501 * weight.scale.double()
    result = arithmetic.run_linear(x, weight, None, bits).double()
    exact = x.double() @ w.double().T
    bound = (x.double().abs() + d).sum(1, keepdim=True) * half + d @ w.double().abs().sum(1)[None]
    fits = exact.abs() + bound < torch.finfo(torch.float32).max
    # Products of scales below float32's range are zero; so is what they stand for, nearly.
    tiny = x.shape[1] * 2.0 ** (bits + 6) * 2.0**-149
    off = (result - exact).abs()
    assert bool((off <= bound + 1e-6 * exact.abs() + tiny)[fits].all())


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"weights": "row"}, "weights is 'row'.*'channel', 'tensor'"),
        ({"activations": "batch"}, "activations is 'batch'.*'row', 'step', 'sequence'"),
        ({"activation_bits": 17}, "activation_bits is 17.*at most 16"),
        ({"activation_bits": 16, "symmetric": False}, "activation_bits is 16.*at most 15"),
        ({"activation_bits": 3}, "activation_bits is 3.*from 4 to 16"),
        ({"weight_limit": 100.0}, "weight_limit is 100.0"),
        ({"weight_candidates": 0}, "weight_candidates is 0"),
        ({"pairs": True, "weights": "tensor"}, "pairs is True with weights='tensor'"),
    ],
)
def test_unknown_choices_are_refused(choices, message):
    with pytest.raises(ArgumentError, match=message):
        Scheme(**choices)


def test_schemes_have_names():
    assert arithmetic.as_scheme("default") == Scheme()
    assert arithmetic.as_scheme("torch.ao") == TORCH_AO
    with pytest.raises(ArgumentError, match="scheme is 'onnx'; pass one of 'default',"):
        arithmetic.as_scheme("onnx")


def test_the_integers_are_those_of_torch_ao():
    lstm = nn.LSTM(8, 16)
    packed = torch_ao_lstm(lstm).get_weight()
    for name in ("weight_ih_l0", "weight_hh_l0"):
        ours = arithmetic.quantize_weight(name, getattr(lstm, name), TORCH_AO)
        assert torch.equal(ours.values, packed[name].int_repr())
        assert ours.scale.item() == packed[name].q_scale()


@pytest.mark.parametrize(
    ("width", "layers", "bidirectional", "batch", "seeds"),
    [
        (8, 1, False, 1, 15),
        (8, 3, True, 16, 5),
        (80, 1, False, 1, 4),
        (80, 2, True, 7, 3),
        (256, 1, False, 16, 2),
    ],
)
def test_the_scheme_torch_ao_agrees_with_torch_ao(width, layers, bidirectional, batch, seeds):
    """Down to the bit on the machines tried; 1e-6 is what is asked."""
    for seed in range(seeds):
        torch.manual_seed(seed)
        lstm = nn.LSTM(width, width, layers, bidirectional=bidirectional).eval()
        theirs, ours = torch_ao_lstm(lstm), Int8LSTM.from_float(lstm, scheme="torch.ao")
        states = [torch.randn(layers * (1 + bidirectional), batch, width) for _ in range(2)]
        sequences = pack_sequence([torch.randn(1 + k, width) for k in range(batch)], False)
        for inputs in (torch.randn(20, batch, width), sequences):
            with torch.inference_mode():
                expected, expected_states = theirs(inputs, tuple(states))
            got, got_states = ours(inputs, tuple(states))
            if inputs is sequences:
                expected, got = expected.data, got.data
            for a, b in zip((got, *got_states), (expected, *expected_states), strict=True):
                assert float((a - b).abs().max()) <= 1e-6


def test_int8_weight_gives_back_its_matrix():
    weight = Int8Weight(torch.tensor([[127, -64]], dtype=torch.int8), torch.tensor([0.5]))
    assert arithmetic.dequantize_weight(weight).tolist() == [[63.5, -32.0]]
