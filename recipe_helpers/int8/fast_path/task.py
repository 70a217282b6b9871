"""What a compiled layer is told: sizes, and the addresses of its buffers."""

from __future__ import annotations

from typing import NamedTuple

from numba import types

from .compiling import INT64
from .intrinsics import numbers_at


class Task(NamedTuple):
    """What the compiled layer needs: whole numbers, of which the `*_at` are addresses of buffers.

    All buffers are contiguous and aligned to their element; sizes are in elements. `depth` is a
    row length rounded up to LANES. `first` (int64, steps + 1) says where the rows of each step
    begin in `x` and `y`; a packed sequence has fewer of them from step to step.
    """

    # What differs from call to call.
    x_at: int  # float32 (rows, inputs)
    y_at: int  # float32 (rows, y_step), of which `outputs` columns are written
    h0_at: int  # initial state, float32 (batch, outputs) and (batch, hidden); or 0: all zeros
    c0_at: int
    h_at: int  # the state, at last the final one; shapes as above
    c_at: int
    w_ih_at: int  # (4 hidden, inputs), (4 hidden, outputs), (outputs, hidden) with their scales
    w_hh_at: int
    w_hr_at: int
    s_ih_at: int
    s_hh_at: int
    s_hr_at: int
    c_ih_at: int  # float32, a scale for each column of these weights, or 0 if there are none
    c_hh_at: int
    c_hr_at: int
    bias_ih_at: int  # float32 (4 hidden), or 0 if there is none
    bias_hh_at: int
    # What follows from the sizes.
    kind: int
    most: int  # the largest integer of a quantized activation
    steps: int
    batch: int
    inputs: int
    hidden: int
    outputs: int  # hidden, or proj_size
    projected: int
    reverse: int
    chunk: int  # steps whose input is multiplied by W_ih in one go
    blocks: int
    widened: int  # whether W_hh is copied to int16 first, for which there must be one block
    y_step: int  # elements from row to row of `y`: twice `outputs` in a bidirectional layer
    product_at: int  # the address of the compiled `product`
    first_at: int
    # Working buffers.
    padded_ih_at: int  # room for weights with rows padded to LANES, where they are shorter
    padded_hh_at: int  # the same, or the widened copy
    padded_hr_at: int
    q_x_at: int  # quantized (chunk · batch, depth of inputs) and scales (chunk · batch)
    s_x_at: int
    q_h_at: int  # (batch, depth of outputs) and (batch)
    s_h_at: int
    q_m_at: int  # (batch, depth of hidden) and (batch)
    s_m_at: int
    m_at: int  # float32 (batch, hidden): o · tanh(c) where it is projected afterwards
    pre_at: int  # float32 (chunk · batch, 4 hidden): W_ih x + b_ih
    z_at: int  # int32, then float32 (batch, 4 hidden): W_hh h + b_hh, then the gates
    sync_at: int  # int64 (SYNC + blocks): the published phase, the blocks done, the claims


TASK = types.NamedUniTuple(INT64, len(Task._fields), Task)


task_at_address = numbers_at(TASK)
