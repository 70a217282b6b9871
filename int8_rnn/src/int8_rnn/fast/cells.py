"""From the sums of a tile to the gates of its sixteen units, while they are in the first cache.

A sum becomes a float32, each operation rounded by itself, as `reference.py` has it:

    y = float(sum - offset · row sum) · (scale of the activations · scale of the row) + bias

The `terms` of the rows are [scales][biases][row sums], each 64 bytes a vector; from gate to gate
it is `stride` bytes. Sums that are floats already (`dots.Floats`) are marked by an offset of their
own. What follows are the gates, in the order of operations of the reference.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from .dots import INSTRUCTION
from .llvm import F32, FLOATS, I32, I64, INTS, LANES, at_offset, call, load, routine, spread, store

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


class _Sums:
    """The sums of one row of activations with a tile, as floats once they are asked for."""

    def __init__(
        self, b: ir.IRBuilder, at: Any, mark: Any, terms: Any, stride: Any, part: Any
    ) -> None:
        self.b, self.at, self.terms, self.stride, self.part = b, at, terms, stride, part
        self.scale = Lanes(b, spread(b, load(b, mark, F32)))
        self.offset = spread(b, load(b, at_offset(b, mark, 4), I32))
        marked = ir.Constant(INTS, [FLOAT_SUMS] * LANES)
        self.are_floats = b.icmp_signed("==", self.offset, marked)

    def __getitem__(self, vector: int) -> Lanes:
        b, sums = self.b, load(self.b, at_offset(self.b, self.at, 64 * vector), INTS)
        at = b.add(self.terms, b.mul(self.stride, I64(vector)))
        scales, biases, row_sums = (b.add(at, b.mul(self.part, I64(part))) for part in range(3))
        exact = b.sub(sums, b.mul(self.offset, load(b, row_sums, INTS)))
        floats = b.select(self.are_floats, b.bitcast(sums, FLOATS), b.sitofp(exact, FLOATS))
        rescaled = Lanes(b, floats) * (self.scale * Lanes(b, load(b, scales)))
        return rescaled + Lanes(b, load(b, biases))


def _rescale(vectors: int) -> Any:
    @routine(7, name=f"rescale{vectors}", emitted=True)
    def rescale(b: Any, rows: Any, sums: Any, step: Any, marks: Any, *terms: Any) -> None:
        """The sums of rows of activations, `step` bytes apart, become floats in place."""
        with cgutils.for_range(b, rows) as loop:
            at = b.add(sums, b.mul(loop.index, step))
            found = _Sums(b, at, b.add(marks, b.mul(loop.index, I64(8))), *terms)
            for vector in range(vectors):
                store(b, found[vector].value, at_offset(b, at, 64 * vector))

    return rescale


rescale3, rescale4 = _rescale(3), _rescale(4)


def _cells(name: str, gates: int, cell: Any) -> Any:
    @routine(10, name=name, emitted=True)
    def cells(
        b: Any, rows: Any, sums: Any, marks: Any, terms: Any, stride: Any, part: Any, pre: Any,
        cells: Any, units: Any, step: Any,
    ) -> None:  # fmt: skip
        """Sixteen units for rows of sums: `pre` is W_ih x + b_ih, states lie `step` bytes apart."""
        with cgutils.for_range(b, rows) as loop:
            row, place = b.mul(loop.index, I64(64 * gates)), b.mul(loop.index, step)
            mark = b.add(marks, b.mul(loop.index, I64(8)))
            recurrent = _Sums(b, b.add(sums, row), mark, terms, stride, part)
            at = b.add(pre, row)
            before = [Lanes(b, load(b, at_offset(b, at, 64 * gate))) for gate in range(gates)]
            cell(b, before, recurrent, b.add(cells, place), b.add(units, place))

    return cells


def _lstm(b: ir.IRBuilder, before: list[Lanes], recurrent: _Sums, cell: Any, unit: Any) -> None:
    i, f, g, o = (before[gate] + recurrent[gate] for gate in range(4))
    i, f, o = map(sigmoid, (i, f, o))
    c = f * Lanes(b, load(b, cell)) + i * tanh(g)
    store(b, c.value, cell)
    store(b, (o * tanh(c)).value, unit)


def _gru(b: ir.IRBuilder, before: list[Lanes], recurrent: _Sums, cell: Any, unit: Any) -> None:
    r, z = (sigmoid(before[gate] + recurrent[gate]) for gate in range(2))
    n = tanh(before[2] + r * recurrent[2])
    store(b, (n + z * (Lanes(b, load(b, unit)) - n)).value, unit)


lstm_cells, gru_cells = _cells("lstm_cells", 4, _lstm), _cells("gru_cells", 3, _gru)
