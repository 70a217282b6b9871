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
from numba import types

from . import llvm
from .amx import free_registers, shape_registers
from .cells import cells
from .products import add_residual, multiply, project
from .quantizing import inner, longs, quantize, weight
from .records import BLOCKS, CALL_BYTES, CLAIMS, DONE, MARK, PHASES, TASK, TASK_BYTES, WHERE

NONE = np.int64(0)  # a literal would be compiled as a type of its own
CHUNK_ROWS = 64  # of the input that share a product with W_ih
BLOCKS_PER_THREAD = 4
SPINS = 2000  # looks at the phase, some µs, before a thread lets others have the processor
BLOCK_BYTES = 1 << 15  # of sums, which the gates find in the first cache

task = llvm.record(TASK)


@inner
def _step_rows(t, low, high):
    """The first row and the number of rows of the steps [low, high) in the order they run."""
    high = min(high, t.steps)
    if t.reverse:
        low, high = t.steps - high, t.steps - low
    if not t.first_at:  # all steps have as many
        return t.batch * low, t.batch * (high - low)
    first = longs(t.first_at, t.steps + 1)
    return first[low], first[high] - first[low]


@inner
def _quantize_chunk(t, begin):
    """Quantize the input of the steps from `begin` on that share one product with W_ih."""
    first, rows = _step_rows(t, begin, begin + t.chunk)
    step = 4 * weight(t.ih_at).inputs
    quantize(t.ih_at, t.x_at + first * step, step, rows, t.q_x_at)


@inner
def _quantize_state(t, step):
    """Quantize the hidden state that a step begins with."""
    _, rows = _step_rows(t, step, step + 1)
    quantize(t.hh_at, t.state_at, t.state_step, rows, t.q_h_at)


@llvm.routine(4)
def _block(task_at, phase, block, thread):
    """The work of a phase on one block of tiles."""
    t = task(task_at)
    within, begin, backwards = phase % (t.chunk + 1), phase // (t.chunk + 1) * t.chunk, phase % 2
    hh, sums_at = weight(t.hh_at), t.spare_at + thread * t.spare_step
    low, high = hh.tiles * block // t.blocks, hh.tiles * (block + 1) // t.blocks
    base, chunk_rows = _step_rows(t, begin, begin + t.chunk)
    if within == 0:
        project(t.ih_at, t.q_x_at, chunk_rows, low, high, backwards, t.pre_at, t.pre_step)
        return
    first, rows = _step_rows(t, begin + within - 1, begin + within)
    size, pre_at = 64 * hh.vectors, t.pre_at + (first - base) * t.pre_step
    shape_registers(t.hh_at, rows)
    for i in range(high - low):
        tile = high - 1 - i if backwards else low + i
        multiply(t.hh_at, tile, t.q_h_at, rows, sums_at + (tile - low) * rows * size, size)
    free_registers(t.hh_at, rows)
    for tile in range(low, high):
        sums = sums_at + (tile - low) * rows * size
        cells(t.hh_at, tile, t.q_h_at, rows, sums, pre_at, t.pre_step, t.cell_at, t.unit_at)


@llvm.routine(2)
def _close(task_at, phase):
    """What follows when all blocks of a phase are done."""
    t = task(task_at)
    within, begin = phase % (t.chunk + 1), phase // (t.chunk + 1) * t.chunk
    hh, step = weight(t.hh_at), begin + within
    if within == 0:
        _, rows = _step_rows(t, begin, begin + t.chunk)
        add_residual(t.ih_at, t.q_x_at, rows, t.pre_at, t.pre_step, t.spare_at)
        return
    first, rows = _step_rows(t, step - 1, step)
    if t.hr_at:
        tiles = weight(t.hr_at).tiles
        quantize(t.hr_at, t.unit_at, 64 * hh.tiles, rows, t.q_h_at)
        project(t.hr_at, t.q_h_at, rows, 0, tiles, 0, t.state_at, t.state_step)
    y_step = 4 * t.y_step
    _copy_rows(t.state_at, t.state_step, t.y_at + first * y_step, y_step, rows, 4 * hh.inputs)
    if step < t.steps:
        _quantize_state(t, step)
        if within == t.chunk:
            _quantize_chunk(t, step)


@inner
def _copy_rows(from_at, from_step, to_at, to_step, rows, width):
    """Rows of so many bytes; zeros if there are none."""
    for r in range(rows):
        if from_at:
            llvm.copy_bytes(from_at + r * from_step, to_at + r * to_step, width)
        else:
            llvm.clear_bytes(to_at + r * to_step, width)


@inner
def _lines(count):
    """So many bytes, rounded up to whole cache lines."""
    return (count + 63) // 64 * 64


@inner
def _lay_out(t, base):
    """Place the working buffers from an address on; gives the address where they end."""
    ih, hh = weight(t.ih_at), weight(t.hh_at)
    batch, rows, units, size = t.batch, t.chunk * t.batch, 64 * hh.tiles, 64 * hh.vectors
    t.state_step, q_bytes = units, hh.q_bytes
    t.cell_at, t.unit_at = base, base + batch * units
    t.state_at, t.q_h_at = t.unit_at, t.unit_at + batch * units
    if t.hr_at:
        hr = weight(t.hr_at)
        t.state_step, q_bytes = 256 * hr.tiles, max(q_bytes, hr.q_bytes)
        t.state_at, t.q_h_at = t.q_h_at, t.q_h_at + batch * t.state_step
    t.q_h_at += 64 - MARK  # after their marks, rows begin with a line
    t.q_x_at = t.q_h_at + batch * q_bytes
    # A line more, or one tile of all rows would fall into the same few places of the cache.
    t.pre_at, t.pre_step = t.q_x_at + MARK + rows * ih.q_bytes, hh.tiles * size + 64
    t.spare_at = t.pre_at + rows * t.pre_step
    t.spare_step = max(256 * rows, batch * ((hh.tiles + t.blocks - 1) // t.blocks) * size)
    return t.spare_at + t.threads * t.spare_step


@inner
def _prepare(call_at):
    """The task of a call, with its working buffers; gives its address, or 0 without memory."""
    task_at = llvm.allocate(TASK_BYTES)
    if not task_at:
        return NONE
    llvm.copy_bytes(call_at, task_at, CALL_BYTES)
    t = task(task_at)
    hh = weight(t.hh_at)
    t.chunk = min(max(1, CHUNK_ROWS // t.batch), t.steps)
    span = max(1, BLOCK_BYTES // (64 * hh.vectors * t.batch))
    t.blocks = (hh.tiles + span - 1) // span
    if t.threads > 1:
        t.blocks = max(t.blocks, min(BLOCKS_PER_THREAD * t.threads, hh.tiles))
    t.base_at = llvm.allocate(_lay_out(t, NONE) + 64)
    if not t.base_at:
        llvm.free(task_at)
        return NONE
    _lay_out(t, _lines(t.base_at))
    width = 4 * hh.inputs
    _copy_rows(t.h0_at, width, t.state_at, t.state_step, t.batch, width)
    if hh.vectors == 4:
        _copy_rows(t.c0_at, 4 * hh.units, t.cell_at, 64 * hh.tiles, t.batch, 4 * hh.units)
    _quantize_chunk(t, NONE)
    _quantize_state(t, NONE)
    return task_at


@inner
def _finish(task_at):
    """Write the final states, and give the buffers back."""
    t = task(task_at)
    hh = weight(t.hh_at)
    width = 4 * hh.inputs
    _copy_rows(t.state_at, t.state_step, t.h_at, width, t.batch, width)
    if hh.vectors == 4:
        _copy_rows(t.cell_at, 64 * hh.tiles, t.c_at, 4 * hh.units, t.batch, 4 * hh.units)
    llvm.free(t.base_at)
    llvm.free(task_at)


@inner
def _take_part(sync_at, thread):
    """Claim blocks until the layer is done."""
    while True:
        published = llvm.load_published(sync_at)
        if published > longs(sync_at + PHASES, 1)[0]:
            return
        phase, blocks = published - 1, longs(sync_at + BLOCKS, 1)[0]
        for i in range(blocks if phase >= 0 else 0):
            block = (thread * BLOCKS_PER_THREAD + (blocks - 1 - i if phase % 2 else i)) % blocks
            if llvm.raise_to(sync_at + CLAIMS + 8 * block, published) >= published:
                continue
            task_at = longs(sync_at + WHERE, 1)[0]
            _block(task_at, phase, block, thread)
            if llvm.add_to(sync_at + DONE, 1) + 1 == blocks * published:
                _close(task_at, phase)
                llvm.publish(sync_at, published + 1)
        looks = 0
        while llvm.load_published(sync_at) == published:
            looks += 1
            if looks > SPINS:
                llvm.yield_processor()


@inner
def _linear(call_at):
    """A plain matrix: `batch` rows of x times W_ih, and its residual; gives 1 without memory."""
    t = task(call_at)
    w, size, step = weight(t.ih_at), min(t.batch, CHUNK_ROWS), 256 * weight(t.ih_at).tiles
    base_at = llvm.allocate(128 + size * (256 + step + w.q_bytes))
    if not base_at:
        return 1
    spare_at = _lines(base_at)
    out_at = spare_at + 256 * size
    q_at, width = out_at + size * step + 64 - MARK, 4 * w.outputs
    for first in range(0, t.batch, CHUNK_ROWS):
        rows = min(size, t.batch - first)
        quantize(t.ih_at, t.x_at + first * 4 * w.inputs, 4 * w.inputs, rows, q_at)
        project(t.ih_at, q_at, rows, 0, w.tiles, 0, out_at, step)
        add_residual(t.ih_at, q_at, rows, out_at, step, spare_at)
        _copy_rows(out_at, step, t.y_at + first * width, width, rows, width)
    llvm.free(base_at)
    return 0


@llvm.routine(2, types.int64)
def run(call_at, thread):
    """Run a call (the first NUMBERS of a TASK) as its first thread, or help another one with it.

    It gives 0, or 1 if there was no memory.
    """
    t = task(call_at)
    if not t.hh_at:
        return _linear(call_at)
    if thread > 0:
        _take_part(t.sync_at, thread)
        return 0
    task_at = _prepare(call_at)
    if t.threads == 1:
        if task_at:
            w = task(task_at)
            for phase in range(w.steps + (w.steps + w.chunk - 1) // w.chunk):
                for i in range(w.blocks):
                    _block(task_at, phase, w.blocks - 1 - i if phase % 2 else i, thread)
                _close(task_at, phase)
    else:
        sync = longs(t.sync_at, CLAIMS // 8)
        if task_at:
            w = task(task_at)
            sync[PHASES // 8] = w.steps + (w.steps + w.chunk - 1) // w.chunk
            sync[BLOCKS // 8], sync[WHERE // 8] = w.blocks, task_at
        llvm.publish(t.sync_at, 1)  # helpers wait for it, though there may be nothing to do
        _take_part(t.sync_at, thread)
    if task_at:
        _finish(task_at)
    return 0 if task_at else 1
