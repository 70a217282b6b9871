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
from recipe_helpers.int8.fast_path import packed_weights, plans, rows
from recipe_helpers.int8.linear import Int8Linear
from recipe_helpers.under_the_hood.float_lstm import FusedFloatLSTM

from .fast_path import (
    assert_fast_path_ran,
    assert_same_bits,
    flat,
    int8_pair,
    products,
    random,
    rational_tanh,
    row_by_row,
)

widths = st.integers(1, 130)
shapes = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["lstm", "gru"]),
        "bits": st.sampled_from([None, 8]),
        "inputs": widths,
        "hidden": widths,
        "layers": st.integers(1, 2),
        "bias": st.booleans(),
        "bidirectional": st.booleans(),
        "projected": st.booleans(),
        "lengths": st.lists(st.integers(1, 7), min_size=1, max_size=6),
        "form": st.sampled_from(["padded", "packed", "one sequence", "batch first"]),
        "given_state": st.booleans(),
        "scale": st.sampled_from([1e-30, 1e-3, 1.0, 1e4]),
        "seed": st.integers(0, 99),
        "product": st.integers(0, 2),
        "loud_rows": st.booleans(),
    }
)


def example(case):
    """A pair of modules, an input and an initial state (or None) for a drawn case."""
    hidden, kind, form = case["hidden"], case["kind"], case["form"]
    options = {"bias": case["bias"], "bidirectional": case["bidirectional"]}
    proj_size = hidden // 3 if case["projected"] and kind == "lstm" and hidden > 2 else 0
    if proj_size:
        options["proj_size"] = proj_size
    pair = int8_pair(
        case["inputs"], hidden, case["layers"], seed=case["seed"], kind=kind,
        activation_bits=case["bits"], batch_first=form == "batch first",
        loud_rows=case["loud_rows"], **options,
    )  # fmt: skip
    steps, batch = max(case["lengths"]), len(case["lengths"])
    data = random(steps, batch, case["inputs"], seed=case["seed"], scale=case["scale"])
    count = case["layers"] * (2 if case["bidirectional"] else 1)
    parts = [proj_size or hidden, hidden][: 2 if kind == "lstm" else 1]
    state = tuple(random(count, batch, width, seed=2 + i) for i, width in enumerate(parts))
    if form == "packed":
        data = pack_padded_sequence(data, case["lengths"], enforce_sorted=False)
    elif form == "one sequence":
        data, state = data[:, 0], tuple(part[:, 0] for part in state)
    elif form == "batch first":
        data = data.transpose(0, 1)
    if not case["given_state"]:
        return *pair, data, None
    return *pair, data, state if kind == "lstm" else state[0]


def check(case, by_row=False):
    fast, plain, data, state = example(case)
    kinds = products(case["bits"] is None)
    with pytest.MonkeyPatch.context() as patch:
        kind = kinds[case["product"] % len(kinds)]
        row_by_row(patch, by_row)
        patch.setattr(packed_weights, "kind_for", lambda *_: kind)
        with pytest.MonkeyPatch.context() as same:
            same.setattr(torch, "tanh", rational_tanh)
            expected = plain(data, state)
        for _ in ("first", "known"):
            assert_same_bits(assert_fast_path_ran(patch, lambda: fast(data, state)), expected)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=shapes)
def test_every_bit_is_that_of_the_reference(case):
    """With each kind of product that this CPU can run, not only the one it would choose."""
    check(case)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(case=shapes)
def test_the_kernel_that_works_row_by_row_gives_the_same_bits(case):
    case = {**case, "kind": "lstm", "bits": None, "loud_rows": False}
    check(case, by_row=True)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(case=shapes)
def test_with_pytorchs_tanh_the_reference_agrees_to_about_a_step_of_quantization(case):
    """An activation that lies on a tie may round the other way."""
    fast, plain, data, state = example({**case, "bits": None})
    for left, right in zip(flat(fast(data, state)), flat(plain(data, state)), strict=True):
        # A cell state grows with its length and its start.
        torch.testing.assert_close(left, right, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_an_empty_batch(kind):
    fast, plain = int8_pair(5, 6, kind=kind)
    data = torch.zeros(3, 0, 5)
    for one, other in zip(flat(fast(data)), flat(plain(data)), strict=True):
        assert one.shape == other.shape


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("bits", [None, 8])
@pytest.mark.parametrize("width", [256, 520])
def test_wide_layers(width, bits, kind, same_tanh, monkeypatch):
    fast, plain = int8_pair(width, width, activation_bits=bits, kind=kind)
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
    row_by_row(monkeypatch)
    plans.spare_plans.cache_clear()
    with threads_set(1):
        assert_same_bits(fast(data), plain(data))
        assert_same_bits(fast(data[:3]), plain(data[:3]))
    assert decisions == [batch < 4] * 2 + [False] * 2


def test_many_rows_are_taken_in_several_chunks(same_tanh):
    fast, plain = int8_pair(10, 12, bidirectional=True)
    data = random(50, 7, 10)
    assert_same_bits(fast(data), plain(data))


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("bits", [None, 8])
def test_nan_and_infinity_stay_in_their_row(bits, kind, same_tanh):
    fast, plain = int8_pair(9, 20, activation_bits=bits, kind=kind)
    data = random(6, 4, 9)
    data[2, 1, 3], data[3, 2, 0] = torch.nan, -torch.inf
    result = fast(data)
    assert result[0][:, [0, 3]].isfinite().all()
    assert result[0][2:, 1].isnan().all()
    assert_same_bits(result, plain(data))


@pytest.mark.parametrize("bits", [None, 8])
def test_zeros_and_subnormals(bits, same_tanh):
    fast, plain = int8_pair(9, 20, bias=False, activation_bits=bits)
    for data in (torch.zeros(3, 2, 9), torch.full((3, 2, 9), 1e-42), random(3, 2, 9, scale=1e-39)):
        assert_same_bits(fast(data), plain(data))


@pytest.mark.parametrize("bits", [None, 8])
@pytest.mark.parametrize("product", range(3))
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 5), (16, 64), (17, 33), (200, 130)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(inputs, outputs, bias, bits, product, monkeypatch):
    kinds = products(bits is None)
    kind = kinds[product % len(kinds)]
    monkeypatch.setattr(packed_weights, "kind_for", lambda *_: kind)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        linear = nn.Linear(inputs, outputs, bias).eval()
        linear.weight.data *= torch.exp(torch.randn(inputs))
        fast = Int8Linear.from_float(linear, activation_bits=bits)
    plain = copy.deepcopy(fast)
    plain.fast = False
    data = random(3, 67, inputs)
    data[0, 5, 0] = torch.nan
    expected = plain(data)
    found = assert_fast_path_ran(monkeypatch, lambda: fast(data))
    assert torch.equal(found.nan_to_num(nan=-7), expected.nan_to_num(nan=-7))


@pytest.mark.parametrize("largest", [False, True])
def test_sums_of_the_largest_integers_are_exact(largest, monkeypatch):
    """Nothing saturates where it may not: every product as large as it gets, of either sign."""
    for bits, width in ((None, 516), (8, 2048)):
        linear = Int8Linear.from_float(nn.Linear(width, 64, bias=False), activation_bits=bits)
        linear.weight_columns.fill_(1)
        linear.weight_scale.fill_(1)
        linear.weight.fill_(127)
        linear.weight[::2] = -128 if bits else -127
        data = torch.ones(2, width)
        data[1] = -1 if largest else torch.tensor([1.0, -1.0]).repeat(width // 2)
        found = assert_fast_path_ran(monkeypatch, lambda layer=linear, x=data: layer(x))
        linear.fast = False
        assert torch.equal(found, linear(data))


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
