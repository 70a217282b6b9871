"""From the sums of a tile to the gates of its sixteen units, while they are in the first cache.

A sum becomes a float32, each operation rounded by itself, as `reference.py` has it:

    y = float(sum - offset · row sum) · (scale of the activations · scale of the row) + bias

The terms of the rows are [scales][biases][row sums], as `tiles.pack_terms` has them. Sums that are
floats already (`dots.Floats`) are marked by an offset of their own. The gates follow, in the
order of operations of the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from .dots import INSTRUCTION
from .llvm import (
    F32,
    FLOATS,
    I32,
    I64,
    INTS,
    LANES,
    Fields,
    at_offset,
    call,
    load,
    routine,
    spread,
    store,
)  # fmt: skip
from .records import WEIGHT

FLOAT_SUMS = -(2**31)  # the offset of sums that are floats
# tanh(x) ≈ x · P(x²) / Q(x²), the rational approximation that Eigen and XLA use; beyond CLAMP it
# is 1 in float32. The error is at most 4e-7, a hundredth of a step of 16-bit quantization.
CLAMP = 7.90531110763549805
P = (
    -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
    1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
)  # fmt: skip
Q = 1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03


def _fma(b: ir.IRBuilder, one: Any, other: Any, summand: Any) -> Any:
    """Sixteen products and sums, each rounded once."""
    return call(b, "llvm.fma.v16f32", FLOATS, one, other, summand)


class Lanes:
    """Sixteen floats in code that is being compiled; the other operand may be a number."""

    def __init__(self, b: ir.IRBuilder, value: Any) -> None:
        self.b, self.value = b, value
        if isinstance(value, float):
            self.value = ir.Constant(FLOATS, [ir.Constant(F32, value)] * LANES)

    def _with(self, operation: str, other: Any) -> Lanes:
        other = other if isinstance(other, Lanes) else Lanes(self.b, other)
        return Lanes(self.b, getattr(self.b, operation)(self.value, other.value))

    def __add__(self, other: Any) -> Lanes:
        return self._with("fadd", other)

    def __sub__(self, other: Any) -> Lanes:
        return self._with("fsub", other)

    def __mul__(self, other: Any) -> Lanes:
        return self._with("fmul", other)

    def __truediv__(self, other: Lanes) -> Lanes:
        """Rounded as a division is, in a quarter of its time where there is a good first guess.

        A step of Newton's brings the inverse to 28 bits; what the quotient then lacks is computed
        without error and made up for (P. Markstein, "IA-64 and Elementary Functions", 2000).
        """
        b, below = self.b, other.value
        if INSTRUCTION != "vpdpbusd512":
            return self._with("fdiv", other)
        zero, every = ir.Constant(FLOATS, None), ir.IntType(16)(-1)
        guess = call(b, "llvm.x86.avx512.rcp14.ps.512", FLOATS, below, zero, every)
        minus, one = b.fneg(below), Lanes(b, 1.0).value
        inverse = _fma(b, guess, _fma(b, minus, guess, one), guess)
        quotient = b.fmul(self.value, inverse)
        return Lanes(b, _fma(b, _fma(b, minus, quotient, self.value), inverse, quotient))

    def within(self, sign: str, limit: float) -> Lanes:
        """The limit where it is passed; NaN does not pass it."""
        edge = Lanes(self.b, limit).value
        outside = self.b.fcmp_ordered(sign, self.value, edge)
        return Lanes(self.b, self.b.select(outside, edge, self.value))

    def polynomial(self, coefficients: tuple[float, ...]) -> Lanes:
        """By Horner's rule, each step rounded once."""
        total, *rest = (Lanes(self.b, number).value for number in coefficients)
        for number in rest:
            total = _fma(self.b, total, self.value, number)
        return Lanes(self.b, total)


def tanh(x: Lanes) -> Lanes:
    """The rational approximation."""
    x = x.within(">", CLAMP).within("<", -CLAMP)
    square = x * x
    return x * square.polynomial(P) / square.polynomial(Q)


def sigmoid(x: Lanes) -> Lanes:
    """1 / (1 + exp(-x)), by tanh."""
    return tanh(x * 0.5) * 0.5 + 0.5


class _Terms:
    """Emits what makes floats of the sums of rows of activations with one tile of a weight."""

    def __init__(self, b: ir.IRBuilder, w: Fields, tile: Any) -> None:
        self.b, gates = b, b.icmp_signed("!=", w.units, I64(0))
        lines = b.mul(w.tiles, I64(64))
        self.part, self.stride = b.mul(lines, w.vectors), b.select(gates, lines, I64(64))
        self.at = b.add(w.terms_at, b.mul(tile, b.select(gates, I64(64), I64(256))))

    def rescaled(self, sums_at: Any, mark: Any, vectors: int) -> list[Lanes]:
        """The sums of one row; `mark` is where its scale and offset are."""
        b, found = self.b, []
        scale = Lanes(b, spread(b, load(b, mark, F32)))
        offset = spread(b, load(b, at_offset(b, mark, 4), I32))
        are_floats = b.icmp_signed("==", offset, ir.Constant(INTS, [FLOAT_SUMS] * LANES))
        for vector in range(vectors):
            sums = load(b, at_offset(b, sums_at, 64 * vector), INTS)
            at = b.add(self.at, b.mul(self.stride, I64(vector)))
            scales, biases, row_sums = (b.add(at, b.mul(self.part, I64(i))) for i in range(3))
            exact = b.sub(sums, b.mul(offset, load(b, row_sums, INTS)))
            floats = b.select(are_floats, b.bitcast(sums, FLOATS), b.sitofp(exact, FLOATS))
            one = Lanes(b, floats) * (scale * Lanes(b, load(b, scales)))
            found.append(one + Lanes(b, load(b, biases)))
        return found


def _of_four_or_three(b: ir.IRBuilder, w: Fields, emit_for: Callable[[int], None]) -> None:
    """Code for four vectors, and for three."""
    with b.if_else(b.icmp_signed("==", w.vectors, I64(4))) as (four, three):
        with four:
            emit_for(4)
        with three:
            emit_for(3)


@routine(6, emitted=True)
def rescale(b: Any, w_at: Any, tile: Any, q_at: Any, rows: Any, out_at: Any, out_step: Any) -> None:
    """The sums of rows of activations become floats in place."""
    w = Fields(b, w_at, WEIGHT)
    q_step, terms = w.q_bytes, _Terms(b, w, tile)

    def emit_for(vectors: int) -> None:
        with cgutils.for_range(b, rows) as loop:
            at = b.add(out_at, b.mul(loop.index, out_step))
            found = terms.rescaled(at, b.add(q_at, b.mul(loop.index, q_step)), vectors)
            for vector, one in enumerate(found):
                store(b, one.value, at_offset(b, at, 64 * vector))

    _of_four_or_three(b, w, emit_for)


@routine(9, emitted=True)
def cells(
    b: Any, w_at: Any, tile: Any, q_at: Any, rows: Any, sums_at: Any, pre_at: Any, pre_step: Any,
    cell_at: Any, unit_at: Any,
) -> None:  # fmt: skip
    """Sixteen units for rows of sums with W_hh; in `pre_at` is W_ih x + b_ih.

    The states have 64 bytes for each tile. Four gates are those of an LSTM, three those of a GRU.
    """
    w = Fields(b, w_at, WEIGHT)
    q_step, terms, step, place = (
        w.q_bytes,
        _Terms(b, w, tile),
        b.mul(w.tiles, I64(64)),
        b.mul(tile, I64(64)),
    )

    def emit_for(gates: int) -> None:
        with cgutils.for_range(b, rows) as loop:
            sums, mark = (
                b.add(at, b.mul(loop.index, size))
                for at, size in ((sums_at, I64(64 * gates)), (q_at, q_step))
            )
            at = b.add(b.add(pre_at, b.mul(loop.index, pre_step)), b.mul(place, I64(gates)))
            before = [Lanes(b, load(b, at_offset(b, at, 64 * gate))) for gate in range(gates)]
            here = b.add(place, b.mul(loop.index, step))
            both = before, terms.rescaled(sums, mark, gates)
            (_lstm if gates == 4 else _gru)(b, *both, b.add(cell_at, here), b.add(unit_at, here))

    _of_four_or_three(b, w, emit_for)


def _lstm(
    b: ir.IRBuilder, before: list[Lanes], recurrent: list[Lanes], cell: Any, unit: Any
) -> None:
    i, f, g, o = (one + other for one, other in zip(before, recurrent, strict=True))
    i, f, o = map(sigmoid, (i, f, o))
    c = f * Lanes(b, load(b, cell)) + i * tanh(g)
    store(b, c.value, cell)
    store(b, (o * tanh(c)).value, unit)


def _gru(
    b: ir.IRBuilder, before: list[Lanes], recurrent: list[Lanes], cell: Any, unit: Any
) -> None:
    r, z = (sigmoid(before[gate] + recurrent[gate]) for gate in range(2))
    n = tanh(before[2] + r * recurrent[2])
    store(b, (n + z * (Lanes(b, load(b, unit)) - n)).value, unit)
