"""One matrix product by itself, tile by tile: for races and measurements, not for layers."""

# The types of compiled functions stand in their decorators, where numba reads them.
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

from numba import types

from .compiling import INT64, compiled
from .intrinsics import call_at


@compiled(types.void(*[INT64] * 10))
def multiply_all(
    product_at, tiles, vectors, w_at, tile_bytes, steps, x_at, row_bytes, rows, out_at
):
    """All tiles of a weight times `rows` rows of activations; sums in the order of the tiles.

    A tile has 16 · `vectors` rows of weights and `tile_bytes`; the other arguments are those of
    the products in `packed_tiles`.
    """
    tile_sums = 64 * vectors
    for tile in range(tiles):
        call_at(product_at, (
            w_at + tile * tile_bytes, steps, x_at, row_bytes, rows,
            out_at + tile * tile_sums, tiles * tile_sums,
        ))  # fmt: skip
