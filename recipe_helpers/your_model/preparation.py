"""Your own model: what is measured, as copies that belong to nobody else, checked beforehand.

A report must not touch its caller's model or inputs, so everything below works on copies; and its
figures mean something only if the model gives the same answer twice. Both are checked here.
"""

from __future__ import annotations

import contextlib
import copy
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from ..common import checks
from ..common.errors import ArgumentError, InputError, ModelError, RecipeError
from ..recipe.accuracy import compare_recorded, named_tensors

# Two runs of one model on the same inputs may differ by the order in which floats were added.
SAME_RELATIVE = 1e-4
Value = TypeVar("Value")


class Bound(nn.Module):
    """A model with some keyword arguments of its forward filled in."""

    def __init__(self, model: nn.Module, kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.model, self._kwargs = model, kwargs

    def forward(self, *args: Any) -> Any:
        """Call the model."""
        return self.model(*args, **self._kwargs)


@dataclass(frozen=True)
class InputSet:
    """What one call of a model is given, and by which expressions the caller's code gives it."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    args_code: str = "inputs"
    kwargs_code: str = ""

    def bound(self, model: nn.Module) -> nn.Module:
        """A module that takes `args` alone and calls `model` with the keyword arguments as well."""
        return Bound(model, self.kwargs).eval() if self.kwargs else model

    def describe(self) -> tuple[tuple[str, checks.Description], ...]:
        """Its arguments, each with its name where it is a keyword's, to be told later."""
        given = [*(("", value) for value in self.args), *self.kwargs.items()]
        return tuple((name, checks.describe(value)) for name, value in given)

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every tensor with its place: `inputs[0]`, `inputs['mask']`."""
        yield from named_tensors(self.args, "inputs")
        yield from named_tensors(self.kwargs, "inputs")

    def other_sizes(self, other: InputSet) -> set[tuple[str, int]]:
        """Which dimensions of which tensors have another size in another set."""
        pairs = zip(sorted(self.tensors()), sorted(other.tensors()), strict=False)
        return {
            (name, axis)
            for (name, one), (_, two) in pairs
            for axis, sizes in enumerate(zip(one.shape, two.shape, strict=False))
            if sizes[0] != sizes[1]
        }


def onnx_call(input_sets: Sequence[InputSet]) -> str:
    """The call that exports with the caller's own inputs, and with the sizes that were free."""
    first, *others = input_sets
    arguments = ["model"]
    if first.args_code:
        arguments.append(f"*{first.args_code}")
    if first.kwargs_code:
        arguments.append(f"kwargs={first.kwargs_code}")
    free: set[tuple[str, int]] = set()
    pairs = []
    for other in others:
        if sizes := first.other_sizes(other) - free:  # the first to have another size there
            free |= sizes
            pairs.append(f"({other.args_code or '()'}, {other.kwargs_code or '{}'})")
    if pairs:
        arguments.append(f"others=[{', '.join(pairs)}]")
    return f"rh.quantize_onnx({', '.join(arguments)})"


def as_input_sets(
    inputs: tuple[Any, ...], kwargs: Mapping[str, Any] | None, input_sets: Iterable[Any] | None
) -> tuple[InputSet, ...]:
    """The arguments of `report` as copied input sets."""
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise ArgumentError(
            "kwargs is {kwargs!r}; pass a dict of keyword arguments.", kwargs=kwargs
        )
    if input_sets is not None and inputs:
        raise ArgumentError(
            "inputs and input_sets are both given; pass every set of inputs in input_sets."
        )
    keywords, code = dict(kwargs or {}), "kwargs" if kwargs else ""
    found = [_input_set(i, one, keywords, code) for i, one in enumerate(input_sets or ())]
    if input_sets is None and (inputs or keywords):
        found = [InputSet(inputs, keywords, "inputs" if inputs else "", code)]
    if not found:
        raise ArgumentError(
            "inputs are missing; pass what the model's forward is called with, as in "
            "report(model, inputs)."
        )
    return tuple(map(_copied, found))


def _input_set(index: int, value: Any, keywords: dict[str, Any], code: str) -> InputSet:
    here = f"input_sets[{index}]"
    if isinstance(value, Mapping):
        both = f"{{**kwargs, **{here}}}" if keywords else here
        return InputSet((), {**keywords, **value}, "", both)
    if isinstance(value, torch.Tensor):
        return InputSet((value,), keywords, f"({here},)", code)
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        return InputSet(tuple(value), keywords, here, code)
    raise ArgumentError(
        "input_sets[{index}] is a {what}; pass a tensor, a tuple of positional inputs or a dict of "
        "keyword arguments.",
        index=index,
        what=checks.describe(value),
    )


def _copied(given: InputSet) -> InputSet:
    """The same with tensors of their own, without gradients."""
    try:
        return copied_with(given, given.tensors())
    except Exception as error:  # an input may be of any class
        raise InputError(
            "inputs cannot be copied ({kind}: {error}); pass tensors, and tuples, lists or dicts "
            "of tensors.",
            kind=type(error).__name__,
            error=checks.first_line(error),
        ) from error


def copied_with(value: Value, tensors: Iterable[tuple[str, torch.Tensor]]) -> Value:
    """A deep copy; its memo spares `deepcopy` tensors with a gradient, which it refuses."""
    return copy.deepcopy(value, {id(tensor): tensor.detach().clone() for _, tensor in tensors})


def checked_copy(value: object) -> nn.Module:
    """A copy of a float model, safe to run and convert; refuses what cannot be measured."""
    try:
        model = copy.deepcopy(checks.float_model("model", value))
    except RecipeError:
        raise
    except Exception as error:  # of any class of module
        raise ModelError(
            "model cannot be copied, which quantization needs ({kind}: {reason}); pass the "
            "nn.Module as it was built, run once, without weight_norm hooks, parametrizations "
            "(rh.without_parametrizations) and tensors with a gradient's history.",
            kind=type(error).__name__,
            reason=checks.first_line(error),
        ) from error
    for name, part in model.named_modules():
        if part.training:
            raise ModelError(
                "model is in eval mode but model.{name} is in training mode; call model.eval() "
                "once more, after the last change.",
                name=name,
            )
    return model


def steady_outputs(model: nn.Module, inputs: InputSet) -> Any:
    """What `model` returns for one input set, once it is known to return the same again."""
    used = _copied(inputs)
    run = used.bound(model)
    first = checks.runs("model", run, used.args)
    for (name, before), (_, after) in zip(inputs.tensors(), used.tensors(), strict=True):
        if not torch.equal(torch.nan_to_num(before), torch.nan_to_num(after)):
            raise ModelError(
                "model.forward changes {name} in place, so that no two calls see the same inputs; "
                "let it work on a clone.",
                name=name,
            )
    # A model may return a buffer that it writes to again; not every class can be copied.
    with contextlib.suppress(Exception):
        first = copied_with(first, named_tensors(first))
    tensors = list(named_tensors(first))
    if not tensors:
        raise ModelError(
            "model returns {what}, in which no tensor was found; return tensors, or tuples, lists, "
            "dicts or dataclasses of tensors.",
            what=checks.describe(first),
        )
    for name, tensor in tensors:
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(
                "model returns NaN or infinity in {name} for these inputs; such an output cannot "
                "be compared: repair the model or the inputs first.",
                name=name,
            )
    try:
        again = compare_recorded(first, checks.runs("model", run, used.args))
    except InputError as error:
        raise ModelError(
            "model gives another answer when it is called again (it fails, or returns other "
            "shapes); make it deterministic in eval mode, without a state that is kept between "
            "calls."
        ) from error
    for one in again.tensors:
        if not one.relative <= SAME_RELATIVE:
            raise ModelError(
                "model gives another answer when it is called again ({name} differs by "
                "{relative:.2%}); make it deterministic in eval mode, without random numbers and "
                "without a state that is kept between calls.",
                name=one.name,
                relative=one.relative,
            )
    return first


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


def with_parts(model: nn.Module, parts: Mapping[str, nn.Module]) -> nn.Module:
    """The float model with some modules, by their names, replaced; it shares all others."""
    replaced = {id(model.get_submodule(name)): part for name, part in parts.items()}
    # deepcopy takes what its memo holds for the copy already made, wherever it is referred to: so
    # it makes anew just the modules that lead to a replaced one.
    shared: dict[int, Any] = {id(parameter): parameter for parameter in model.parameters()}
    for module in model.modules():
        if not any(id(part) in replaced for part in module.modules()):
            shared[id(module)] = module
    return copy.deepcopy(model, shared | replaced)


def metric_of(metric: Callable[[nn.Module], float] | None, model: nn.Module) -> float | None:
    """The caller's metric of a model, if any; ArgumentError if it fails, or is no number."""
    if metric is None:
        return None
    try:
        with torch.inference_mode():
            value = float(metric(model))
    except Exception as error:  # the caller's function
        raise ArgumentError(
            "metric raised {kind}: {error}; pass a function that takes a model and returns a "
            "number, the larger the better.",
            kind=type(error).__name__,
            error=checks.first_line(error),
        ) from error
    if not math.isfinite(value):
        raise ArgumentError(
            "metric returned {value}; pass a function that returns a number.", value=value
        )
    return value
