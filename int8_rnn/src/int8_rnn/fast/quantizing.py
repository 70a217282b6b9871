"""Rows of activations become what meets a weight, in one of the forms of `records.py`.

Rows are quantized operation by operation as in `reference.py`, so that equal floats give equal
integers. Before each of them lies its mark: the scale, and the offset that the kernels' integers
have, 32768 for PLANES, the zero point for BYTES. A row that holds NaN or infinity has integers 0
and the scale NaN.
"""

# The types of compiled functions follow from their callers'.
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from .cells import FLOAT_SUMS
from .llvm import at_address, bits_of, clear_bytes, copy_bytes, from_bits, record, routine
from .records import BYTES, FLOATS, MARK, PLANES, WEIGHT

OPTIONS = {"nogil": True, "error_model": "numpy"}
ONE, ZERO, NAN, SMALLEST = map(np.float32, (1, 0, np.nan, np.finfo(np.float32).tiny))
INFINITY_BITS, WITHOUT_SIGN = np.int32(0x7F800000), np.int32(0x7FFFFFFF)

weight = record(WEIGHT)


def inner(function: Any) -> Any:
    """What only compiled code calls: compiled with its callers, for the types they pass."""
    return numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)(function)


@inner
def floats(at, count):
    """So many float32 from an address on."""
    return numba.carray(at_address(at), count, np.float32)


@inner
def longs(at, count):
    """So many int64 from an address on."""
    return numba.carray(at_address(at), count, np.int64)


@inner
def at_least(value, limit):
    """The larger of two; numba's own `max` takes longer to compile than all else here."""
    return value if value > limit else limit


@inner
def _ordered(bits):
    """A float's bits as a number that is greater where the float is; NaN is beyond infinity.

    What becomes of -x is ~ of what becomes of x; done again, it gives the bits back.
    """
    return np.int32(bits ^ ((bits >> 31) & WITHOUT_SIGN))


@inner
def _symmetric(form, row_at, columns_at, width, depth, most, to):
    row, columns, peak = floats(row_at, width), floats(columns_at, width), np.int32(0)
    for k in range(width):
        size = bits_of(row[k] * columns[k]) & WITHOUT_SIGN
        peak = size if size > peak else peak
    if peak >= INFINITY_BITS:
        clear_bytes(to, 2 * depth)
        return NAN, np.int32(0)
    scale = at_least(from_bits(peak) / np.float32(most), SMALLEST)
    inverse = ONE / scale
    if form != PLANES:
        words = numba.carray(at_address(to), width, np.int16)
        for k in range(width):
            words[k] = np.int16(np.rint(row[k] * columns[k] * inverse))
        return scale, np.int32(0)
    high = numba.carray(at_address(to), width, np.uint8)
    low = numba.carray(at_address(to + depth), width, np.uint8)
    for k in range(width):
        q = np.int32(np.int32(np.rint(row[k] * columns[k] * inverse)) + np.int32(32768))
        high[k] = np.uint8(q >> 8)
        low[k] = np.uint8(q)
    return scale, np.int32(32768)


@inner
def _affine(form, row_at, columns_at, width, depth, most, to):
    row, columns = floats(row_at, width), floats(columns_at, width)
    low, high = np.int32(0), np.int32(0)
    for k in range(width):
        number = _ordered(bits_of(row[k] * columns[k]))
        low = number if number < low else low
        high = number if number > high else high
    if high >= INFINITY_BITS or low <= ~INFINITY_BITS:
        clear_bytes(to, depth if form == BYTES else 2 * depth)
        return NAN, np.int32(0)
    least, limit, top = np.float64(SMALLEST), np.float64(most), np.float32(most)
    lowest = np.float64(from_bits(_ordered(low)))
    highest = np.float64(from_bits(_ordered(high)))
    exact = at_least((highest - lowest) / limit, least)
    zero = np.rint(-lowest / exact)
    scale = at_least(np.float32(exact), SMALLEST)
    inverse = np.float64(ONE / scale)
    if form == BYTES:
        small = numba.carray(at_address(to), width, np.uint8)
        for k in range(width):
            small[k] = np.uint8(np.int32(_nearest(row[k] * columns[k], inverse, zero, top)))
        return scale, np.int32(zero)
    words = numba.carray(at_address(to), width, np.int16)
    for k in range(width):
        q = _nearest(row[k] * columns[k], inverse, zero, top)
        words[k] = np.int16(q - np.float32(zero))
    return scale, np.int32(0)


@inner
def _nearest(value, inverse, zero, top):
    """The integer from 0 to `top` that stands for a float."""
    q = at_least(np.rint(np.float32(np.float64(value) * inverse + zero)), ZERO)
    return q if q < top else top


@routine(5)
def quantize(w_at, x_at, x_step, rows, q_at):
    """Rows of floats become what meets the weight, each with its mark before it."""
    w = weight(w_at)
    form, most, width, depth, symmetric = w.form, w.most, w.inputs, 4 * w.steps, w.symmetric
    q_bytes, columns_at = w.q_bytes, w.columns_at
    for r in range(rows):
        row_at, mark = x_at + r * x_step, q_at + r * q_bytes
        to = mark + MARK
        scale, offset = ONE, np.int32(FLOAT_SUMS)
        if form >= FLOATS:
            copy_bytes(row_at, to, 4 * width)
            clear_bytes(to + 4 * width, 4 * (depth - width))
        elif symmetric:
            scale, offset = _symmetric(form, row_at, columns_at, width, depth, most, to)
        else:
            scale, offset = _affine(form, row_at, columns_at, width, depth, most, to)
        floats(mark, 1)[0] = scale
        numba.carray(at_address(mark + 4), 1, np.int32)[0] = offset
