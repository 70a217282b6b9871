"""The Python side of the fast path: what a module calls, and which kernel runs.

`run_usual` and `run_recurrent` do what `run_layer` and `run_gru_layer` in `arithmetic.py` do,
`run_linear` what `run_linear` does, in equal integers, with the compiled code of `kernels`. Each
gives None where the reference has to do it.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ..arithmetic import State
from ..residual import has_residual
from .plans import ARITHMETIC, Plan, spare_plans
from .ready import compiled
from .sharing import share
from .tensors import KEPT, fit, is_plain

_ADDRESSES = struct.Struct("@17q")  # the part of a Task that differs from call to call
# Without exact byte products 16-bit activations are served best by the kernel that reads weights
# as they are, row by row, from this width on, where memory is what limits: it needs no second copy.
_ROW_BY_ROW_WIDTH = 1024


def _usual(module: Any, data: Tensor, states: Any) -> bool:
    """Whether this is a batch of sequences, steps first; all else goes through the checks."""
    if data.dim() != 3:
        return False
    steps, batch, inputs = data.shape
    if inputs != module.input_size or not steps or not batch:
        return False
    count = module.num_layers * (2 if module.bidirectional else 1)
    return fit(states, [(count, batch, width) for width in module._widths()])


def run_usual(module: Any, data: Any, states: Any) -> tuple[Tensor, tuple[Tensor, ...]] | None:
    """The usual call of a recurrent module without detours; None where it is another one.

    Args:
        module: An Int8LSTM or Int8GRU.
        data: Its input, whatever it is.
        states: A tuple of its initial states, whatever they are, or None.
    """
    if not is_plain(data):
        return None
    turned: bool = module.batch_first and data.dim() == 3
    if turned:
        data = data.transpose(0, 1)
    kept = module.__dict__.get(KEPT)
    call = None if kept is None else kept.known(module, (data.shape, torch.get_num_threads()))
    if call is not None:
        if not fit(states, call.state_shapes):
            return None
        output, finals = call.run(data, states)
    else:
        kernels = compiled()
        if kernels is None or not _usual(module, data, states):
            return None
        steps, batch, _ = data.shape
        output, finals = _run(kernels, module, data, (batch,) * steps, states)
    return (output.transpose(0, 1) if turned else output), finals


def run_recurrent(
    module: Any, data: Tensor, batch_sizes: tuple[int, ...], states: tuple[Tensor, ...] | None
) -> tuple[Tensor, tuple[Tensor, ...]] | None:
    """All layers of an Int8LSTM or Int8GRU, one after the other.

    Args:
        module: Whose buffers hold the weights.
        data: float32 (rows, inputs), as in `arithmetic.run_layer`, or (steps, batch, inputs).
        batch_sizes: Rows of each step.
        states: Initial hidden (layers · directions, batch, outputs), and cell state of an LSTM;
            zeros if None.
    """
    kernels = compiled()
    if kernels is None or not batch_sizes[0] or not is_plain(data):
        return None
    if states is not None:
        states = tuple([part.contiguous() for part in states])
    return _run(kernels, module, data, batch_sizes, states)


def _run(
    kernels: ModuleType, module: Any, data: Tensor, batch_sizes: tuple[int, ...], states: Any
) -> tuple[Tensor, tuple[Tensor, ...]]:
    suffixes = suffixes_of(module.num_layers, module.bidirectional)
    if _row_by_row(kernels, module):
        most = module.scheme.largest_integer(module.activation_bits)
        done = run_layers(module._buffers, suffixes, data, batch_sizes, states, most)
        assert done is not None
        return done
    directions, allowed = 2 if module.bidirectional else 1, torch.get_num_threads()
    # As `run_usual` asks for it; rows that follow each other say nothing of their steps.
    key = (data.shape, allowed) if data.dim() == 3 else (data.shape, allowed, batch_sizes)
    leading = tuple(data.shape[:-1])
    packed = kernels.packed_module(module, suffixes)
    call = packed.call(key, leading, batch_sizes, directions, allowed)
    found: tuple[Tensor, tuple[Tensor, ...]] = call.run(data, states)
    return found


def _row_by_row(kernels: ModuleType, module: Any) -> bool:
    """Whether a module is for the kernel that reads weights as they are."""
    if module.hidden_size < _ROW_BY_ROW_WIDTH:
        return False
    exact: bool = kernels.is_exact(kernels.host_instruction())
    if exact or module._GATES != 4 or not module.scheme.symmetric:
        return False
    # Nor does that kernel know of residuals.
    suffixes = suffixes_of(module.num_layers, module.bidirectional)
    return not any(has_residual(module._buffers, f"weight_ih{suffix}") for suffix in suffixes)


def run_linear(module: Any, rows: Tensor) -> Tensor | None:
    """An Int8Linear: float32 (rows, in) gives (rows, out)."""
    kernels = compiled()
    if kernels is None or not len(rows) or not is_plain(rows):
        return None
    output: Tensor = kernels.run_packed_linear(module, rows)
    return output


@functools.cache
def suffixes_of(layers: int, bidirectional: bool) -> tuple[str, ...]:
    """`_l0`, `_l0_reverse`, `_l1` ... as nn.LSTM names its layers and directions."""
    ends = ("", "_reverse") if bidirectional else ("",)
    return tuple(f"_l{layer}{end}" for layer in range(layers) for end in ends)


def run_fused(
    module: Any, data: Any, states: Any, arithmetic: str
) -> tuple[Tensor, tuple[Tensor, ...]] | None:
    """The usual call of a FusedFloatLSTM: the kernel that works row by row, in floats."""
    if not is_plain(data) or module.batch_first or not _usual(module, data, states):
        return None
    suffixes = suffixes_of(module.num_layers, module.bidirectional)
    steps, batch, _ = data.shape
    return run_layers(module._buffers, suffixes, data, (batch,) * steps, states, 0, arithmetic)


def run_layers(
    tensors: Mapping[str, Tensor | None],
    suffixes: Sequence[str],
    data: Tensor,
    batch_sizes: tuple[int, ...],
    state: State | None,
    most: int,
    arithmetic: str = "integer",
) -> tuple[Tensor, State] | None:
    """All layers of an LSTM by the kernel that works row by row; None without compiled code.

    Every call looks its tensors up anew: nothing is kept that a changed weight would outdate.

    Args:
        tensors: The buffers of an Int8LSTM by their names (or the parameters of an nn.LSTM).
        suffixes: `_l0`, `_l0_reverse`, `_l1` ... in the order of the layers; a layer that is
            reversed follows the other direction of the same layer.
        data: float32 (rows, inputs), as in `arithmetic.run_layer`, or (steps, batch, inputs).
        batch_sizes: Rows of each step.
        state: Initial hidden (suffixes, batch, outputs) and cell (suffixes, batch, hidden); zeros
            if None.
        most: The largest integer of a quantized activation.
        arithmetic: "integer"; "float" for float32 weights; "weights" for int8 weights that are
            multiplied as floats.
    """
    kernels = compiled()
    if kernels is None or not data.numel() or not is_plain(data):
        return None
    kind = ARITHMETIC.index(arithmetic)
    batch, (gates, outputs) = batch_sizes[0], tensors[f"weight_hh{suffixes[0]}"].shape
    hidden = gates // 4
    h = data.new_empty(len(suffixes), batch, outputs)
    c = data.new_empty(len(suffixes), batch, hidden)
    if state is not None:
        state = state[0].contiguous(), state[1].contiguous()
        h0, c0 = state[0].data_ptr(), state[1].data_ptr()
    h1, c1 = h.data_ptr(), c.data_ptr()
    directions = 2 if suffixes[-1].endswith("_reverse") else 1
    allowed = torch.get_num_threads()
    for index, suffix in enumerate(suffixes):
        reverse = index % directions
        if not reverse:
            x = data.contiguous()
            data = x.new_empty(*x.shape[:-1], directions * outputs)
        addresses, keep = _addresses(tensors, suffix)
        key = (kind, most, batch_sizes, x.shape[-1], hidden, outputs, reverse, directions, allowed)
        spare = spare_plans(key)
        plan = spare.pop() if spare else Plan(*key)
        at_h, at_c = 4 * index * batch * outputs, 4 * index * batch * hidden
        _ADDRESSES.pack_into(
            plan.task.data, 0, x.data_ptr(), data.data_ptr() + 4 * reverse * outputs,
            h0 + at_h if state else 0, c0 + at_c if state else 0, h1 + at_h, c1 + at_c, *addresses,
        )  # fmt: skip
        if plan.threads == 1:
            kernels.prepare(plan.task_at)
            kernels.run(plan.task_at, 0, 1)
            if plan.small:
                spare.append(plan)
        else:
            kernels.prepare(plan.task_at)
            share(_take_part, plan, plan.blocks, plan.threads, (x, data, h, c, state, keep))
    return data, (h, c)


@functools.cache
def _names(suffix: str) -> tuple[str, ...]:
    weights = [f"weight_{part}{suffix}" for part in ("ih", "hh", "hr")]
    return (
        *weights,
        *(f"{name}_scale" for name in weights),
        *(f"{name}_columns" for name in weights),
        f"bias_ih{suffix}",
        f"bias_hh{suffix}",
    )


def _addresses(tensors: Mapping[str, Tensor | None], suffix: str) -> tuple[list[int], list[Tensor]]:
    """The addresses of one layer's tensors in the order of `Task`, 0 where there is none."""
    keep, addresses = [], []
    for name in _names(suffix):
        tensor = tensors.get(name)
        if tensor is None:
            addresses.append(0)
            continue
        tensor = tensor if tensor.is_contiguous() else tensor.contiguous()
        keep.append(tensor)
        addresses.append(tensor.data_ptr())
    return addresses, keep


def _take_part(plan: Plan, start: int, own: int) -> None:
    kernels = compiled()
    assert kernels is not None
    kernels.run(plan.task_at, start, own)
