"""One operator for all layers of an int8 module, and one for a linear layer, for what is traced.

    int8_rnn::recurrent(Tensor data, Tensor[] states, Tensor[] weights, str how) -> Tensor[]
    int8_rnn::linear(Tensor data, Tensor[] weights, str how) -> Tensor

An eager call goes to the kernels directly. `torch.compile` and `torch.export` meet these operators
instead, as long as a graph may be: traced through, a layer would unroll into a graph of as many
steps as the example happened to have. `how` says in JSON which module it is; so an operator is a
function of its arguments alone, and an exported program runs wherever this package is imported.
`plain_aten` has what they compute in PyTorch's own operators.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from .reference import States
from .scheme import Scheme

_OPERATORS = {
    "int8_rnn::recurrent": "(Tensor data, Tensor[] states, Tensor[] weights, str how) -> Tensor[]",
    "int8_rnn::linear": "(Tensor data, Tensor[] weights, str how) -> Tensor",
}
for _name, _schema in _OPERATORS.items():
    torch.library.define(_name, _schema, tags=(torch.Tag.pt2_compliant_tag,))


def recurrent(module: Any, data: Tensor, states: States | None) -> tuple[Tensor, States]:
    """All layers of an Int8LSTM or Int8GRU, as one node of the graph that is being traced.

    Args:
        module: the module.
        data: float32 (steps, batch, inputs).
        states: the initial states, each (layers · directions, batch, width), or None for zeros.

    Returns:
        The output (steps, batch, directions · width), and the final states.
    """
    how = list(states or ()), _weights(module), module._how
    output, *finals = torch.ops.int8_rnn.recurrent(data, *how)
    return output, tuple(finals)


def linear(module: Any, data: Tensor) -> Tensor:
    """An Int8Linear on float32 (..., in), as one node of the graph that is being traced."""
    result: Tensor = torch.ops.int8_rnn.linear(data, _weights(module), module._how)
    return result


def _weights(module: Any) -> list[Tensor]:
    return [tensor for tensor in module._buffers.values() if tensor is not None]


def described(module: Any) -> str:
    """Class, arguments of the constructor, scheme and names of the tensors, as JSON.

    A module keeps it as `_how`: what traces a call cannot make it.
    """
    kind = type(module)
    taken = [name for name in inspect.signature(kind).parameters if name != "scheme"]
    arguments = {name: getattr(module, name) for name in taken}
    # An Int8Linear has the bias itself under this name.
    arguments["bias"] = module.bias is not None and module.bias is not False
    names = [name for name, tensor in module._buffers.items() if tensor is not None]
    return json.dumps([kind.__name__, arguments, asdict(module.scheme), names])


@functools.lru_cache(256)
def described_module(how: str) -> tuple[Any, tuple[str, ...]]:
    """The module that `how` describes, on the meta device, and the names of its tensors."""
    import int8_rnn

    kind, arguments, scheme, names = json.loads(how)
    with torch.device("meta"):
        made = getattr(int8_rnn, kind)(**arguments, scheme=Scheme(**scheme))
    return made, tuple(names)


def revived(weights: Sequence[Tensor], how: str) -> Any:
    """The module with these very tensors: nothing is copied, nothing is kept."""
    made, names = described_module(how)
    kind: Any = type(made)
    module = kind.__new__(kind)
    absent: dict[str, Tensor | None] = dict.fromkeys(made._buffers)
    buffers = absent | dict(zip(names, weights, strict=True))
    module.__dict__ = {**made.__dict__, "_buffers": buffers}
    return module


@torch.library.impl("int8_rnn::recurrent", "CPU")
def _run_recurrent(
    data: Tensor, states: Sequence[Tensor] | None, weights: Sequence[Tensor], how: str
) -> list[Tensor]:
    # AOTInductor hands an empty list on as None.
    module = revived(weights, how)
    output, finals = module._run(data, None, tuple(states or ()) or None)
    return [output, *finals]


@torch.library.impl("int8_rnn::linear", "CPU")
def _run_linear(data: Tensor, weights: Sequence[Tensor], how: str) -> Tensor:
    result: Tensor = revived(weights, how)(data)
    return result


@torch.library.register_fake("int8_rnn::recurrent")
def _shapes_of_recurrent(
    data: Tensor, states: Sequence[Tensor] | None, weights: Sequence[Tensor], how: str
) -> list[Tensor]:
    made, _ = described_module(how)
    steps, batch, _ = data.shape
    directions = 2 if made.bidirectional else 1
    output = data.new_empty(steps, batch, directions * made._output_size)
    return [output, *(part.new_empty(part.shape) for part in made._zeros(data, batch))]


@torch.library.register_fake("int8_rnn::linear")
def _shape_of_linear(data: Tensor, weights: Sequence[Tensor], how: str) -> Tensor:
    return data.new_empty(*data.shape[:-1], described_module(how)[0].out_features)
