"""Int8LSTM and Int8GRU as drop-ins: every option and form of the input, determinism, bits."""

import pytest
import torch
from int8_rnn.reference import run_linear
from made_up import (
    INT8,
    SCHEMES,
    Case,
    every_case,
    every_recurrent,
    every_scheme,
    exact_run,
    flat,
    map_states,
    numpy_linear,
    relative_error,
    same,
    torch_ao,
)
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

from int8_rnn import Int8LSTM, Scheme

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")

# -- how close -------------------------------------------------------------------------------


def lstm_by_hand(a, b, before):
    i, f, g, o = (a + b).chunk(4, 1)
    cell = f.sigmoid() * before[1] + i.sigmoid() * g.tanh()
    return [o.sigmoid() * cell.tanh(), cell]


def gru_by_hand(a, b, before):
    (r_a, z_a, n_a), (r_b, z_b, n_b) = a.chunk(3, 1), b.chunk(3, 1)
    r, z = (r_a + r_b).sigmoid(), (z_a + z_b).sigmoid()
    return [(1 - z) * (n_a + r * n_b).tanh() + z * before[0]]


def by_hand(int8, data, states):
    """All layers with numpy's integers and gates in float64: the output, and the last states."""
    finals, cell = [], lstm_by_hand if isinstance(int8, Int8LSTM) else gru_by_hand
    weights = int8.int8_weights()

    def product(name, x):
        bits, symmetric = int8.bits_of(name)
        return torch.from_numpy(numpy_linear(x.float(), weights[name], bits, not symmetric))

    for layer in range(int8.num_layers):
        sides = []
        for reverse in range(1 + int8.bidirectional):
            end, steps = f"_l{layer}" + "_reverse" * reverse, []
            now = [part[len(finals)].double() for part in states]
            for step in data.flip(0) if reverse else data:
                gates = product(f"weight_ih{end}", step), product(f"weight_hh{end}", now[0])
                now = cell(*(part.double() for part in gates), now)
                if int8.proj_size:
                    now[0] = product(f"weight_hr{end}", now[0]).double()
                steps.append(now[0])
            finals.append(now)
            sides.append(torch.stack(steps[::-1] if reverse else steps))
        data = torch.cat(sides, dim=-1)
    return [data, *map(torch.stack, zip(*finals, strict=True))]


@every_case
@every_scheme
def test_every_option_is_what_integers_by_hand_give_and_close_to_the_float_module(
    case, scheme, fast
):
    module, int8 = case.pair(20, 24, scheme=scheme, fast=fast)
    x, state = torch.randn(9, 4, 20), case.state(module, 4)
    found = flat(int8(x, state))
    states = state if isinstance(state, tuple) else (state,)
    for ours, theirs in zip(found, by_hand(int8, x, states), strict=True):
        off = (ours - theirs).abs()
        # A rounding error of a gate may lift a hidden state to the next of its 255 integers.
        assert off.quantile(0.8) < 5e-6
        assert off.max() < 1e-3
    most = 0.013 if scheme is SCHEMES["8 bits"] else 0.007
    for ours, theirs in zip(found, exact_run(module, x, state), strict=True):
        assert 0 < relative_error(ours, theirs) < most


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
    torch.set_num_threads(2)
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
        ((8, 600), {"proj_size": 8}, Scheme(hidden_bits=16), (15, 16)),
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
