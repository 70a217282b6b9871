"""What happens to a row of numbers: quantize it, rescale its sums, put it through tanh.

The arithmetic is that of `arithmetic.py`, operation by operation, so that equal floats give equal
integers. A quantized row has the layout that the tiles read:

    width 35:   [0 ........ 15][16 ....... 31][0 0 ... 0 32 33 34]
                 whole vectors                 zeros, then the rest

The last vector of weights begins LANES before the end of its row and so overlaps the one before:
the zeros cancel what it reads twice, and nothing is read beyond the end.
"""

# The types of compiled functions stand in their decorators, where numba reads them.
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import numba
import numpy as np
from numba import types

from .basics import (
    CLAMP,
    INFINITY_BITS,
    NAN,
    ONE,
    SMALLEST,
    TANH_P,
    TANH_Q,
    WITHOUT_SIGN,
    ZERO,
)
from .compiling import INT64, compiled, inner
from .intrinsics import at_address, bits_of, from_bits, fused
from .tiles import INTEGER, LANES, WEIGHT_ONLY

_P0, _P1, _P2, _P3, _P4, _P5, _P6 = TANH_P
_Q0, _Q1, _Q2, _Q3 = TANH_Q


@compiled(types.void(INT64, INT64))
def tanh(at, count):
    """Tanh in place, each step of a polynomial rounded once; NaN is beyond no limit and stays."""
    values = numba.carray(at_address(at), count, np.float32)
    for j in range(count):
        x = values[j]
        x = CLAMP if x > CLAMP else x
        x = -CLAMP if x < -CLAMP else x
        square = x * x
        p = fused(_P0, square, _P1)
        p = fused(fused(fused(p, square, _P2), square, _P3), square, _P4)
        p = fused(fused(p, square, _P5), square, _P6)
        q = fused(fused(fused(_Q0, square, _Q1), square, _Q2), square, _Q3)
        values[j] = x * p / q


@inner
def _quantize_row(kind, most, row_at, width, columns_at, out_at):
    """Quantize one row into the layout that the tiles read; returns its scale (1 for floats).

    The integers are those of the row times the scales of the columns, where there are any.
    """
    row = numba.carray(at_address(row_at), width, np.float32)
    rest = width % LANES
    gap = LANES - rest if rest else 0  # zeros that stand before the last, overlapping vector
    body = width - rest
    if kind != INTEGER:
        plain = numba.carray(at_address(out_at), width + gap, np.float32)
        for k in range(body):
            plain[k] = row[k]
        for k in range(body, body + gap):
            plain[k] = ZERO
        for k in range(body, width):
            plain[k + gap] = row[k]
        return ONE
    out = numba.carray(at_address(out_at), width + gap, np.int16)
    columns = numba.carray(at_address(columns_at if columns_at else row_at), width, np.float32)
    peak_bits = np.int32(0)
    for k in range(width):
        peak_bits = max(
            peak_bits, bits_of(row[k] * (columns[k] if columns_at else ONE)) & WITHOUT_SIGN
        )
    if peak_bits >= INFINITY_BITS:  # NaN or infinity
        for k in range(width + gap):
            out[k] = 0
        return NAN
    scale = max(from_bits(peak_bits) / np.float32(most), SMALLEST)
    inverse = ONE / scale
    for k in range(body):
        out[k] = np.int16(np.rint(row[k] * (columns[k] if columns_at else ONE) * inverse))
    for k in range(body, body + gap):
        out[k] = 0
    for k in range(body, width):
        out[k + gap] = np.int16(np.rint(row[k] * (columns[k] if columns_at else ONE) * inverse))
    return scale


@inner
def rescale(kind, sums_at, count, scale_at, bias_at, x_scale):
    """Turn sums into float32 in place: float(sum) · (s_x · s_w) + bias, each rounded to float32."""
    scale = numba.carray(at_address(scale_at), count, np.float32)
    bias = numba.carray(at_address(bias_at), count, np.float32)
    floats = numba.carray(at_address(sums_at), count, np.float32)
    if kind == INTEGER:
        integers = numba.carray(at_address(sums_at), count, np.int32)
        for j in range(count):
            floats[j] = np.float32(integers[j]) * (x_scale * scale[j])
    if kind == WEIGHT_ONLY:
        for j in range(count):
            floats[j] *= scale[j]
    if bias_at:
        for j in range(count):
            floats[j] += bias[j]


@inner
def padded_depth(width):
    """A row length rounded up to LANES."""
    return (width + LANES - 1) // LANES * LANES


@inner
def quantize_rows(kind, most, x_at, width, columns_at, rows, q_at, s_at):
    """Quantize rows of `width` floats; their scales go to `s_at`."""
    scale = numba.carray(at_address(s_at), rows, np.float32)
    q_step = padded_depth(width) * (2 if kind == INTEGER else 4)
    for r in range(rows):
        at, to = x_at + 4 * r * width, q_at + r * q_step
        scale[r] = _quantize_row(kind, most, at, width, columns_at, to)
