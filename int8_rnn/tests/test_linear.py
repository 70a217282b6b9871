"""Int8Linear as a drop-in: inputs of any shape, its bits, its refusals."""

import pytest
import torch
from made_up import every_scheme
from torch import nn

from int8_rnn import ArgumentError, InputError, Int8Linear, Scheme


@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 3, 6), (0, 6), (2, 0, 6)])
@pytest.mark.parametrize("bias", [True, False])
@every_scheme
def test_linear_takes_any_leading_dimensions(shape, bias, scheme, fast):
    linear = nn.Linear(6, 9, bias=bias)
    int8 = Int8Linear.from_float(linear, scheme=scheme, fast=fast)
    x = torch.randn(shape)
    half = int8.weight_scale.double() / 2 * 1.001
    bound = x.double().abs().sum(-1, keepdim=True) * half + (3e-2 if not scheme.symmetric else 1e-3)
    exact = linear.double()(x.double())
    assert int8(x).shape == exact.shape
    assert bool(((int8(x) - exact).abs() <= bound).all())
    assert torch.equal(int8(x.repeat_interleave(2, dim=-1)[..., ::2]), int8(x))
    assert not int8(x.requires_grad_()).requires_grad
    assert (int8.bias is None) is not bias


@pytest.mark.parametrize("activations", ["step", "sequence", "row"])
def test_one_scale_for_all_rows_or_one_for_each(activations, fast):
    x = torch.randn(4, 6) * torch.tensor([[1.0], [100.0], [1.0], [1.0]])
    how = {"scheme": Scheme(activations=activations, activation_bits=8)}
    linear = nn.Linear(6, 9)
    int8 = Int8Linear.from_float(linear, **how, fast=fast)
    assert torch.equal(int8(x)[:1], int8(x[:1])) == (activations == "row")
    assert torch.equal(int8(x), Int8Linear.from_float(linear, **how, fast=False)(x))


def test_it_has_no_hidden_state():
    linear = Int8Linear(8, 4)
    assert linear.scheme.hidden_bits is None
    assert linear.bits_of("weight") == (16, True)
    assert Int8Linear(8, 4, scheme="8-bit").bits_of("weight") == (8, False)
    assert [Int8Linear(size, 4).activation_bits for size in (516, 517)] == [16, 15]


@pytest.mark.parametrize(
    ("wrong", "came"),
    [
        (torch.zeros(6, 5), "float32 tensor of shape (6, 5)"),
        (torch.zeros(6).double(), "float64 tensor of shape (6,)"),
        (torch.tensor(6.0), "float32 tensor of shape ()"),
        ([1.0] * 6, "(float, float"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(wrong, came, fast, refuses):
    with refuses(InputError, f"input is a {came}", "pass a float32 tensor of shape (..., 6)."):
        Int8Linear(6, 9, fast=fast)(wrong)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((0, 7), "in_features is 0"),
        ((6, 2.0), "out_features is 2.0"),
        ((200_000, 7), "sums of 200000 products"),
    ],
)
def test_sizes_are_checked(sizes, words, refuses):
    with refuses(ArgumentError, words):
        Int8Linear(*sizes, scheme=Scheme(activation_bits=16))
