"""A weight times quantized rows of activations: multiply tile by tile, rescale the sums.

A tile is what belongs to 16 hidden units, 16 rows of each gate, or 64 rows of a plain matrix
(`tiles.py`). A vector holds 16 rows; `vectors` of them lie side by side, then the next columns:

    tile in memory -> in the order it is read
    k = 0..3    [gate i: 16 rows x 4 bytes][gate f][gate g][gate o]
    k = 4..7    [gate i: 16 rows x 4 bytes][gate f][gate g][gate o]
"""

# The types of compiled functions follow from their callers'.
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import itertools
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils

from .cells import rescale3, rescale4
from .dots import Bytes, Floats, Words
from .forms import BYTES, FLOATS, PLANES, ROWS, TILES, WIDE
from .llvm import (
    I64,
    at_address,
    at_offset,
    copy_bytes,
    routine,
    store,
)
from .quantizing import (
    HAS_PLANES,
    INSTRUCTION,
    floats,
    inner,
    ints,
    longs,
    weight,
)

BLOCK = 8  # turns of a loop after which other parts of the same weights follow


def _product(name: str, kind: Bytes, vectors: int) -> Any:
    """A routine: one tile times rows of activations `x_step` bytes apart.

    The sums of a row of activations, 16 int32 for each vector, are written `out_step` bytes apart.
    """

    @routine(7, name=f"{name}{vectors}", emitted=True)
    def product(
        b: Any, w: Any, steps: Any, x: Any, x_step: Any, rows: Any, out: Any, out_step: Any
    ) -> None:
        def some(first: Any, count: int, groups: list[list[int]]) -> None:
            places = [b.add(first, I64(row)) for row in range(count)]
            from_at = [b.add(x, b.mul(place, x_step)) for place in places]
            tile = _Tile(b, kind, [*itertools.chain(*groups)], from_at)

            def multiply(parts: list[int], start: Any, turns: Any) -> None:
                with cgutils.for_range(b, turns) as loop:
                    for turn in range(kind.unrolled):
                        at = b.add(b.add(b.mul(loop.index, I64(kind.unrolled)), I64(turn)), start)
                        w_at = b.add(w, b.mul(at, I64(vectors * kind.w_bytes)))
                        tile.step(parts, w_at, at, steps)

            turns = b.udiv(steps, I64(kind.unrolled))
            if len(groups) == 1:
                multiply(groups[0], I64(0), turns)
            else:  # while a part of the tile is in the first cache
                blocks = b.udiv(b.add(turns, I64(BLOCK - 1)), I64(BLOCK))
                with cgutils.for_range(b, blocks) as loop:
                    done = b.mul(loop.index, I64(BLOCK))
                    left = b.sub(turns, done)
                    some_turns = b.select(b.icmp_signed("<", left, I64(BLOCK)), left, I64(BLOCK))
                    for parts in groups:
                        multiply(parts, b.mul(done, I64(kind.unrolled)), some_turns)
            for row, place in enumerate(places):
                tile.store(row, b.add(out, b.mul(place, out_step)))

        (together, groups), done = kind.together(vectors), I64(0)
        if together > 1:
            count = b.udiv(rows, I64(together))
            done = b.mul(count, I64(together))
            with cgutils.for_range(b, count) as loop:
                some(b.mul(loop.index, I64(together)), together, groups)
        with cgutils.for_range(b, b.sub(rows, done)) as loop:
            some(b.add(done, loop.index), 1, kind.alone(vectors))

    return product


class _Tile:
    """Emits the products of some vectors of a tile, or parts of them, with rows of activations."""

    def __init__(self, b: ir.IRBuilder, kind: Bytes, parts: list[int], rows: list[Any]) -> None:
        self.b, self.kind, self.parts, self.rows = b, kind, parts, rows
        keys = itertools.product(range(len(rows)), range(kind.planes), parts)
        self.sums = {
            key: [cgutils.alloca_once_value(b, zero) for zero in kind.zeros()] for key in keys
        }

    def step(self, parts: list[int], w: Any, step: Any, steps: Any) -> None:
        """Multiply four columns of weights, from an address, with those of each row."""
        b, kind, size = self.b, self.kind, self.kind.w_bytes // self.kind.parts
        weights = {part: kind.weights(b, at_offset(b, w, size * part)) for part in parts}
        for row, plane in itertools.product(range(len(self.rows)), range(kind.planes)):
            place = b.mul(b.add(step, b.mul(steps, I64(plane))), I64(kind.x_bytes))
            x = kind.spread(b, b.add(self.rows[row], place))
            for part in parts:
                places = self.sums[row, plane, part]
                found = kind.add(b, [b.load(one) for one in places], x, weights[part])
                for value, one in zip(found, places, strict=True):
                    b.store(value, one)

    def store(self, row: int, at: Any) -> None:
        """Write the sums of one row of activations."""
        b, planes = self.b, range(self.kind.planes)
        for part in self.parts:
            found = [[b.load(one) for one in self.sums[row, p, part]] for p in planes]
            store(b, self.kind.total(b, found), at_offset(b, at, 64 // self.kind.parts * part))


_WIDE, _BYTES = Bytes(INSTRUCTION, planes=2) if HAS_PLANES else Words(), Bytes(INSTRUCTION)
_wide3, _wide4 = (_product("wide", _WIDE, vectors) for vectors in (3, 4))
_bytes3, _bytes4 = _wide3, _wide4  # where there is no byte product nobody asks for it
if INSTRUCTION:
    _bytes3, _bytes4 = (_product("bytes", _BYTES, vectors) for vectors in (3, 4))
_floats4, _weights4 = _product("floats", Floats(256), 4), _product("weights", Floats(64), 4)
_words4 = _product("words", Words(), 4) if HAS_PLANES else _wide4


@routine(6)
def multiply(w_at, tile, q_at, rows, out_at, out_step):
    """The sums of one tile with rows of quantized activations."""
    w = weight(w_at)
    at, steps, q_step = w.tiles_at + tile * w.tile_bytes, w.steps, w.q_bytes
    if w.vectors == 3:
        if w.form == BYTES:
            _bytes3(at, steps, q_at, q_step, rows, out_at, out_step)
        else:
            _wide3(at, steps, q_at, q_step, rows, out_at, out_step)
    elif w.form == BYTES:
        _bytes4(at, steps, q_at, q_step, rows, out_at, out_step)
    elif w.form == WIDE:
        _wide4(at, steps, q_at, q_step, rows, out_at, out_step)
    elif w.form == FLOATS:
        _floats4(at, steps, q_at, q_step, rows, out_at, out_step)
    else:
        _weights4(at, steps, q_at, q_step, rows, out_at, out_step)


@inner
def terms_of(w, tile):
    """Where the terms of a tile begin, how far it is from gate to gate, and from kind to kind."""
    part = 64 * w.vectors * w.tiles
    return (
        (w.terms_at + 64 * tile, 64 * w.tiles, part)
        if w.units
        else (w.terms_at + 256 * tile, 64, part)
    )


@inner
def _rescaled(w_at, tile, q_at, marks_at, rows, out_at, out_step):
    """The results of one tile, float32."""
    multiply(w_at, tile, q_at, rows, out_at, out_step)
    w = weight(w_at)
    terms, stride, part = terms_of(w, tile)
    if w.vectors == 4:
        rescale4(rows, out_at, out_step, marks_at, terms, stride, part)
    else:
        rescale3(rows, out_at, out_step, marks_at, terms, stride, part)


@routine(11)
def project(
    w_at, q_at, marks_at, rows, low, high, backwards, out_at, tile_step, row_step, spare_at
):
    """The results of the tiles [low, high), a tile `tile_step` and a row `row_step` bytes apart.

    What does not fill a tile of a plain matrix goes through `spare_at`, 256 bytes a row.
    """
    w = weight(w_at)
    for i in range(high - low):
        tile = high - 1 - i if backwards else low + i
        to, left = out_at + tile * tile_step, w.outputs - 64 * tile
        if w.units or left >= 64:
            _rescaled(w_at, tile, q_at, marks_at, rows, to, row_step)
            continue
        _rescaled(w_at, tile, q_at, marks_at, rows, spare_at, 256)
        for r in range(rows):
            copy_bytes(spare_at + 256 * r, to + r * row_step, 4 * left)


@routine(8)
def add_residual(w_at, q_at, marks_at, rows, out_at, tile_step, row_step, spare_at):
    """Add what the residual of a weight gives to its results; arguments as in `project`."""
    w = weight(w_at)
    if not w.more_at:
        return
    m, units = weight(w.more_at), w.units
    numbers, spare = longs(w.rows_at, m.outputs), floats(spare_at, 64 * rows)
    for tile in range(m.tiles):
        _rescaled(w.more_at, tile, q_at, marks_at, rows, spare_at, 256)
        for j in range(min(64, m.outputs - 64 * tile)):
            n = numbers[64 * tile + j]
            if n < 0 or n >= (units * w.vectors if units else w.outputs):
                continue
            place = 4 * n
            if units:
                gate, unit = n // units, n % units
                place = unit // 16 * tile_step + 64 * gate + unit % 16 * 4
            for r in range(rows):
                floats(out_at + place + r * row_step, 1)[0] += spare[64 * r + j]


@routine(9)
def multiply_all(way, w_at, tile_bytes, tiles, steps, x_at, x_step, rows, out_at):
    """One product by itself, to be measured (`ways.py`): int32 sums (rows, 64 · tiles)."""
    out_step = 256 * tiles
    if way == ROWS:
        _by_rows(w_at, 64 * tiles, 4 * steps, x_at, x_step, rows, out_at, out_step)
    for i in range(0 if way == ROWS else tiles):
        at, out = w_at + i * tile_bytes, out_at + 256 * i
        if way == TILES:
            _words4(at, steps, x_at, x_step, rows, out, out_step)
        elif way == PLANES:
            _wide4(at, steps, x_at, x_step, rows, out, out_step)
        else:
            _bytes4(at, steps, x_at, x_step, rows, out, out_step)


@inner
def _by_rows(w_at, outputs, depth, x_at, x_step, rows, out_at, out_step):
    """Weights as PyTorch stores them, one row after the other, each widened to 16 bits."""
    for r in range(rows):
        x = numba.carray(at_address(x_at + r * x_step), depth, np.int16)
        out = ints(out_at + r * out_step, outputs)
        for j in range(outputs):
            w, total = numba.carray(at_address(w_at + j * depth), depth, np.int8), np.int32(0)
            for k in range(depth):
                total += np.int32(w[k]) * np.int32(x[k])
            out[j] = total
