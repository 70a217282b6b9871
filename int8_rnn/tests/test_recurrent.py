"""Int8LSTM and Int8GRU as drop-ins: every option and form of the input, errors, determinism."""

import copy

import numpy as np
import pytest
import torch
from bounds import lstm_with_bounds
from hypothesis import given, strategies as st
from int8_rnn.reference import run_linear
from made_up import (
    INT8,
    OPTIONS,
    SCHEMES,
    Case,
    every_case,
    every_recurrent,
    every_scheme,
    flat,
    map_states,
    relative_error,
    same,
    torch_ao,
)
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

from int8_rnn import Int8LSTM, Scheme

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


def exact_run(module, *inputs):
    double = copy.deepcopy(module).double()
    inputs = [map_states(lambda x: x.double(), x) for x in inputs]
    with torch.inference_mode():
        return flat(double(*inputs))


# -- how close -------------------------------------------------------------------------------


def assert_within_bounds(lstm, int8, x, state):
    expected = lstm_with_bounds(lstm, int8, x, *state)
    for (value, bound), got in zip(expected, flat(int8(x, state)), strict=True):
        assert bool(((got.double() - value).abs() <= bound).all())
    return expected


@every_scheme
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_lstm_stays_within_the_bound_of_the_scales(options, scheme, fast):
    case = Case("lstm", options)
    lstm, int8 = case.pair(scheme=scheme, fast=fast)
    x, state = torch.randn(5, 4, 6), case.state(lstm, 4)
    expected = assert_within_bounds(lstm, int8, x, state)
    # The oracle computes what nn.LSTM does, and its bound is tight enough to catch a fault.
    for (value, _), theirs in zip(expected, exact_run(lstm, x, state), strict=True):
        torch.testing.assert_close(value, theirs)
    coarse = Int8LSTM.from_float(lstm, scheme=Scheme(activation_bits=4), fast=False)
    (value, bound), *_ = expected
    if scheme.symmetric and scheme.hidden_bits is None:
        assert bool(((coarse(x, state)[0] - value).abs() > bound).any())


@given(
    sizes=st.tuples(st.integers(1, 9), st.integers(2, 9)),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    exponent=st.integers(-20, 20),
    kind=st.sampled_from(["normal", "zeros", "constant rows", "subnormal"]),
    bidirectional=st.booleans(),
    projected=st.booleans(),
    scheme=st.sampled_from(sorted(SCHEMES)),
)
def test_any_shape_and_scale_stays_within_the_bound(
    sizes, shape, exponent, kind, bidirectional, projected, scheme, fast
):
    torch.manual_seed(0)
    options = {"bidirectional": bidirectional, "proj_size": projected * (sizes[1] - 1)}
    case = Case("lstm", options)
    lstm, int8 = case.pair(*sizes, scheme=SCHEMES[scheme], fast=fast)
    x = torch.randn(*shape, sizes[0]) * 10.0**exponent
    x = {
        "normal": x,
        "zeros": x * 0,
        "constant rows": x[..., :1].expand_as(x),
        "subnormal": x * 10.0 ** (-40 - exponent),
    }[kind]
    assert_within_bounds(lstm, int8, x, case.state(lstm, shape[1]))


@every_case
@every_scheme
def test_every_option_is_close_to_the_float_module(case, scheme, fast):
    module, int8 = case.pair(20, 24, scheme=scheme, fast=fast)
    x, state = torch.randn(9, 4, 20), case.state(module, 4)
    most = 0.013 if scheme is SCHEMES["8 bits"] else 0.007
    for ours, theirs in zip(flat(int8(x, state)), exact_run(module, x, state), strict=True):
        assert 0 < relative_error(ours, theirs) < most


@pytest.mark.parametrize("name", ["exact", "default"])
def test_one_gru_layer_is_what_integers_by_hand_give(name):
    """Two steps with numpy's integers, the gates r, z, n in float64."""
    gru, int8 = Case("gru", {}).pair(5, 6, scheme=SCHEMES[name])
    x, h = torch.randn(2, 1, 5), torch.randn(1, 1, 6)

    def sums(part, row):
        w = getattr(int8, f"weight_{part}_l0").numpy().astype(np.int64)
        row = row * getattr(int8, f"weight_{part}_l0_columns").numpy()
        if part == "hh" and name == "default":
            low, high = min(row.min(), 0), max(row.max(), 0)
            step = (high - low) / 255
            integers = np.clip(np.rint(row / step + np.rint(-low / step)), 0, 255)
            integers -= np.rint(-low / step)
        else:
            step = np.abs(row).max() / 32767
            integers = np.rint(row / step)
        scale = getattr(int8, f"weight_{part}_l0_scale").numpy().astype(np.float64)
        bias = getattr(int8, f"bias_{part}_l0").numpy()
        return (w @ integers.astype(np.int64)) * step * scale + bias

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    state = h[0, 0].numpy().astype(np.float64)
    for step in x[:, 0].numpy().astype(np.float64):
        (a, b, c), (d, e, f) = np.split(sums("ih", step), 3), np.split(sums("hh", state), 3)
        r, z = sigmoid(a + d), sigmoid(b + e)
        state = (1 - z) * np.tanh(c + r * f) + z * state
    assert np.abs(int8(x, h)[1][0, 0].numpy() - state).max() < 5e-5
    assert np.abs(gru(x, h)[1][0, 0].detach().numpy() - state).max() > 5e-5


@pytest.mark.fbgemm
@every_recurrent
@pytest.mark.parametrize(
    ("width", "layers", "bidirectional", "batch", "seeds"),
    [(8, 1, False, 1, 8), (8, 3, True, 16, 3), (80, 2, True, 7, 2), (256, 1, False, 16, 1)],
)
def test_the_scheme_torch_ao_agrees_with_torch_ao(kind, width, layers, bidirectional, batch, seeds):
    """Down to the bit on the machines tried; 1e-6 is what is asked."""
    case = Case(kind, {"num_layers": layers, "bidirectional": bidirectional})
    for seed in range(seeds):
        torch.manual_seed(seed)
        module, ours = case.pair(width, width, scheme="torch.ao", fast=None)
        state = case.state(module, batch)
        sequences = pack_sequence([torch.randn(1 + k, width) for k in range(batch)], False)
        for inputs in (torch.randn(20, batch, width), sequences):
            with torch.inference_mode():
                expected = flat(torch_ao(module)(inputs, state))
            for a, b in zip(flat(ours(inputs, state)), expected, strict=True):
                assert float((a - b).abs().max()) <= 1e-6


def test_the_order_of_operations_of_the_new_state(monkeypatch):
    """What faster code has to follow to the bit: h = n + z (h - n)."""
    monkeypatch.setattr("int8_rnn.reference.stable_sigmoid", lambda x: torch.full_like(x, 0.3))
    _, int8 = Case("gru", {}).pair(2, 3, scheme="exact")
    h = torch.randn(1, 1, 3)
    before = int8(torch.zeros(1, 1, 2), h)[1]
    weight = int8.int8_weights()["weight_hh_l0"]
    from_hidden = run_linear(h[0], weight, 16)[0, 6:]
    n = torch.tanh(int8.bias_ih_l0[6:] + torch.tensor(0.3) * from_hidden)
    assert torch.equal(before[0, 0], n + 0.3 * (h[0, 0] - n))


# -- forms of the input ----------------------------------------------------------------------


@every_case
def test_each_form_of_the_input_gives_the_same_bits(case, fast):
    """Unbatched, batch_first, packed, not contiguous: each sequence by itself is the reference."""
    module, int8 = case.pair(fast=fast)
    lengths = (2, 5, 1, 3)
    sequences, state = [torch.randn(n, 6) for n in lengths], case.state(module, 4)
    alone = [int8(x, map_states(lambda s, b=b: s[:, b], state)) for b, x in enumerate(sequences)]

    output, finals = int8(pack_sequence(sequences, enforce_sorted=False), state)
    padded, got_lengths = pad_packed_sequence(output)
    assert got_lengths.tolist() == list(lengths)
    for b, result in enumerate(alone):
        assert torch.equal(padded[: lengths[b], b], result[0])
        assert same((result[0], map_states(lambda s, b=b: s[:, b], finals)), result)

    # Two sequences whose batch comes first, beside the same with their steps first.
    both = torch.stack([sequences[1], torch.randn(5, 6)])
    two = map_states(lambda s: s[:, 1:3], state)
    first = case.float_module(batch_first=True)
    first.load_state_dict(module.state_dict())
    output, finals = INT8[case.kind].from_float(first, fast=fast)(both, two)
    expected = int8(both.transpose(0, 1).contiguous(), map_states(torch.clone, two))
    assert same((output.transpose(0, 1), finals), expected)
    assert torch.equal(expected[0][:, 0], alone[1][0])
    turned = map_states(lambda s: s.transpose(0, 1).contiguous().transpose(0, 1), two)
    assert same(int8(both.transpose(0, 1), turned), expected)
    if fast is False:
        assert not same(int8(both.transpose(0, 1)), expected), "states do matter"


FORMS = ["dense", "batch_first", "unbatched", "packed", "batch 0", "batch_first, batch 0"]


@every_recurrent
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("with_state", [True, False])
def test_results_have_the_form_of_those_of_pytorch(kind, form, with_state, fast):
    options = {"num_layers": 2, "bidirectional": True}
    options |= {"proj_size": 3} if kind == "lstm" else {}
    case = Case(kind, options)
    module, int8 = case.pair(fast=fast, batch_first=form.startswith("batch_first"))
    inputs = {
        "dense": torch.randn(5, 4, 6),
        "batch_first": torch.randn(4, 5, 6),
        "unbatched": torch.randn(5, 6),
        "packed": pack_sequence([torch.randn(n, 6) for n in (1, 5, 2, 2)], enforce_sorted=False),
        "batch 0": torch.randn(5, 0, 6),
        "batch_first, batch 0": torch.randn(0, 5, 6),
    }[form]
    state = case.state(module, 0 if "batch 0" in form else 4)
    state = map_states(lambda s: s[:, 0], state) if form == "unbatched" else state
    arguments = (inputs, state) if with_state else (inputs,)
    with torch.inference_mode():
        expected = module(*arguments)
    got = int8(*arguments)
    assert [type(part) for part in got] == [type(part) for part in expected]
    for ours, theirs in zip(flat(got), flat(expected), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0)
    if form == "packed":
        for name in ("batch_sizes", "sorted_indices", "unsorted_indices"):
            assert torch.equal(getattr(got[0], name), getattr(expected[0], name))


@every_recurrent
def test_packed_batches_of_equal_sums_are_told_apart(kind, fast):
    """13 rows twice, of other lengths; and ragged ones of 16 rows and more."""
    _, int8 = Case(kind, {}).pair(fast=fast)
    for lengths in ([9, 4], [7, 6], [9, 4], [*range(20, 0, -1)], [3] * 16 + [1] * 7):
        x = torch.randn(max(lengths), len(lengths), 6)
        output, _ = pad_packed_sequence(int8(pack_padded_sequence(x, lengths))[0])
        for b, length in enumerate(lengths):
            assert torch.equal(output[:length, b], int8(x[:length, b])[0])
            assert not output[length:, b].any()


@every_recurrent
def test_results_are_not_overwritten_by_the_next_call_nor_states_by_this_one(kind, fast):
    case = Case(kind, {})
    module, int8 = case.pair(fast=fast)
    state = case.state(module, 2)
    held = map_states(torch.clone, state)
    first = flat(int8(torch.randn(5, 2, 6), state))
    kept = [x.clone() for x in first]
    int8(torch.randn(5, 2, 6))
    assert all(map(torch.equal, first, kept))
    assert same((kept[0], state), (kept[0], held))


# -- determinism -----------------------------------------------------------------------------


@every_recurrent
@every_scheme
def test_a_row_has_the_same_bits_in_any_batch_and_on_any_number_of_threads(kind, scheme, fast):
    case = Case(kind, {"num_layers": 2, "bidirectional": True})
    _, int8 = case.pair(17, 21, fast=fast, scheme=scheme)
    x = torch.randn(4, 37, 17)
    whole = int8(x)[0]
    for size in (1, 5, 8, 36):
        split = torch.cat([int8(part)[0] for part in x.split(size, dim=1)], dim=1)
        assert torch.equal(split, whole)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        assert torch.equal(int8(x)[0], whole)


@every_recurrent
def test_a_batch_that_is_shared_out_to_threads_gives_the_same_bits(kind, fast):
    """With torch.sigmoid, two of these elements differ: the share ends within a row."""
    _, int8 = Case(kind, {}).pair(4, 111, fast=fast)
    x = 2 * torch.randn(1, 301, 4)
    expected = int8(x)[0]
    torch.set_num_threads(2)
    assert torch.equal(int8(x)[0], expected)


@every_recurrent
@every_scheme
def test_nan_and_infinity_stay_in_their_sequence_and_spread_only_forward(kind, scheme, fast):
    _, int8 = Case(kind, {}).pair(fast=fast, scheme=scheme)
    x = torch.randn(5, 4, 6)
    clean = int8(x)[0]
    x[2, 1, 0], x[3, 2, 5] = torch.nan, torch.inf
    dirty = int8(x)[0]
    assert torch.equal(dirty[:, [0, 3]], clean[:, [0, 3]])
    assert torch.equal(dirty[:2, 1], clean[:2, 1])
    assert torch.equal(dirty[:3, 2], clean[:3, 2])
    assert bool(dirty[2:, 1].isnan().all())
    assert bool(dirty[3:, 2].isnan().all())


@every_recurrent
def test_no_gradient_flows_and_inference_mode_works(kind, fast):
    case = Case(kind, {})
    module, int8 = case.pair(fast=fast)
    x = torch.randn(3, 2, 6).requires_grad_()
    state = map_states(lambda s: s.requires_grad_(), case.state(module, 2))
    found = flat(int8(x, state))
    assert not any(part.requires_grad for part in found)
    with torch.inference_mode():
        assert torch.equal(int8(x.detach(), state)[0], found[0])


# -- bits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "options", "scheme", "bits"),
    [
        ((8, 8), {}, "default", (16, 8)),
        ((8, 8), {}, "exact", (16, 16)),
        ((8, 8), {}, "8-bit", (8, 8)),
        ((516, 8), {}, "exact", (16, 16)),
        ((517, 8), {}, "exact", (15, 15)),
        ((8, 517), {}, "exact", (15, 15)),
        ((8, 517), {}, "default", (16, 8)),
        # Two directions feed the second layer: 2 · 259 columns.
        ((8, 259), {"num_layers": 2, "bidirectional": True}, "exact", (15, 15)),
        ((8, 259), {"num_layers": 2, "bidirectional": True}, "default", (15, 8)),
        ((8, 259), {"bidirectional": True}, "exact", (16, 16)),
        # A projection takes its bits from the input, and as many columns as the hidden state has.
        ((8, 517), {"proj_size": 8}, "default", (15, 8)),
        ((8, 300), {"num_layers": 2, "proj_size": 260, "bidirectional": True}, "default", (15, 8)),
        ((8, 600), {}, Scheme(activation_bits=8, hidden_bits=15), (8, 15)),
    ],
)
def test_no_sum_can_overflow(sizes, options, scheme, bits):
    lstm = Int8LSTM(*sizes, **options, scheme=scheme)
    assert (lstm.activation_bits, lstm.hidden_bits) == bits
    names = [name for name in lstm.int8_weights() if name.startswith("weight_ih")]
    assert {lstm.bits_of(name)[0] for name in names} == {bits[0]}
    assert lstm.bits_of("weight_hh_l0") == (bits[1], bits[1] > 8)
    assert lstm.bits_of("weight_hr_l0") == lstm.bits_of("weight_ih_l0")
    assert f"activation_bits={bits[0]}, hidden_bits={bits[1]}" in repr(lstm)
