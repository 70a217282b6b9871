"""The fast path of `rh.Int8LSTM`: a whole layer, all its steps, in one call of compiled code.

Compiled by numba (the optional extra `fast`), which needs no compiler on the reader's machine;
this is the only module that imports it. `calls.py` holds the Python side.

The method, layer by layer and direction by direction:

1. The input of a block of steps is quantized and multiplied by `W_ih` first: two rows of the input
   share each weight that is read.
2. Each step multiplies the quantized hidden state by `W_hh`, rescales, applies the gates and
   updates the state, unit block by unit block, while everything is still in the cache. Every
   other step walks `W_hh` backwards, so that it begins with what the last step left in the cache.
   A small `W_hh` that many steps read, a row or a few of activations each, is widened to int16
   once per call: the sign extension then costs the steps nothing.
3. Whoever finishes the last unit block of a step quantizes the new hidden state.

The arithmetic is that of `arithmetic.py`, operation by operation, so that equal floats give equal
integers. int8 weights meet int16 activations in vectors that are sign-extended to int32,
multiplied, and added in pairs: plain LLVM that names no processor, exact on all of them, and
that LLVM turns into a single multiply-add instruction where there is one (`pmaddwd` on x86).

Several threads share the unit blocks of a phase (one product of step 1, or one step of 2) by
atomic claims. A thread that comes late, or never, holds nobody up: the others take its blocks.
"""

# The types of compiled functions stand in their decorators, where numba reads them.
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16  # elements of a row that are multiplied at once; shorter rows are padded to it
ROWS = 4  # rows of a weight matrix that share each load of the activations
COLUMNS = 4  # rows of activations that share each load of the weights
# Kinds of arithmetic: float32 weights; int8 weights turned into floats; int8 times int16; and,
# for tiles alone, the same with weights that have been widened to int16.
FLOAT, WEIGHT_ONLY, INTEGER, WIDENED = 0, 1, 2, 3
_BYTES = 4, 1, 1, 2  # of one weight


class Task(NamedTuple):
    """What the compiled layer needs: whole numbers, of which the `*_at` are addresses of buffers.

    All buffers are contiguous and aligned to their element; sizes are in elements. `depth` is a
    row length rounded up to LANES. `first` (int64, steps + 1) says where the rows of each step
    begin in `x` and `y`; a packed sequence has fewer of them from step to step.
    """

    # What differs from call to call.
    x_at: int  # float32 (rows, inputs)
    y_at: int  # float32 (rows, y_step), of which `outputs` columns are written
    h0_at: int  # initial state, float32 (batch, outputs) and (batch, hidden); or 0: all zeros
    c0_at: int
    h_at: int  # the state, at last the final one; shapes as above
    c_at: int
    w_ih_at: int  # (4 hidden, inputs), (4 hidden, outputs), (outputs, hidden) with their scales
    w_hh_at: int
    w_hr_at: int
    s_ih_at: int
    s_hh_at: int
    s_hr_at: int
    bias_ih_at: int  # float32 (4 hidden), or 0 if there is none
    bias_hh_at: int
    # What follows from the sizes.
    kind: int
    most: int  # the largest integer of a quantized activation
    steps: int
    batch: int
    inputs: int
    hidden: int
    outputs: int  # hidden, or proj_size
    projected: int
    reverse: int
    chunk: int  # steps whose input is multiplied by W_ih in one go
    blocks: int
    widened: int  # whether W_hh is copied to int16 first, for which there must be one block
    y_step: int  # elements from row to row of `y`: twice `outputs` in a bidirectional layer
    product_at: int  # the address of the compiled `product`
    first_at: int
    # Working buffers.
    padded_ih_at: int  # room for weights with rows padded to LANES, where they are shorter
    padded_hh_at: int  # the same, or the widened copy
    padded_hr_at: int
    q_x_at: int  # quantized (chunk · batch, depth of inputs) and scales (chunk · batch)
    s_x_at: int
    q_h_at: int  # (batch, depth of outputs) and (batch)
    s_h_at: int
    q_m_at: int  # (batch, depth of hidden) and (batch)
    s_m_at: int
    m_at: int  # float32 (batch, hidden): o · tanh(c) where it is projected afterwards
    pre_at: int  # float32 (chunk · batch, 4 hidden): W_ih x + b_ih
    z_at: int  # int32, then float32 (batch, 4 hidden): W_hh h + b_hh, then the gates
    sync_at: int  # int64 (SYNC + blocks): the published phase, the blocks done, the claims


SYNC = 16  # the two counters lie on cache lines of their own

_I8, _I16, _I32, _I64, _F32 = *map(ir.IntType, (8, 16, 32, 64)), ir.FloatType()


def _pointer(builder: ir.IRBuilder, address: Any, element: ir.Type) -> Any:
    return builder.inttoptr(address, element.as_pointer())


@intrinsic
def _at(typing_context: Any, address: Any) -> Any:
    """The address as a pointer, for numba.carray."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _pointer(builder, arguments[0], _I8)

    return types.voidptr(types.int64), build


@intrinsic
def _from_bits(typing_context: Any, bits: Any) -> Any:
    """The float32 that has these bits."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], _F32)

    return types.float32(types.int32), build


@intrinsic
def _bits(typing_context: Any, value: Any) -> Any:
    """The bits of a float32 as int32; without the sign bit they are in the order of the values."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], _I32)

    return types.int32(types.float32), build


@intrinsic
def _load(typing_context: Any, address: Any) -> Any:
    """Read an int64 that another thread has published, and all that it wrote before."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_pointer(builder, arguments[0], _I64), "acquire", 8)

    return types.int64(types.int64), build


@intrinsic
def _publish(typing_context: Any, address: Any, value: Any) -> Any:
    """Write an int64 for other threads, after all that was written before."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[1], _pointer(builder, arguments[0], _I64), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), build


def _exchange(operation: str) -> Any:
    """An intrinsic that changes an int64 in memory indivisibly, and returns the old one."""

    @intrinsic
    def exchange(typing_context: Any, address: Any, value: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = _pointer(builder, arguments[0], _I64)
            return builder.atomic_rmw(operation, pointer, arguments[1], "acq_rel")

        return types.int64(types.int64, types.int64), build

    return exchange


_raise_to, _add = _exchange("max"), _exchange("add")


class _Tile:
    """Emits the product of `rows` rows of weights with `columns` rows of activations."""

    def __init__(self, builder: ir.IRBuilder, kind: int, rows: int, columns: int) -> None:
        self.builder, self.kind, self.rows, self.columns = builder, kind, rows, columns
        self.integer = kind >= INTEGER
        self.weight = (_F32, _I8, _I8, _I16)[kind]
        self.activation, self.element = (_I16, _I32) if self.integer else (_F32, _F32)
        # As many lanes as keep all sums in 16 AVX registers.
        self.lanes = 16 if self.integer or columns == 1 else 8
        self.wide = ir.VectorType(self.element, self.lanes)
        self.sum_lanes = self.lanes // 2 if self.integer else self.lanes
        zero = ir.Constant(ir.VectorType(self.element, self.sum_lanes), None)
        self.sums = [cgutils.alloca_once_value(builder, zero) for _ in range(rows * columns)]

    def _vector(self, matrix: Any, row: int, index: Any, element: ir.Type, lanes: int) -> Any:
        """Load `lanes` elements of a row of (address, bytes from row to row)."""
        b, size = self.builder, 4 if element is _F32 else element.width // 8
        start = b.add(matrix[0], b.mul(matrix[1], _I64(row)))
        address = b.add(start, b.mul(index, _I64(size)))
        return b.load(_pointer(b, address, ir.VectorType(element, lanes)), align=1)

    def _weights(self, matrix: Any, row: int, index: Any) -> list[Any]:
        """LANES weights, widened."""
        b = self.builder
        parts = [b.add(index, _I64(part)) for part in range(0, LANES, self.lanes)]
        loaded = [self._vector(matrix, row, at, self.weight, self.lanes) for at in parts]
        if self.weight is _F32:
            return loaded
        return [(b.sext if self.integer else b.sitofp)(w, self.wide) for w in loaded]

    def _neighbours(self, x: Any, y: Any) -> Any:
        """`_pairs` of two int32 vectors within each 128 bits, which AVX does not cross for free."""
        b, lanes = self.builder, x.type.count
        starts = [start for part in range(0, lanes, 4) for start in (part, lanes + part)]
        even = [place for start in starts for place in (start, start + 2)]
        picked = even, [place + 1 for place in even]
        kind = ir.VectorType(_I32, lanes)
        return b.add(*[b.shuffle_vector(x, y, ir.Constant(kind, places)) for places in picked])

    def _halves(self, x: Any) -> Any:
        """The first half of an int32 vector plus the second."""
        b, half = self.builder, x.type.count // 2
        kind = ir.VectorType(_I32, half)
        parts = [[*range(half)], [*range(half, 2 * half)]]
        return b.add(*[b.shuffle_vector(x, x, ir.Constant(kind, part)) for part in parts])

    def _pairs(self, x: Any, y: Any) -> Any:
        """Add even to odd lanes of two vectors laid end to end (of one, if both are the same)."""
        b, lanes = self.builder, x.type.count * (1 if x is y else 2)
        add = b.add if self.integer else b.fadd
        halves = [
            b.shuffle_vector(x, y, ir.Constant(ir.VectorType(_I32, lanes // 2), [*picked]))
            for picked in (range(0, lanes, 2), range(1, lanes, 2))
        ]
        return add(*halves)

    def multiply(self, weights: Any, activations: Any, at_weights: Any, at: Any) -> None:
        """Multiply LANES elements: weights from `at_weights` on, activations from `at` on."""
        b = self.builder
        rows = [self._weights(weights, row, at_weights) for row in range(self.rows)]
        for column in range(self.columns):
            for part in range(LANES // self.lanes):
                place = b.add(at, _I64(part * self.lanes))
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
        kind = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0")
        start = b.add(b.add(weights[0], ahead), b.mul(index, _I64(size)))
        for row in range(self.rows):
            address = b.add(start, b.mul(weights[1], _I64(row)))
            b.call(function, [_pointer(b, address, _I8), _I32(0), _I32(2), _I32(1)])

    def store(self, out: Any, out_step: Any) -> None:
        """Add up the lanes; the sums of one row of activations lie side by side."""
        b = self.builder
        for column in range(self.columns):
            out_row = b.add(out, b.mul(out_step, _I64(column)))
            for row in range(0, self.rows, ROWS):
                begin, rows = column * self.rows + row, min(ROWS, self.rows)
                sums = self._lane_sums([*map(b.load, self.sums[begin : begin + rows])])
                address = b.add(out_row, _I64(4 * row))
                b.store(sums, _pointer(b, address, sums.type), align=4)

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


def _tile(kind: int, rows: int, columns: int) -> Any:
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
            lines = b.udiv(b.add(last, _I64(LANES)), _I64(line))
            if kind == WIDENED:  # no lines to fetch: the copy is in the cache
                lines = _I64(0)
            with cgutils.for_range(b, lines) as loop:
                start = b.mul(loop.index, _I64(line))
                tile.prefetch((w, w_step), ahead, start)
                for part in map(_I64, range(0, line, LANES)):
                    at = b.add(start, part)
                    tile.multiply((w, w_step), (x, x_step), at, at)
            rest = b.mul(lines, _I64(line))
            with cgutils.for_range_slice(b, rest, depth, _I64(LANES), inc=True) as (at, _):
                at_weights = b.select(b.icmp_signed("<", at, last), at, last)
                tile.multiply((w, w_step), (x, x_step), at_weights, at)
            tile.store(out, out_step)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 9), build

    return tile


_SHAPES = (2, COLUMNS), (ROWS, 1), (1, 1)
_f24, _f41, _f11 = (_tile(FLOAT, *shape) for shape in _SHAPES)
_w24, _w41, _w11 = (_tile(WEIGHT_ONLY, *shape) for shape in _SHAPES)
_i24, _i41, _i11 = (_tile(INTEGER, *shape) for shape in _SHAPES)
_v81, _v41 = _tile(WIDENED, 2 * ROWS, 1), _tile(WIDENED, ROWS, 1)


def _compiled(signature: Any, compile_with: Any = numba.njit, **more: bool) -> Any:
    """numba.njit with one signature, kept on disk where a folder can be written to.

    The floating-point rules stay IEEE's: nothing is reordered, so that every split of the work
    gives the same bits.
    """
    options = {"nogil": True, "error_model": "numpy", **more}

    def decorate(function: Any) -> Any:
        try:
            return compile_with(signature, cache=True, **options)(function)
        except RuntimeError:  # "no locator available": neither package nor home is writable
            return compile_with(signature, **options)(function)

    return decorate


# What only compiled code calls needs no way in from Python, which takes time to compile.
_inner = functools.partial(_compiled, no_cpython_wrapper=True, no_cfunc_wrapper=True)

_i64 = types.int64
_TASK = types.NamedUniTuple(_i64, len(Task._fields), Task)

# tanh(x) ≈ x · P(x²) / Q(x²), the rational approximation that Eigen and XLA use; beyond CLAMP it
# is 1 in float32. The error is at most 4e-7, a hundredth of a step of 16-bit quantization.
_CLAMP = np.float32(7.90531110763549805)
_P = tuple(map(np.float32, (
    -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
    1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
)))  # fmt: skip
_Q = tuple(map(np.float32, (
    1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03,
)))  # fmt: skip
_P0, _P1, _P2, _P3, _P4, _P5, _P6 = _P
_Q0, _Q1, _Q2, _Q3 = _Q
_HALF, _ONE, _ZERO, _NAN = map(np.float32, (0.5, 1, 0, np.nan))
_SMALLEST = np.finfo(np.float32).tiny
_INFINITY_BITS = np.int32(0x7F800000)
_WITHOUT_SIGN = np.int32(0x7FFFFFFF)


@_compiled(types.void(_i64, _i64))
def tanh(at, count):
    """Tanh in place; NaN stays NaN since it passes both comparisons."""
    values = numba.carray(_at(at), count, np.float32)
    for j in range(count):
        x = values[j]
        x = _CLAMP if x > _CLAMP else x
        x = -_CLAMP if x < -_CLAMP else x
        square = x * x
        p = ((((((_P0 * square + _P1) * square + _P2) * square + _P3) * square + _P4)
              * square + _P5) * square + _P6)  # fmt: skip
        q = ((_Q0 * square + _Q1) * square + _Q2) * square + _Q3
        values[j] = x * p / q


@_inner(types.float32(_i64, _i64, _i64, _i64, _i64))
def _quantize_row(kind, most, row_at, width, out_at):
    """Quantize one row into the layout that the tiles read; returns its scale (1 for floats)."""
    row = numba.carray(_at(row_at), width, np.float32)
    rest = width % LANES
    gap = LANES - rest if rest else 0  # zeros that stand before the last, overlapping vector
    body = width - rest
    if kind != INTEGER:
        plain = numba.carray(_at(out_at), width + gap, np.float32)
        for k in range(body):
            plain[k] = row[k]
        for k in range(body, body + gap):
            plain[k] = _ZERO
        for k in range(body, width):
            plain[k + gap] = row[k]
        return _ONE
    out = numba.carray(_at(out_at), width + gap, np.int16)
    peak_bits = np.int32(0)
    for k in range(width):
        peak_bits = max(peak_bits, _bits(row[k]) & _WITHOUT_SIGN)
    if peak_bits >= _INFINITY_BITS:  # NaN or infinity
        for k in range(width + gap):
            out[k] = 0
        return _NAN
    scale = max(_from_bits(peak_bits) / np.float32(most), _SMALLEST)
    inverse = _ONE / scale
    for k in range(body):
        out[k] = np.int16(np.rint(row[k] * inverse))
    for k in range(body, body + gap):
        out[k] = 0
    for k in range(body, width):
        out[k + gap] = np.int16(np.rint(row[k] * inverse))
    return scale


_PRODUCT = types.void(*[_i64] * 11)


@functools.partial(_compiled, compile_with=numba.cfunc)(_PRODUCT)
def product(kind, w_at, w_step, rows, x_at, x_step, columns, depth, last, out_at, out_step):
    """`rows` rows of weights times `columns` rows of activations; backwards if rows < 0."""
    backwards, rows = rows < 0, abs(rows)
    tiles = rows // ROWS
    together = columns // COLUMNS * COLUMNS
    ahead = -ROWS * w_step if backwards else ROWS * w_step
    for i in range(tiles):
        j = ROWS * (tiles - 1 - i if backwards else i)
        for column in range(0, together, COLUMNS):
            x, out = x_at + column * x_step, out_at + 4 * j + column * out_step
            for row in range(0, ROWS, 2):
                w, to = w_at + (j + row) * w_step, out + 4 * row
                if kind == INTEGER:
                    _i24(w, w_step, ahead, x, x_step, depth, last, to, out_step)
                elif kind == FLOAT:
                    _f24(w, w_step, ahead, x, x_step, depth, last, to, out_step)
                else:
                    _w24(w, w_step, ahead, x, x_step, depth, last, to, out_step)
        w = w_at + j * w_step
        for column in range(together, columns):
            x, to = x_at + column * x_step, out_at + 4 * j + column * out_step
            if kind == INTEGER:
                _i41(w, w_step, ahead, x, x_step, depth, last, to, out_step)
            elif kind == FLOAT:
                _f41(w, w_step, ahead, x, x_step, depth, last, to, out_step)
            else:
                _w41(w, w_step, ahead, x, x_step, depth, last, to, out_step)
    for j in range(ROWS * tiles, rows):
        w, out = w_at + j * w_step, out_at + 4 * j
        for column in range(columns):
            x, to = x_at + column * x_step, out + column * out_step
            if kind == INTEGER:
                _i11(w, w_step, ahead, x, x_step, depth, last, to, out_step)
            elif kind == FLOAT:
                _f11(w, w_step, ahead, x, x_step, depth, last, to, out_step)
            else:
                _w11(w, w_step, ahead, x, x_step, depth, last, to, out_step)


@intrinsic
def _call(typing_context: Any, function_at: Any, arguments: Any) -> Any:
    """Call `product` by its address, which spares compiling it again into each of its callers."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        parts = cgutils.unpack_tuple(builder, values[1])
        kind = ir.FunctionType(ir.VoidType(), [_I64] * len(parts))
        builder.call(_pointer(builder, values[0], kind), parts)
        return context.get_dummy_value()

    return types.void(types.int64, types.UniTuple(types.int64, 11)), build


@_inner(types.void(*[_i64] * 5))
def _pad(kind, w_at, rows, width, out_at):
    """Copy weights whose rows are shorter than LANES, with zeros before each row."""
    size = 4 if kind == FLOAT else 1
    row, padded = width * size, LANES * size
    source = numba.carray(_at(w_at), rows * row, np.int8)
    out = numba.carray(_at(out_at), rows * padded, np.int8)
    for j in range(rows):
        for k in range(padded - row):
            out[j * padded + k] = 0
        for k in range(row):
            out[(j + 1) * padded - row + k] = source[j * row + k]


@_inner(types.void(*[_i64] * 4))
def _widen(w_at, rows, width, out_at):
    """Copy int8 weights to int16; rows shorter than LANES get zeros before them."""
    gap = max(width, LANES) - width
    source = numba.carray(_at(w_at), rows * width, np.int8)
    out = numba.carray(_at(out_at), rows * (gap + width), np.int16)
    if gap == 0:
        for k in range(rows * width):
            out[k] = source[k]
        return
    for j in range(rows):
        for k in range(gap):
            out[j * LANES + k] = 0
        for k in range(width):
            out[j * LANES + gap + k] = source[j * width + k]


@_inner(types.void(_i64, _i64, _i64, _i64, _i64, types.float32))
def _rescale(kind, sums_at, count, scale_at, bias_at, x_scale):
    """Turn sums into float32 in place: sum · (s_x · s_w) + bias, rounded once."""
    scale = numba.carray(_at(scale_at), count, np.float32)
    bias = numba.carray(_at(bias_at), count, np.float32)
    floats = numba.carray(_at(sums_at), count, np.float32)
    if kind == INTEGER:
        integers = numba.carray(_at(sums_at), count, np.int32)
        if bias_at:
            for j in range(count):
                exact = np.float64(integers[j]) * np.float64(x_scale * scale[j])
                floats[j] = np.float32(exact + np.float64(bias[j]))
        else:
            for j in range(count):
                exact = np.float64(integers[j]) * np.float64(x_scale * scale[j])
                floats[j] = np.float32(exact)
        return
    if kind == WEIGHT_ONLY:
        for j in range(count):
            floats[j] *= scale[j]
    if bias_at:
        for j in range(count):
            floats[j] += bias[j]


@_inner(types.void(_i64, _i64, _i64))
def _copy(from_at, to_at, count):
    """Copy float32 values."""
    source = numba.carray(_at(from_at), count, np.float32)
    out = numba.carray(_at(to_at), count, np.float32)
    for j in range(count):
        out[j] = source[j]


@_inner(types.void(_i64, _i64))
def _clear(at, count):
    """Set float32 values to zero."""
    values = numba.carray(_at(at), count, np.float32)
    for j in range(count):
        values[j] = _ZERO


@_inner(_i64(_i64))
def _depth(width):
    return (width + LANES - 1) // LANES * LANES


@_inner(types.void(*[_i64] * 11))
def _block(
    product_at, kind, w_at, width, rows, first_row, x_at, columns, out_at, out_step, backwards
):
    """`product` of some rows of a matrix whose rows hold `width` elements, padded to LANES."""
    padded = max(width, LANES)
    w_step = padded * (4 if kind == FLOAT else 1)
    x_step = _depth(width) * (2 if kind == INTEGER else 4)
    _call(product_at, (
        kind, w_at + first_row * w_step, w_step, -rows if backwards else rows, x_at, x_step,
        columns, _depth(width), padded - LANES, out_at + 4 * first_row, out_step,
    ))  # fmt: skip


@_inner(types.void(*[_i64] * 8))
def _widened_product(w_at, rows, width, x_at, columns, out_at, out_step, backwards):
    """`_block` of a widened matrix; its rows are a multiple of ROWS."""
    padded, depth = max(width, LANES), _depth(width)
    w_step, x_step, last = 2 * padded, 2 * depth, padded - LANES
    tiles = rows // (2 * ROWS)
    for column in range(columns):
        x, out = x_at + column * x_step, out_at + column * out_step
        for i in range(tiles):
            j = 2 * ROWS * (tiles - 1 - i if backwards else i)
            _v81(w_at + j * w_step, w_step, 0, x, x_step, depth, last, out + 4 * j, 0)
        if rows % (2 * ROWS):
            j = rows - ROWS
            _v41(w_at + j * w_step, w_step, 0, x, x_step, depth, last, out + 4 * j, 0)


@_inner(types.void(*[_i64] * 7))
def _quantize_rows(kind, most, x_at, width, rows, q_at, s_at):
    scale = numba.carray(_at(s_at), rows, np.float32)
    q_step = _depth(width) * (2 if kind == INTEGER else 4)
    for r in range(rows):
        scale[r] = _quantize_row(kind, most, x_at + 4 * r * width, width, q_at + r * q_step)


@_inner(types.UniTuple(_i64, 2)(_TASK, _i64))
def _chunk_rows(t, begin):
    """First row and number of rows of the steps [begin, begin + chunk) in the order they run."""
    first = numba.carray(_at(t.first_at), t.steps + 1, np.int64)
    end = min(begin + t.chunk, t.steps)
    low, high = (t.steps - end, t.steps - begin) if t.reverse else (begin, end)
    return first[low], first[high] - first[low]


@_inner(types.void(_TASK, _i64))
def _quantize_chunk(t, begin):
    """Quantize the input of the steps from `begin` on that share one product with W_ih."""
    first, rows = _chunk_rows(t, begin)
    x_at = t.x_at + 4 * first * t.inputs
    _quantize_rows(t.kind, t.most, x_at, t.inputs, rows, t.q_x_at, t.s_x_at)


@_inner(types.UniTuple(_i64, 2)(_TASK, _i64, _i64))
def _gates_at_once(t, low, high):
    """The rows of a block: four gates of its units, or one run of rows where it is the layer."""
    if high - low == t.hidden:
        return 1, 4 * t.hidden
    return 4, high - low


@_inner(types.void(_TASK, _i64, _i64, _i64, _i64))
def _project(t, begin, low, high, backwards):
    """W_ih x + b_ih for the units [low, high) and all steps of a chunk."""
    _, rows = _chunk_rows(t, begin)
    width = 4 * t.hidden
    w_at = t.padded_ih_at if t.inputs < LANES else t.w_ih_at
    gates, units = _gates_at_once(t, low, high)
    for i in range(gates):
        row = (3 - i if backwards else i) * t.hidden + low if gates > 1 else 0
        _block(
            t.product_at, t.kind, w_at, t.inputs, units, row, t.q_x_at, rows,
            t.pre_at, 4 * width, backwards,
        )  # fmt: skip
    s_x = numba.carray(_at(t.s_x_at), rows, np.float32)
    for r in range(rows):
        for gate in range(gates):
            start = gate * t.hidden + low
            at, bias_at = t.pre_at + 4 * (r * width + start), t.bias_ih_at
            bias_at += 4 * start if bias_at else 0
            _rescale(t.kind, at, units, t.s_ih_at + 4 * start, bias_at, s_x[r])


@_inner(types.UniTuple(_i64, 3)(_TASK, _i64))
def _step_rows(t, step):
    """The first row of a step, its place within the chunk, and how many rows it has."""
    first = numba.carray(_at(t.first_at), t.steps + 1, np.int64)
    base, _ = _chunk_rows(t, step // t.chunk * t.chunk)
    s = t.steps - 1 - step if t.reverse else step
    return first[s], first[s] - base, first[s + 1] - first[s]


@_inner(types.void(*[_i64] * 6))
def _gates(step, units, z_at, pre_at, cell_at, hidden_at):
    """i, f, g, o from z + pre; cell = f · cell + i · g; hidden = o · tanh(cell).

    `step` is the distance of the gates in bytes.
    """
    for gate in range(4):
        z = numba.carray(_at(z_at + gate * step), units, np.float32)
        pre = numba.carray(_at(pre_at + gate * step), units, np.float32)
        factor = _ONE if gate == 2 else _HALF  # sigmoid(x) = tanh(x / 2) / 2 + 1/2
        for j in range(units):
            z[j] = (pre[j] + z[j]) * factor
    if step == 4 * units:
        tanh(z_at, 4 * units)
    else:
        for gate in range(4):
            tanh(z_at + gate * step, units)
    i = numba.carray(_at(z_at), units, np.float32)
    f = numba.carray(_at(z_at + step), units, np.float32)
    g = numba.carray(_at(z_at + 2 * step), units, np.float32)
    o = numba.carray(_at(z_at + 3 * step), units, np.float32)
    cell = numba.carray(_at(cell_at), units, np.float32)
    hidden = numba.carray(_at(hidden_at), units, np.float32)
    for j in range(units):
        cell[j] = (_HALF * f[j] + _HALF) * cell[j] + (_HALF * i[j] + _HALF) * g[j]
    for j in range(units):  # the gate i is not needed any more
        i[j] = cell[j]
    tanh(z_at, units)
    for j in range(units):
        hidden[j] = (_HALF * o[j] + _HALF) * i[j]


@_inner(types.void(_TASK, _i64, _i64, _i64, _i64))
def _advance(t, step, low, high, backwards):
    """One step of the units [low, high): recurrent product, gates, new cell and hidden state."""
    row, place, rows = _step_rows(t, step)
    width = 4 * t.hidden
    w_at = t.padded_hh_at if t.widened or t.outputs < LANES else t.w_hh_at
    gates, units = _gates_at_once(t, low, high)
    if t.widened:
        z_step = 4 * width
        _widened_product(w_at, width, t.outputs, t.q_h_at, rows, t.z_at, z_step, backwards)
    for i in range(0 if t.widened else gates):
        w_row = (3 - i if backwards else i) * t.hidden + low if gates > 1 else 0
        _block(
            t.product_at, t.kind, w_at, t.outputs, units, w_row, t.q_h_at, rows,
            t.z_at, 4 * width, backwards,
        )  # fmt: skip
    s_h = numba.carray(_at(t.s_h_at), rows, np.float32)
    for r in range(rows):
        for gate in range(gates):
            start = gate * t.hidden + low
            at, bias_at = t.z_at + 4 * (r * width + start), t.bias_hh_at
            bias_at += 4 * start if bias_at else 0
            _rescale(t.kind, at, units, t.s_hh_at + 4 * start, bias_at, s_h[r])
        state = 4 * (r * t.hidden + low)
        hidden_at = (t.m_at if t.projected else t.h_at) + state
        z_at, pre_at = t.z_at + 4 * (r * width + low), t.pre_at + 4 * ((place + r) * width + low)
        _gates(4 * t.hidden, high - low, z_at, pre_at, t.c_at + state, hidden_at)
        if not t.projected:
            _copy(hidden_at, t.y_at + 4 * ((row + r) * t.y_step + low), high - low)


@_inner(types.void(_TASK, _i64))
def _close(t, step):
    """After a step: project the hidden state where asked for, and quantize it for the next."""
    row, _, rows = _step_rows(t, step)
    if t.projected:
        _quantize_rows(t.kind, t.most, t.m_at, t.hidden, rows, t.q_m_at, t.s_m_at)
        w_at = t.padded_hr_at if t.hidden < LANES else t.w_hr_at
        _block(
            t.product_at, t.kind, w_at, t.hidden, t.outputs, 0, t.q_m_at, rows, t.h_at,
            4 * t.outputs, 0,
        )  # fmt: skip
        s_m = numba.carray(_at(t.s_m_at), rows, np.float32)
        for r in range(rows):
            h_at = t.h_at + 4 * r * t.outputs
            _rescale(t.kind, h_at, t.outputs, t.s_hr_at, 0, s_m[r])
            _copy(h_at, t.y_at + 4 * (row + r) * t.y_step, t.outputs)
    _quantize_rows(t.kind, t.most, t.h_at, t.outputs, rows, t.q_h_at, t.s_h_at)
    if (step + 1) % t.chunk == 0 and step + 1 < t.steps:
        _quantize_chunk(t, step + 1)


@intrinsic
def _task(typing_context: Any, address: Any) -> Any:
    """The Task whose numbers lie at this address, one int64 after the other."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        base = _pointer(builder, arguments[0], _I64)
        places = (builder.gep(base, [_I64(i)], source_etype=_I64) for i in range(len(Task._fields)))
        loaded = [builder.load(place, typ=_I64) for place in places]
        return context.make_tuple(builder, signature.return_type, loaded)

    return _TASK(types.int64), build


@_compiled(types.void(_i64))
def prepare(task_at):
    """What precedes the first phase: padded weights, the quantized first chunk and state."""
    t = _task(task_at)
    if t.h0_at:
        _copy(t.h0_at, t.h_at, t.batch * t.outputs)
        _copy(t.c0_at, t.c_at, t.batch * t.hidden)
    else:
        _clear(t.h_at, t.batch * t.outputs)
        _clear(t.c_at, t.batch * t.hidden)
    if t.inputs < LANES:
        _pad(t.kind, t.w_ih_at, 4 * t.hidden, t.inputs, t.padded_ih_at)
    if t.widened:
        _widen(t.w_hh_at, 4 * t.hidden, t.outputs, t.padded_hh_at)
    elif t.outputs < LANES:
        _pad(t.kind, t.w_hh_at, 4 * t.hidden, t.outputs, t.padded_hh_at)
    if t.projected and t.hidden < LANES:
        _pad(t.kind, t.w_hr_at, t.outputs, t.hidden, t.padded_hr_at)
    sync = numba.carray(_at(t.sync_at), SYNC + t.blocks, np.int64)
    for i in range(SYNC + t.blocks):
        sync[i] = 0
    _quantize_chunk(t, 0)
    _quantize_rows(t.kind, t.most, t.h_at, t.outputs, t.batch, t.q_h_at, t.s_h_at)


@_compiled(types.void(_i64, _i64, _i64))
def run(task_at, start, own):
    """Take part in a layer until it is done, preferring `own` unit blocks from `start` on.

    Phase p is the product with W_ih of a chunk of steps where p is a multiple of chunk + 1, and
    one step otherwise. The order of the preferred blocks alternates from phase to phase.
    """
    t = _task(task_at)
    chunks = (t.steps + t.chunk - 1) // t.chunk
    published_at, done_at, claims_at = t.sync_at, t.sync_at + 64, t.sync_at + 8 * SYNC
    tiles = (t.hidden + ROWS - 1) // ROWS
    while True:
        phase = _load(published_at)
        if phase >= t.steps + chunks:
            return
        chunk, within = phase // (t.chunk + 1), phase % (t.chunk + 1)
        step = chunk * t.chunk + within - 1
        backwards = phase % 2
        for i in range(t.blocks):
            block = (start + own - 1 - i if backwards else start + i) % t.blocks
            if _raise_to(claims_at + 8 * block, phase + 1) > phase:
                continue
            low = ROWS * (tiles * block // t.blocks)
            high = min(t.hidden, ROWS * (tiles * (block + 1) // t.blocks))
            if within == 0:
                _project(t, chunk * t.chunk, low, high, backwards)
            else:
                _advance(t, step, low, high, backwards)
            if _add(done_at, 1) + 1 == t.blocks * (phase + 1):
                if within > 0:
                    _close(t, step)
                _publish(published_at, phase + 1)
        while _load(published_at) == phase:
            pass


@_compiled(types.void(*[_i64] * 13))
def linear(
    product_at,
    most,
    x_at,
    rows,
    inputs,
    w_at,
    s_at,
    outputs,
    bias_at,
    y_at,
    padded_at,
    q_at,
    s_x_at,
):
    """Int8Linear: y = q_x q_wᵀ · (s_x · s_w) + bias, 64 rows of x at a time."""
    if inputs < LANES:
        _pad(INTEGER, w_at, outputs, inputs, padded_at)
        w_at = padded_at
    s_x = numba.carray(_at(s_x_at), 64, np.float32)
    for begin in range(0, rows, 64):
        count, out_at = min(64, rows - begin), y_at + 4 * begin * outputs
        _quantize_rows(INTEGER, most, x_at + 4 * begin * inputs, inputs, count, q_at, s_x_at)
        _block(product_at, INTEGER, w_at, inputs, outputs, 0, q_at, count, out_at, 4 * outputs, 0)
        for r in range(count):
            _rescale(INTEGER, out_at + 4 * r * outputs, outputs, s_at, bias_at, s_x[r])
