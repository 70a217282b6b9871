"""How four columns of sixteen rows of weights meet four activations, in few instructions.

    lane          0                  1                 ...  15
    activations   [a0 a1 a2 a3]      [a0 a1 a2 a3]          the same four everywhere
    weights       [w0 w1 w2 w3]      [w0 w1 w2 w3]          signed bytes; each lane is one row
    sums          += a0·w0 + ... + a3·w3                    int32, nothing is added across lanes

Unsigned bytes times signed ones take one instruction where there is one: `vpdpbusd` on x86 with
VNNI, `usdot` on ARM; `sdot`, which older ARM CPUs have, takes signed bytes on both sides: Σ a·w =
Σ (a - 128)·w - Σ (-128)·w. Without any of them, x86 has `pmaddubsw`: it adds two products in 16
bits and saturates, unless the weights are bounded in pairs (`Scheme(pairs=True)`); `pmaddwd` widens
and adds the sums of two.

Integers of 16 bits are two bytes where that is exact: q + 32768 = 256 · high + low, hence
Σ q·w = 256 · Σ high·w + Σ low·w - 32768 · Σ w, exact modulo 2^32 and so exact. Elsewhere the four
bytes of each row are widened to 16 bits, and `pmaddwd` leaves two sums a row, added in the end.

Which byte product there is, LLVM is asked: it is given a pattern to compile for a CPU, and what it
makes of it says what the CPU can do.
"""

from __future__ import annotations

import functools
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from .llvm import (
    F32,
    FLOATS,
    I8,
    I16,
    I32,
    I64,
    INTS,
    LANES,
    at_offset,
    call,
    end_to_end,
    lanes_of,
    load,
    spread,
)
from .loading import host

_MULTIPLY_ADD = """
define <16 x i32> @f(<16 x i32> %a, <32 x i16> %x, <32 x i16> %y) {{
  %u = sext <32 x i16> %x to <32 x i32>
  %v = sext <32 x i16> %y to <32 x i32>
  %m = mul <32 x i32> %u, %v
  %e = shufflevector <32 x i32> %m, <32 x i32> poison, <16 x i32> <{even}>
  %o = shufflevector <32 x i32> %m, <32 x i32> poison, <16 x i32> <{odd}>
  %s = add <16 x i32> %e, %o
  %r = add <16 x i32> %a, %s
  ret <16 x i32> %r
}}"""
_DOT = """
declare i32 @llvm.vector.reduce.add.v16i32(<16 x i32>)
define i32 @f(<16 x i8> %x, <16 x i8> %y) {{
  %u = {extend} <16 x i8> %x to <16 x i32>
  %v = sext <16 x i8> %y to <16 x i32>
  %m = mul <16 x i32> %u, %v
  %r = call i32 @llvm.vector.reduce.add.v16i32(<16 x i32> %m)
  ret i32 %r
}}"""


def _assembly(code: str, triple: str, cpu: str, features: str) -> str:
    target = llvm.Target.from_triple(triple)
    machine = target.create_target_machine(cpu=cpu, features=features, opt=2)
    text: str = machine.emit_assembly(llvm.parse_assembly(code))
    return text


def instruction(triple: str, cpu: str, features: str) -> str:
    """The byte product of a CPU: vpdpbusd512, vpdpbusd256, usdot, sdot, pmaddubsw; or ""."""
    target = triple, cpu, features
    if triple.startswith(("aarch64", "arm64")):
        if "usdot" in _assembly(_DOT.format(extend="zext"), *target):
            return "usdot"
        return "sdot" if "sdot" in _assembly(_DOT.format(extend="sext"), *target) else ""
    if not triple.startswith("x86_64"):
        return ""
    even, odd = (", ".join(f"i32 {lane}" for lane in range(part, 32, 2)) for part in (0, 1))
    found = _assembly(_MULTIPLY_ADD.format(even=even, odd=odd), *target)
    if "vpdpwssd" in found:  # the sister of vpdpbusd
        return "vpdpbusd512" if "zmm" in found else "vpdpbusd256"
    return "pmaddubsw" if "ymm" in found or "zmm" in found else ""


INSTRUCTION = instruction(*host())


def add_dot(b: ir.IRBuilder, name: str, sums: Any, x: Any, w: Any) -> Any:
    """`sums` plus four products of bytes in each lane; `x` and `w` hold them as 16 int32."""
    if name == "vpdpbusd512":
        return call(b, "llvm.x86.avx512.vpdpbusd.512", INTS, sums, x, w)

    def vnni256(s: Any, x: Any, w: Any) -> Any:
        return call(b, "llvm.x86.avx512.vpdpbusd.256", s.type, s, x, w)

    def maddubs(s: Any, x: Any, w: Any) -> Any:
        small, words = ir.VectorType(I8, 32), ir.VectorType(I16, 16)
        pairs = call(b, "llvm.x86.avx2.pmadd.ub.sw", words, *(b.bitcast(v, small) for v in (x, w)))
        ones = ir.Constant(words, [1] * 16)
        return b.add(s, call(b, "llvm.x86.avx2.pmadd.wd", s.type, pairs, ones))

    def neon(s: Any, x: Any, w: Any, kind: str) -> Any:
        small = ir.VectorType(I8, 16)
        x, w = b.bitcast(x, small), b.bitcast(w, small)
        return call(b, f"llvm.aarch64.neon.{kind}.v4i32.v16i8", s.type, s, x, w)

    def in_parts(count: int, make: Any, *vectors: Any) -> Any:
        size = LANES // count
        parts = [range(part * size, (part + 1) * size) for part in range(count)]
        return end_to_end(b, [make(*(lanes_of(b, v, part) for v in vectors)) for part in parts])

    if name == "vpdpbusd256":
        return in_parts(2, vnni256, sums, x, w)
    if name == "pmaddubsw":
        return in_parts(2, maddubs, sums, x, w)
    if name == "usdot":
        return in_parts(4, functools.partial(neon, kind="usdot"), sums, x, w)
    high = ir.Constant(INTS, [-0x7F7F7F80] * LANES)  # 0x80 in every byte: -128, or a flip by it
    signed, product = b.xor(x, high), functools.partial(neon, kind="sdot")
    away = in_parts(4, product, ir.Constant(INTS, None), high, w)
    return b.sub(in_parts(4, product, sums, signed, w), away)


class Bytes:
    """Unsigned bytes, one plane of them or two, by the byte product of this name.

    Attributes:
        planes: How many times a row of activations meets the weights.
        x_bytes: The length of four activations in each plane.
        w_bytes: The length of sixteen rows of weights, four columns of each.
        parts: Of a vector of rows, which are multiplied apart.
        unrolled: Steps of four columns in one turn of the loop; depths have a multiple of 4.
    """

    planes, x_bytes, w_bytes, parts, unrolled = 1, 4, 64, 1, 4

    def __init__(self, name: str, planes: int = 1) -> None:
        self.name, self.planes = name, planes

    def together(self, vectors: int) -> tuple[int, list[list[int]]]:
        """How many rows of activations share registers with which parts of vectors."""
        if self.name == "vpdpbusd512":
            return 4 // self.planes, [[*range(vectors)]]
        return 1, []

    def alone(self, vectors: int) -> list[list[int]]:
        """Which parts of vectors share registers with a single row."""
        parts = [*range(vectors)]
        spare = self.planes == 1 or self.name == "vpdpbusd512"
        return [parts] if spare else [parts[:2], parts[2:]]

    def zeros(self) -> list[Any]:
        """Sums of a vector of rows, before the first product."""
        return [ir.Constant(INTS, None)]

    def spread(self, b: ir.IRBuilder, at: Any) -> Any:
        """Four activations from an address, for all lanes."""
        return spread(b, load(b, at, I32))

    def weights(self, b: ir.IRBuilder, at: Any) -> Any:
        """Sixteen rows of weights, four columns of each."""
        return load(b, at, INTS)

    def add(self, b: ir.IRBuilder, sums: list[Any], x: Any, w: Any) -> list[Any]:
        """The sums with these products."""
        return [add_dot(b, self.name, sums[0], x, w)]

    def total(self, b: ir.IRBuilder, planes: list[list[Any]]) -> Any:
        """One int32 a row from the sums of all planes."""
        (total,), *rest = planes
        for (low,) in rest:
            total = b.add(b.shl(total, ir.Constant(INTS, [8] * LANES)), low)
        return total


class Words(Bytes):
    """Activations of 16 bits as they are; weights are widened as they are read."""

    x_bytes, parts = 8, 2

    def __init__(self) -> None:
        super().__init__("")

    def together(self, vectors: int) -> tuple[int, list[list[int]]]:
        """Four rows share the widening of eight rows of weights."""
        return 4, [[part] for part in range(2 * vectors)]

    def alone(self, vectors: int) -> list[list[int]]:
        """All vectors, first one half of each."""
        parts = [*range(2 * vectors)]
        return [parts] if vectors == 3 else [parts[::2], parts[1::2]]

    def zeros(self) -> list[Any]:
        """Two lanes a row."""
        return [ir.Constant(ir.VectorType(I32, 8), None)] * 2

    def spread(self, b: ir.IRBuilder, at: Any) -> Any:
        """Four activations for four rows."""
        return b.bitcast(spread(b, load(b, at, I64), 4), ir.VectorType(I16, 16))

    def weights(self, b: ir.IRBuilder, at: Any) -> Any:
        """Four rows at a time."""
        quarter, words = ir.VectorType(I8, 16), ir.VectorType(I16, 16)
        return [b.sext(load(b, at_offset(b, at, 16 * i), quarter), words) for i in range(2)]

    def add(self, b: ir.IRBuilder, sums: list[Any], x: Any, w: Any) -> list[Any]:
        """By what LLVM makes a multiply-add of pairs, on x86."""
        wide, found = ir.VectorType(I32, 16), []
        for one, part in zip(sums, w, strict=True):
            product = b.mul(b.sext(part, wide), b.sext(x, wide))
            even, odd = (lanes_of(b, product, range(start, 16, 2)) for start in (0, 1))
            found.append(b.add(one, b.add(even, odd)))
        return found

    def total(self, b: ir.IRBuilder, planes: list[list[Any]]) -> Any:
        """Add the two lanes of each row."""
        ((one, other),) = planes
        return b.add(*(lanes_of(b, one, range(odd, 16, 2), other) for odd in (0, 1)))


class Floats(Bytes):
    """Activations and products in float32; weights are float32, column by column, or bytes."""

    x_bytes, unrolled = 16, 1

    def __init__(self, w_bytes: int) -> None:
        super().__init__("")
        self.w_bytes = w_bytes

    def together(self, vectors: int) -> tuple[int, list[list[int]]]:
        """Two rows share the weights."""
        return 2, [[part] for part in range(vectors)]

    def alone(self, vectors: int) -> list[list[int]]:
        """All vectors."""
        return [[*range(vectors)]]

    def zeros(self) -> list[Any]:
        """A float a row."""
        return [ir.Constant(FLOATS, None)]

    def spread(self, b: ir.IRBuilder, at: Any) -> Any:
        """Each activation in a vector of its own."""
        return [spread(b, load(b, at_offset(b, at, 4 * k), F32)) for k in range(4)]

    def weights(self, b: ir.IRBuilder, at: Any) -> Any:
        """A vector for each column."""
        if self.w_bytes == 256:
            return [load(b, at_offset(b, at, 64 * k)) for k in range(4)]
        found, last = load(b, at, INTS), ir.Constant(INTS, [24] * LANES)
        moved = [b.shl(found, ir.Constant(INTS, [8 * (3 - k)] * LANES)) for k in range(4)]
        return [b.sitofp(b.ashr(one, last), FLOATS) for one in moved]

    def add(self, b: ir.IRBuilder, sums: list[Any], x: Any, w: Any) -> list[Any]:
        """Column after column, each product rounded once with its sum."""
        for one, other in zip(x, w, strict=True):
            sums = [call(b, "llvm.fma.v16f32", FLOATS, one, other, sums[0])]
        return sums

    def total(self, b: ir.IRBuilder, planes: list[list[Any]]) -> Any:
        """The bits, where others have integers."""
        return b.bitcast(planes[0][0], INTS)
