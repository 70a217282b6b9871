"""The compiled fast path against the plain reference, bit for bit."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from recipe_helpers.common.errors import InputError
from recipe_helpers.common.settings import threads_set
from recipe_helpers.int8 import arithmetic
from recipe_helpers.int8.fast_path import plans, rows
from recipe_helpers.int8.linear import Int8Linear
from recipe_helpers.under_the_hood.float_lstm import FusedFloatLSTM

from .fast_path import (
    assert_fast_path_ran,
    assert_same_bits,
    flat,
    int8_pair,
    random,
    rational_tanh,
)

widths = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 65, 80])
shapes = st.fixed_dictionaries(
    {
        "inputs": widths,
        "hidden": widths,
        "layers": st.integers(1, 2),
        "bias": st.booleans(),
        "bidirectional": st.booleans(),
        "projected": st.booleans(),
        "lengths": st.lists(st.integers(1, 7), min_size=1, max_size=6),
        "packed": st.booleans(),
        "given_state": st.booleans(),
        "scale": st.sampled_from([1e-30, 1e-3, 1.0, 1e4]),
        "seed": st.integers(0, 99),
    }
)


def example(case):
    """A pair of modules, an input and an initial state (or None) for a drawn case."""
    proj_size = max(case["hidden"] // 3, 1) if case["projected"] and case["hidden"] > 1 else 0
    pair = int8_pair(
        case["inputs"], case["hidden"], case["layers"], seed=case["seed"], bias=case["bias"],
        bidirectional=case["bidirectional"], proj_size=proj_size,
    )  # fmt: skip
    steps, batch = max(case["lengths"]), len(case["lengths"])
    data = random(steps, batch, case["inputs"], seed=case["seed"], scale=case["scale"])
    if case["packed"]:
        data = pack_padded_sequence(data, case["lengths"], enforce_sorted=False)
    state = None
    if case["given_state"]:
        count = case["layers"] * (2 if case["bidirectional"] else 1)
        rows = count, batch
        state = (
            random(*rows, proj_size or case["hidden"], seed=2),
            random(*rows, case["hidden"], seed=3),
        )
    return *pair, data, state


@settings(max_examples=30, deadline=None, derandomize=True)
@given(case=shapes)
def test_every_bit_is_that_of_the_reference(case):
    fast, plain, data, state = example(case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "tanh", rational_tanh)
        expected = plain(data, state)
    assert_same_bits(fast(data, state), expected)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(case=shapes)
def test_with_pytorchs_tanh_the_reference_agrees_to_1e_5(case):
    fast, plain, data, state = example(case)
    for left, right in zip(flat(fast(data, state)), flat(plain(data, state)), strict=True):
        # A cell state grows with its length and its start.
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("width", [256, 520])
def test_wide_layers(width, same_tanh, monkeypatch):
    fast, plain = int8_pair(width, width)
    data = random(9, 5, width)
    assert_same_bits(assert_fast_path_ran(monkeypatch, lambda: fast(data)), plain(data))


@pytest.mark.parametrize("batch", [1, 3, 4])
@pytest.mark.parametrize(
    ("sizes", "options"),
    [((5, 1), {}), ((3, 15), {}), ((8, 16), {}), ((9, 37), {"proj_size": 7}), ((20, 130), {})],
)
def test_widened_recurrent_weights(batch, sizes, options, same_tanh, monkeypatch):
    """Few rows and enough steps: int16 copies of W_hh, made or not, give the reference's bits."""
    fast, plain = int8_pair(*sizes, bidirectional=True, **options)
    data, decisions, original = random(6, batch, sizes[0]), [], plans._widened

    def watched(*arguments):
        decisions.append(original(*arguments))
        return decisions[-1]

    monkeypatch.setattr(plans, "_widened", watched)
    plans.spare_plans.cache_clear()
    with threads_set(1):
        assert_same_bits(fast(data), plain(data))
        assert_same_bits(fast(data[:3]), plain(data[:3]))
    assert decisions == [batch < 4] * 2 + [False] * 2


def test_many_rows_are_taken_in_several_chunks(same_tanh):
    fast, plain = int8_pair(10, 12, bidirectional=True)
    data = random(50, 7, 10)
    assert_same_bits(fast(data), plain(data))


def test_nan_and_infinity_stay_in_their_row(same_tanh):
    fast, plain = int8_pair(9, 20)
    data = random(6, 4, 9)
    data[2, 1, 3], data[3, 2, 0] = torch.nan, -torch.inf
    result = fast(data)
    assert result[0][:, [0, 3]].isfinite().all()
    assert result[0][2:, 1].isnan().all()
    assert_same_bits(result, plain(data))


def test_zeros_and_subnormals(same_tanh):
    fast, plain = int8_pair(9, 20, bias=False)
    for data in (torch.zeros(3, 2, 9), torch.full((3, 2, 9), 1e-42), random(3, 2, 9, scale=1e-39)):
        assert_same_bits(fast(data), plain(data))


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 5), (16, 4), (17, 33), (200, 130)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(inputs, outputs, bias, monkeypatch):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        linear = nn.Linear(inputs, outputs, bias).eval()
        linear.weight.data *= torch.exp(torch.randn(inputs))
        fast = Int8Linear.from_float(linear)
    plain = copy.deepcopy(fast)
    plain.fast = False
    data = random(3, 67, inputs)
    data[0, 5, 0] = torch.nan
    expected = plain(data)
    monkeypatch.setattr(arithmetic, "run_linear", None)
    assert torch.equal(fast(data).nan_to_num(nan=-7), expected.nan_to_num(nan=-7))


def test_tanh_is_accurate_far_below_a_quantization_step():
    x = np.concatenate([np.linspace(-12, 12, 200_001), np.geomspace(1e-30, 1e-2, 1001)])
    x = x.astype(np.float32)
    y = x.copy()
    rows.tanh(y.ctypes.data, len(y))
    exact = np.tanh(x.astype(np.float64))
    assert np.abs(y - exact).max() < 4e-7
    assert (np.abs(y - exact) / np.maximum(np.abs(exact), 1e-31))[x != 0].max() < 1e-6
    special = np.array([np.nan, np.inf, -np.inf, 0.0], np.float32)
    rows.tanh(special.ctypes.data, 4)
    assert np.isnan(special[0])
    assert special[1:].tolist() == pytest.approx([1, -1, 0], abs=4e-7)


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}, {"bias": False}])
@pytest.mark.parametrize("sizes", [(8, 8), (3, 17), (40, 33)])
def test_float_weights_in_the_same_kernel(sizes, options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        lstm = nn.LSTM(*sizes, **options).eval()
    data = random(70, 3, sizes[0])
    expected = lstm(data)
    for left, right in zip(
        flat(FusedFloatLSTM.from_float(lstm)(data)), flat(expected), strict=True
    ):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-5)
    weight_only = FusedFloatLSTM.from_float(lstm, weights="int8")
    for name, values in weight_only.named_buffers():
        if values.dtype == torch.int8:
            scale = getattr(weight_only, f"{name}_scale")
            getattr(lstm, name).data.copy_(values.float() * scale[:, None])
    for left, right in zip(flat(weight_only(data)), flat(lstm(data)), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-5)


def test_float_kernel_refuses_what_it_cannot_run():
    module = FusedFloatLSTM.from_float(nn.LSTM(4, 5))
    with pytest.raises(InputError, match=r"shape \(steps, batch, 4\)"):
        module(torch.zeros(3, 2, 7))
