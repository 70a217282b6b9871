"""Read an answer as what it has to be; whatever else came is told in one sentence."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..common.checks import describe, first_line
from ..common.language import Text
from ..common.wording import named
from .verdicts import NoAnswer, WrongAnswer, said

Array = np.ndarray


def shown(value: Any) -> str:
    """A value in a few words: short ones as they are, all others by their kind."""
    if isinstance(value, Tensor):
        return said("a {tensor}", tensor=describe(value))
    if value is None or isinstance(value, str | int | float):
        text = repr(value)
        return text if len(text) <= 40 else said("a long {kind}", kind=type(value).__name__)
    return said("of type {kind}", kind=type(value).__name__)


def answered(value: Any) -> Any:
    """The value, unless it is `...` or has such a part."""
    if value is ... or (isinstance(value, tuple | list) and any(part is ... for part in value)):
        raise NoAnswer
    if isinstance(value, dict) and any(part is ... for part in value.values()):
        raise NoAnswer
    return value


def parts(value: Any, wanted: Sequence[str]) -> tuple[Any, ...]:
    """The parts of an answer that is a tuple or list of so many."""
    names = named([Text(name) for name in wanted])
    if not isinstance(value, tuple | list):
        raise WrongAnswer("The answer is {came}; give {listed}.", came=shown(value), listed=names)
    if len(value) != len(wanted):
        raise WrongAnswer(
            "The answer has {count} parts; give {wanted}: {listed}.",
            count=len(value),
            wanted=len(wanted),
            listed=names,
        )
    return tuple(answered(value))


def number(name: str, value: Any) -> float:
    """A finite real number, also as a tensor or array of one element."""
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.detach().item()
    elif isinstance(value, np.ndarray | np.generic) and value.size == 1:
        value = value.item()
    if not isinstance(value, Real) or isinstance(value, bool):
        raise WrongAnswer("{name} is {came}; give a number.", name=name, came=shown(value))
    if not math.isfinite(value):
        raise WrongAnswer("{name} is {came}; give a finite number.", name=name, came=float(value))
    return float(value)


def whole(name: str, value: Any) -> int:
    """A whole number, also as a tensor, an array or a float that is one."""
    found = number(name, value)
    if found != int(found):
        raise WrongAnswer("{name} is {came:g}; give a whole number.", name=name, came=found)
    return int(found)


def numbers(name: str, value: Any) -> Array:
    """A list, array or tensor of finite numbers, as float64 (n)."""
    try:
        given = value.detach().numpy() if isinstance(value, Tensor) else value
        array = np.asarray(given, dtype=float)
    except (TypeError, ValueError, RuntimeError):
        raise WrongAnswer(
            "{name} is {came}; give a list of numbers.", name=name, came=shown(value)
        ) from None
    if array.ndim != 1 or not array.size:
        raise WrongAnswer(
            "{name} has the shape {shape}; give a list of numbers.", name=name, shape=array.shape
        )
    if not np.isfinite(array).all():
        raise WrongAnswer("{name} holds NaN or infinity; give finite numbers.", name=name)
    return array


def float_tensor(name: str, value: Any, shape: tuple[int, ...] | None = None) -> Tensor:
    """A finite float32 tensor, of this shape where one is given."""
    if not isinstance(value, Tensor):
        raise WrongAnswer("{name} is {came}; give a tensor.", name=name, came=shown(value))
    if value.dtype != torch.float32:
        raise WrongAnswer(
            "{name} is of {dtype}; give a tensor of torch.float32.", name=name, dtype=value.dtype
        )
    if shape is not None and tuple(value.shape) != shape:
        raise WrongAnswer(
            "{name} has the shape {came}; {wanted} is expected.",
            name=name,
            came=tuple(value.shape),
            wanted=shape,
        )
    if not bool(value.isfinite().all()):
        raise WrongAnswer("{name} holds NaN or infinity.", name=name)
    return value.detach()


def function(value: Any, *example: str) -> Callable[..., Any]:
    """A function that can be called with so many arguments; `example` names them."""
    answered(value)
    if not callable(value):
        raise WrongAnswer(
            "The answer is {came}; give the function itself, without calling it.",
            came=shown(value),
        )
    try:
        inspect.signature(value).bind(*example)
    except TypeError:
        raise WrongAnswer(
            "The function takes other arguments than those of the task; it is called with "
            "{count}: {names}.",
            count=len(example),
            names=", ".join(example),
        ) from None
    except ValueError:  # a builtin that does not say what it takes
        pass
    return value


def result(made_by: Callable[..., Any], *arguments: Any, case: str) -> Any:
    """What a function of the student's returns for copies of these arguments.

    Args:
        made_by: the function.
        *arguments: tensors, numbers, functions.
        case: which case this is, for the sentence: "a tensor of zeros".
    """
    copies = [a.clone() if isinstance(a, Tensor) else a for a in arguments]
    try:
        found = made_by(*copies)
    except Exception as error:  # noqa: BLE001  (it is the student's: told in one sentence)
        raise WrongAnswer(
            "Given {case}, the function raised {kind}: {what}.",
            case=case,
            kind=type(error).__name__,
            what=first_line(error),
        ) from None
    if found is None or found is ...:
        raise NoAnswer
    return answered(found)
