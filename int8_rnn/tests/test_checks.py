"""Checks of arguments: both sides of each limit, and what is said of what came."""

import pytest
import torch
from int8_rnn.checks import describe, first_line, fits, module, one_of, positive_int
from torch import nn

from int8_rnn import ArgumentError, ModelError


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (lambda: positive_int("width", 0), "width is 0; pass a whole number of at least 1."),
        (lambda: positive_int("width", True), "width is True;"),
        (lambda: positive_int("width", 1.0), "width is 1.0;"),
        (lambda: positive_int("width", 9, most=8), "at least 1 and at most 8."),
        (lambda: positive_int("width", 0, most=8), "at least 1 and at most 8."),
        (lambda: one_of("kind", "c", iter("ab")), "kind is 'c'; pass one of 'a', 'b'."),
    ],
)
def test_what_does_not_fit_is_refused(check, words, refuses):
    with refuses(ArgumentError, words):
        check()


def test_what_fits_comes_back(refuses):
    assert [positive_int("width", 1), positive_int("width", 8, most=8)] == [1, 8]
    assert one_of("kind", "b", iter("ab")) == "b"
    assert isinstance(module("model", nn.Tanh()), nn.Tanh)
    with refuses(ModelError, "model is of type str; pass a torch.nn.Module."):
        module("model", "x")


@pytest.mark.parametrize(
    ("dtype", "shape", "fitting"),
    [
        (torch.float32, (2, 3), True),
        (torch.float32, (-1, 3), True),
        (torch.float32, (-1, -1), True),
        (torch.float64, (2, 3), False),
        (torch.float32, (2, 4), False),
        (torch.float32, (-1, 2), False),
        (torch.float32, (3, 3), False),
        (torch.float32, (3,), False),
        (torch.float32, (2, 3, -1), False),
    ],
)
def test_dtype_and_shape(dtype, shape, fitting):
    assert fits(torch.zeros(2, 3), dtype, *shape) is fitting
    assert not fits([1.0], dtype, *shape)


def test_what_is_said_of_values_and_errors():
    given = (torch.zeros(2, 1).half(), [3, "x"])
    assert describe(given) == "(float16 tensor of shape (2, 1), (int, str))"
    assert first_line(ValueError("one. \ntwo")) == "one"
    assert first_line(KeyError()) == "KeyError"
