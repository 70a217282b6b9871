"""What the modules refuse, in one sentence each; and linear layers of any shape."""

import pytest
import torch
from made_up import Case, every_recurrent, every_scheme
from torch import nn

from int8_rnn import ArgumentError, InputError, Int8GRU, Int8Linear, Int8LSTM, ModelError, Scheme

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


INPUTS = [
    (torch.zeros(5, 4, 3), "input is a float32 tensor of shape (5, 4, 3); pass"),
    (torch.zeros(6), "input is a float32 tensor of shape (6,)"),
    (torch.zeros(1, 5, 4, 6), "input is a float32 tensor of shape"),
    (torch.zeros(5, 4, 6).double(), "input is a float64 tensor"),
    ("six", "input is a str; pass a float32 tensor"),
    (torch.zeros(0, 4, 6), "a sequence of no steps"),
    (torch.zeros(0, 6), "a sequence of no steps"),
]


@every_recurrent
@pytest.mark.parametrize(("inputs", "message"), INPUTS)
def test_an_input_that_does_not_fit_is_refused(kind, inputs, message, fast, refuses):
    module, int8 = Case(kind, {}).pair(fast=fast)
    with pytest.raises((RuntimeError, ValueError, AttributeError, LookupError)):
        module(inputs)
    with refuses(InputError, message):
        int8(inputs)


@every_recurrent
def test_no_steps_are_refused_where_the_batch_comes_first(kind, fast, refuses):
    _, int8 = Case(kind, {}).pair(fast=fast, batch_first=True)
    with refuses(InputError, "a sequence of no steps"):
        int8(torch.zeros(4, 0, 6))
    with refuses(InputError, "a sequence of no steps"):
        int8(torch.zeros(0, 6))
    assert int8(torch.zeros(0, 4, 6))[0].shape == (0, 4, 7)


ZEROS, LSTM_SHAPES = torch.zeros, "(1, 4, 7) and (1, 4, 7)"
STATES = [
    ("lstm", ZEROS(5, 4, 6), ZEROS(1, 4, 7), "pass (hidden, cell), in float32"),
    ("lstm", ZEROS(5, 4, 6), (ZEROS(1, 4, 7),), LSTM_SHAPES),
    ("lstm", ZEROS(5, 4, 6), (ZEROS(1, 3, 7), ZEROS(1, 4, 7)), "shape (1, 3, 7), float"),
    ("lstm", ZEROS(5, 4, 6), (ZEROS(1, 4, 7), ZEROS(1, 3, 7)), "shape (1, 4, 7), float"),
    ("lstm", ZEROS(5, 4, 6), (ZEROS(1, 7), ZEROS(1, 7)), "hx is"),
    ("lstm", ZEROS(5, 6), (ZEROS(1, 1, 7), ZEROS(1, 1, 7)), "shape (1, 7) and"),
    ("lstm", ZEROS(5, 4, 6), tuple(ZEROS(2, 1, 4, 7).double()), "float64"),
    ("gru", ZEROS(5, 4, 6), ZEROS(1, 3, 7), "the hidden state, in float32 and of shape (1, 4, 7)"),
    ("gru", ZEROS(5, 4, 6), (ZEROS(1, 4, 7),) * 2, "hx is"),
    ("gru", ZEROS(5, 6), ZEROS(1, 1, 7), "of shape (1, 7)"),
    ("gru", ZEROS(5, 4, 6), ZEROS(1, 4, 7).double(), "float64"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "inputs", "state", "message"), STATES)
def test_a_state_that_does_not_fit_is_refused(kind, inputs, state, message, fast, refuses):
    module, int8 = Case(kind, {}).pair(fast=fast)
    with pytest.raises((RuntimeError, ValueError, AttributeError, LookupError)):
        module(inputs, state)
    with refuses(InputError, "hx is", message):
        int8(inputs, state)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Int8LSTM(0, 7), "input_size is 0"),
        (lambda: Int8GRU(6, 0), "hidden_size is 0"),
        (lambda: Int8LSTM(6, True), "hidden_size is True"),
        (lambda: Int8LSTM(6, 7, num_layers=0), "num_layers is 0"),
        (lambda: Int8LSTM(6, 7, proj_size=7), "nn.LSTM does not take these arguments: proj_size"),
        (lambda: Int8LSTM(6, 7, proj_size=-1), "nn.LSTM does not take these arguments: proj_size"),
        (lambda: Int8Linear(0, 7), "in_features is 0"),
        (lambda: Int8Linear(6, 2.0), "out_features is 2.0"),
        (
            lambda: Int8LSTM(6, 700, scheme=Scheme(activation_bits=16)),
            "activation_bits is 16; sums of 700",
        ),
        (lambda: Int8GRU(6, 700, scheme=Scheme(hidden_bits=16)), "hidden_bits is 16; sums of 700"),
        (lambda: Int8GRU(6, 7, scheme="fast"), "scheme is 'fast'"),
    ],
)
def test_sizes_and_choices_are_checked(make, message, refuses):
    with refuses(ArgumentError, message):
        make()


class Twice(nn.LSTM):
    def forward(self, *arguments):
        return super().forward(*arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Int8LSTM.from_float(Twice(6, 7)), "lstm, a Twice, has to stay in float: it over"),
        (lambda: Int8LSTM.from_float(nn.GRU(6, 7)), "lstm is a GRU; pass a torch.nn.LSTM"),
        (lambda: Int8GRU.from_float(nn.LSTM(6, 7)), "gru is a LSTM; pass a torch.nn.GRU"),
        (lambda: Int8Linear.from_float(nn.LSTM(6, 7)), "linear is a LSTM; pass a torch.nn.Linear"),
    ],
)
def test_a_module_of_another_kind_is_refused(make, message, refuses):
    with refuses(ModelError, message):
        make()


@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "weight_hr_l0"])
def test_a_broken_weight_is_named(name, refuses):
    broken = nn.LSTM(6, 7, proj_size=3)
    getattr(broken, name).data[2, 2] = torch.nan
    with refuses(ModelError, f"{name} has NaN or infinity"):
        Int8LSTM.from_float(broken)


@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 3, 6), (0, 6), (2, 0, 6)])
@pytest.mark.parametrize("bias", [True, False])
@every_scheme
def test_linear_takes_any_leading_dimensions(shape, bias, scheme, fast, refuses):
    linear = nn.Linear(6, 9, bias=bias)
    int8 = Int8Linear.from_float(linear, scheme=scheme, fast=fast)
    x = torch.randn(shape)
    half = int8.weight_scale.double() / 2 * 1.001
    bound = x.double().abs().sum(-1, keepdim=True) * half + (3e-2 if not scheme.symmetric else 1e-3)
    exact = linear.double()(x.double())
    assert int8(x).shape == exact.shape
    assert bool(((int8(x) - exact).abs() <= bound).all())
    with refuses(InputError, "pass a float32 tensor of shape (..., 6)"):
        int8(torch.zeros(6, 5))


def test_a_linear_layer_with_one_scale_for_all_rows(fast):
    """Scales of a whole input, of each row of the weight: rows decide nothing by themselves."""
    linear = nn.Linear(6, 9)
    x = torch.randn(4, 6) * torch.tensor([[1.0], [100.0], [1.0], [1.0]])
    for activations in ("step", "sequence", "row"):
        how = Scheme(activations=activations, activation_bits=8)
        int8 = Int8Linear.from_float(linear, scheme=how, fast=fast)
        assert torch.equal(int8(x)[:1], int8(x[:1])) == (activations == "row")
        reference = Int8Linear.from_float(linear, scheme=how, fast=False)
        assert torch.equal(int8(x), reference(x))
