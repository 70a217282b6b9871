"""A weight times quantized rows of activations: multiply tile by tile, rescale the sums.

A tile is what belongs to 16 hidden units, 16 rows of each gate, or 64 rows of a plain matrix
(`tiles.py`). A vector holds 16 rows; `vectors` of them lie side by side, then the next columns:

    tile in memory -> in the order it is read
    k = 0..3    [gate i: 16 rows x 4 bytes][gate f][gate g][gate o]
    k = 4..7    [gate i: 16 rows x 4 bytes][gate f][gate g][gate o]

Results lie row by row, `out_step` bytes apart, in each of them the tiles and in these the vectors.
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

from .amx import free_registers, multiply_many, shape_registers, takes
from .cells import rescale
from .dots import INSTRUCTION, TILES, Bytes, Floats, Words
from .llvm import I64, VOID, Fields, at_address, at_offset, call, routine, store
from .quantizing import floats, inner, longs, weight
from .records import BYTES, FLOATS, MARK, PLANES, ROWS, WEIGHT, WEIGHTS, WORDS, is_exact

BLOCK = 8  # turns of a loop after which other parts of the same weights follow
# For each form of activations and number of vectors.
KINDS = {(WORDS, 4): Words(), (FLOATS, 4): Floats(256), (WEIGHTS, 4): Floats(64)}
for _vectors in (3, 4):
    if not is_exact(INSTRUCTION):
        KINDS[WORDS, _vectors] = Words()
    if INSTRUCTION:
        KINDS[BYTES, _vectors] = Bytes(INSTRUCTION)
    if is_exact(INSTRUCTION):
        KINDS[PLANES, _vectors] = Bytes(INSTRUCTION, planes=2)


@routine(6, emitted=True)
def multiply(
    b: Any, w_at: Any, tile: Any, q_at: Any, rows: Any, out_at: Any, out_step: Any
) -> None:
    """The sums of one tile with rows of quantized activations, 16 int32 for each vector."""
    w = Fields(b, w_at, WEIGHT)
    if TILES:
        with b.if_then(takes(b, w, rows)):
            values = w_at, tile, q_at, rows, out_at, out_step
            call(b, multiply_many.symbol, VOID, *values)
            b.ret_void()
    form, count, steps, q_step = w.form, w.vectors, w.steps, w.q_bytes
    at = b.add(w.tiles_at, b.mul(tile, w.tile_bytes))
    x = at_offset(b, q_at, MARK)

    def some(kind: Bytes, vectors: int, first: Any, many: int) -> None:
        places = [b.add(first, I64(row)) for row in range(many)]
        from_at = [b.add(x, b.mul(place, q_step)) for place in places]
        to = [b.add(out_at, b.mul(place, out_step)) for place in places]
        _Tile(b, kind, vectors, at, steps, from_at).run(to)

    for (key, vectors), kind in KINDS.items():
        fits = b.icmp_signed("==", form, I64(key)), b.icmp_signed("==", count, I64(vectors))
        with b.if_then(b.and_(*fits)):
            turns = b.udiv(rows, I64(kind.rows))
            with cgutils.for_range(b, turns) as loop:
                some(kind, vectors, b.mul(loop.index, I64(kind.rows)), kind.rows)
            if kind.rows > 1:
                done = b.mul(turns, I64(kind.rows))
                with cgutils.for_range(b, b.sub(rows, done)) as loop:
                    some(kind, vectors, b.add(done, loop.index), 1)


class _Tile:
    """Emits the products of a tile with a few rows of activations."""

    def __init__(
        self, b: ir.IRBuilder, kind: Bytes, vectors: int, at: Any, steps: Any, rows: list[Any]
    ) -> None:
        self.b, self.kind, self.at, self.steps, self.rows = b, kind, at, steps, rows
        self.step_bytes, self.groups = vectors * kind.w_bytes, kind.groups(vectors, len(rows))
        keys = itertools.product(
            range(len(rows)), range(kind.planes), itertools.chain(*self.groups)
        )
        self.sums = {
            key: [cgutils.alloca_once(b, zero.type) for zero in kind.zeros()] for key in keys
        }

    def run(self, to: list[Any]) -> None:
        """Multiply, and write the sums of each row."""
        b, kind = self.b, self.kind
        for places in self.sums.values():
            for place, zero in zip(places, kind.zeros(), strict=True):
                b.store(zero, place)
        turns = b.udiv(self.steps, I64(kind.unrolled))
        if len(self.groups) == 1:
            self._multiply(self.groups[0], I64(0), turns)
        else:  # one after the other, while this part of the tile is in the first cache
            blocks = b.udiv(b.add(turns, I64(BLOCK - 1)), I64(BLOCK))
            with cgutils.for_range(b, blocks) as loop:
                done = b.mul(loop.index, I64(BLOCK))
                left = b.sub(turns, done)
                some = b.select(b.icmp_signed("<", left, I64(BLOCK)), left, I64(BLOCK))
                for parts in self.groups:
                    self._multiply(parts, done, some)
        for (row, _, part), size in itertools.product(self.sums, (64 // kind.parts,)):
            planes = [self.sums[row, plane, part] for plane in range(kind.planes)]
            total = kind.total(b, [[*map(b.load, places)] for places in planes])
            store(b, total, at_offset(b, to[row], size * part))

    def _multiply(self, parts: list[int], first: Any, turns: Any) -> None:
        """Some turns of the loop over the columns, for some parts of the vectors."""
        b, unrolled = self.b, self.kind.unrolled
        with cgutils.for_range(b, turns) as loop:
            for turn in range(unrolled):
                at = b.add(b.mul(b.add(loop.index, first), I64(unrolled)), I64(turn))
                self._step(parts, at)

    def _step(self, parts: list[int], step: Any) -> None:
        """Multiply four columns of weights with those of each row."""
        b, kind, size = self.b, self.kind, self.kind.w_bytes // self.kind.parts
        w = b.add(self.at, b.mul(step, I64(self.step_bytes)))
        weights = {part: kind.weights(b, at_offset(b, w, size * part)) for part in parts}
        for row, plane in itertools.product(range(len(self.rows)), range(kind.planes)):
            place = b.mul(b.add(step, b.mul(self.steps, I64(plane))), I64(kind.x_bytes))
            x = kind.spread(b, b.add(self.rows[row], place))
            for part in parts:
                places = self.sums[row, plane, part]
                found = kind.add(b, [*map(b.load, places)], x, weights[part])
                for value, one in zip(found, places, strict=True):
                    b.store(value, one)


@routine(8)
def project(w_at, q_at, rows, low, high, backwards, out_at, out_step):
    """The results of the tiles [low, high), float32."""
    w = weight(w_at)
    shape_registers(w_at, rows)
    for i in range(high - low):
        tile = high - 1 - i if backwards else low + i
        to = out_at + tile * 64 * w.vectors
        multiply(w_at, tile, q_at, rows, to, out_step)
        rescale(w_at, tile, q_at, rows, to, out_step)
    free_registers(w_at, rows)


@routine(6)
def add_residual(w_at, q_at, rows, out_at, out_step, spare_at):
    """Add what the residual of a weight gives to its results; `spare_at` has 256 bytes a row."""
    w = weight(w_at)
    if not w.more_at:
        return
    m, units = weight(w.more_at), w.units
    numbers, spare = longs(w.rows_at, m.outputs), floats(spare_at, 64 * rows)
    for tile in range(m.tiles):
        project(w.more_at, q_at, rows, tile, tile + 1, 0, spare_at - 256 * tile, 256)
        for j in range(min(64, m.outputs - 64 * tile)):
            n = numbers[64 * tile + j]
            if n < 0 or n >= w.outputs:
                continue
            place = 4 * n
            if units:
                gate, unit = n // units, n % units
                place = unit // 16 * 64 * w.vectors + 64 * gate + unit % 16 * 4
            for r in range(rows):
                floats(out_at + place + r * out_step, 1)[0] += spare[64 * r + j]


@routine(5)
def multiply_all(w_at, q_at, rows, out_at, out_step):
    """One product by itself, to be measured (`ways.py`): int32 sums."""
    w = weight(w_at)
    if w.form == ROWS:
        _by_rows(w.tiles_at, 64 * w.tiles, 4 * w.steps, q_at + MARK, w.q_bytes, rows, out_at)
    else:
        shape_registers(w_at, rows)
        for tile in range(w.tiles):
            multiply(w_at, tile, q_at, rows, out_at + 256 * tile, out_step)
        free_registers(w_at, rows)


@inner
def _by_rows(w_at, outputs, depth, x_at, x_step, rows, out_at):
    """Weights as PyTorch stores them, one row after the other, each widened to 16 bits."""
    sums = numba.carray(at_address(out_at), (rows, outputs), np.int32)
    for r in range(rows):
        x = numba.carray(at_address(x_at + r * x_step), depth, np.int16)
        for j in range(outputs):
            w, total = numba.carray(at_address(w_at + j * depth), depth, np.int8), np.int32(0)
            for k in range(depth):
                total += np.int32(w[k]) * np.int32(x[k])
            sums[r, j] = total
