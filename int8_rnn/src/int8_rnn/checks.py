"""Checks of what callers pass in: one clear sentence and a typed exception for each fault."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from .errors import ArgumentError, ModelError

Choice = TypeVar("Choice", str, float)


def positive_int(name: str, value: Any, most: int | None = None) -> int:
    """`value` if it is a whole number from 1 to `most`; ArgumentError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= (most or value):
        return value
    if most is None:
        raise ArgumentError(
            "{name} is {value}; pass a whole number of at least 1.", name=name, value=repr(value)
        )
    raise ArgumentError(
        "{name} is {value}; pass a whole number of at least 1 and at most {most}.",
        name=name,
        value=repr(value),
        most=most,
    )


def one_of(name: str, value: Choice, choices: Iterable[Choice]) -> Choice:
    """`value` if it is one of `choices`; ArgumentError naming them all otherwise."""
    known = tuple(choices)
    if value in known:
        return value
    raise ArgumentError(
        "{name} is {value}; pass one of {choices}.",
        name=name,
        value=repr(value),
        choices=", ".join(map(repr, known)),
    )


def module(name: str, value: object) -> nn.Module:
    """`value` if it is an nn.Module; ModelError otherwise."""
    if isinstance(value, nn.Module):
        return value
    kind = type(value).__name__
    raise ModelError("{name} is of type {kind}; pass a torch.nn.Module.", name=name, kind=kind)


def fits(value: Any, dtype: torch.dtype, *shape: int) -> bool:
    """Whether this is a tensor of this dtype and shape, where -1 stands for any size."""
    if not isinstance(value, Tensor) or value.dtype != dtype or value.dim() != len(shape):
        return False
    return all(size < 0 or size == came for size, came in zip(shape, value.shape, strict=True))


def first_line(error: BaseException) -> str:
    """The first line of an error's message without its full stop, or the error's type."""
    return next(iter(str(error).splitlines()), "").rstrip(". ") or type(error).__name__


def describe(value: Any) -> str:
    """A short description of a value: `float32 tensor of shape (20, 1, 8)`."""
    if isinstance(value, Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        return f"{dtype} tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(describe, value))})"
    return type(value).__name__
