"""Your own model: refuse, in one sentence, what cannot be measured, before anything is measured.

A report must not touch its caller's model or inputs, so everything below works on copies; and its
figures mean something only if the model gives the same answer twice. Both are checked here.
"""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from ..common import checks
from ..common.errors import ArgumentError, InputError, ModelError
from ..recipe.accuracy import compare_outputs, named_tensors

# Two runs of one model on the same inputs may differ by the order in which floats were added.
SAME_RELATIVE = 1e-4

Value = TypeVar("Value")


@dataclass(frozen=True)
class InputSet:
    """What one call of a model is given."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def bound(self, model: nn.Module) -> nn.Module:
        """A module that takes `args` alone and calls `model` with the keyword arguments as well."""
        return Bound(model, self.kwargs).eval() if self.kwargs else model

    def describe(self) -> str:
        """Shapes and dtypes: `float32 tensor of shape (20, 1, 8), mask: bool tensor of ...`."""
        parts: list[str] = [checks.describe(value) for value in self.args]
        parts += [f"{name}: {checks.describe(value)}" for name, value in self.kwargs.items()]
        return ", ".join(parts)

    def copied(self) -> InputSet:
        """The same with tensors of their own, without gradients."""
        try:
            return _copied(self, self.tensors())
        except Exception as error:  # an input may be of any class
            raise InputError(
                f"inputs cannot be copied ({type(error).__name__}: {error}); pass tensors, and "
                "tuples, lists or dicts of tensors."
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
        raise ArgumentError(f"kwargs is {kwargs!r}; pass a dict of keyword arguments.")
    keywords = dict(kwargs or {})
    if input_sets is None:
        if not inputs and not keywords:
            raise ArgumentError(
                "inputs are missing; pass what the model's forward is called with, as in "
                "report(model, inputs)."
            )
        found = [InputSet(inputs, keywords)]
    elif inputs:
        raise ArgumentError(
            "inputs and input_sets are both given; pass every set of inputs in input_sets."
        )
    else:
        found = [_input_set(index, value, keywords) for index, value in enumerate(input_sets)]
    if not found:
        raise ArgumentError("input_sets is empty; pass at least one tuple of inputs.")
    for one in found:
        for name, tensor in one.tensors():
            if tensor.device.type != "cpu":
                raise InputError(
                    f"{name} is on the device {tensor.device}; dynamic quantization runs on the "
                    "CPU: pass it with .cpu()."
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
        f"input_sets[{index}] is a {checks.describe(value)}; pass a tensor, a tuple of positional "
        "inputs or a dict of keyword arguments."
    )


def checked_copy(value: object) -> nn.Module:
    """A copy of a float model in eager mode, safe to run and convert; the model stays as it is.

    Raises:
        ModelError: the model is scripted, exported, compiled, partly in training mode, not on the
            CPU, not in float32, holds NaN, or cannot be copied.
        AlreadyQuantizedError: it holds quantized modules.
    """
    _refuse_what_is_not_eager(value)
    model = checks.float_model("model", value)
    for name, part in model.named_modules():
        if part.training:
            raise ModelError(
                f"model is in eval mode but model.{name} is in training mode; call model.eval() "
                "once more, after the last change."
            )
    try:
        return copy.deepcopy(model)
    except Exception as error:  # __deepcopy__ of any class
        reason = str(error).split("  ")[0]
        raise ModelError(
            f"model cannot be copied, which quantization needs ({type(error).__name__}: {reason}); "
            "remove weight_norm hooks, parametrizations (rh.without_parametrizations) and "
            "attributes that hold tensors with a gradient's history."
        ) from error


def _refuse_what_is_not_eager(value: object) -> None:
    if isinstance(value, torch.export.ExportedProgram):
        raise ModelError(
            "model is an exported program; pass the nn.Module that was given to torch.export."
        )
    for name, part in checks.module("model", value).named_modules():
        where = f"model.{name}" if name else "model"
        if isinstance(part, torch.jit.ScriptModule):
            raise ModelError(
                f"{where} is scripted; its layers can no longer be replaced: pass the nn.Module "
                "that was given to torch.jit."
            )
        # Told by its home, since looking at torch._dynamo imports all of the compiler.
        wrapped = type(part).__module__.startswith("torch._dynamo")
        if wrapped or part._compiled_call_impl is not None:
            raise ModelError(
                f"{where} is compiled; pass the nn.Module as it was before torch.compile."
            )
        if any(map(nn.parameter.is_lazy, part.parameters(recurse=False))):
            raise ModelError(
                f"{where} is a {type(part).__name__} that has not seen an input yet, so that it "
                "has no weights; run the model once."
            )
        if isinstance(part, torch.fx.GraphModule) and any(
            isinstance(node.target, torch._ops.OpOverload) for node in part.graph.nodes
        ):
            raise ModelError(
                f"{where} is an exported graph; its layers are operators already: pass the "
                "nn.Module that was given to torch.export."
            )


def steady_outputs(model: nn.Module, inputs: InputSet) -> Any:
    """What `model` returns for one input set, once it is known to return the same again.

    Raises:
        InputError: the inputs do not fit the model.
        ModelError: forward changes its inputs, returns no tensor or NaN, or gives another answer
            when it is called again.
    """
    used, random_state = inputs.copied(), torch.get_rng_state()
    run = used.bound(model)
    first = checks.runs("model", run, used.args)
    for (name, before), (_, after) in zip(inputs.tensors(), used.tensors(), strict=True):
        if not _same(before, after):
            raise ModelError(
                f"model.forward changes {name} in place, so that no two calls see the same "
                "inputs; let it work on a clone."
            )
    # A model may return a buffer that it writes to again; not every class can be copied.
    with contextlib.suppress(Exception):
        first = _copied(first, named_tensors(first))
    tensors = list(named_tensors(first))
    if not tensors:
        raise ModelError(
            f"model returns {checks.describe(first)}, in which no tensor was found; return "
            "tensors, or tuples, lists, dicts or dataclasses of tensors."
        )
    for name, tensor in tensors:
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(
                f"model returns NaN or infinity in {name} for these inputs; such an output "
                "cannot be compared: repair the model or the inputs first."
            )
    if (change := _change(first, run, used)) is not None:
        torch.set_rng_state(random_state)
        drawn = _change(first, run, used) is None
        cause = "it draws random numbers" if drawn else "it keeps a state between calls"
        raise ModelError(
            f"model gives another answer when it is called again ({change}): {cause}; make it "
            "deterministic in eval mode before it is measured."
        )
    return first


def _change(first: Any, run: nn.Module, inputs: InputSet) -> str | None:
    """How a further call differs from the first outputs, or None if it does not."""
    try:
        again = compare_outputs(Recorded(first), run, *inputs.args)
    except InputError:
        return "it fails, or returns other shapes"
    for tensor in again.tensors:
        if not tensor.relative <= SAME_RELATIVE:
            return f"{tensor.name} differs by {tensor.relative:.2%}"
    return None


def _copied(value: Value, tensors: Iterable[tuple[str, torch.Tensor]]) -> Value:
    """A deep copy; its memo spares `deepcopy` tensors with a gradient, which it refuses."""
    return copy.deepcopy(value, {id(tensor): tensor.detach().clone() for _, tensor in tensors})


def _same(before: torch.Tensor, after: torch.Tensor) -> bool:
    if before.shape != after.shape or before.dtype != after.dtype:
        return False
    return torch.equal(torch.nan_to_num(before), torch.nan_to_num(after))


@contextlib.contextmanager
def random_states_kept() -> Iterator[None]:
    """Put the random states of PyTorch's CPU, Python and NumPy back after a `with` block."""
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])
