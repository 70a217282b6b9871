"""A tile: some rows of weights times some rows of activations, with all sums in registers.

                 activations (columns, depth)
                 k -> [0 ........ 15][16 ....... 31] ...
    weights
    (rows, depth)
    [0 .... 15]  one vector of LANES elements of each row is loaded, widened and multiplied with
    [0 .... 15]  the vector of each column; even and odd lanes are added, so that a row and a
    [0 .... 15]  column share one vector of partial sums. At the end the lanes are added up.

int8 weights meet int16 activations in vectors that are sign-extended to int32, multiplied, and
added in pairs: plain LLVM that names no processor, exact on all of them, and that LLVM turns into
a single multiply-add instruction where there is one (`pmaddwd` on x86).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .intrinsics import F32, I8, I16, I32, I64, pointer

LANES = 16  # elements of a row that are multiplied at once; shorter rows are padded to it


ROWS = 4  # rows of a weight matrix that share each load of the activations


COLUMNS = 4  # rows of activations that share each load of the weights


# Kinds of arithmetic: float32 weights; int8 weights turned into floats; int8 times int16; and,
# for tiles alone, the same with weights that have been widened to int16.
FLOAT, WEIGHT_ONLY, INTEGER, WIDENED = 0, 1, 2, 3


_BYTES = 4, 1, 1, 2  # of one weight


class _Tile:
    """Emits the product of `rows` rows of weights with `columns` rows of activations."""

    def __init__(self, builder: ir.IRBuilder, kind: int, rows: int, columns: int) -> None:
        self.builder, self.kind, self.rows, self.columns = builder, kind, rows, columns
        self.integer = kind >= INTEGER
        self.weight = (F32, I8, I8, I16)[kind]
        self.activation, self.element = (I16, I32) if self.integer else (F32, F32)
        # As many lanes as keep all sums in 16 AVX registers.
        self.lanes = 16 if self.integer or columns == 1 else 8
        self.wide = ir.VectorType(self.element, self.lanes)
        self.sum_lanes = self.lanes // 2 if self.integer else self.lanes
        zero = ir.Constant(ir.VectorType(self.element, self.sum_lanes), None)
        self.sums = [cgutils.alloca_once_value(builder, zero) for _ in range(rows * columns)]

    def _vector(self, matrix: Any, row: int, index: Any, element: ir.Type, lanes: int) -> Any:
        """Load `lanes` elements of a row of (address, bytes from row to row)."""
        b, size = self.builder, 4 if element is F32 else element.width // 8
        start = b.add(matrix[0], b.mul(matrix[1], I64(row)))
        address = b.add(start, b.mul(index, I64(size)))
        return b.load(pointer(b, address, ir.VectorType(element, lanes)), align=1)

    def _weights(self, matrix: Any, row: int, index: Any) -> list[Any]:
        """LANES weights, widened."""
        b = self.builder
        parts = [b.add(index, I64(part)) for part in range(0, LANES, self.lanes)]
        loaded = [self._vector(matrix, row, at, self.weight, self.lanes) for at in parts]
        if self.weight is F32:
            return loaded
        return [(b.sext if self.integer else b.sitofp)(w, self.wide) for w in loaded]

    def _neighbours(self, x: Any, y: Any) -> Any:
        """`_pairs` of two int32 vectors within each 128 bits, which AVX does not cross for free."""
        b, lanes = self.builder, x.type.count
        starts = [start for part in range(0, lanes, 4) for start in (part, lanes + part)]
        even = [place for start in starts for place in (start, start + 2)]
        picked = even, [place + 1 for place in even]
        kind = ir.VectorType(I32, lanes)
        return b.add(*[b.shuffle_vector(x, y, ir.Constant(kind, places)) for places in picked])

    def _halves(self, x: Any) -> Any:
        """The first half of an int32 vector plus the second."""
        b, half = self.builder, x.type.count // 2
        kind = ir.VectorType(I32, half)
        parts = [[*range(half)], [*range(half, 2 * half)]]
        return b.add(*[b.shuffle_vector(x, x, ir.Constant(kind, part)) for part in parts])

    def _pairs(self, x: Any, y: Any) -> Any:
        """Add even to odd lanes of two vectors laid end to end (of one, if both are the same)."""
        b, lanes = self.builder, x.type.count * (1 if x is y else 2)
        add = b.add if self.integer else b.fadd
        halves = [
            b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, lanes // 2), [*picked]))
            for picked in (range(0, lanes, 2), range(1, lanes, 2))
        ]
        return add(*halves)

    def multiply(self, weights: Any, activations: Any, at_weights: Any, at: Any) -> None:
        """Multiply LANES elements: weights from `at_weights` on, activations from `at` on."""
        b = self.builder
        rows = [self._weights(weights, row, at_weights) for row in range(self.rows)]
        for column in range(self.columns):
            for part in range(LANES // self.lanes):
                place = b.add(at, I64(part * self.lanes))
                x = self._vector(activations, column, place, self.activation, self.lanes)
                x = b.sext(x, self.wide) if self.integer else x
                for row, parts in enumerate(rows):
                    self._accumulate(self.sums[column * self.rows + row], parts[part], x)

    def _accumulate(self, place: Any, w: Any, x: Any) -> None:
        b, before = self.builder, self.builder.load(place)
        if self.integer:
            product = b.mul(w, x)
            b.store(b.add(before, self._pairs(product, product)), place)
            return
        kind = ir.FunctionType(self.wide, [self.wide] * 3)
        name = f"llvm.fmuladd.v{self.lanes}f32"
        b.store(b.call(cgutils.get_or_insert_function(b.module, kind, name), [w, x, before]), place)

    def prefetch(self, weights: Any, ahead: Any, index: Any) -> None:
        """Ask for the same stretch of the rows that come next; no fault where there are none."""
        b, size = self.builder, _BYTES[self.kind]
        kind = ir.FunctionType(ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
        function = cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0")
        start = b.add(b.add(weights[0], ahead), b.mul(index, I64(size)))
        for row in range(self.rows):
            address = b.add(start, b.mul(weights[1], I64(row)))
            b.call(function, [pointer(b, address, I8), I32(0), I32(2), I32(1)])

    def store(self, out: Any, out_step: Any) -> None:
        """Add up the lanes; the sums of one row of activations lie side by side."""
        b = self.builder
        for column in range(self.columns):
            out_row = b.add(out, b.mul(out_step, I64(column)))
            for row in range(0, self.rows, ROWS):
                begin, rows = column * self.rows + row, min(ROWS, self.rows)
                sums = self._lane_sums([*map(b.load, self.sums[begin : begin + rows])])
                address = b.add(out_row, I64(4 * row))
                b.store(sums, pointer(b, address, sums.type), align=4)

    def _lane_sums(self, sums: list[Any]) -> Any:
        """One vector with the sum of the lanes of each of these, of which there are 1, 2 or 4."""
        rows, add = len(sums), self._neighbours if self.integer else self._pairs
        while len(sums) > 1:
            sums = [add(x, y) for x, y in zip(sums[::2], sums[1::2], strict=True)]
        if self.integer:
            sums = [self._halves(sums[0])]
        while sums[0].type.count > rows:
            sums = [self._pairs(sums[0], sums[0])]
        return sums[0]


def make_tile(kind: int, rows: int, columns: int) -> Any:
    """An intrinsic for one tile; steps between rows in bytes, `depth` and `last` in elements.

    `ahead` is how many bytes further the rows of the next tile begin.

    Where a row is no multiple of LANES, its last vector begins at `last`, overlapping the one
    before, and meets zeros in the activations: nothing is read beyond the end.
    """

    @intrinsic
    def tile(
        typing_context: Any, w: Any, w_step: Any, ahead: Any, x: Any, x_step: Any,
        depth: Any, last: Any, out: Any, out_step: Any,
    ) -> Any:  # fmt: skip
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            w, w_step, ahead, x, x_step, depth, last, out, out_step = arguments
            b, tile = builder, _Tile(builder, kind, rows, columns)
            line = 64 // _BYTES[kind]  # elements in a cache line
            lines = b.udiv(b.add(last, I64(LANES)), I64(line))
            if kind == WIDENED:  # no lines to fetch: the copy is in the cache
                lines = I64(0)
            with cgutils.for_range(b, lines) as loop:
                start = b.mul(loop.index, I64(line))
                tile.prefetch((w, w_step), ahead, start)
                for part in map(I64, range(0, line, LANES)):
                    at = b.add(start, part)
                    tile.multiply((w, w_step), (x, x_step), at, at)
            rest = b.mul(lines, I64(line))
            with cgutils.for_range_slice(b, rest, depth, I64(LANES), inc=True) as (at, _):
                at_weights = b.select(b.icmp_signed("<", at, last), at, last)
                tile.multiply((w, w_step), (x, x_step), at_weights, at)
            tile.store(out, out_step)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 9), build

    return tile


_SHAPES = (2, COLUMNS), (ROWS, 1), (1, 1)


f24, f41, f11 = (make_tile(FLOAT, *shape) for shape in _SHAPES)


w24, w41, w11 = (make_tile(WEIGHT_ONLY, *shape) for shape in _SHAPES)


i24, i41, i11 = (make_tile(INTEGER, *shape) for shape in _SHAPES)


v81, v41 = make_tile(WIDENED, 2 * ROWS, 1), make_tile(WIDENED, ROWS, 1)
