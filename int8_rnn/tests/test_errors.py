"""Errors keep their sentence and its values apart."""

import pickle

import pytest

from int8_rnn import ConversionError, InputError, Int8Error, ModelError, NothingQuantizedError


def test_an_error_can_be_said_in_other_words_and_travels(monkeypatch):
    values = {"name": "x", "value": "{2}"}
    error = InputError("{name} is {value}; pass 1.", **values)
    assert str(error) == "x is {2}; pass 1."
    assert (error.message, error.values) == (
        "{name} is {value}; pass 1.",
        {"name": "x", "value": "{2}"},
    )
    assert str(InputError("a {literal} brace")) == "a {literal} brace"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), type(again)) == (str(error), InputError)
    monkeypatch.setattr(
        Int8Error, "say", staticmethod(lambda message, values: f"<{values['name']}>")
    )
    assert str(error) == "<x>"


KINDS = [
    (InputError, ValueError),
    (ConversionError, RuntimeError),
    (NothingQuantizedError, ModelError),
]


@pytest.mark.parametrize(("kind", "also"), KINDS)
def test_errors_are_of_the_kinds_of_python(kind, also):
    assert issubclass(kind, also)
    assert issubclass(kind, Int8Error)
