"""The Python side of the fast path: addresses in, threads, and the way back where there is none.

`run_layers` and `run_linear` do what `run_layer` and `run_linear` in `arithmetic.py` do, in equal
integers, with the compiled code of `kernels`.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from .. import arithmetic
from ..arithmetic import DEFAULT, Int8Weight, Scheme, State
from .plans import ARITHMETIC, CHUNK_ROWS, LANES, Plan, ends_of, padded_depth, spare_plans
from .ready import compiled

_ADDRESSES = struct.Struct("@17q")  # the part of a Task that differs from call to call


def _plain(*tensors: Tensor) -> bool:
    """Whether these are ordinary float32 tensors in the CPU's memory."""
    return all(type(x) is Tensor and x.dtype is torch.float32 and x.is_cpu for x in tensors)


def run_lstm(
    module: Any, data: Any, hx: Any, arithmetic: str = "integer"
) -> tuple[Tensor, State] | None:
    """The usual call of an Int8LSTM without detours; None where it is an unusual or a wrong one.

    Usual is a batch of sequences, steps first; all else goes through the checks of the module.
    """
    if type(data) is not Tensor or data.dim() != 3 or module.batch_first or not data.numel():
        return None
    steps, batch, inputs = data.shape
    suffixes = suffixes_of(module.num_layers, module.bidirectional)
    if inputs != module.input_size:
        return None
    if hx is not None:
        if type(hx) is not tuple or len(hx) != 2 or not _plain(*hx):
            return None
        widths = module.proj_size or module.hidden_size, module.hidden_size
        shapes = [(len(suffixes), batch, width) for width in widths]
        if [part.shape for part in hx] != shapes:
            return None
    most = module.scheme.largest_integer(module.activation_bits)
    return run_layers(module._buffers, suffixes, data, (batch,) * steps, hx, most, arithmetic)


@functools.cache
def suffixes_of(layers: int, bidirectional: bool) -> tuple[str, ...]:
    """`_l0`, `_l0_reverse`, `_l1` ... as nn.LSTM names its layers and directions."""
    ends = ("", "_reverse") if bidirectional else ("",)
    return tuple(f"_l{layer}{end}" for layer in range(layers) for end in ends)


def run_layers(
    tensors: Mapping[str, Tensor | None],
    suffixes: Sequence[str],
    data: Tensor,
    batch_sizes: tuple[int, ...],
    state: State | None,
    most: int,
    arithmetic: str = "integer",
) -> tuple[Tensor, State] | None:
    """All layers of an LSTM, one after the other; None where the reference has to do it.

    Every call looks its tensors up anew: nothing is kept that a changed weight would outdate.

    Args:
        tensors: The buffers of an Int8LSTM by their names (or the parameters of an nn.LSTM).
        suffixes: `_l0`, `_l0_reverse`, `_l1` ... in the order of the layers; a layer that is
            reversed follows the other direction of the same layer.
        data: float32 (rows, inputs), as in `integers.run_layer`, or (steps, batch, inputs).
        batch_sizes: Rows of each step.
        state: Initial hidden (suffixes, batch, outputs) and cell (suffixes, batch, hidden); zeros
            if None.
        most: The largest integer of a quantized activation.
        arithmetic: "integer"; "float" for float32 weights; "weights" for int8 weights that are
            multiplied as floats.
    """
    kernels = compiled()
    if kernels is None or not data.numel() or not _plain(data):
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
            _share(kernels, plan, (x, data, h, c, state, keep))
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


def run_linear(
    data: Tensor, weight: Int8Weight, bias: Tensor | None, bits: int, scheme: Scheme = DEFAULT
) -> Tensor:
    """A linear layer; arguments and results are those of `integers.run_linear`."""
    if not len(data) or not _plain(data) or compiled() is None:
        return arithmetic.run_linear(data, weight, bias, bits, scheme)
    kernels = compiled()
    (rows, inputs), outputs = data.shape, len(weight.values)
    data, values = data.contiguous(), weight.values.contiguous()
    bias = None if bias is None else bias.contiguous()
    columns = None if weight.columns is None else weight.columns.contiguous()
    y = data.new_empty(rows, outputs)
    depth, held = padded_depth(inputs), min(rows, CHUNK_ROWS)
    ends = ends_of((outputs * LANES * (inputs < LANES), 2 * held * depth, 4 * held))
    room = data.new_empty(ends[-1], dtype=torch.int8)
    start = room.data_ptr()
    kernels.linear(
        kernels.product.address, scheme.largest_integer(bits), data.data_ptr(), rows, inputs,
        values.data_ptr(), weight.scale.data_ptr(),
        0 if columns is None else columns.data_ptr(), outputs,
        0 if bias is None else bias.data_ptr(),
        y.data_ptr(), *[start + end for end in ends[:-1]],
    )  # fmt: skip
    return y


@functools.cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(
        max_workers=max(1, (os.cpu_count() or 2) - 1), thread_name_prefix="int8-lstm"
    )


if hasattr(os, "register_at_fork"):
    # A child process has none of its parent's threads: it makes its own.
    os.register_at_fork(after_in_child=_helpers.cache_clear)


def _share(kernels: ModuleType, plan: Plan, keep: tuple[Any, ...]) -> None:
    """Run a layer here and on helpers, each beginning with its own share of the blocks.

    A helper that comes late finds the layer done; it holds the buffers until then.
    """
    kernels.prepare(plan.task_at)
    own = -(-plan.blocks // plan.threads)
    for helper in range(1, plan.threads):
        try:
            _helpers().submit(_help, kernels.run, plan, helper * own % plan.blocks, own, keep)
        except RuntimeError:  # the interpreter is shutting down
            break
    kernels.run(plan.task_at, 0, own)


def _help(run: Any, plan: Plan, start: int, own: int, keep: tuple[Any, ...]) -> None:
    run(plan.task_at, start, own)
