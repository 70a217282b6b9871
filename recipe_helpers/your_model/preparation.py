"""Your own model: refuse, in one sentence, what cannot be measured, before anything is measured.

A report must not touch its caller's model or inputs, so everything below works on copies; and its
figures mean something only if the model gives the same answer twice. Both are checked here.
"""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from ..common import checks
from ..common.errors import InputError, ModelError
from ..common.language import Text
from ..recipe.accuracy import compare_outputs, named_tensors
from .input_sets import InputSet, Recorded, copied_with

# Two runs of one model on the same inputs may differ by the order in which floats were added.
SAME_RELATIVE = 1e-4


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
                Text(
                    "model is in eval mode but model.{name} is in training mode; call model.eval() "
                    "once more, after the last change.",
                    name=name,
                )
            )
    try:
        return copy.deepcopy(model)
    except Exception as error:  # __deepcopy__ of any class
        reason = str(error).split("  ")[0]
        raise ModelError(
            Text(
                "model cannot be copied, which quantization needs ({kind}: {reason}); remove "
                "weight_norm hooks, parametrizations (rh.without_parametrizations) and attributes "
                "that hold tensors with a gradient's history.",
                kind=type(error).__name__,
                reason=reason,
            )
        ) from error


def _refuse_what_is_not_eager(value: object) -> None:
    if isinstance(value, torch.export.ExportedProgram):
        raise ModelError(
            Text("model is an exported program; pass the nn.Module that was given to torch.export.")
        )
    for name, part in checks.module("model", value).named_modules():
        where = f"model.{name}" if name else "model"
        if isinstance(part, torch.jit.ScriptModule):
            raise ModelError(
                Text(
                    "{where} is scripted; its layers can no longer be replaced: pass the nn.Module "
                    "that was given to torch.jit.",
                    where=where,
                )
            )
        # Told by its home, since looking at torch._dynamo imports all of the compiler.
        wrapped = type(part).__module__.startswith("torch._dynamo")
        if wrapped or part._compiled_call_impl is not None:
            raise ModelError(
                Text(
                    "{where} is compiled; pass the nn.Module as it was before torch.compile.",
                    where=where,
                )
            )
        if any(map(nn.parameter.is_lazy, part.parameters(recurse=False))):
            raise ModelError(
                Text(
                    "{where} is a {kind} that has not seen an input yet, so that it has no "
                    "weights; run the model once.",
                    where=where,
                    kind=type(part).__name__,
                )
            )
        if isinstance(part, torch.fx.GraphModule) and any(
            isinstance(node.target, torch._ops.OpOverload) for node in part.graph.nodes
        ):
            raise ModelError(
                Text(
                    "{where} is an exported graph; its layers are operators already: pass the "
                    "nn.Module that was given to torch.export.",
                    where=where,
                )
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
                Text(
                    "model.forward changes {name} in place, so that no two calls see the same "
                    "inputs; let it work on a clone.",
                    name=name,
                )
            )
    # A model may return a buffer that it writes to again; not every class can be copied.
    with contextlib.suppress(Exception):
        first = copied_with(first, named_tensors(first))
    tensors = list(named_tensors(first))
    if not tensors:
        raise ModelError(
            Text(
                "model returns {what}, in which no tensor was found; return tensors, or tuples, "
                "lists, dicts or dataclasses of tensors.",
                what=checks.describe(first),
            )
        )
    for name, tensor in tensors:
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(
                Text(
                    "model returns NaN or infinity in {name} for these inputs; such an output "
                    "cannot be compared: repair the model or the inputs first.",
                    name=name,
                )
            )
    if (change := _change(first, run, used)) is not None:
        torch.set_rng_state(random_state)
        if _change(first, run, used) is None:
            raise ModelError(
                Text(
                    "model gives another answer when it is called again ({change}): it draws "
                    "random numbers; make it deterministic in eval mode before it is measured.",
                    change=change,
                )
            )
        raise ModelError(
            Text(
                "model gives another answer when it is called again ({change}): it keeps a state "
                "between calls; make it deterministic in eval mode before it is measured.",
                change=change,
            )
        )
    return first


def _change(first: Any, run: nn.Module, inputs: InputSet) -> Text | None:
    """How a further call differs from the first outputs, or None if it does not."""
    try:
        again = compare_outputs(Recorded(first), run, *inputs.args)
    except InputError:
        return Text("it fails, or returns other shapes")
    for tensor in again.tensors:
        if not tensor.relative <= SAME_RELATIVE:
            return Text(
                "{name} differs by {relative:.2%}", name=tensor.name, relative=tensor.relative
            )
    return None


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
