"""A tile of packed weights times rows of activations; each lane sums a row of its own.

A tile is what belongs to 16 hidden units: 16 rows of each gate (or 64 rows of a plain matrix). A
vector holds 16 rows; `vectors` of them, one per gate, lie side by side, then the next bytes:

    tile in memory -> in the order it is read
    k = 0..3    [gate i: 16 rows x 4 bytes][gate f][gate g][gate o]
    k = 4..7    [gate i: 16 rows x 4 bytes][gate f][gate g][gate o]
    ...
                 meets four bytes of a row of activations, spread to all lanes

Nothing is ever added across lanes, and every load of weights is used whole. The kinds differ in
what the four bytes of a row of activations are, and what meets them:

    planes   two unsigned bytes for each 16-bit integer q: q + 32768 = 256 · high + low. All high
             bytes of the row come first, then all low ones; both meet the same load of weights:
             Σ q·w = 256 · Σ high·w + Σ low·w - 32768 · Σ w, exact modulo 2^32, hence exact.
    bytes    one unsigned byte for each 8-bit integer: Σ (u - z)·w = Σ u·w - z · Σ w
    wide     two 16-bit integers; weights that were widened to 16 bits beforehand
    narrow   two 16-bit integers; weights of 8 bits, widened as they are read

What is subtracted at the end, a multiple of the sum of the row's weights, is the cells' business
(`cells.py`): here `offset`. The sums of a row of activations are 16 int32 for each vector.
"""

# The types of compiled functions stand in their decorators, where numba reads them.
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

import functools
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiling import compiled
from .dots import LANES16, add_dot, host_instruction
from .intrinsics import I8, I16, I32, I64, pointer
from .vectors import load_integers, spread

KINDS = ("planes", "bytes", "wide", "narrow")
UNROLLED = 4  # steps of four bytes in one turn of the loop; rows are padded to a multiple


class _Tile:
    """Emits the products of `vectors` of a tile with `columns` rows of activations."""

    def __init__(self, builder: ir.IRBuilder, kind: str, columns: int, vectors: range) -> None:
        self.builder, self.kind, self.vectors = builder, kind, vectors
        self.planes = 2 if kind == "planes" else 1
        zero = ir.Constant(ir.VectorType(I32, LANES16), None)
        self.sums = {
            (column, vector, plane): cgutils.alloca_once_value(builder, zero)
            for column in range(columns)
            for vector in vectors
            for plane in range(self.planes)
        }

    def _weights(self, at: Any, vector: int) -> Any:
        """The weights of a vector's rows that meet four bytes of activations."""
        b = self.builder
        if self.kind != "narrow":
            return load_integers(b, b.add(at, I64(64 * vector)))
        kind = ir.VectorType(I8, 2 * LANES16)
        return b.load(pointer(b, b.add(at, I64(32 * vector)), kind), align=4)

    def _add(self, sums: Any, x: Any, w: Any) -> Any:
        if self.kind in ("planes", "bytes"):
            return add_dot(self.builder, host_instruction() or "", sums, x, w)
        b, words = self.builder, ir.VectorType(I16, 2 * LANES16)
        wide = ir.VectorType(I32, 2 * LANES16)
        x = b.sext(b.bitcast(x, words), wide)
        w = b.sext(w if self.kind == "narrow" else b.bitcast(w, words), wide)
        product = b.mul(w, x)
        half = ir.VectorType(I32, LANES16)
        even, odd = (
            b.shuffle_vector(product, product, ir.Constant(half, [*range(part, 32, 2)]))
            for part in (0, 1)
        )
        return b.add(sums, b.add(even, odd))  # one multiply-add instruction on x86

    def step(self, w: Any, rows: list[Any], plane_size: Any) -> None:
        """Multiply the four bytes at these addresses of rows of activations."""
        b = self.builder
        weights = [self._weights(w, vector) for vector in self.vectors]
        for column, row in enumerate(rows):
            for plane in range(self.planes):
                at = b.add(row, plane_size) if plane else row
                x = spread(b, b.load(pointer(b, at, I32), align=4))
                for vector, loaded in zip(self.vectors, weights, strict=True):
                    place = self.sums[column, vector, plane]
                    b.store(self._add(b.load(place), x, loaded), place)

    def store(self, column: int, out: Any) -> None:
        """Write the sums of one row of activations."""
        b = self.builder
        for vector in self.vectors:
            total = b.load(self.sums[column, vector, 0])
            if self.planes == 2:
                high = b.shl(total, ir.Constant(total.type, [8] * LANES16))
                total = b.add(high, b.load(self.sums[column, vector, 1]))
            at = pointer(b, b.add(out, I64(64 * vector)), total.type)
            b.store(total, at, align=4)


def _shapes(kind: str, vectors: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(Rows of activations, vectors) that are multiplied together, as registers allow.

    First where there are several rows: they share each load of weights, and each widening; then
    for a single row.
    """
    if host_instruction() == "vpdpbusd512":
        return ({"planes": 2, "bytes": 4}.get(kind, 2), vectors), (1, vectors)
    if kind == "planes":
        return (1, 2), (1, 2)
    # Four rows would not leave the widened weights registers enough.
    return (3, 1) if kind == "narrow" else (1, vectors), (1, vectors)


def _parts(vectors: int, at_once: int) -> list[range]:
    """So many vectors at a time."""
    return [range(i, min(i + at_once, vectors)) for i in range(0, vectors, at_once)]


def _product(kind: str, vectors: int) -> Any:
    """An intrinsic: one tile times `columns` rows of activations, `x_step` bytes apart.

    `steps` is the length of a row in steps of four bytes, a multiple of UNROLLED; the sums of the
    rows of activations are written `out_step` bytes apart.
    """

    @intrinsic
    def product(
        typing_context: Any, w: Any, steps: Any, x: Any, x_step: Any, columns: Any, out: Any,
        out_step: Any,
    ) -> Any:  # fmt: skip
        w_step = vectors * (32 if kind == "narrow" else 64)

        def some(b: ir.IRBuilder, arguments: Any, first: Any, count: int, part: range) -> None:
            w, steps, x, x_step, _, out, out_step = arguments
            tile = _Tile(b, kind, count, part)
            places = [b.add(first, I64(column)) for column in range(count)]
            rows = [b.add(x, b.mul(place, x_step)) for place in places]
            plane_size = b.mul(steps, I64(4))
            with cgutils.for_range(b, b.udiv(steps, I64(UNROLLED))) as loop:
                for turn in range(UNROLLED):
                    at = b.add(b.mul(loop.index, I64(UNROLLED)), I64(turn))
                    distance = b.mul(at, I64(4))
                    here = [b.add(row, distance) for row in rows]
                    tile.step(b.add(w, b.mul(at, I64(w_step))), here, plane_size)
            for column, place in enumerate(places):
                tile.store(column, b.add(out, b.mul(place, out_step)))

        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            b, columns = builder, arguments[4]
            (together, at_once), (_, alone) = _shapes(kind, vectors)
            groups = b.udiv(columns, I64(together)) if together > 1 else I64(0)
            done = b.mul(groups, I64(together))
            if together > 1:
                for part in _parts(vectors, at_once):
                    with cgutils.for_range(b, groups) as loop:
                        some(b, arguments, b.mul(loop.index, I64(together)), together, part)
            for part in _parts(vectors, alone):
                with cgutils.for_range(b, b.sub(columns, done)) as loop:
                    some(b, arguments, b.add(done, loop.index), 1, part)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), build

    return product


_planes3, _planes4 = _product("planes", 3), _product("planes", 4)
_bytes3, _bytes4 = _product("bytes", 3), _product("bytes", 4)
_wide3, _wide4 = _product("wide", 3), _product("wide", 4)
_narrow3, _narrow4 = _product("narrow", 3), _product("narrow", 4)


# One compiled function for each, which numba keeps on disk by its name.
# ruff: noqa: D103


def planes3(w, steps, x, x_step, columns, out, out_step):
    _planes3(w, steps, x, x_step, columns, out, out_step)


def planes4(w, steps, x, x_step, columns, out, out_step):
    _planes4(w, steps, x, x_step, columns, out, out_step)


def bytes3(w, steps, x, x_step, columns, out, out_step):
    _bytes3(w, steps, x, x_step, columns, out, out_step)


def bytes4(w, steps, x, x_step, columns, out, out_step):
    _bytes4(w, steps, x, x_step, columns, out, out_step)


def wide3(w, steps, x, x_step, columns, out, out_step):
    _wide3(w, steps, x, x_step, columns, out, out_step)


def wide4(w, steps, x, x_step, columns, out, out_step):
    _wide4(w, steps, x, x_step, columns, out, out_step)


def narrow3(w, steps, x, x_step, columns, out, out_step):
    _narrow3(w, steps, x, x_step, columns, out, out_step)


def narrow4(w, steps, x, x_step, columns, out, out_step):
    _narrow4(w, steps, x, x_step, columns, out, out_step)


@functools.cache
def product_at(kind: str, vectors: int) -> int:
    """The address of the compiled product of this kind; compiled when it is first asked for."""
    signature = types.void(*[types.int64] * 7)
    made = compiled(signature, compile_with=numba.cfunc)(globals()[f"{kind}{vectors}"])
    address: int = made.address
    _ALIVE.append(made)
    return address


_ALIVE: list[Any] = []  # an address outlives nothing
