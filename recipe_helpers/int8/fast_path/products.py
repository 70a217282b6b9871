"""Products of whole matrices, tile by tile; and weights padded or widened for them."""

# The types of compiled functions stand in their decorators, where numba reads them.
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

import functools

import numba
import numpy as np
from numba import types

from .compiling import INT64, compiled, inner
from .intrinsics import at_address, call_at
from .rows import padded_depth
from .tiles import (
    COLUMNS,
    FLOAT,
    INTEGER,
    LANES,
    ROWS,
    f11,
    f24,
    f41,
    i11,
    i24,
    i41,
    v41,
    v81,
    w11,
    w24,
    w41,
)

_PRODUCT = types.void(*[INT64] * 11)


@functools.partial(compiled, compile_with=numba.cfunc)(_PRODUCT)
def product(kind, w_at, w_step, rows, x_at, x_step, columns, depth, last, out_at, out_step):
    """`rows` rows of weights times `columns` rows of activations; backwards if rows < 0."""
    backwards, rows = rows < 0, abs(rows)
    tiles = rows // ROWS
    together = columns // COLUMNS * COLUMNS
    ahead = -ROWS * w_step if backwards else ROWS * w_step
    for i in range(tiles):
        j = ROWS * (tiles - 1 - i if backwards else i)
        for column in range(0, together, COLUMNS):
            x, out = x_at + column * x_step, out_at + 4 * j + column * out_step
            for row in range(0, ROWS, 2):
                w, to = w_at + (j + row) * w_step, out + 4 * row
                if kind == INTEGER:
                    i24(w, w_step, ahead, x, x_step, depth, last, to, out_step)
                elif kind == FLOAT:
                    f24(w, w_step, ahead, x, x_step, depth, last, to, out_step)
                else:
                    w24(w, w_step, ahead, x, x_step, depth, last, to, out_step)
        w = w_at + j * w_step
        for column in range(together, columns):
            x, to = x_at + column * x_step, out_at + 4 * j + column * out_step
            if kind == INTEGER:
                i41(w, w_step, ahead, x, x_step, depth, last, to, out_step)
            elif kind == FLOAT:
                f41(w, w_step, ahead, x, x_step, depth, last, to, out_step)
            else:
                w41(w, w_step, ahead, x, x_step, depth, last, to, out_step)
    for j in range(ROWS * tiles, rows):
        w, out = w_at + j * w_step, out_at + 4 * j
        for column in range(columns):
            x, to = x_at + column * x_step, out + column * out_step
            if kind == INTEGER:
                i11(w, w_step, ahead, x, x_step, depth, last, to, out_step)
            elif kind == FLOAT:
                f11(w, w_step, ahead, x, x_step, depth, last, to, out_step)
            else:
                w11(w, w_step, ahead, x, x_step, depth, last, to, out_step)


@inner
def pad_rows(kind, w_at, rows, width, out_at):
    """Copy weights whose rows are shorter than LANES, with zeros before each row."""
    size = 4 if kind == FLOAT else 1
    row, padded = width * size, LANES * size
    source = numba.carray(at_address(w_at), rows * row, np.int8)
    out = numba.carray(at_address(out_at), rows * padded, np.int8)
    for j in range(rows):
        for k in range(padded - row):
            out[j * padded + k] = 0
        for k in range(row):
            out[(j + 1) * padded - row + k] = source[j * row + k]


@inner
def widen_rows(w_at, rows, width, out_at):
    """Copy int8 weights to int16; rows shorter than LANES get zeros before them."""
    gap = max(width, LANES) - width
    source = numba.carray(at_address(w_at), rows * width, np.int8)
    out = numba.carray(at_address(out_at), rows * (gap + width), np.int16)
    if gap == 0:
        for k in range(rows * width):
            out[k] = source[k]
        return
    for j in range(rows):
        for k in range(gap):
            out[j * LANES + k] = 0
        for k in range(width):
            out[j * LANES + gap + k] = source[j * width + k]


@inner
def block_product(
    product_at, kind, w_at, width, rows, first_row, x_at, columns, out_at, out_step, backwards
):
    """`product` of some rows of a matrix whose rows hold `width` elements, padded to LANES."""
    padded = max(width, LANES)
    w_step = padded * (4 if kind == FLOAT else 1)
    x_step = padded_depth(width) * (2 if kind == INTEGER else 4)
    call_at(product_at, (
        kind, w_at + first_row * w_step, w_step, -rows if backwards else rows, x_at, x_step,
        columns, padded_depth(width), padded - LANES, out_at + 4 * first_row, out_step,
    ))  # fmt: skip


@inner
def widened_product(w_at, rows, width, x_at, columns, out_at, out_step, backwards):
    """`block_product` of a widened matrix; its rows are a multiple of ROWS."""
    padded, depth = max(width, LANES), padded_depth(width)
    w_step, x_step, last = 2 * padded, 2 * depth, padded - LANES
    tiles = rows // (2 * ROWS)
    for column in range(columns):
        x, out = x_at + column * x_step, out_at + column * out_step
        for i in range(tiles):
            j = 2 * ROWS * (tiles - 1 - i if backwards else i)
            v81(w_at + j * w_step, w_step, 0, x, x_step, depth, last, out + 4 * j, 0)
        if rows % (2 * ROWS):
            j = rows - ROWS
            v41(w_at + j * w_step, w_step, 0, x, x_step, depth, last, out + 4 * j, 0)
