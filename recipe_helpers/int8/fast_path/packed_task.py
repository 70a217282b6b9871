"""What a compiled layer with packed weights is told: sizes, and the addresses of its buffers."""

from __future__ import annotations

from typing import NamedTuple

from numba import types

from .compiling import INT64
from .intrinsics import numbers_at


class PackedTask(NamedTuple):
    """What the compiled layer needs: whole numbers, of which the `*_at` are addresses of buffers.

    `vectors` is 4 for an LSTM, and 3 for a GRU; a tile has 16 hidden units. `first` (int64,
    steps + 1) says where the rows of each step begin in `x` and `y`. A row of sums holds the
    vectors of all tiles, 16 numbers each, in the order of the tiles (`packed_tiles`).
    """

    # What differs from call to call.
    x_at: int  # float32 (rows, inputs)
    y_at: int  # float32 (rows, y_step), of which `outputs` columns are written
    h0_at: int  # initial state, float32 (batch, outputs) and (batch, hidden); or 0: all zeros
    c0_at: int
    h_at: int  # the final state; shapes as above
    c_at: int  # of an LSTM
    more_at: int  # float32 (rows, residuals): what the residual of W_ih adds; or 0
    s_ih_at: int  # float32, a scale for each row of the weights
    s_hh_at: int
    s_hr_at: int
    c_ih_at: int  # float32, a scale for each column of the weights
    c_hh_at: int
    c_hr_at: int
    bias_ih_at: int  # float32 (vectors · hidden), or 0 if there is none
    bias_hh_at: int
    # What follows from the sizes and the weights.
    vectors: int
    symmetric: int
    most: int  # the largest integer of a quantized activation
    steps: int
    batch: int
    inputs: int
    hidden: int
    outputs: int  # hidden, or proj_size
    projected: int
    reverse: int
    chunk: int  # steps whose input is multiplied by W_ih in one go
    blocks: int  # of tiles, which threads share
    tiles: int
    projection_tiles: int
    y_step: int  # elements from row to row of `y`: twice `outputs` in a bidirectional layer
    form_ih: int  # what the activations that meet each weight look like (`quantizing`)
    form_hh: int
    form_hr: int
    ih_at: int  # packed weights
    hh_at: int
    hr_at: int
    ih_tile: int  # bytes of one of their tiles
    hh_tile: int
    hr_tile: int
    ih_steps: int  # the length of their rows, in steps of four bytes of activations
    hh_steps: int
    hr_steps: int
    ih_product: int  # addresses of compiled products
    hh_product: int
    hr_product: int
    quantize_at: int
    first_at: int
    residuals: int  # rows of W_ih that have a residual
    places_at: int  # int64 (residuals), where they stand in a row of sums
    # Working buffers.
    terms_ih_at: int  # of each tile: scales, biases, row sums, (vectors, 16) numbers each
    terms_hh_at: int
    terms_hr_at: int
    q_x_at: int  # quantized rows (chunk · batch) and the scale and offset of each
    marks_x_at: int
    q_h_at: int  # (batch)
    marks_h_at: int
    q_m_at: int  # (batch)
    marks_m_at: int
    cell_at: int  # float32 (batch, tiles · 16)
    unit_at: int  # the same: o · tanh(c), or the hidden state of a GRU
    state_at: int  # float32 (batch, projection_tiles · 64): the projected state; else unit_at
    pre_at: int  # (chunk · batch) rows of sums: W_ih x + b_ih, float32
    sums_at: int  # (batch) rows of sums: W_hh h, int32
    sync_at: int  # int64 (SYNC + blocks): the published phase, the blocks done, the claims


PER_CALL = 15  # fields that differ from call to call

PACKED_TASK = types.NamedUniTuple(INT64, len(PackedTask._fields), PackedTask)

packed_task_at = numbers_at(PACKED_TASK)
