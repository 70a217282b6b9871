"""Read an answer as what it has to be; whatever else came is told in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..common.checks import describe, first_line
from ..common.language import N_
from .verdicts import NoAnswerError, Sentence, WrongAnswerError

Array = np.ndarray
Reader = Callable[[str, Any], Any]  # of a part of an answer: what it is called, and what came
ANSWER = N_("the answer")


def unfit(wanted: str | Sentence | list[str], name: str, value: Any) -> WrongAnswerError:
    """What to raise where this part of an answer is none of what is wanted, but `value`."""
    came: str | Sentence = Sentence(N_("something of type {kind}"), kind=type(value).__name__)
    if isinstance(value, Tensor):
        came = Sentence(N_("a {tensor}"), tensor=describe(value))
    elif isinstance(value, Sentence):
        came = value
    elif isinstance(value, str | int | float | None) and len(repr(value)) <= 40:
        came = repr(value)
    return WrongAnswerError(
        "Give {wanted} as {name}, not {came}.", wanted=wanted, name=name, came=came
    )


def answered(value: Any) -> Any:
    """The value, unless it is `...` or has such a part."""
    inside = value.values() if isinstance(value, dict) else value
    several = isinstance(value, tuple | list | dict)
    if value is ... or (several and any(part is ... for part in inside)):
        raise NoAnswerError
    return value


def parts(value: Any, wanted: Mapping[str, Reader]) -> list[Any]:
    """The parts of an answer that is a tuple or list, by what they are called and read with."""
    if not isinstance(value, tuple | list):
        raise unfit([*wanted], ANSWER, value)
    if len(value) != len(wanted):
        count = Sentence(N_("{count} parts"), count=len(value))
        raise unfit([*wanted], ANSWER, count)
    answered(value)
    return [read(name, part) for (name, read), part in zip(wanted.items(), value, strict=True)]


def anything(name: str, value: Any) -> Any:
    """A part that is looked at later."""
    return value


def numbers(name: str, value: Any) -> Array:
    """A list, array or tensor of finite numbers, as float64 (n)."""
    return _finite(name, value, one=False)


def number(name: str, value: Any) -> float:
    """A finite real number, also as a tensor or array of one element."""
    return float(_finite(name, value, one=True).item())


def _finite(name: str, value: Any, one: bool) -> Array:
    wanted = N_("a finite number") if one else N_("a list of finite numbers")
    try:
        array = np.asarray(value.detach() if isinstance(value, Tensor) else value)
    except ValueError:  # rows of different length
        raise unfit(wanted, name, value) from None
    fits = array.size == 1 if one else array.ndim == 1 and array.size
    if array.dtype.kind not in "iuf" or not fits:
        raise unfit(wanted, name, value)
    if not np.isfinite(array).all():
        raise unfit(wanted, name, Sentence(N_("NaN or infinity")))
    return array.astype(float)


def whole(name: str, value: Any) -> int:
    """A whole number, also as a tensor, an array or a float that is one."""
    found = number(name, value)
    if found != int(found):
        raise unfit(N_("a whole number"), name, found)
    return int(found)


def tensor(dtype: torch.dtype, shape: tuple[int, ...] = ()) -> Reader:
    """A reader of finite tensors of this type, and of this shape where one is given."""

    def read(name: str, value: Any) -> Tensor:
        kind = str(dtype).removeprefix("torch.")
        if not isinstance(value, Tensor) or value.dtype != dtype:
            raise unfit(Sentence(N_("a tensor of type {kind}"), kind=kind), name, value)
        if shape and tuple(value.shape) != shape:
            raise unfit(Sentence(N_("a tensor of shape {shape}"), shape=shape), name, value)
        if not bool(value.isfinite().all()):
            raise unfit(N_("finite numbers"), name, Sentence(N_("NaN or infinity")))
        return value.detach()

    return read


def function(name: str, value: Any) -> Callable[..., Any]:
    """A function; how many arguments it takes is seen when it is called."""
    if not callable(value):
        raise unfit(N_("the function itself, without calling it"), name, value)
    return value


def result(made_by: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of the student's returns for copies of these arguments."""
    copies = [a.clone() if isinstance(a, Tensor) else a for a in arguments]
    try:
        found = made_by(*copies)
    except Exception as error:  # noqa: BLE001  (it is the student's: told in one sentence)
        raise WrongAnswerError(
            "The function raised {kind}: {what}.", kind=type(error).__name__, what=first_line(error)
        ) from None
    return answered(... if found is None else found)
