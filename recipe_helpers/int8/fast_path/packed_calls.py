"""The Python side of packed layers: what a call costs beside its arithmetic, kept small."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .packed_layer import ALL, run_packed
from .packed_plans import PackedLayer, PackedPlan
from .packed_weights import PackedLinear
from .sharing import share
from .wide import plan_for

_CALL = struct.Struct("@6q")  # the part of a PackedTask that every call writes
_KEPT = "_fast_packed"  # in the dictionary of a module; copies and pickles leave it out


def packed_layers(module: Any, suffixes: Sequence[str], gates: int) -> list[PackedLayer]:
    """The packed layers of a module, made anew where its weights have changed."""
    tensors, scheme = module._buffers, module.scheme
    kept: tuple[Any, list[PackedLayer]] | None = module.__dict__.get(_KEPT)
    reusable = {}
    if kept is not None and kept[0] is scheme:
        changed = False
        for layer in kept[1]:
            if layer.is_current(tensors):
                reusable[layer.suffix] = layer
            else:
                changed = True
        if not changed:
            return kept[1]
    most = scheme.largest_integer(module.activation_bits)
    layers = [
        reusable.get(suffix) or PackedLayer(tensors, suffix, gates, scheme.symmetric, most)
        for suffix in suffixes
    ]
    module.__dict__[_KEPT] = scheme, layers
    return layers


def run_packed_layers(
    layers: Sequence[PackedLayer],
    data: Tensor,
    batch_sizes: tuple[int, ...],
    states: Sequence[Tensor] | None,
    directions: int,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """All layers, one after the other.

    Args:
        layers: In the order of `nn.LSTM`: both directions of a layer follow each other.
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
    h_at, c_at = h.data_ptr(), 0 if c is None else c.data_ptr()
    h0_at = c0_at = 0
    if states is not None:
        h0_at, c0_at = states[0].data_ptr(), 0 if c is None else states[1].data_ptr()
    h_step, c_step = 4 * batch * outputs, 0 if c is None else 4 * batch * hidden
    allowed, reverse = torch.get_num_threads(), 0
    for layer in layers:
        if not reverse:
            x = data if data.is_contiguous() else data.contiguous()
            data = x.new_empty(*x.shape[:-1], directions * outputs)
        plan = layer.plan((batch_sizes, reverse, directions, allowed), plan_for)
        small = layer.small  # held while the compiled code reads it
        plan.tell_addresses(small)
        y_at = data.data_ptr() + 4 * reverse * outputs
        _CALL.pack_into(plan.numbers, 0, x.data_ptr(), y_at, h0_at, c0_at, h_at, c_at)
        if plan.threads == 1:
            plan.run()
        else:
            run_packed(plan.task_at, 0, 0, 1, ALL)
            keep = x, data, h, c, states, small
            share(_take_part, plan, plan.blocks, plan.threads, keep)
        if plan.reusable:
            layer.give_back(plan)
        h_at, c_at = h_at + h_step, c_at + c_step
        if states is not None:
            h0_at, c0_at = h0_at + h_step, c0_at + c_step
        reverse = (reverse + 1) % directions
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
