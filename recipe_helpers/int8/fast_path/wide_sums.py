"""Around a library's product: its activations made signed, its sums brought to the tiles.

The library (`wide.py`) multiplies signed bytes, all tiles at once. Its sums lie in the order of
the tiles, a row of them for each row of bytes:

    [high plane of row 0: sums of tile 0][tile 1] ...
    [low plane of row 0:  sums of tile 0][tile 1] ...
    [high plane of row 1: ...

To the compiled layer that is a kind of tile: its "product" fetches what has been multiplied.
"""

# The types of compiled functions stand in their decorators, where numba reads them.
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

import functools

import numba
import numpy as np
from numba import types

from .compiling import INT64, compiled
from .intrinsics import at_address

_PRODUCT = types.void(*[INT64] * 7)  # as those of `packed_tiles`


@compiled(types.void(*[INT64] * 5))
def make_signed(q_at, length, marks_at, rows, planes):
    """Take 128 off every byte of these rows, and from their offsets what that takes off the sums.

    Bytes that are 128 too small have sums that are too small by 128 times the sum of the weights,
    and by (256 + 1) times that where they are the two planes of 16 bits.
    """
    signed = numba.carray(at_address(q_at), rows * length, np.uint8)
    for k in range(rows * length):
        signed[k] ^= np.uint8(128)
    offsets = numba.carray(at_address(marks_at), 2 * rows, np.int32)
    less = 128 * 257 if planes == 2 else 128
    for r in range(rows):
        offsets[2 * r + 1] -= less


@functools.partial(compiled, compile_with=numba.cfunc)(_PRODUCT)
def fetch_planes(sums_at, layout, x, x_step, rows, out_at, out_step):
    """The sums of one tile: 256 times those of the high plane plus those of the low one.

    `layout` holds the bytes from row to row of the library's sums, times 8, plus the vectors of a
    tile.
    """
    row_bytes, count = layout >> 3, 16 * (layout & 7)
    for r in range(rows):
        high = numba.carray(at_address(sums_at + 2 * r * row_bytes), count, np.int32)
        low = numba.carray(at_address(sums_at + (2 * r + 1) * row_bytes), count, np.int32)
        out = numba.carray(at_address(out_at + r * out_step), count, np.int32)
        for k in range(count):
            out[k] = (high[k] << 8) + low[k]  # modulo 2^32, where the true sum fits


@functools.partial(compiled, compile_with=numba.cfunc)(_PRODUCT)
def fetch_bytes(sums_at, layout, x, x_step, rows, out_at, out_step):
    """The same where a row of activations is one plane: a copy."""
    row_bytes, count = layout >> 3, 16 * (layout & 7)
    for r in range(rows):
        found = numba.carray(at_address(sums_at + r * row_bytes), count, np.int32)
        out = numba.carray(at_address(out_at + r * out_step), count, np.int32)
        for k in range(count):
            out[k] = found[k]
