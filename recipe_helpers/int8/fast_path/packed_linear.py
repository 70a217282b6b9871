"""A linear layer of packed weights, 64 rows of its input at a time.

Each tile, 64 rows of weights, is multiplied with all of these rows while it is in the cache; its
sums are rescaled and written where they belong.
"""

# The types of compiled functions stand in their decorators, where numba reads them.
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import numba
import numpy as np
from numba import types

from .cells import copy_vector, rescale4
from .compiling import INT64, compiled, inner
from .intrinsics import at_address, call_at, copy_floats
from .packed_layer import fill_terms
from .quantizing import row_bytes

ROWS = 64  # of the input that are multiplied at a time
TILE = 64  # rows of weights in a tile


@inner
def _write(sums_at, y_at, count):
    """The results of one row of the input with one tile."""
    if count >= TILE:
        for vector in range(4):
            copy_vector(sums_at + 64 * vector, y_at + 64 * vector)
    else:
        copy_floats(sums_at, y_at, count)


@compiled(types.void(*[INT64] * 20))
def run_linear(
    form, symmetric, most, tiles_at, tile_bytes, steps, product_at, quantize_at, s_at, columns_at,
    bias_at, x_at, rows, inputs, y_at, outputs, terms_at, q_at, marks_at, sums_at,
):  # fmt: skip
    """Int8Linear: y = float(q_x q_wᵀ) · (s_x · s_w) + bias."""
    tiles, row_sums = (outputs + TILE - 1) // TILE, 4 * TILE
    fill_terms(s_at, bias_at, outputs, 4, 4, tiles, terms_at)
    q_step = row_bytes(form, inputs)
    scales = numba.carray(at_address(marks_at), 2 * ROWS, np.float32)
    offsets = numba.carray(at_address(marks_at), 2 * ROWS, np.int32)
    for begin in range(0, rows, ROWS):
        count, at = min(ROWS, rows - begin), x_at + 4 * begin * inputs
        call_at(quantize_at, (
            form, symmetric, most, at, 4 * inputs, inputs, columns_at, count, q_at, marks_at
        ))  # fmt: skip
        for tile in range(tiles):
            call_at(product_at, (
                tiles_at + tile * tile_bytes, steps, q_at, q_step, count, sums_at, row_sums
            ))  # fmt: skip
            y, left = y_at + 4 * (begin * outputs + tile * TILE), outputs - tile * TILE
            for r in range(count):
                sums = sums_at + r * row_sums
                rescale4(sums, terms_at + 768 * tile, scales[2 * r], offsets[2 * r + 1])
                _write(sums, y + 4 * r * outputs, left)
