"""One operator for all layers of an int8 module, for what is traced.

    int8_rnn::run(Tensor data, Tensor[] states, Tensor[] weights, str how) -> Tensor[]

An eager call goes to the kernels directly. `torch.compile` and `torch.export` meet the operator
instead, as long as a graph may be: traced through, a layer would unroll into a graph of as many
steps as the example happened to have. `how` says in JSON which module it is; so the operator is a
function of its arguments alone, and an exported program runs wherever this package is imported.
`plain_aten` has what it computes in PyTorch's own operators.
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

torch.library.define(
    "int8_rnn::run",
    "(Tensor data, Tensor[] states, Tensor[] weights, str how) -> Tensor[]",
    tags=(torch.Tag.pt2_compliant_tag,),
)


def run_recurrent(
    module: Any, data: Tensor, batch_sizes: list[int] | None, states: States | None
) -> tuple[Tensor, States] | None:
    """One node of the graph that is being traced; None for packed rows.

    What takes a call has these three names, here and in `fast.calls`.
    """
    if batch_sizes is not None:
        return None
    weights = [*module._buffers.values()]
    output, *finals = torch.ops.int8_rnn.run(data, list(states or ()), weights, module._how)
    return output, tuple(finals)


run_linear = run_recurrent


def run_usual(*_: Any) -> None:
    """Nothing: input and states are brought into one form first."""


def arguments(kind: type, module: Any) -> dict[str, Any]:
    """What the constructor of `kind` takes, but for scheme and `fast`, as `module` has it."""
    taken = inspect.signature(kind).parameters.keys() - {"scheme", "fast"}
    found = {name: getattr(module, name) for name in sorted(taken)}
    # A linear layer has the bias itself under this name.
    return {**found, "bias": module.bias is not None and module.bias is not False}


def described(module: Any) -> str:
    """Class, arguments of the constructor, scheme and names of the tensors, as JSON.

    A module keeps it as `_how`: what traces a call cannot make it.
    """
    kind = type(module)
    how = {**arguments(kind, module), "fast": module.fast}
    return json.dumps([kind.__name__, how, asdict(module.scheme), [*module._buffers]])


@functools.lru_cache(256)
def described_module(how: str) -> tuple[Any, tuple[str, ...]]:
    """The module that `how` describes, on the meta device, and the names of its tensors."""
    import int8_rnn

    kind, given, scheme, names = json.loads(how)
    with torch.device("meta"):
        made = getattr(int8_rnn, kind)(**given, scheme=Scheme(**scheme))
    return made, tuple(names)


def revived(weights: Sequence[Tensor], how: str) -> Any:
    """The module with these very tensors: nothing is copied, nothing is kept."""
    made, names = described_module(how)
    kind: Any = type(made)
    module = kind.__new__(kind)
    module.__dict__ = {**made.__dict__, "_buffers": dict(zip(names, weights, strict=True))}
    return module


@torch.library.impl("int8_rnn::run", "CPU")
def _run(
    data: Tensor, states: Sequence[Tensor] | None, weights: Sequence[Tensor], how: str
) -> list[Tensor]:
    # AOTInductor hands an empty list on as None.
    output, finals = revived(weights, how)._run(data, None, tuple(states or ()) or None)
    return [output, *finals]


@torch.library.register_fake("int8_rnn::run")
def _shapes(
    data: Tensor, states: Sequence[Tensor] | None, weights: Sequence[Tensor], how: str
) -> list[Tensor]:
    module, _ = described_module(how)
    output = data.new_empty(*data.shape[:-1], module._width)
    return [output, *module._zeros(data)]
