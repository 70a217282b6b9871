"""What Int8LSTM and Int8GRU refuse, in one sentence each."""

import pytest
import torch
from made_up import Case
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from int8_rnn import ArgumentError, InputError, Int8GRU, Int8LSTM, Scheme

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")

ZEROS, OF_LSTM = torch.zeros, "pass (hidden, cell), in float32 and of shape (1, 4, 7) and (1, 4, 7)"
# Kind, input, state, batch_first, and what the one sentence says.
REFUSED = [
    *((kind, *wrong) for kind in ("lstm", "gru") for wrong in [
        (ZEROS(5, 4, 3), None, False, "input is a float32 tensor of shape (5, 4, 3); pass"),
        (ZEROS(5, 4, 8), None, False, "input is a float32 tensor of shape (5, 4, 8); pass"),
        (ZEROS(6), None, False, "input is a float32 tensor of shape (6,)"),
        (ZEROS(1, 5, 4, 6), None, False, "input is a float32 tensor of shape"),
        (ZEROS(5, 4, 6).double(), None, False, "input is a float64 tensor"),
        (pack_sequence([ZEROS(5, 3)]), None, False, "input is a float32 tensor of shape (5, 3)"),
        ("six", None, False, "input is a str; pass a float32 tensor"),
        (ZEROS(0, 4, 6), None, False, "a sequence of no steps"),
        (ZEROS(4, 0, 6), None, True, "a sequence of no steps"),
        (ZEROS(0, 6), None, False, "a sequence of no steps"),
        (ZEROS(0, 6), None, True, "a sequence of no steps"),
        (ZEROS(5, 4, 6), 3, False, "hx is int; for this input pass"),
    ]),
    ("lstm", ZEROS(5, 4, 6), ZEROS(1, 4, 7), False, OF_LSTM),
    ("lstm", ZEROS(5, 4, 6), (ZEROS(1, 4, 7),), False, OF_LSTM),
    ("lstm", ZEROS(5, 4, 6), (ZEROS(1, 4, 7),) * 3, False, OF_LSTM),
    ("lstm", ZEROS(5, 4, 6), (ZEROS(1, 3, 7), ZEROS(1, 4, 7)), False, "shape (1, 3, 7), float"),
    ("lstm", ZEROS(5, 4, 6), (ZEROS(1, 4, 7), ZEROS(1, 3, 7)), False, "shape (1, 4, 7), float"),
    ("lstm", ZEROS(5, 4, 6), (ZEROS(1, 7), ZEROS(1, 7)), False, "hx is"),
    ("lstm", ZEROS(5, 6), (ZEROS(1, 1, 7), ZEROS(1, 1, 7)), False, "shape (1, 7) and (1, 7)"),
    ("lstm", ZEROS(5, 4, 6), tuple(ZEROS(2, 1, 4, 7).double()), False, "float64"),
    ("lstm", ZEROS(5, 4, 6), (ZEROS(1, 4, 7), ZEROS(1, 4, 7)), True, "of shape (1, 5, 7)"),
    ("gru", ZEROS(5, 4, 6), ZEROS(1, 3, 7), False, "the hidden state, in float32 and of shape (1"),
    ("gru", ZEROS(5, 4, 6), (ZEROS(1, 4, 7),) * 2, False, "hx is"),
    ("gru", ZEROS(5, 4, 6), (ZEROS(1, 4, 7),), False, "hx is"),
    ("gru", ZEROS(5, 6), ZEROS(1, 1, 7), False, "of shape (1, 7)"),
    ("gru", ZEROS(5, 4, 6), ZEROS(1, 4, 7).double(), False, "float64"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "inputs", "state", "batch_first", "words"), REFUSED)
def test_an_input_or_a_state_that_does_not_fit_is_refused(
    kind, inputs, state, batch_first, words, fast, refuses
):
    module, int8 = Case(kind, {}).pair(fast=fast, batch_first=batch_first)
    int8(ZEROS(3, 4, 6))  # a call that was right has left nothing behind
    if not isinstance(inputs, PackedSequence):  # of which PyTorch reads what lies beside it
        with pytest.raises((RuntimeError, ValueError, AttributeError, LookupError, TypeError)):
            module(inputs, state)
    with refuses(InputError, words):
        int8(inputs, state)


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        (Int8LSTM, {"input_size": 0}, "input_size is 0; pass a whole number of at least 1"),
        (Int8GRU, {"hidden_size": 0}, "hidden_size is 0"),
        (Int8LSTM, {"hidden_size": True}, "hidden_size is True"),
        (Int8LSTM, {"num_layers": 0}, "num_layers is 0"),
        (Int8LSTM, {"proj_size": 7}, "nn.LSTM does not take these arguments: proj_size"),
        (Int8LSTM, {"proj_size": -1}, "nn.LSTM does not take these arguments: proj_size"),
        (Int8GRU, {"proj_size": 3}, "nn.GRU does not take these arguments: proj_size"),
        (Int8LSTM, {"hidden_size": 700, "scheme": Scheme(activation_bits=16)},
         "activation_bits is 16; sums of 700"),
        (Int8GRU, {"hidden_size": 700, "scheme": Scheme(hidden_bits=16)},
         "hidden_bits is 16; sums of 700"),
        (Int8GRU, {"scheme": "fast"}, "scheme is 'fast'"),
    ],
)  # fmt: skip
def test_sizes_and_choices_are_checked(kind, arguments, words, refuses):
    with refuses(ArgumentError, words):
        kind(**{"input_size": 6, "hidden_size": 7, **arguments})
