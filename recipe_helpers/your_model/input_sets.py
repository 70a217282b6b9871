"""Your own model: what it is called with, as sets of inputs that belong to nobody else."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import nn

from ..common import checks
from ..common.errors import ArgumentError, InputError
from ..common.language import Text
from ..common.wording import joined
from ..recipe.accuracy import named_tensors

Value = TypeVar("Value")


@dataclass(frozen=True)
class InputSet:
    """What one call of a model is given."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def bound(self, model: nn.Module) -> nn.Module:
        """A module that takes `args` alone and calls `model` with the keyword arguments as well."""
        return Bound(model, self.kwargs).eval() if self.kwargs else model

    def describe(self) -> Text:
        """Shapes and dtypes: `float32 tensor of shape (20, 1, 8), mask: bool tensor of ...`."""
        parts = [checks.describe(value) for value in self.args]
        parts += [joined((n, checks.describe(value)), ": ") for n, value in self.kwargs.items()]
        return joined(parts, ", ")

    def copied(self) -> InputSet:
        """The same with tensors of their own, without gradients."""
        try:
            return copied_with(self, self.tensors())
        except Exception as error:  # an input may be of any class
            raise InputError(
                Text(
                    "inputs cannot be copied ({kind}: {error}); pass tensors, and tuples, lists or "
                    "dicts of tensors.",
                    kind=type(error).__name__,
                    error=error,
                )
            ) from error

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every tensor with its place: `inputs[0]`, `inputs['mask']`."""
        yield from named_tensors(self.args, "inputs")
        yield from named_tensors(self.kwargs, "inputs")


class Bound(nn.Module):
    """A model with some keyword arguments of its forward filled in."""

    def __init__(self, model: nn.Module, kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.model, self._kwargs = model, kwargs

    def forward(self, *args: Any) -> Any:
        """Call the model."""
        return self.model(*args, **self._kwargs)


class Recorded(nn.Module):
    """Stands for a model whose outputs for one input set are known already."""

    def __init__(self, outputs: Any) -> None:
        super().__init__()
        self._outputs = outputs
        self.eval()

    def forward(self, *_: Any) -> Any:
        """The recorded outputs, whatever the inputs."""
        return self._outputs


def as_input_sets(
    inputs: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None,
    input_sets: Iterable[Any] | None,
) -> tuple[InputSet, ...]:
    """The arguments of `report` as copied input sets, all of their tensors on the CPU.

    Raises:
        ArgumentError: `inputs` and `input_sets` are both given or both missing, or one of the
            sets is neither a tuple nor a dict.
        InputError: a tensor is on another device.
    """
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise ArgumentError(
            Text("kwargs is {kwargs!r}; pass a dict of keyword arguments.", kwargs=kwargs)
        )
    keywords = dict(kwargs or {})
    if input_sets is None:
        if not inputs and not keywords:
            raise ArgumentError(
                Text(
                    "inputs are missing; pass what the model's forward is called with, as in "
                    "report(model, inputs)."
                )
            )
        found = [InputSet(inputs, keywords)]
    elif inputs:
        raise ArgumentError(
            Text("inputs and input_sets are both given; pass every set of inputs in input_sets.")
        )
    else:
        found = [_input_set(index, value, keywords) for index, value in enumerate(input_sets)]
    if not found:
        raise ArgumentError(Text("input_sets is empty; pass at least one tuple of inputs."))
    for one in found:
        for name, tensor in one.tensors():
            if tensor.device.type != "cpu":
                raise InputError(
                    Text(
                        "{name} is on the device {device}; dynamic quantization runs on the CPU: "
                        "pass it with .cpu().",
                        name=name,
                        device=tensor.device,
                    )
                )
    return tuple(one.copied() for one in found)


def _input_set(index: int, value: Any, keywords: dict[str, Any]) -> InputSet:
    if isinstance(value, Mapping):
        return InputSet((), {**keywords, **value})
    if isinstance(value, torch.Tensor):
        return InputSet((value,), keywords)
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        return InputSet(tuple(value), keywords)
    raise ArgumentError(
        Text(
            "input_sets[{index}] is a {what}; pass a tensor, a tuple of positional inputs or a "
            "dict of keyword arguments.",
            index=index,
            what=checks.describe(value),
        )
    )


def copied_with(value: Value, tensors: Iterable[tuple[str, torch.Tensor]]) -> Value:
    """A deep copy; its memo spares `deepcopy` tensors with a gradient, which it refuses."""
    return copy.deepcopy(value, {id(tensor): tensor.detach().clone() for _, tensor in tensors})
