"""`rh.Int8LSTM` and `rh.Int8Linear` as drop-ins: options, errors, accuracy, determinism."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import recipe_helpers as rh
from recipe_helpers.common.errors import ArgumentError, InputError, ModelError
from recipe_helpers.common.settings import threads_set
from recipe_helpers.int8.arithmetic import Scheme

from .int8_bounds import lstm_with_bounds

OPTIONS = {
    "plain": {},
    "no bias": {"bias": False},
    "layers": {"num_layers": 3},
    "bidirectional": {"bidirectional": True},
    "projection": {"proj_size": 4},
    "everything": {"num_layers": 2, "bidirectional": True, "proj_size": 3, "bias": False},
}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(29592)


def pair(*sizes, **options):
    """A float LSTM and its int8 drop-in, always the reference."""
    lstm = nn.LSTM(*sizes, **options).eval()
    return lstm, rh.Int8LSTM.from_float(lstm, fast=False)


def state_for(lstm, batch):
    count = lstm.num_layers * (2 if lstm.bidirectional else 1)
    return (
        torch.randn(count, batch, lstm.proj_size or lstm.hidden_size),
        torch.randn(count, batch, lstm.hidden_size),
    )


def flat(result):
    output, (hidden, cell) = result
    return getattr(output, "data", output), hidden, cell


def float_run(lstm, *inputs):
    with torch.inference_mode():
        return lstm.double()(*(_double(x) for x in inputs))


def _double(x):
    return tuple(part.double() for part in x) if type(x) is tuple else x.double()


def assert_within_bounds(lstm, int8, x, state):
    expected = lstm_with_bounds(lstm, int8, x, *state)
    for (value, bound), got in zip(expected, flat(int8(x, state)), strict=True):
        assert bool(((got.double() - value).abs() <= bound).all())
    return expected


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_option_stays_within_the_bound_of_the_scales(options):
    lstm, int8 = pair(6, 7, **options)
    x, state = torch.randn(5, 4, 6), state_for(lstm, 4)
    expected = assert_within_bounds(lstm, int8, x, state)
    # The oracle computes what nn.LSTM does, and its bound is tight enough to catch a fault.
    exact = flat(float_run(lstm, x, state))
    for (value, _), theirs in zip(expected, exact, strict=True):
        torch.testing.assert_close(value, theirs)
    lstm.float()
    coarse = rh.Int8LSTM.from_float(lstm, scheme=Scheme(activation_bits=4))
    (value, bound), *_ = expected
    assert bool(((coarse(x, state)[0] - value).abs() > bound).any())


@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 9), st.integers(2, 9)),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    exponent=st.integers(-20, 20),
    kind=st.sampled_from(["normal", "zeros", "constant rows", "subnormal"]),
    bidirectional=st.booleans(),
    projected=st.booleans(),
)
def test_any_shape_and_scale_stays_within_the_bound(
    sizes, shape, exponent, kind, bidirectional, projected
):
    torch.manual_seed(0)
    lstm, int8 = pair(*sizes, bidirectional=bidirectional, proj_size=projected * (sizes[1] - 1))
    x = torch.randn(*shape, sizes[0]) * 10.0**exponent
    x = {
        "normal": x,
        "zeros": x * 0,
        "constant rows": x[..., :1].expand_as(x),
        "subnormal": x * 10.0 ** (-40 - exponent),
    }[kind]
    assert_within_bounds(lstm, int8, x, state_for(lstm, shape[1]))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_each_form_of_the_input_gives_the_same_bits(options):
    """Unbatched, batch_first, packed, split: each sequence by itself is the reference."""
    lstm, int8 = pair(6, 7, **options)
    lengths = (2, 5, 1, 3)
    sequences, state = [torch.randn(n, 6) for n in lengths], state_for(lstm, 4)
    alone = [int8(x, tuple(s[:, b] for s in state)) for b, x in enumerate(sequences)]

    packed, (hidden, cell) = int8(pack_sequence(sequences, enforce_sorted=False), state)
    padded, got_lengths = nn.utils.rnn.pad_packed_sequence(packed)
    assert got_lengths.tolist() == list(lengths)
    for b, (output, (h, c)) in enumerate(alone):
        assert torch.equal(padded[: lengths[b], b], output)
        assert torch.equal(hidden[:, b], h)
        assert torch.equal(cell[:, b], c)

    first = nn.LSTM(6, 7, batch_first=True, **options)
    first.load_state_dict(lstm.state_dict())
    x = sequences[1][None].transpose(0, 1)
    one_state = tuple(s[:, 1:2] for s in state)
    got = flat(rh.Int8LSTM.from_float(first, fast=False)(x.transpose(0, 1), one_state))
    assert torch.equal(got[0], alone[1][0][None])
    assert torch.equal(got[1][:, 0], alone[1][1][0])


@pytest.mark.parametrize("form", ["dense", "batch_first", "unbatched", "packed", "batch 0"])
@pytest.mark.parametrize("with_state", [True, False])
def test_results_have_the_form_of_those_of_an_lstm(form, with_state):
    lstm, int8 = pair(6, 7, 2, bidirectional=True, proj_size=3, batch_first=form == "batch_first")
    inputs = {
        "dense": torch.randn(5, 4, 6),
        "batch_first": torch.randn(4, 5, 6),
        "unbatched": torch.randn(5, 6),
        "packed": pack_sequence([torch.randn(n, 6) for n in (1, 5, 2, 2)], enforce_sorted=False),
        "batch 0": torch.randn(5, 0, 6),
    }[form]
    state = state_for(lstm, 0 if form == "batch 0" else 4)
    state = tuple(s[:, 0] for s in state) if form == "unbatched" else state
    arguments = (inputs, state) if with_state else (inputs,)
    expected, got = float_run(lstm, *arguments), int8(*arguments)
    assert type(got) is tuple
    assert type(got[1]) is tuple
    assert type(got[0]) is type(expected[0])
    for ours, theirs in zip(flat(got), flat(expected), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), theirs, atol=0.02, rtol=0)
    if form == "packed":
        for name in ("batch_sizes", "sorted_indices", "unsorted_indices"):
            assert torch.equal(getattr(got[0], name), getattr(expected[0], name))


def test_a_row_has_the_same_bits_in_any_batch_and_on_any_number_of_threads():
    _, int8 = pair(17, 21, 2, bidirectional=True)
    x = torch.randn(4, 37, 17)
    whole = int8(x)[0]
    for size in (1, 5, 8, 36):
        split = torch.cat([int8(part)[0] for part in x.split(size, dim=1)], dim=1)
        assert torch.equal(split, whole)
    for threads in (1, 2):
        with threads_set(threads):
            assert torch.equal(int8(x)[0], whole)


def test_a_batch_that_is_shared_out_to_threads_gives_the_same_bits():
    """With torch.sigmoid, two of these elements differ: the share ends within a row."""
    _, int8 = pair(4, 111)
    x = 2 * torch.randn(1, 301, 4)
    with threads_set(1):
        expected = int8(x)[0]
    with threads_set(2):
        assert torch.equal(int8(x)[0], expected)


def test_nan_and_infinity_stay_in_their_sequence_and_spread_only_forward():
    _, int8 = pair(6, 7)
    x = torch.randn(5, 4, 6)
    clean = int8(x)[0]
    x[2, 1, 0], x[3, 2, 5] = torch.nan, torch.inf
    dirty = int8(x)[0]
    assert torch.equal(dirty[:, [0, 3]], clean[:, [0, 3]])
    assert torch.equal(dirty[:2, 1], clean[:2, 1])
    assert torch.equal(dirty[:3, 2], clean[:3, 2])
    assert bool(dirty[2:, 1].isnan().all())
    assert bool(dirty[3:, 2].isnan().all())


@pytest.mark.parametrize(
    ("inputs", "state", "message"),
    [
        (torch.zeros(5, 4, 3), None, r"input is a float32 tensor of shape \(5, 4, 3\); pass"),
        (torch.zeros(6), None, "input is a float32 tensor of shape"),
        (torch.zeros(1, 5, 4, 6), None, "input is a float32 tensor of shape"),
        (torch.zeros(5, 4, 6).double(), None, "input is a float64 tensor"),
        ("six", None, "input is a str; pass a float32 tensor"),
        (torch.zeros(0, 4, 6), None, "a sequence of no steps"),
        (torch.zeros(0, 6), None, "a sequence of no steps"),
        (torch.zeros(5, 4, 6), torch.zeros(1, 4, 7), r"hx is .*pass \(hidden, cell\)"),
        (torch.zeros(5, 4, 6), (torch.zeros(1, 4, 7),), r"hx is .*\(1, 4, 7\) and \(1, 4, 7\)"),
        (torch.zeros(5, 4, 6), (torch.zeros(1, 3, 7), torch.zeros(1, 4, 7)), "hx is"),
        (torch.zeros(5, 4, 6), (torch.zeros(1, 7), torch.zeros(1, 7)), "hx is"),
        (torch.zeros(5, 6), (torch.zeros(1, 1, 7), torch.zeros(1, 1, 7)), r"shape \(1, 7\) and"),
        (torch.zeros(5, 4, 6), tuple(torch.zeros(2, 1, 4, 7).double()), "hx is .*float64"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(inputs, state, message):
    lstm, int8 = pair(6, 7)
    with pytest.raises((RuntimeError, ValueError, AttributeError, LookupError)):
        lstm(inputs, state)
    with pytest.raises(InputError, match=message):
        int8(inputs, state)


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ((0, 7), {}, "input_size is 0"),
        ((6, 0), {}, "hidden_size is 0"),
        ((6, 7), {"num_layers": 0}, "num_layers is 0"),
        ((6, 7), {"proj_size": 7}, "proj_size is 7; pass 0 for no projection, or .* below"),
        ((6, 700), {"scheme": Scheme(activation_bits=16)}, "activation_bits is 16; sums of 700"),
        ((6, 7), {"scheme": "fast"}, "scheme is 'fast'"),
    ],
)
def test_sizes_and_choices_are_checked(sizes, options, message):
    with pytest.raises(ArgumentError, match=message):
        rh.Int8LSTM(*sizes, **options)


def test_a_module_that_computes_something_else_is_refused():
    class Twice(nn.LSTM):
        def forward(self, *arguments):
            return super().forward(*arguments)

    with pytest.raises(ModelError, match="lstm, a Twice, has to stay in float: it overrides the f"):
        rh.Int8LSTM.from_float(Twice(6, 7))
    with pytest.raises(ModelError, match=r"lstm is a GRU; pass a torch.nn.LSTM"):
        rh.Int8LSTM.from_float(nn.GRU(6, 7))
    with pytest.raises(ModelError, match=r"linear is a LSTM; pass a torch.nn.Linear"):
        rh.Int8Linear.from_float(nn.LSTM(6, 7))
    broken = nn.LSTM(6, 7)
    broken.weight_hh_l0.data[3, 3] = torch.nan
    with pytest.raises(ModelError, match="weight_hh_l0 has NaN or infinity"):
        rh.Int8LSTM.from_float(broken)


@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 3, 6), (0, 6), (2, 0, 6)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_takes_any_leading_dimensions(shape, bias):
    linear = nn.Linear(6, 9, bias=bias)
    int8 = rh.Int8Linear.from_float(linear, fast=False)
    x = torch.randn(shape)
    half = int8.weight_scale.double() / 2 * 1.001
    bound = x.double().abs().sum(-1, keepdim=True) * half + 1e-3
    exact = float_run(linear, x)
    assert int8(x).shape == exact.shape
    assert bool(((int8(x) - exact).abs() <= bound).all())
    with pytest.raises(InputError, match=r"pass a float32 tensor of shape \(\.\.\., 6\)"):
        int8(torch.zeros(6, 5))
