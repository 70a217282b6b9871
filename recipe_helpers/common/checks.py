"""Checks of what callers pass in: one clear sentence and a typed exception for each fault."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import torch
from int8_rnn.checks import (
    first_line as first_line,
    module as module,
    one_of as one_of,
    positive_int as positive_int,
)
from torch import nn

from int8_rnn import Int8Module

from .errors import AlreadyQuantizedError, ArgumentError, InputError, ModelError
from .language import N_, _

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")


def renamed(
    **current: str,
) -> Callable[[Callable[Arguments, Returned]], Callable[Arguments, Returned]]:
    """Decorate a function whose keyword arguments had other names before, which keep working.

    Args:
        **current: the name of today by each name of before.
    """

    def decorate(function: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Returned:
            for before, name in current.items():
                # Both at once is an unknown argument, as Python itself says.
                if before in kwargs and name not in kwargs:
                    kwargs[name] = kwargs.pop(before)
            return function(*args, **kwargs)

        return called

    return decorate


def _several(name: str, values: Iterable[object]) -> tuple[object, ...]:
    """`values` as a tuple that is not empty; ArgumentError otherwise."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ArgumentError(
            "{name} is {value}; pass a list of whole numbers.", name=name, value=repr(values)
        )
    if not (several := tuple(values)):
        raise ArgumentError("{name} is empty; pass at least one whole number.", name=name)
    return several


def positive_ints(name: str, values: Iterable[object]) -> tuple[int, ...]:
    """`values` as a tuple of whole numbers of at least 1, in rising order without repeats."""
    several = enumerate(_several(name, values))
    numbers = [positive_int(f"{name}[{index}]", value) for index, value in several]
    if any(left >= right for left, right in itertools.pairwise(numbers)):
        raise ArgumentError(
            "{name} is {value}; pass rising numbers without repeats.", name=name, value=numbers
        )
    return tuple(numbers)


def seeds(name: str, values: Iterable[object]) -> tuple[int, ...]:
    """`values` as a tuple of at least one seed, in any order; ArgumentError otherwise."""
    return tuple(seed(name, value) for value in _several(name, values))


def whole_number(name: str, value: object) -> int:
    """`value` if it is a whole number of any sign; ArgumentError otherwise."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ArgumentError("{name} is {value}; pass a whole number.", name=name, value=repr(value))
    return value


def seed(name: str, value: object) -> int:
    """`value` if PyTorch's generator takes it as a seed; ArgumentError otherwise."""
    number = whole_number(name, value)
    if not -(2**63) <= number < 2**64:
        raise ArgumentError(
            "{name} is {value}; pass a whole number of at most 64 bits.", name=name, value=value
        )
    return number


def numbers(name: str, value: object) -> torch.Tensor:
    """`value` if it is a one-dimensional float32 tensor of finite numbers; ArgumentError if not."""
    if not isinstance(value, torch.Tensor):
        came = type(value).__name__
    elif (value.ndim, value.dtype, value.device.type) != (1, torch.float32, "cpu"):
        raise ArgumentError(
            "{name} is a {tensor} on the device {device}; pass a one-dimensional float32 tensor on "
            "the CPU.",
            name=name,
            tensor=describe(value),
            device=str(value.device),
        )
    elif not value.numel():
        came = N_("empty")
    elif not bool(torch.isfinite(value).all()):
        came = N_("a tensor with NaN or infinity")
    else:
        return value
    raise ArgumentError(
        "{name} is {came}; pass a one-dimensional float32 tensor on the CPU.", name=name, came=came
    )


def module_types(name: str, values: Iterable[object]) -> frozenset[type[nn.Module]]:
    """`values` as a set if each is a type of modules; ArgumentError otherwise."""
    kinds: tuple[Any, ...] = tuple(values) if isinstance(values, Iterable) else (values,)
    if not isinstance(values, Iterable) or not all(
        isinstance(kind, type) and issubclass(kind, nn.Module) for kind in kinds
    ):
        raise ArgumentError(
            "{name} is {value}; pass types of modules, such as [nn.LSTM].",
            name=name,
            value=repr(values),
        )
    return frozenset(kinds)


@functools.cache
def _quantized_types() -> tuple[type[nn.Module], ...]:
    """Base classes of quantized modules, of torch.ao (where it is there) and of ours."""
    try:
        from torch.ao.nn.quantized import dynamic
        from torch.ao.nn.quantized.modules.utils import WeightedQuantizedModule
    except ImportError:
        return (Int8Module,)
    recurrent = dynamic.LSTM, dynamic.GRU, dynamic.LSTMCell, dynamic.GRUCell, dynamic.RNNCell
    return (Int8Module, WeightedQuantizedModule, *recurrent)


def is_quantized(module: nn.Module) -> bool:
    """Whether this one module (not its children) is a quantized one, of torch.ao or of ours."""
    return isinstance(module, _quantized_types())


def runnable_model(name: str, value: object) -> nn.Module:
    """`value` if it is a module in eval mode whose tensors are on the CPU and finite."""
    model = module(name, value)
    if model.training:
        raise ModelError("{name} is in training mode; call {name}.eval() first.", name=name)
    for key, tensor in _named_tensors(model):
        if tensor.device.type != "cpu":
            raise ModelError(
                "{name} has {key} on the device {device}; dynamic quantization runs on the CPU: "
                "call {name}.cpu() first.",
                name=name,
                key=key,
                device=str(tensor.device),
            )
        # Infinity in a buffer may well be meant: it is how attention masks are stored.
        ill = ~tensor.isfinite() if isinstance(tensor, nn.Parameter) else tensor.isnan()
        if tensor.is_floating_point() and bool(ill.any()):
            raise ModelError(
                "{name} has NaN or infinity in {key}; such a tensor has no scale: repair the "
                "weights first.",
                name=name,
                key=key,
            )
    return model


def float_model(name: str, value: object) -> nn.Module:
    """`value` if it is a runnable FP32 model in which nothing is quantized yet."""
    model = module(name, value)
    for key, part in model.named_modules():
        if is_quantized(part):
            raise AlreadyQuantizedError(
                "{name} is already quantized: {key} is a {kind}; pass the float model it was made "
                "from.",
                name=name,
                key=key or N_("the module itself"),
                kind=type(part).__name__,
            )
    runnable_model(name, model)
    for key, tensor in _named_tensors(model):
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise ModelError(
                "{name} has {key} in {dtype}; quantization starts from torch.float32: call "
                "{name}.float() first.",
                name=name,
                key=key,
                dtype=str(tensor.dtype),
            )
    return model


def runs(name: str, model: nn.Module, inputs: tuple[Any, ...]) -> Any:
    """What `model(*inputs)` returns in inference mode; InputError if it raises.

    Says which inputs came, with their shapes and dtypes, since PyTorch's own message seldom does.
    """
    try:
        with torch.inference_mode():
            return model(*inputs)
    except (RuntimeError, ValueError, TypeError, AssertionError, AttributeError, LookupError) as e:
        raise InputError(
            "inputs do not fit {name}: it was called with {inputs} and raised {kind}: {message}; "
            "pass what {name}.forward expects.",
            name=name,
            inputs=describe(inputs),
            kind=type(e).__name__,
            message=first_line(e),
        ) from e


@dataclass(frozen=True)
class Description:
    """What a value is, in the language in which it is shown: `float32 tensor of shape (20, 8)`."""

    kind: str  # the dtype of a tensor, or the class
    shape: tuple[int, ...] | None = None  # of a tensor
    parts: tuple[Description, ...] | None = None  # of a tuple or a list

    def __str__(self) -> str:
        if self.shape is not None:
            return _("{dtype} tensor of shape {shape}", dtype=self.kind, shape=self.shape)
        if self.parts is not None:
            return f"({', '.join(map(str, self.parts))})"
        return self.kind


def describe(value: Any) -> Description:
    """A short description of a value, to stand in a sentence."""
    kind = type(value).__name__
    if isinstance(value, torch.Tensor):
        return Description(str(value.dtype).removeprefix("torch."), tuple(value.shape))
    if isinstance(value, tuple | list):
        return Description(kind, parts=tuple(map(describe, value)))
    return Description(kind)


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    return itertools.chain(model.named_parameters(), model.named_buffers())
