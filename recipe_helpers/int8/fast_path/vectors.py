"""Sixteen float32 lanes at a time, written as one writes a formula.

A `Floats` stands for a vector in the code that is being compiled: `x * x + y` adds two LLVM
instructions to it. Each operation is rounded by itself, as float32 in PyTorch is; LLVM splits
the vector where the CPU has shorter ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from .intrinsics import F32, I32, I64, pointer

WIDTH = 16

_FLOATS, _INTS = ir.VectorType(F32, WIDTH), ir.VectorType(I32, WIDTH)


class Floats:
    """Sixteen floats; the other operand may be a number."""

    def __init__(self, builder: ir.IRBuilder, value: Any) -> None:
        self.builder, self.value = builder, value

    @classmethod
    def all(cls, builder: ir.IRBuilder, number: float) -> Floats:
        """The same number in all lanes."""
        constant = ir.Constant(F32, float(np.float32(number)))
        return cls(builder, ir.Constant(_FLOATS, [constant] * WIDTH))

    def _other(self, other: Any) -> Any:
        return other.value if isinstance(other, Floats) else self.all(self.builder, other).value

    def __add__(self, other: Any) -> Floats:
        return Floats(self.builder, self.builder.fadd(self.value, self._other(other)))

    def __sub__(self, other: Any) -> Floats:
        return Floats(self.builder, self.builder.fsub(self.value, self._other(other)))

    def __mul__(self, other: Any) -> Floats:
        return Floats(self.builder, self.builder.fmul(self.value, self._other(other)))

    def __truediv__(self, other: Any) -> Floats:
        return Floats(self.builder, self.builder.fdiv(self.value, self._other(other)))

    def times_plus(self, factor: Floats, summand: Any) -> Floats:
        """This times `factor` plus `summand`, rounded once: a fused multiply-add."""
        parts = [self.value, factor.value, self._other(summand)]
        kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
        fma = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.fma.v16f32")
        return Floats(self.builder, self.builder.call(fma, parts))

    def within(self, limit: float) -> Floats:
        """Clamp to [-limit, limit]; NaN passes, since it is neither above nor below."""
        value = self.value
        for sign, beyond in ((">", limit), ("<", -limit)):
            edge = self._other(beyond)
            outside = self.builder.fcmp_ordered(sign, value, edge)
            value = self.builder.select(outside, edge, value)
        return Floats(self.builder, value)

    def store(self, at: Any) -> None:
        """Write them to an address."""
        self.builder.store(self.value, pointer(self.builder, at, _FLOATS), align=4)


def load_floats(builder: ir.IRBuilder, at: Any) -> Floats:
    """Sixteen floats from an address."""
    return Floats(builder, builder.load(pointer(builder, at, _FLOATS), align=4))


def load_integers(builder: ir.IRBuilder, at: Any) -> Any:
    """Sixteen int32 from an address."""
    return builder.load(pointer(builder, at, _INTS), align=4)


def spread(builder: ir.IRBuilder, value: Any) -> Any:
    """One number in all lanes."""
    kind = ir.VectorType(value.type, WIDTH)
    alone = builder.insert_element(ir.Constant(kind, ir.Undefined), value, I32(0))
    return builder.shuffle_vector(alone, alone, ir.Constant(_INTS, [0] * WIDTH))


def as_floats(builder: ir.IRBuilder, integers: Any) -> Floats:
    """Sixteen int32 as floats, rounded to nearest."""
    return Floats(builder, builder.sitofp(integers, _FLOATS))


def beyond(builder: ir.IRBuilder, at: Any, index: int) -> Any:
    """The address of the vector with this index from `at` on."""
    return builder.add(at, I64(4 * WIDTH * index))
