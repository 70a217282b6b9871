"""Many rows of activations times a tile of weights by AMX, where the CPU and the system have it.

A register of AMX has up to 16 rows of up to 64 bytes: of activations 64 columns of 16 rows each, of
weights 16 steps of a vector, as they lie in memory (`tiles.py`). Two of them give 16 sums of each
of the 16 rows. The columns that are left at the end, 16 to 64 of them, have two registers of their
own. Where the rows are no multiple of 16, the last 16 are multiplied, some of them once more; where
there are fewer than 16, the registers have as many.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from .dots import TILES
from .llvm import (
    I8,
    I64,
    INTS,
    LANES,
    VOID,
    Fields,
    at_offset,
    call,
    load,
    pointer,
    routine,
    store,
)
from .records import BYTES, MARK, PLANES, WEIGHT

LEAST_ROWS, LEAST_STEPS, LEAST_WORK = 8, 16, 512  # rows times steps; for fewer it takes longer
# Numbers of registers: four of sums, one of activations and one of weights; two more for the rest.
SUMS, X, W, REST = 4, 4, 5, 2


def takes(b: ir.IRBuilder, w: Fields, rows: Any) -> Any:
    """Whether so many rows of activations are multiplied with a weight by AMX."""
    least = (rows, LEAST_ROWS), (w.steps, LEAST_STEPS), (b.mul(rows, w.steps), LEAST_WORK)
    enough = (b.icmp_signed(">=", number, I64(limit)) for number, limit in least)
    form = w.form
    fits = b.or_(*(b.icmp_signed("==", form, I64(one)) for one in (PLANES, BYTES)))
    return functools.reduce(b.and_, enough, fits)


def _at_most_16(b: ir.IRBuilder, number: Any) -> Any:
    return b.select(b.icmp_signed("<", number, I64(16)), number, I64(16))


def _turns(b: ir.IRBuilder, steps: Any) -> Any:
    """How many times there are 16 steps, and then some more."""
    return b.udiv(b.sub(steps, I64(1)), I64(16))


@routine(2, emitted=True)
def shape_registers(b: Any, w_at: Any, rows: Any) -> None:
    """Before products of a weight with so many rows: shape this thread's registers for them."""
    if not TILES:
        return
    w = Fields(b, w_at, WEIGHT)
    with b.if_then(takes(b, w, rows)):
        memory = cgutils.alloca_once(b, ir.ArrayType(I64, 8))
        rest = b.sub(w.steps, b.mul(_turns(b, w.steps), I64(16)))
        # Each register has a byte that says how many rows, and two for the bytes of a row.
        heights = b.mul(_at_most_16(b, rows), I64(0x0001_0001_0101_0101))
        heights = b.or_(b.or_(heights, I64(16 << 40)), b.shl(rest, I64(56)))
        widths = b.or_(I64(0x0040_0000_0040_0040), b.shl(rest, I64(34)))
        at, zero, wide = b.ptrtoint(memory, I64), I64(0), I64(0x0040_0040_0040_0040)
        for i, number in enumerate((I64(1), zero, wide, widths, zero, zero, heights, zero)):
            store(b, number, at_offset(b, at, 8 * i))
        call(b, "llvm.x86.ldtilecfg", VOID, pointer(b, at, I8))


@routine(2, emitted=True)
def free_registers(b: Any, w_at: Any, rows: Any) -> None:
    """After these products: leave nothing in the registers that others could find there."""
    if not TILES:
        return
    with b.if_then(takes(b, Fields(b, w_at, WEIGHT), rows)):
        call(b, "llvm.x86.tilerelease", VOID)


@routine(6, emitted=True)
def multiply_many(
    b: Any, w_at: Any, tile: Any, q_at: Any, rows: Any, out_at: Any, out_step: Any
) -> None:
    """As `products.multiply`, between the two."""
    if not TILES:
        return
    w = Fields(b, w_at, WEIGHT)
    form, count, numbers = w.form, w.vectors, (w.steps, w.q_bytes, rows, out_step)
    at, x = b.add(w.tiles_at, b.mul(tile, w.tile_bytes)), at_offset(b, q_at, MARK)
    for (key, planes), vectors in itertools.product(((PLANES, 2), (BYTES, 1)), (3, 4)):
        fits = b.icmp_signed("==", form, I64(key)), b.icmp_signed("==", count, I64(vectors))
        with b.if_then(b.and_(*fits)):
            _Tile(b, planes, vectors, *numbers).run(at, x, out_at)


class _Tile:
    """Emits the products of a tile with rows of activations."""

    def __init__(
        self, b: ir.IRBuilder, planes: int, vectors: int, steps: Any, x_step: Any, rows: Any,
        out_step: Any,
    ) -> None:  # fmt: skip
        self.b, self.planes, self.vectors = b, planes, vectors
        self.steps, self.x_step, self.rows, self.out_step = steps, x_step, rows, out_step
        high = cgutils.alloca_once(b, ir.ArrayType(INTS, SUMS // 2 * LANES))
        self.high_at, self.turns = b.ptrtoint(high, I64), _turns(b, steps)

    def run(self, at: Any, x: Any, out_at: Any) -> None:
        """Sixteen rows and as many vectors as there are registers for, time after time."""
        b, size = self.b, SUMS // self.planes
        some = _at_most_16(b, self.rows)
        last = b.sub(self.rows, some)
        with cgutils.for_range(b, b.udiv(b.add(self.rows, I64(15)), I64(16))) as loop:
            row = b.mul(loop.index, I64(16))
            row = b.select(b.icmp_signed("<", row, last), row, last)
            from_at, to = (
                b.add(x, b.mul(row, self.x_step)),
                b.add(out_at, b.mul(row, self.out_step)),
            )
            for first in range(0, self.vectors, size):
                count = min(size, self.vectors - first)
                self._multiply(at_offset(b, at, 64 * first), from_at, count)
                self._write(at_offset(b, to, 64 * first), some, count)

    def _multiply(self, at: Any, x: Any, count: int) -> None:
        b = self.b
        for register in range(self.planes * count):
            call(b, "llvm.x86.tilezero", VOID, I8(register))
        with cgutils.for_range(b, self.turns) as loop:
            self._add(at, x, count, b.mul(loop.index, I64(16)), 0)
        self._add(at, x, count, b.mul(self.turns, I64(16)), REST)

    def _add(self, at: Any, x: Any, count: int, step: Any, rest: int) -> None:
        """Add the products of 16 steps, or of those that are left."""
        b, line, w, a = self.b, 64 * self.vectors, W + rest, X + rest
        at, x = b.add(at, b.mul(step, I64(line))), b.add(x, b.mul(step, I64(4)))
        for part in range(count):
            self._move("tileloadd64", w, at_offset(b, at, 64 * part), I64(line))
            for plane in range(self.planes):
                if part == 0 or self.planes > 1:
                    from_at = b.add(x, b.mul(self.steps, I64(4 * plane)))
                    self._move("tileloadd64", a, from_at, self.x_step)
                call(b, "llvm.x86.tdpbusd", VOID, I8(plane * count + part), I8(a), I8(w))

    def _write(self, to: Any, rows: Any, count: int) -> None:
        """The sums of a single plane, or 256 times those of the high one and those of the low."""
        b, low = self.b, (self.planes - 1) * count
        for part in range(count):
            self._move("tilestored64", low + part, at_offset(b, to, 64 * part), self.out_step)
        for part in range(low):
            self._move("tilestored64", part, at_offset(b, self.high_at, 1024 * part), I64(64))
        with cgutils.for_range(b, rows if low else I64(0)) as loop:
            high_at = b.add(self.high_at, b.mul(loop.index, I64(64)))
            for part in range(low):
                high = load(b, at_offset(b, high_at, 1024 * part), INTS)
                at = at_offset(b, b.add(to, b.mul(loop.index, self.out_step)), 64 * part)
                high = b.shl(high, ir.Constant(INTS, [8] * LANES))
                store(b, b.add(high, load(b, at, INTS)), at)

    def _move(self, how: str, register: int, at: Any, step: Any) -> None:
        call(self.b, f"llvm.x86.{how}", VOID, I8(register), pointer(self.b, at, I8), step)
