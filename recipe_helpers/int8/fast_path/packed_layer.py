"""One layer of packed weights in one direction, all its steps, in one call of compiled code.

1. The input of a block of steps is quantized and multiplied by `W_ih` first: several rows of the
   input share each tile of weights that is read.
2. Each step multiplies the quantized hidden state by `W_hh`, tile by tile; the gates of 16 units
   follow right after their tile, while its sums are in the first cache. Every other step walks
   the tiles backwards, so that it begins with what the last step left in the cache.
3. Whoever finishes the last tile of a step quantizes the new hidden state.

Threads share blocks of tiles as in `layer.py`: by atomic claims, so that one that comes late, or
never, holds nobody up.
"""

# The types of compiled functions stand in their decorators, where numba reads them.
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import numba
import numpy as np
from numba import types

from .basics import SYNC
from .cells import copy_vector, gru_cell, lstm_cell, rescale3, rescale4
from .compiling import INT64, compiled, inner
from .intrinsics import (
    add_to,
    at_address,
    call_at,
    clear_bytes,
    copy_floats,
    load_published,
    publish,
    raise_to,
)
from .packed_task import packed_task_at
from .quantizing import row_bytes
from .steps import chunk_rows, step_rows

ALL = 1 << 62  # phases


@inner
def fill_terms(s_at, bias_at, units, vectors, lines, tiles, terms_at):
    """Bring scales and biases, (gates · units), into the order of the tiles.

    A tile has `vectors` gates of 16 units, or one gate of 16 · `lines`.
    """
    for tile in range(tiles):
        for vector in range(vectors):
            gate, block = (0, tile * lines + vector) if lines > 1 else (vector, tile)
            start = 4 * (gate * units + 16 * block)
            count = min(16, units - 16 * block)
            to = terms_at + 64 * (3 * tile * vectors + vector)
            if count == 16:
                copy_vector(s_at + start, to)
                if bias_at:
                    copy_vector(bias_at + start, to + 64 * vectors)
            elif count > 0:
                copy_floats(s_at + start, to, count)
                if bias_at:
                    copy_floats(bias_at + start, to + 64 * vectors, count)
            if not bias_at:
                clear_bytes(to + 64 * vectors, 64)


@inner
def _quantize_chunk(t, begin):
    """Quantize the input of the steps from `begin` on that share one product with W_ih."""
    first, rows = chunk_rows(t, begin)
    x_at, step = t.x_at + 4 * first * t.inputs, 4 * t.inputs
    call_at(t.quantize_at, (
        t.form_ih, t.symmetric, t.most, x_at, step, t.inputs, t.c_ih_at, rows, t.q_x_at,
        t.marks_x_at,
    ))  # fmt: skip


@inner
def _quantize_state(t, rows):
    """Quantize the hidden state for the next step."""
    width = t.projection_tiles * 64 if t.projected else t.tiles * 16
    call_at(t.quantize_at, (
        t.form_hh, t.symmetric, t.most, t.state_at, 4 * width, t.outputs, t.c_hh_at, rows,
        t.q_h_at, t.marks_h_at,
    ))  # fmt: skip


@inner
def _project(t, begin, low, high, backwards):
    """W_ih x + b_ih for the tiles [low, high) and all steps of a chunk."""
    first, rows = chunk_rows(t, begin)
    q_step, tile_sums = row_bytes(t.form_ih, t.inputs), 64 * t.vectors
    row_sums = tile_sums * t.tiles
    scales = numba.carray(at_address(t.marks_x_at), 2 * rows, np.float32)
    offsets = numba.carray(at_address(t.marks_x_at), 2 * rows, np.int32)
    for i in range(high - low):
        tile = high - 1 - i if backwards else low + i
        out = t.pre_at + tile * tile_sums
        call_at(t.ih_product, (
            t.ih_at + tile * t.ih_tile, t.ih_steps, t.q_x_at, q_step, rows, out, row_sums
        ))  # fmt: skip
        terms = t.terms_ih_at + 3 * tile * tile_sums
        for r in range(rows):
            if t.vectors == 4:
                rescale4(out + r * row_sums, terms, scales[2 * r], offsets[2 * r + 1])
            else:
                rescale3(out + r * row_sums, terms, scales[2 * r], offsets[2 * r + 1])
    if t.residuals:
        _add_residuals(t, first, rows, low, high)


@inner
def _add_residuals(t, first, rows, low, high):
    """Add to rows of sums, in the tiles [low, high), what the residual of W_ih gives for them."""
    tile = 16 * t.vectors
    width = tile * t.tiles
    places = numba.carray(at_address(t.places_at), t.residuals, np.int64)
    sums = numba.carray(at_address(t.pre_at), rows * width, np.float32)
    more_at = t.more_at + 4 * first * t.residuals
    more = numba.carray(at_address(more_at), rows * t.residuals, np.float32)
    for i in range(t.residuals):
        if low * tile <= places[i] < high * tile:
            for r in range(rows):
                sums[r * width + places[i]] += more[r * t.residuals + i]


@inner
def _advance(t, step, low, high, backwards):
    """One step of the tiles [low, high): recurrent product, gates, new cell and hidden state."""
    _, place, rows = step_rows(t, step)
    q_step, tile_sums = row_bytes(t.form_hh, t.outputs), 64 * t.vectors
    row_sums, state = tile_sums * t.tiles, 64 * t.tiles
    scales = numba.carray(at_address(t.marks_h_at), 2 * rows, np.float32)
    offsets = numba.carray(at_address(t.marks_h_at), 2 * rows, np.int32)
    for i in range(high - low):
        tile = high - 1 - i if backwards else low + i
        sums, terms = t.sums_at + tile * tile_sums, t.terms_hh_at + 3 * tile * tile_sums
        call_at(t.hh_product, (
            t.hh_at + tile * t.hh_tile, t.hh_steps, t.q_h_at, q_step, rows, sums, row_sums
        ))  # fmt: skip
        pre, unit = t.pre_at + place * row_sums + tile * tile_sums, t.unit_at + 64 * tile
        cell = t.cell_at + 64 * tile
        for r in range(rows):
            at, scale, offset = sums + r * row_sums, scales[2 * r], offsets[2 * r + 1]
            before, here = pre + r * row_sums, unit + r * state
            if t.vectors == 4:
                lstm_cell(at, terms, scale, offset, before, cell + r * state, here)
            else:
                gru_cell(at, terms, scale, offset, before, here, here)


@inner
def _project_state(t, rows):
    """The new hidden state times W_hr."""
    call_at(t.quantize_at, (
        t.form_hr, t.symmetric, t.most, t.unit_at, 64 * t.tiles, t.hidden, t.c_hr_at, rows,
        t.q_m_at, t.marks_m_at,
    ))  # fmt: skip
    q_step, row_sums = row_bytes(t.form_hr, t.hidden), 256 * t.projection_tiles
    scales = numba.carray(at_address(t.marks_m_at), 2 * rows, np.float32)
    offsets = numba.carray(at_address(t.marks_m_at), 2 * rows, np.int32)
    for tile in range(t.projection_tiles):
        out, terms = t.state_at + 256 * tile, t.terms_hr_at + 768 * tile
        call_at(t.hr_product, (
            t.hr_at + tile * t.hr_tile, t.hr_steps, t.q_m_at, q_step, rows, out,
            row_sums,
        ))  # fmt: skip
        for r in range(rows):
            rescale4(out + r * row_sums, terms, scales[2 * r], offsets[2 * r + 1])


@inner
def _close(t, step):
    """After a step: the output, and the hidden state quantized for the next; or the last state."""
    row, _, rows = step_rows(t, step)
    if t.projected:
        _project_state(t, rows)
    width = 4 * (t.projection_tiles * 64 if t.projected else t.tiles * 16)
    for r in range(rows):
        copy_floats(t.state_at + r * width, t.y_at + 4 * (row + r) * t.y_step, t.outputs)
    if step + 1 < t.steps:
        _quantize_state(t, rows)
        if (step + 1) % t.chunk == 0:
            _quantize_chunk(t, step + 1)
        return
    for r in range(t.batch):
        copy_floats(t.state_at + r * width, t.h_at + 4 * r * t.outputs, t.outputs)
        if t.vectors == 4:
            copy_floats(t.cell_at + 64 * r * t.tiles, t.c_at + 4 * r * t.hidden, t.hidden)


@inner
def _take_state(from_at, to_at, rows, width, step):
    """The initial state, or zeros, into rows that lie `step` bytes apart."""
    for r in range(rows):
        if from_at:
            copy_floats(from_at + 4 * r * width, to_at + r * step, width)
        else:
            clear_bytes(to_at + r * step, 4 * width)


@inner
def _prepare(t):
    """What precedes the first phase: terms of the tiles, the quantized first chunk and state."""
    fill_terms(t.s_ih_at, t.bias_ih_at, t.hidden, t.vectors, 1, t.tiles, t.terms_ih_at)
    fill_terms(t.s_hh_at, t.bias_hh_at, t.hidden, t.vectors, 1, t.tiles, t.terms_hh_at)
    if t.projected:
        fill_terms(t.s_hr_at, 0, t.outputs, 4, 4, t.projection_tiles, t.terms_hr_at)
    width = t.projection_tiles * 64 if t.projected else t.tiles * 16
    _take_state(t.h0_at, t.state_at, t.batch, t.outputs, 4 * width)
    if t.vectors == 4:
        _take_state(t.c0_at, t.cell_at, t.batch, t.hidden, 64 * t.tiles)
    sync = numba.carray(at_address(t.sync_at), SYNC + t.blocks, np.int64)
    for i in range(SYNC + t.blocks):
        sync[i] = 0
    _quantize_chunk(t, 0)
    _quantize_state(t, t.batch)


@compiled(types.void(*[INT64] * 5))
def run_packed(task_at, start, own, first, until):
    """Take part in a layer until it is done, as `layer.run` does; whoever is `first` prepares it.

    With `own` 0 this is all: others may begin then. Phases from `until` on are left to later calls.
    """
    t = packed_task_at(task_at)
    if first:
        _prepare(t)
        if own == 0:
            return
    chunks, alone = (t.steps + t.chunk - 1) // t.chunk, t.blocks == 1
    published_at, done_at, claims_at = t.sync_at, t.sync_at + 64, t.sync_at + 8 * SYNC
    while True:
        phase = load_published(published_at)
        if phase >= min(t.steps + chunks, until):
            return
        chunk, within = phase // (t.chunk + 1), phase % (t.chunk + 1)
        backwards = phase % 2
        for i in range(t.blocks):
            low, high = 0, t.tiles
            if not alone:  # who shares with nobody has nothing to claim, and nothing to divide
                block = (start + own - 1 - i if backwards else start + i) % t.blocks
                if raise_to(claims_at + 8 * block, phase + 1) > phase:
                    continue
                low, high = t.tiles * block // t.blocks, t.tiles * (block + 1) // t.blocks
            if within == 0:
                _project(t, chunk * t.chunk, low, high, backwards)
            else:
                _advance(t, chunk * t.chunk + within - 1, low, high, backwards)
            if alone or add_to(done_at, 1) + 1 == t.blocks * (phase + 1):
                if within > 0:
                    _close(t, chunk * t.chunk + within - 1)
                publish(published_at, phase + 1)
        while load_published(published_at) == phase:
            pass
