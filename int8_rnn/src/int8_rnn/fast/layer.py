"""All steps of one layer in one direction, or a plain matrix, in one call of compiled code.

1. The input of a chunk of steps is quantized and multiplied by W_ih first: several rows of the
   input share each tile of weights that is read.
2. Each step multiplies the quantized hidden state by W_hh, block of tiles by block; the gates of a
   block's units follow while its sums are in the first cache. Every other phase walks the tiles
   backwards, so that it begins with what the last one left in the cache.
3. Whoever finishes the last block of a phase closes it: it quantizes the new hidden state, or adds
   the residual of W_ih.

Threads share the blocks of a phase by atomic claims, so that one that comes late, or never, holds
nobody up. All working buffers lie in one piece of memory, which is the first thread's: another one
may look at it only after it has claimed a block, since the phase cannot end without it then. Until
then it knows `sync` alone, which Python holds.
"""

# The types of compiled functions follow from their callers'.
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import numpy as np

from .cells import gru_cells, lstm_cells
from .llvm import (
    add_to,
    allocate,
    clear_bytes,
    copy_bytes,
    free,
    load_published,
    publish,
    raise_to,
    record,
    routine,
)
from .products import add_residual, multiply, project, terms_of
from .quantizing import inner, longs, quantize, weight

NONE = np.int64(0)  # a literal would be compiled as a type of its own
CHUNK_ROWS = 64  # of the input that share a product with W_ih
BLOCKS_PER_THREAD = 4
BLOCK_BYTES = 1 << 15  # of sums, which the gates find in the first cache
TASK = np.dtype([(name, np.int64) for name in (
    # What a call passes. The addresses of weights are 0 where there is none.
    "ih_at", "hh_at", "hr_at", "hidden", "reverse", "y_step",  # of the layer
    "x_at", "y_at", "h0_at", "c0_at", "h_at", "c_at", "first_at", "steps", "batch",
    "sync_at", "threads",
    # What follows from it, and the working buffers.
    "chunk", "blocks", "base_at", "outputs", "state_step",
    "cell_at", "unit_at", "state_at", "pre_at", "pre_step", "marks_x_at", "q_x_at", "marks_h_at",
    "q_h_at", "spare_at", "spare_bytes",
)])  # fmt: skip
CALL, WHOLE = 8 * TASK.names.index("chunk"), TASK.itemsize  # bytes
# The numbers that threads share: on cache lines of their own the published phase (from 1 on) and
# the blocks that are done, with how many phases and blocks there are and where the task is; then
# the claims.
DONE, PHASES, BLOCKS, WHERE, CLAIMS = 64, 72, 80, 88, 128


task = record(TASK)


@inner
def _first_row(t, step):
    """Where the rows of a step begin; `first_at` is 0 where all steps have as many."""
    return longs(t.first_at, step + 1)[step] if t.first_at else t.batch * step


@inner
def _step_rows(t, low, high):
    """The first row and the number of rows of the steps [low, high) in the order they run."""
    high = min(high, t.steps)
    if t.reverse:
        low, high = t.steps - high, t.steps - low
    first = _first_row(t, low)
    return first, _first_row(t, high) - first


@inner
def _quantize_chunk(t, begin):
    """Quantize the input of the steps from `begin` on that share one product with W_ih."""
    first, rows = _step_rows(t, begin, begin + t.chunk)
    ih = weight(t.ih_at)
    quantize(t.ih_at, t.x_at + 4 * first * ih.inputs, 4 * ih.inputs, rows, t.q_x_at, t.marks_x_at)


@routine(4)
def _block(task_at, phase, block, thread):
    """The work of a phase on one block of tiles."""
    t = task(task_at)
    within, begin, backwards = phase % (t.chunk + 1), phase // (t.chunk + 1) * t.chunk, phase % 2
    hh, spare_at = weight(t.hh_at), t.spare_at + thread * t.spare_bytes
    low, high = hh.tiles * block // t.blocks, hh.tiles * (block + 1) // t.blocks
    base, chunk_rows = _step_rows(t, begin, begin + t.chunk)
    size = 64 * hh.vectors
    if within == 0:
        project(
            t.ih_at,
            t.q_x_at,
            t.marks_x_at,
            chunk_rows,
            low,
            high,
            backwards,
            t.pre_at,
            t.pre_step,
            size,
            spare_at,
        )
        return
    first, rows = _step_rows(t, begin + within - 1, begin + within)
    for i in range(high - low):
        tile = high - 1 - i if backwards else low + i
        multiply(t.hh_at, tile, t.q_h_at, rows, spare_at + (tile - low) * rows * size, size)
    step, lstm = 64 * hh.tiles, hh.vectors == 4
    for tile in range(low, high):
        terms, stride, part = terms_of(hh, tile)
        pre, sums = (
            t.pre_at + tile * t.pre_step + (first - base) * size,
            spare_at + (tile - low) * rows * size,
        )
        cell, unit = t.cell_at + 64 * tile, t.unit_at + 64 * tile
        if lstm:
            lstm_cells(rows, sums, t.marks_h_at, terms, stride, part, pre, cell, unit, step)
        else:
            gru_cells(rows, sums, t.marks_h_at, terms, stride, part, pre, cell, unit, step)


@routine(2)
def _close(task_at, phase):
    """What follows when all blocks of a phase are done."""
    t = task(task_at)
    within, begin = phase % (t.chunk + 1), phase // (t.chunk + 1) * t.chunk
    hh = weight(t.hh_at)
    if within == 0:
        _, rows = _step_rows(t, begin, begin + t.chunk)
        add_residual(
            t.ih_at, t.q_x_at, t.marks_x_at, rows, t.pre_at, t.pre_step, 64 * hh.vectors, t.spare_at
        )
        return
    step = begin + within
    first, rows = _step_rows(t, step - 1, step)
    if t.hr_at:
        hr = weight(t.hr_at)
        quantize(t.hr_at, t.unit_at, 64 * hh.tiles, rows, t.q_h_at, t.marks_h_at)
        project(
            t.hr_at,
            t.q_h_at,
            t.marks_h_at,
            rows,
            NONE,
            hr.tiles,
            NONE,
            t.state_at,
            256,
            t.state_step,
            t.spare_at,
        )
    for r in range(rows):
        copy_bytes(
            t.state_at + r * t.state_step, t.y_at + 4 * (first + r) * t.y_step, 4 * t.outputs
        )
    if step < t.steps:
        _, rows = _step_rows(t, step, step + 1)
        quantize(t.hh_at, t.state_at, t.state_step, rows, t.q_h_at, t.marks_h_at)
        if within == t.chunk:
            _quantize_chunk(t, step)


@inner
def _copy_state(from_at, from_step, to_at, to_step, rows, width):
    """Rows of a state, zeros if there is none."""
    for r in range(rows):
        if from_at:
            copy_bytes(from_at + r * from_step, to_at + r * to_step, width)
        else:
            clear_bytes(to_at + r * to_step, width)


@inner
def _lines(count):
    """So many bytes, rounded up to whole cache lines."""
    return (count + 63) // 64 * 64


@inner
def _lay_out(t, base):
    """Place the working buffers from an address on; gives the address where they end."""
    ih, hh = weight(t.ih_at), weight(t.hh_at)
    batch, rows, units, size = t.batch, t.chunk * t.batch, 64 * hh.tiles, 64 * hh.vectors
    t.pre_step, q_bytes = rows * size, hh.q_bytes
    t.cell_at = base
    t.unit_at = t.state_at = t.cell_at + batch * units
    t.pre_at, t.state_step, t.outputs = t.unit_at + batch * units, units, t.hidden
    if t.hr_at:
        hr = weight(t.hr_at)
        t.state_at, t.state_step, t.outputs = t.pre_at, 256 * hr.tiles, hr.outputs
        t.pre_at, q_bytes = t.state_at + batch * t.state_step, max(q_bytes, hr.q_bytes)
    t.marks_x_at = t.pre_at + hh.tiles * t.pre_step
    t.q_x_at = t.marks_x_at + _lines(8 * rows)
    t.marks_h_at = t.q_x_at + _lines(rows * ih.q_bytes)
    t.q_h_at = t.marks_h_at + _lines(8 * batch)
    t.spare_at = t.q_h_at + _lines(batch * q_bytes)
    span = (hh.tiles + t.blocks - 1) // t.blocks
    t.spare_bytes = max(256 * rows, batch * span * size)
    return t.spare_at + t.threads * t.spare_bytes


@inner
def _prepare(call_at):
    """The task of a call, with its working buffers; gives its address."""
    task_at = allocate(WHOLE)
    copy_bytes(call_at, task_at, CALL)
    t = task(task_at)
    hh = weight(t.hh_at)
    t.chunk = min(max(1, CHUNK_ROWS // t.batch), t.steps)
    span = max(1, BLOCK_BYTES // (64 * hh.vectors * t.batch))
    t.blocks = (hh.tiles + span - 1) // span
    if t.threads > 1:
        t.blocks = max(t.blocks, min(BLOCKS_PER_THREAD * t.threads, hh.tiles))
    t.base_at = allocate(_lay_out(t, NONE) + 64)
    _lay_out(t, _lines(t.base_at))
    _copy_state(t.h0_at, 4 * t.outputs, t.state_at, t.state_step, t.batch, 4 * t.outputs)
    if hh.vectors == 4:
        _copy_state(t.c0_at, 4 * t.hidden, t.cell_at, 64 * hh.tiles, t.batch, 4 * t.hidden)
    _quantize_chunk(t, NONE)
    _, rows = _step_rows(t, NONE, NONE + 1)
    quantize(t.hh_at, t.state_at, t.state_step, rows, t.q_h_at, t.marks_h_at)
    return task_at


@inner
def _finish(task_at):
    """Write the final states, and give the buffers back."""
    t = task(task_at)
    hh = weight(t.hh_at)
    _copy_state(t.state_at, t.state_step, t.h_at, 4 * t.outputs, t.batch, 4 * t.outputs)
    if hh.vectors == 4:
        _copy_state(t.cell_at, 64 * hh.tiles, t.c_at, 4 * t.hidden, t.batch, 4 * t.hidden)
    free(t.base_at)
    free(task_at)


@inner
def _take_part(sync_at, thread):
    """Claim blocks until the layer is done."""
    while True:
        published = load_published(sync_at)
        if published > longs(sync_at + PHASES, 1)[0]:
            return
        phase, blocks = published - 1, longs(sync_at + BLOCKS, 1)[0]
        for i in range(blocks if phase >= 0 else 0):
            block = (thread * BLOCKS_PER_THREAD + (blocks - 1 - i if phase % 2 else i)) % blocks
            if raise_to(sync_at + CLAIMS + 8 * block, published) >= published:
                continue
            task_at = longs(sync_at + WHERE, 1)[0]
            _block(task_at, phase, block, thread)
            if add_to(sync_at + DONE, 1) + 1 == blocks * published:
                _close(task_at, phase)
                publish(sync_at, published + 1)
        while load_published(sync_at) == published:
            pass


@inner
def _linear(call_at):
    """A plain matrix: `batch` rows of x times W_ih, and its residual."""
    t = task(call_at)
    w, rows, size = weight(t.ih_at), t.batch, min(t.batch, CHUNK_ROWS)
    base_at = allocate(64 + size * (256 + w.q_bytes + 8))
    spare_at = _lines(base_at)
    q_at = spare_at + 256 * size
    marks_at, x_step, y_step = q_at + size * w.q_bytes, 4 * w.inputs, 4 * w.outputs
    for first in range(0, rows, CHUNK_ROWS):
        some, to = min(size, rows - first), t.y_at + first * y_step
        quantize(t.ih_at, t.x_at + first * x_step, x_step, some, q_at, marks_at)
        project(t.ih_at, q_at, marks_at, some, NONE, w.tiles, NONE, to, 256, y_step, spare_at)
        add_residual(t.ih_at, q_at, marks_at, some, to, 256, y_step, spare_at)
    free(base_at)


@routine(2)
def run(call_at, thread):
    """Run a call (`CALL` bytes of a TASK) as its first thread, or help another one with it."""
    t = task(call_at)
    if not t.hh_at:
        _linear(call_at)
    elif thread > 0:
        _take_part(t.sync_at, thread)
    elif t.threads == 1:
        task_at = _prepare(call_at)
        t = task(task_at)
        for phase in range(t.steps + (t.steps + t.chunk - 1) // t.chunk):
            for i in range(t.blocks):
                _block(task_at, phase, t.blocks - 1 - i if phase % 2 else i, thread)
            _close(task_at, phase)
        _finish(task_at)
    else:
        task_at, sync = _prepare(call_at), longs(t.sync_at, CLAIMS // 8)
        t = task(task_at)
        sync[PHASES // 8] = t.steps + (t.steps + t.chunk - 1) // t.chunk
        sync[BLOCKS // 8], sync[WHERE // 8] = t.blocks, task_at
        publish(t.sync_at, 1)
        _take_part(t.sync_at, thread)
        _finish(task_at)
