"""Rows of activations become what meets a weight; and the record of one, which all kernels read.

Rows of activations are quantized operation by operation as in `reference.py`, so that equal floats
give equal integers, in one of these forms (`dots.py` says what meets them):

    WIDE     16 bits, symmetric: all high bytes of q + 32768, then all low ones, offset 32768;
             or, on CPUs without an exact byte product, the integers themselves, offset 0
    BYTES    8 bits with a zero point z: one byte u = q + z, offset z
    FLOATS   the floats themselves, for float32 weights; WEIGHTS, for int8 weights

A row that holds NaN or infinity has integers 0 and the scale NaN.
"""

# The types of compiled functions follow from their callers'.
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from .cells import FLOAT_SUMS
from .dots import INSTRUCTION
from .forms import BYTES, FLOATS, is_exact
from .llvm import at_address, bits_of, clear_bytes, copy_bytes, from_bits, record, routine

OPTIONS = {"nogil": True, "error_model": "numpy"}
WEIGHT = np.dtype([(name, np.int64) for name in (
    "tiles_at", "terms_at", "columns_at", "more_at", "rows_at", "tile_bytes", "tiles", "steps",
    "q_bytes", "form", "vectors", "symmetric", "most", "inputs", "outputs", "units",
)])  # fmt: skip


ONE, ZERO, NAN, SMALLEST = map(np.float32, (1, 0, np.nan, np.finfo(np.float32).tiny))
INFINITY_BITS, WITHOUT_SIGN = np.int32(0x7F800000), np.int32(0x7FFFFFFF)
HAS_PLANES = is_exact(INSTRUCTION)


def inner(function: Any) -> Any:
    """What only compiled code calls: compiled with its callers, for the types they pass."""
    return numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)(function)


@inner
def floats(at, count):
    """So many float32 from an address on."""
    return numba.carray(at_address(at), count, np.float32)


@inner
def ints(at, count):
    """So many int32 from an address on."""
    return numba.carray(at_address(at), count, np.int32)


@inner
def longs(at, count):
    """So many int64 from an address on."""
    return numba.carray(at_address(at), count, np.int64)


weight = record(WEIGHT)


@inner
def _at_least(value, limit):
    """The larger of two; numba's own `max` takes longer to compile than all else here."""
    return value if value > limit else limit


@inner
def _symmetric(most, row_at, columns_at, width, depth, out_at):
    row, columns = floats(row_at, width), floats(columns_at, width)
    peak = np.int32(0)
    for k in range(width):
        size = bits_of(row[k] * columns[k]) & WITHOUT_SIGN
        peak = size if size > peak else peak
    if peak >= INFINITY_BITS:
        clear_bytes(out_at, 2 * depth)
        return NAN, np.int32(0)
    scale = _at_least(from_bits(peak) / np.float32(most), SMALLEST)
    inverse = ONE / scale
    if not HAS_PLANES:
        words = numba.carray(at_address(out_at), width, np.int16)
        for k in range(width):
            words[k] = np.int16(np.rint(row[k] * columns[k] * inverse))
        return scale, np.int32(0)
    high = numba.carray(at_address(out_at), width, np.uint8)
    low = numba.carray(at_address(out_at + depth), width, np.uint8)
    for k in range(width):
        q = np.int32(np.int32(np.rint(row[k] * columns[k] * inverse)) + np.int32(32768))
        high[k] = np.uint8(q >> 8)
        low[k] = np.uint8(q)
    return scale, np.int32(32768)


@inner
def _ordered(value):
    """Its bits as a number that is greater where the float is; NaN is beyond infinity."""
    bits = bits_of(value)
    return np.int32(bits ^ ((bits >> 31) & WITHOUT_SIGN))


@inner
def _unordered(number):
    return np.float64(from_bits(np.int32(number ^ ((number >> 31) & WITHOUT_SIGN))))


@inner
def _affine(form, most, row_at, columns_at, width, depth, out_at):
    row, columns = floats(row_at, width), floats(columns_at, width)
    lowest, highest = np.int32(0), np.int32(0)
    for k in range(width):
        number = _ordered(row[k] * columns[k])
        lowest = number if number < lowest else lowest
        highest = number if number > highest else highest
    if highest >= INFINITY_BITS or lowest <= ~INFINITY_BITS:
        clear_bytes(out_at, depth if form == BYTES else 2 * depth)
        return NAN, np.int32(0)
    low, high, limit = _unordered(lowest), _unordered(highest), np.float64(most)
    exact = (high - low) / limit
    exact = exact if exact > np.float64(SMALLEST) else np.float64(SMALLEST)
    zero = np.rint(-low / exact)
    scale = _at_least(np.float32(exact), SMALLEST)
    inverse, top = np.float64(ONE / scale), np.float32(most)
    if HAS_PLANES or form == BYTES:
        small = numba.carray(at_address(out_at), width, np.uint8)
        for k in range(width):
            small[k] = np.uint8(np.int32(_nearest(row[k] * columns[k], inverse, zero, top)))
        return scale, np.int32(zero)
    words = numba.carray(at_address(out_at), width, np.int16)
    for k in range(width):
        q = _nearest(row[k] * columns[k], inverse, zero, top)
        words[k] = np.int16(q - np.float32(zero))
    return scale, np.int32(0)


@inner
def _nearest(value, inverse, zero, top):
    """The integer from 0 to `top` that stands for a float."""
    q = _at_least(np.rint(np.float32(np.float64(value) * inverse + zero)), ZERO)
    return q if q < top else top


@routine(6)
def quantize(w_at, x_at, x_step, rows, q_at, marks_at):
    """Rows of floats become what meets the weight; scale and offset of each go to `marks_at`."""
    w = weight(w_at)
    scales, offsets, depth = floats(marks_at, 2 * rows), ints(marks_at, 2 * rows), 4 * w.steps
    form, most, columns_at, width = w.form, w.most, w.columns_at, w.inputs
    for r in range(rows):
        row_at, to = x_at + r * x_step, q_at + r * w.q_bytes
        if form >= FLOATS:
            copy_bytes(row_at, to, 4 * width)
            clear_bytes(to + 4 * width, 4 * (depth - width))
            scale, offset = ONE, np.int32(FLOAT_SUMS)
        elif w.symmetric:
            scale, offset = _symmetric(most, row_at, columns_at, width, depth, to)
        else:
            scale, offset = _affine(form, most, row_at, columns_at, width, depth, to)
        scales[2 * r] = scale
        offsets[2 * r + 1] = offset
