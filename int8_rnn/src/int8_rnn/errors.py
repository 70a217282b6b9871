"""The exceptions of this package: each says what came, what was expected and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar


def in_english(message: str, values: Mapping[str, Any]) -> str:
    """The sentence with its values filled in."""
    return message.format(**values) if values else str(message)


def N_(message: str) -> str:  # noqa: N802  (gettext's own name for it)
    """`message` itself: marks words that stand in a sentence, for whoever translates those."""
    return message


class Int8Error(Exception):
    """Base class of every error that this package raises on purpose.

    An error keeps its sentence and its values apart, so that a program can say it in other words
    or in another language: `Int8Error.say` turns the two into what `str(error)` returns.

    Args:
        message: the English sentence, a literal with the names of the values in braces.
        values: what is filled in by `str.format`.

    Attributes:
        message: the sentence before its values are filled in.
        values: the values by their names.
    """

    say: ClassVar[Callable[[str, Mapping[str, Any]], str]] = staticmethod(in_english)

    def __init__(self, message: str, /, **values: object) -> None:
        super().__init__(message)
        self.message, self.values = message, values

    def __str__(self) -> str:
        return type(self).say(self.message, self.values)


class ArgumentError(Int8Error, ValueError):
    """A keyword argument is out of range or unknown (a width of zero, an unknown scheme)."""


class ModelError(Int8Error, ValueError):
    """The model cannot be used as it is (training mode, another device, another dtype, NaN)."""


class AlreadyQuantizedError(ModelError):
    """The model holds quantized modules already."""


class NothingQuantizedError(ModelError):
    """No module would be converted; plain PyTorch returns the float model in silence here."""


class InputError(Int8Error, ValueError):
    """The inputs do not fit the model."""


class SavedModelError(Int8Error, ValueError):
    """The file is not one that `save` wrote, is damaged, or belongs to another model."""


class ConversionError(Int8Error, RuntimeError):
    """A model cannot be brought into another form here: a package is missing, or it failed."""
