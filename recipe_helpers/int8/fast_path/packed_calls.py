"""The Python side of packed layers: what a call costs beside its arithmetic, kept small."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .packed_layer import ALL, run_packed
from .packed_plans import PackedLayer, PackedPlan, Sizes
from .packed_task import PER_CALL
from .packed_weights import PackedLinear
from .sharing import share
from .wide import plan_for

_ADDRESSES = struct.Struct(f"@{PER_CALL}q")  # the part of a PackedTask that every call writes
_KEPT = "_packed"  # in the dictionary of a module; travels neither with copies nor with pickles


def packed_layers(module: Any, suffixes: Sequence[str], gates: int) -> list[PackedLayer]:
    """The packed layers of a module, made anew where its weights have changed."""
    tensors, scheme = module._buffers, module.scheme
    kept: tuple[Any, list[PackedLayer]] | None = module.__dict__.get(_KEPT)
    if kept is not None and kept[0] is scheme:
        reusable = {layer.suffix: layer for layer in kept[1] if layer.is_of(tensors)}
        if len(reusable) == len(suffixes):
            return kept[1]
    else:
        reusable = {}
    most = scheme.largest_integer(module.activation_bits)
    layers = [
        reusable.get(suffix) or PackedLayer(tensors, suffix, gates, scheme.symmetric, most)
        for suffix in suffixes
    ]
    module.__dict__[_KEPT] = scheme, layers
    return layers


def run_packed_layers(
    layers: Sequence[PackedLayer],
    tensors: Any,
    data: Tensor,
    batch_sizes: tuple[int, ...],
    states: Sequence[Tensor] | None,
    directions: int,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """All layers, one after the other.

    Args:
        layers: In the order of `nn.LSTM`: both directions of a layer follow each other.
        tensors: The buffers of the module, of which scales and biases are read.
        data: float32 (rows, inputs) or (steps, batch, inputs).
        batch_sizes: Rows of each step.
        states: Initial hidden (layers · directions, batch, outputs) and, of an LSTM, cell state;
            zeros if None.
        directions: 1 or 2.

    Returns:
        The outputs of the last layer, and the final states.
    """
    batch, count = batch_sizes[0], len(layers)
    outputs, hidden = layers[0].outputs, layers[0].hidden
    h = data.new_empty(count, batch, outputs)
    c = data.new_empty(count, batch, hidden) if layers[0].gates == 4 else None
    given = [0, 0] if states is None else [state.data_ptr() for state in states]
    h_at, c_at = h.data_ptr(), 0 if c is None else c.data_ptr()
    h_step, c_step = 4 * batch * outputs, 4 * batch * hidden
    allowed = torch.get_num_threads()
    for index, layer in enumerate(layers):
        reverse = index % directions
        if not reverse:
            x = data if data.is_contiguous() else data.contiguous()
            data = x.new_empty(*x.shape[:-1], directions * outputs)
        keep, addresses = layer.addresses(tensors)
        plan = layer.plan(Sizes(batch_sizes, reverse, directions, allowed), plan_for)
        _ADDRESSES.pack_into(
            plan.numbers, 0, x.data_ptr(), data.data_ptr() + 4 * reverse * outputs,
            given[0] + index * h_step if states else 0,
            given[1] + index * c_step if states and c_at else 0,
            h_at + index * h_step, c_at + index * c_step if c_at else 0, *addresses,
        )  # fmt: skip
        if plan.threads == 1:
            plan.run()
            layer.give_back(plan)
        else:
            run_packed(plan.task_at, 0, 0, 1, ALL)
            share(_take_part, plan, plan.blocks, plan.threads, (x, data, h, c, states, keep))
    return data, (h,) if c is None else (h, c)


def _take_part(plan: PackedPlan, start: int, own: int) -> None:
    run_packed(plan.task_at, start, own, 0, ALL)


def run_packed_linear(module: Any, rows: Tensor) -> Tensor:
    """An Int8Linear, (rows, in) gives (rows, out)."""
    tensors, scheme = module._buffers, module.scheme
    kept = module.__dict__.get(_KEPT)
    if kept is None or kept.scheme is not scheme or not kept.is_of(tensors):
        most = scheme.largest_integer(module.activation_bits)
        kept = module.__dict__[_KEPT] = PackedLinear(tensors, scheme, most)
    y = rows.new_empty(len(rows), kept.outputs)
    kept.run(tensors, rows.contiguous(), y)
    return y
