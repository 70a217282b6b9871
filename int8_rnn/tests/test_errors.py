"""Errors, and the checks of arguments that raise them: both sides of each limit."""

import pickle

import pytest
import torch
from int8_rnn.checks import describe, first_line, fits, module, one_of, positive_int
from torch import nn

from int8_rnn import (
    ArgumentError,
    ConversionError,
    InputError,
    Int8Error,
    ModelError,
    NothingQuantizedError,
)


def test_an_error_can_be_said_in_other_words_and_travels(monkeypatch):
    sentence, values = "{name} is {value}; pass 1.", {"name": "x", "value": "{2}"}
    error = InputError(sentence, **values)
    again = pickle.loads(pickle.dumps(error))
    assert str(error) == str(again) == "x is {2}; pass 1."
    assert type(again) is InputError
    assert (error.message, error.values) == (sentence, values)
    assert str(InputError("a {literal} brace")) == "a {literal} brace"
    say = staticmethod(lambda message, values: f"<{values['name']}>")
    monkeypatch.setattr(Int8Error, "say", say)
    assert str(error) == "<x>"
    also = [(InputError, ValueError), (ConversionError, RuntimeError)]
    for kind, python in [*also, (NothingQuantizedError, ModelError)]:
        assert issubclass(kind, python)
        assert issubclass(kind, Int8Error)


@pytest.mark.parametrize(
    ("check", "error", "words"),
    [
        (lambda: positive_int("width", 0), ArgumentError, "is 0; pass a whole number of at least"),
        (lambda: positive_int("width", True), ArgumentError, "width is True;"),
        (lambda: positive_int("width", 1.0), ArgumentError, "width is 1.0;"),
        (lambda: positive_int("width", 9, most=8), ArgumentError, "at least 1 and at most 8."),
        (lambda: positive_int("width", 0, most=8), ArgumentError, "at least 1 and at most 8."),
        (lambda: one_of("kind", "c", iter("ab")), ArgumentError, "'c'; pass one of 'a', 'b'."),
        (lambda: module("model", "x"), ModelError, "model is of type str; pass a torch.nn.Module."),
    ],
)
def test_what_does_not_fit_is_refused(check, error, words, refuses):
    with refuses(error, words):
        check()


def test_what_fits_comes_back():
    assert [positive_int("width", 1), positive_int("width", 8, most=8)] == [1, 8]
    assert one_of("kind", "b", iter("ab")) == "b"
    assert isinstance(module("model", nn.Tanh()), nn.Tanh)


def test_dtype_and_shape():
    value = torch.zeros(2, 3)
    assert all(fits(value, torch.float32, *shape) for shape in [(2, 3), (-1, 3), (-1, -1)])
    for shape in [(2, 4), (-1, 2), (3, 3), (3,), (2, 3, -1), (0, 3)]:
        assert not fits(value, torch.float32, *shape)
    assert not fits(value, torch.float64, 2, 3)
    assert not fits([1.0], torch.float32, 1)


def test_what_is_said_of_values_and_errors():
    given = (torch.zeros(2, 1).half(), [3, "x"])
    assert describe(given) == "(float16 tensor of shape (2, 1), (int, str))"
    assert first_line(ValueError("one. \ntwo")) == "one"
    assert first_line(KeyError()) == "KeyError"
