"""Rows of floats become the integers that packed tiles are multiplied with, in three forms.

    PLANES   [high bytes of q + 32768][low bytes of q + 32768]    16 bits, symmetric; offset 32768
    BYTES    [u = q + z]                                          8 bits, zero point; offset z
    WORDS    [q][q]...                                            16 bits each; offset 0

`depth` elements long, a multiple of 16; what lies beyond the width meets weights of zero. A row
that holds NaN or infinity has integers 0 and the scale NaN. The arithmetic is that of
`arithmetic.py`, operation by operation, so that equal floats give equal integers.
"""

# The types of compiled functions stand in their decorators, where numba reads them.
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
from numba import types

from .basics import INFINITY_BITS, NAN, ONE, SMALLEST, WITHOUT_SIGN
from .compiling import INT64, compiled, inner
from .intrinsics import at_address, bits_of, clear_bytes, from_bits

PLANES, BYTES, WORDS = range(3)


@inner
def row_bytes(form, width):
    """The length of a quantized row."""
    return (width + 15) // 16 * 16 * (1 if form == BYTES else 2)


@inner
def _symmetric(form, most, row_at, width, columns_at, out_at):
    row = numba.carray(at_address(row_at), width, np.float32)
    columns = numba.carray(at_address(columns_at), width, np.float32)
    peak = np.int32(0)
    for k in range(width):
        peak = max(peak, bits_of(row[k] * columns[k]) & WITHOUT_SIGN)
    depth = (width + 15) // 16 * 16
    if peak >= INFINITY_BITS:
        clear_bytes(out_at, 2 * depth)
        return NAN, np.int32(0)
    scale = max(from_bits(peak) / np.float32(most), SMALLEST)
    inverse = ONE / scale
    if form == WORDS:
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
def _affine(form, most, row_at, width, columns_at, out_at):
    row = numba.carray(at_address(row_at), width, np.float32)
    columns = numba.carray(at_address(columns_at), width, np.float32)
    lowest, highest = np.int32(0), np.int32(0)
    for k in range(width):
        number = _ordered(row[k] * columns[k])
        lowest = min(lowest, number)
        highest = max(highest, number)
    depth = (width + 15) // 16 * 16
    if highest >= INFINITY_BITS or lowest <= ~INFINITY_BITS:
        clear_bytes(out_at, depth * (2 if form == WORDS else 1))
        return NAN, np.int32(0)
    low, high, limit = _unordered(lowest), _unordered(highest), np.float64(most)
    exact = max((high - low) / limit, np.float64(SMALLEST))
    zero = np.rint(-low / exact)
    scale = max(np.float32(exact), SMALLEST)
    inverse = np.float64(ONE / scale)
    words = numba.carray(at_address(out_at), width, np.int16)
    small = numba.carray(at_address(out_at), width, np.uint8)
    for k in range(width):
        value = np.float64(row[k] * columns[k]) * inverse + zero
        q = min(max(np.rint(np.float32(value)), np.float32(0)), np.float32(most))
        if form == WORDS:
            words[k] = np.int16(q - np.float32(zero))
        else:
            small[k] = np.uint8(np.int32(q))
    return scale, np.int32(0) if form == WORDS else np.int32(zero)


def quantize_rows(form, symmetric, most, x_at, x_step, width, columns_at, rows, q_at, marks_at):
    """Quantize rows that lie `x_step` bytes apart; scale and offset of each go to `marks_at`."""
    scales = numba.carray(at_address(marks_at), 2 * rows, np.float32)
    offsets = numba.carray(at_address(marks_at), 2 * rows, np.int32)
    q_step = row_bytes(form, width)
    for r in range(rows):
        row_at, to = x_at + r * x_step, q_at + r * q_step
        if symmetric:
            scale, offset = _symmetric(form, most, row_at, width, columns_at, to)
        else:
            scale, offset = _affine(form, most, row_at, width, columns_at, to)
        scales[2 * r] = scale
        offsets[2 * r + 1] = offset


@functools.cache
def quantize_rows_at() -> int:
    """The address of the compiled `quantize_rows`: its callers do not compile it again."""
    made = compiled(types.void(*[INT64] * 10), compile_with=numba.cfunc)(quantize_rows)
    _ALIVE.append(made)
    address: int = made.address
    return address


_ALIVE: list[Any] = []  # an address keeps nothing alive
