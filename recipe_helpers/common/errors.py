"""The exceptions of this package: those of the library `int8_rnn`, and four of its own.

An error keeps its message and its values apart; `language` makes it speak.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from int8_rnn.errors import (
    AlreadyQuantizedError as AlreadyQuantizedError,
    ArgumentError as ArgumentError,
    ConversionError as ConversionError,
    InputError as InputError,
    Int8Error,
    ModelError as ModelError,
    NothingQuantizedError as NothingQuantizedError,
    SavedModelError as SavedModelError,
)

# Its name in versions 1.0 and 2.0, the base class of every error that is raised on purpose.
RecipeError = Int8Error


class EngineError(RecipeError, RuntimeError):
    """No quantized engine of PyTorch works on this machine."""


class SurveyError(RecipeError, RuntimeError):
    """A measurement of a survey failed on a worker, or lost one worker after the other."""


class MissingExtraError(RecipeError, ImportError):
    """A package is not installed that comes with an extra of `recipe-helpers`."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Say which extra brings a package that is imported in this block and is not installed.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        raise MissingExtraError(
            "{package} is not installed; it comes with the extra `{extra}`: "
            'pip install "recipe-helpers[{extra}]".',
            package=missing.name,
            extra=name,
        ) from missing
