"""One layer in one direction, all its steps, in one call of compiled code.

1. The input of a block of steps is quantized and multiplied by `W_ih` first: several rows of the
   input share each weight that is read.
2. Each step multiplies the quantized hidden state by `W_hh`, rescales, applies the gates and
   updates the state, unit block by unit block, while everything is still in the cache. Every
   other step walks `W_hh` backwards, so that it begins with what the last step left in the cache.
   A small `W_hh` that many steps read, a row or a few of activations each, is widened to int16
   once per call: the sign extension then costs the steps nothing.
3. Whoever finishes the last unit block of a step quantizes the new hidden state.

Several threads share the unit blocks of a phase (one product of step 1, or one step of 2) by
atomic claims. A thread that comes late, or never, holds nobody up: the others take its blocks.
"""

# The types of compiled functions stand in their decorators, where numba reads them.
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import numba
import numpy as np
from numba import types

from .basics import HALF, ONE, SYNC
from .compiling import INT64, compiled, inner
from .intrinsics import (
    add_to,
    at_address,
    clear_bytes,
    copy_floats,
    load_published,
    publish,
    raise_to,
)
from .products import block_product, pad_rows, widen_rows, widened_product
from .rows import quantize_rows, rescale, tanh
from .steps import chunk_rows, step_rows
from .task import task_at_address
from .tiles import LANES, ROWS


@inner
def _quantize_chunk(t, begin):
    """Quantize the input of the steps from `begin` on that share one product with W_ih."""
    first, rows = chunk_rows(t, begin)
    x_at = t.x_at + 4 * first * t.inputs
    quantize_rows(t.kind, t.most, x_at, t.inputs, t.c_ih_at, rows, t.q_x_at, t.s_x_at)


@inner
def _gates_at_once(t, low, high):
    """The rows of a block: four gates of its units, or one run of rows where it is the layer."""
    if high - low == t.hidden:
        return 1, 4 * t.hidden
    return 4, high - low


@inner
def _project(t, begin, low, high, backwards):
    """W_ih x + b_ih for the units [low, high) and all steps of a chunk."""
    _, rows = chunk_rows(t, begin)
    width = 4 * t.hidden
    w_at = t.padded_ih_at if t.inputs < LANES else t.w_ih_at
    gates, units = _gates_at_once(t, low, high)
    for i in range(gates):
        row = (3 - i if backwards else i) * t.hidden + low if gates > 1 else 0
        block_product(
            t.product_at, t.kind, w_at, t.inputs, units, row, t.q_x_at, rows,
            t.pre_at, 4 * width, backwards,
        )  # fmt: skip
    s_x = numba.carray(at_address(t.s_x_at), rows, np.float32)
    for r in range(rows):
        for gate in range(gates):
            start = gate * t.hidden + low
            at, bias_at = t.pre_at + 4 * (r * width + start), t.bias_ih_at
            bias_at += 4 * start if bias_at else 0
            rescale(t.kind, at, units, t.s_ih_at + 4 * start, bias_at, s_x[r])


@inner
def _gates(step, units, z_at, pre_at, cell_at, hidden_at):
    """i, f, g, o from z + pre; cell = f · cell + i · g; hidden = o · tanh(cell).

    `step` is the distance of the gates in bytes.
    """
    for gate in range(4):
        z = numba.carray(at_address(z_at + gate * step), units, np.float32)
        pre = numba.carray(at_address(pre_at + gate * step), units, np.float32)
        factor = ONE if gate == 2 else HALF  # sigmoid(x) = tanh(x / 2) / 2 + 1/2
        for j in range(units):
            z[j] = (pre[j] + z[j]) * factor
    if step == 4 * units:
        tanh(z_at, 4 * units)
    else:
        for gate in range(4):
            tanh(z_at + gate * step, units)
    i = numba.carray(at_address(z_at), units, np.float32)
    f = numba.carray(at_address(z_at + step), units, np.float32)
    g = numba.carray(at_address(z_at + 2 * step), units, np.float32)
    o = numba.carray(at_address(z_at + 3 * step), units, np.float32)
    cell = numba.carray(at_address(cell_at), units, np.float32)
    hidden = numba.carray(at_address(hidden_at), units, np.float32)
    for j in range(units):
        cell[j] = (HALF * f[j] + HALF) * cell[j] + (HALF * i[j] + HALF) * g[j]
    for j in range(units):  # the gate i is not needed any more
        i[j] = cell[j]
    tanh(z_at, units)
    for j in range(units):
        hidden[j] = (HALF * o[j] + HALF) * i[j]


@inner
def _advance(t, step, low, high, backwards):
    """One step of the units [low, high): recurrent product, gates, new cell and hidden state."""
    row, place, rows = step_rows(t, step)
    width = 4 * t.hidden
    w_at = t.padded_hh_at if t.widened or t.outputs < LANES else t.w_hh_at
    gates, units = _gates_at_once(t, low, high)
    if t.widened:
        z_step = 4 * width
        widened_product(w_at, width, t.outputs, t.q_h_at, rows, t.z_at, z_step, backwards)
    for i in range(0 if t.widened else gates):
        w_row = (3 - i if backwards else i) * t.hidden + low if gates > 1 else 0
        block_product(
            t.product_at, t.kind, w_at, t.outputs, units, w_row, t.q_h_at, rows,
            t.z_at, 4 * width, backwards,
        )  # fmt: skip
    s_h = numba.carray(at_address(t.s_h_at), rows, np.float32)
    for r in range(rows):
        for gate in range(gates):
            start = gate * t.hidden + low
            at, bias_at = t.z_at + 4 * (r * width + start), t.bias_hh_at
            bias_at += 4 * start if bias_at else 0
            rescale(t.kind, at, units, t.s_hh_at + 4 * start, bias_at, s_h[r])
        state = 4 * (r * t.hidden + low)
        hidden_at = (t.m_at if t.projected else t.h_at) + state
        z_at, pre_at = t.z_at + 4 * (r * width + low), t.pre_at + 4 * ((place + r) * width + low)
        _gates(4 * t.hidden, high - low, z_at, pre_at, t.c_at + state, hidden_at)
        if not t.projected:
            copy_floats(hidden_at, t.y_at + 4 * ((row + r) * t.y_step + low), high - low)


@inner
def _close(t, step):
    """After a step: project the hidden state where asked for, and quantize it for the next."""
    row, _, rows = step_rows(t, step)
    if t.projected:
        quantize_rows(t.kind, t.most, t.m_at, t.hidden, t.c_hr_at, rows, t.q_m_at, t.s_m_at)
        w_at = t.padded_hr_at if t.hidden < LANES else t.w_hr_at
        block_product(
            t.product_at, t.kind, w_at, t.hidden, t.outputs, 0, t.q_m_at, rows, t.h_at,
            4 * t.outputs, 0,
        )  # fmt: skip
        s_m = numba.carray(at_address(t.s_m_at), rows, np.float32)
        for r in range(rows):
            h_at = t.h_at + 4 * r * t.outputs
            rescale(t.kind, h_at, t.outputs, t.s_hr_at, 0, s_m[r])
            copy_floats(h_at, t.y_at + 4 * (row + r) * t.y_step, t.outputs)
    quantize_rows(t.kind, t.most, t.h_at, t.outputs, t.c_hh_at, rows, t.q_h_at, t.s_h_at)
    if (step + 1) % t.chunk == 0 and step + 1 < t.steps:
        _quantize_chunk(t, step + 1)


@compiled(types.void(INT64))
def prepare(task_at):
    """What precedes the first phase: padded weights, the quantized first chunk and state."""
    t = task_at_address(task_at)
    if t.h0_at:
        copy_floats(t.h0_at, t.h_at, t.batch * t.outputs)
        copy_floats(t.c0_at, t.c_at, t.batch * t.hidden)
    else:
        clear_bytes(t.h_at, 4 * t.batch * t.outputs)
        clear_bytes(t.c_at, 4 * t.batch * t.hidden)
    if t.inputs < LANES:
        pad_rows(t.kind, t.w_ih_at, 4 * t.hidden, t.inputs, t.padded_ih_at)
    if t.widened:
        widen_rows(t.w_hh_at, 4 * t.hidden, t.outputs, t.padded_hh_at)
    elif t.outputs < LANES:
        pad_rows(t.kind, t.w_hh_at, 4 * t.hidden, t.outputs, t.padded_hh_at)
    if t.projected and t.hidden < LANES:
        pad_rows(t.kind, t.w_hr_at, t.outputs, t.hidden, t.padded_hr_at)
    sync = numba.carray(at_address(t.sync_at), SYNC + t.blocks, np.int64)
    for i in range(SYNC + t.blocks):
        sync[i] = 0
    _quantize_chunk(t, 0)
    quantize_rows(t.kind, t.most, t.h_at, t.outputs, t.c_hh_at, t.batch, t.q_h_at, t.s_h_at)


@compiled(types.void(INT64, INT64, INT64))
def run(task_at, start, own):
    """Take part in a layer until it is done, preferring `own` unit blocks from `start` on.

    Phase p is the product with W_ih of a chunk of steps where p is a multiple of chunk + 1, and
    one step otherwise. The order of the preferred blocks alternates from phase to phase.
    """
    t = task_at_address(task_at)
    chunks = (t.steps + t.chunk - 1) // t.chunk
    published_at, done_at, claims_at = t.sync_at, t.sync_at + 64, t.sync_at + 8 * SYNC
    tiles = (t.hidden + ROWS - 1) // ROWS
    while True:
        phase = load_published(published_at)
        if phase >= t.steps + chunks:
            return
        chunk, within = phase // (t.chunk + 1), phase % (t.chunk + 1)
        step = chunk * t.chunk + within - 1
        backwards = phase % 2
        for i in range(t.blocks):
            block = (start + own - 1 - i if backwards else start + i) % t.blocks
            if raise_to(claims_at + 8 * block, phase + 1) > phase:
                continue
            low = ROWS * (tiles * block // t.blocks)
            high = min(t.hidden, ROWS * (tiles * (block + 1) // t.blocks))
            if within == 0:
                _project(t, chunk * t.chunk, low, high, backwards)
            else:
                _advance(t, step, low, high, backwards)
            if add_to(done_at, 1) + 1 == t.blocks * (phase + 1):
                if within > 0:
                    _close(t, step)
                publish(published_at, phase + 1)
        while load_published(published_at) == phase:
            pass
