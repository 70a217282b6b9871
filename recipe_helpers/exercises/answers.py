"""Read an answer as what it has to be; whatever else came is told in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..common.checks import describe, first_line
from ..common.language import Text
from ..common.wording import named
from .verdicts import NoAnswerError, WrongAnswerError

Array = np.ndarray
ANSWER = Text("the answer")
NUMBER, LIST = Text("a finite number"), Text("a list of finite numbers")


def unfit(wanted: Text, name: str, value: Any) -> WrongAnswerError:
    """What to raise where a part of the answer is of another kind than wanted."""
    kind = Text("something of type {kind}", kind=type(value).__name__)
    if isinstance(value, Tensor):
        kind = Text("a {tensor}", tensor=describe(value))
    short = isinstance(value, str | int | float | None) and len(repr(value)) <= 40
    came = value if isinstance(value, Text) else repr(value) if short else kind
    message = Text("Give {wanted} as {name}, not {came}.", wanted=wanted, name=name, came=came)
    return WrongAnswerError(message)


def answered(value: Any) -> Any:
    """The value, unless it is `...` or has such a part."""
    inside = value.values() if isinstance(value, dict) else value
    several = isinstance(value, tuple | list | dict)
    if value is ... or (several and any(part is ... for part in inside)):
        raise NoAnswerError("There is no answer yet.")
    return value


def parts(value: Any, *wanted: Text) -> tuple[Any, ...]:
    """The parts of an answer that is a tuple or list of so many; `wanted` names them."""
    if not isinstance(value, tuple | list):
        raise unfit(named(wanted), ANSWER, value)
    if len(value) != len(wanted):
        raise unfit(named(wanted), ANSWER, Text("{count} parts", count=len(value)))
    return tuple(answered(value))


def numbers(name: str, value: Any, wanted: Text = LIST) -> Array:
    """A list, array or tensor of finite numbers, as float64 (n)."""
    given = value.detach().numpy() if isinstance(value, Tensor) else value
    try:
        array = np.asarray(given)
    except ValueError:  # rows of different length
        raise unfit(wanted, name, value) from None
    if array.dtype.kind not in "iuf" or array.ndim != 1 or not array.size:
        raise unfit(wanted, name, value)
    if not np.isfinite(array).all():
        raise unfit(wanted, name, Text("NaN or infinity"))
    return array.astype(float)


def number(name: str, value: Any, wanted: Text = NUMBER) -> float:
    """A finite real number, also as a tensor or array of one element."""
    one = value.tolist() if isinstance(value, Tensor | np.ndarray | np.generic) else value
    one = one[0] if isinstance(one, list) and len(one) == 1 else one
    if not isinstance(one, int | float) or isinstance(one, bool):
        raise unfit(wanted, name, value)
    return float(numbers(name, [one], wanted)[0])


def whole(name: str, value: Any) -> int:
    """A whole number, also as a tensor, an array or a float that is one."""
    found = number(name, value)
    if found != int(found):
        raise unfit(Text("a whole number"), name, found)
    return int(found)


def tensor(name: str, value: Any, dtype: torch.dtype, shape: tuple[int, ...] = ()) -> Tensor:
    """A finite tensor of this type, and of this shape where one is given."""
    kind = str(dtype).removeprefix("torch.")
    if not isinstance(value, Tensor) or value.dtype != dtype:
        raise unfit(Text("a tensor of type {kind}", kind=kind), name, value)
    if shape and tuple(value.shape) != shape:
        raise unfit(Text("a tensor of shape {shape}", shape=shape), name, value)
    if not bool(value.isfinite().all()):
        raise unfit(Text("finite numbers"), name, Text("NaN or infinity"))
    return value.detach()


def function(value: Any) -> Callable[..., Any]:
    """A function; how many arguments it takes is seen when it is called."""
    if not callable(value):
        raise unfit(Text("the function itself, without calling it"), ANSWER, value)
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
