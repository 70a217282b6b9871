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
    lanes_of,
    load,
    spread,
)  # fmt: skip
from .loading import host

_DOT = """
declare i32 @llvm.vector.reduce.add.v{count}i32(<{count} x i32>)
define i32 @f(<{count} x i8> %x, <{count} x i8> %y) {{
  %u = {extend} <{count} x i8> %x to <{count} x i32>
  %v = sext <{count} x i8> %y to <{count} x i32>
  %m = mul <{count} x i32> %u, %v
  %r = call i32 @llvm.vector.reduce.add.v{count}i32(<{count} x i32> %m)
  ret i32 %r
}}"""


def instruction(triple: str, cpu: str, features: str) -> str:
    """The byte product of a CPU: vpdpbusd512, vpdpbusd256, usdot, sdot, pmaddubsw; or ""."""
    target = llvm.Target.from_triple(triple)
    machine = target.create_target_machine(cpu=cpu, features=features, opt=2)
    patterns = _DOT.format(count=64, extend="zext"), _DOT.format(count=16, extend="sext")
    mixed, signed = (machine.emit_assembly(llvm.parse_assembly(one)) for one in patterns)
    if "vpdpbusd" in mixed:
        return "vpdpbusd512" if "zmm" in mixed else "vpdpbusd256"
    if "usdot" in mixed:
        return "usdot"
    # Registers of AVX2 hold sixteen words; those of AVX hold floats alone.
    return "sdot" if "sdot" in signed else "pmaddubsw" if "ymm" in signed else ""


_HOST = host()
INSTRUCTION = instruction(*_HOST)
TILES = INSTRUCTION == "vpdpbusd512" and "+amx-int8" in _HOST[2].split(",")  # `amx.py`


def _in_parts(b: ir.IRBuilder, size: int, make: Any, *vectors: Any) -> Any:
    """What is made of so many lanes at a time, end to end."""
    parts = [range(first, first + size) for first in range(0, LANES, size)]
    made = [make(*(lanes_of(b, one, part) for one in vectors)) for part in parts]
    while len(made) > 1:
        lanes, pairs = range(2 * made[0].type.count), zip(made[::2], made[1::2], strict=True)
        made = [lanes_of(b, one, lanes, other) for one, other in pairs]
    return made[0]


def add_dot(b: ir.IRBuilder, name: str, sums: Any, x: Any, w: Any) -> Any:
    """`sums` plus four products of bytes in each lane; `x` and `w` hold them as 16 int32."""

    def vnni(s: Any, x: Any, w: Any) -> Any:
        return call(b, f"llvm.x86.avx512.vpdpbusd.{32 * s.type.count}", s.type, s, x, w)

    def maddubs(s: Any, x: Any, w: Any) -> Any:
        small, words = ir.VectorType(I8, 32), ir.VectorType(I16, 16)
        pairs = call(b, "llvm.x86.avx2.pmadd.ub.sw", words, *(b.bitcast(v, small) for v in (x, w)))
        ones = ir.Constant(words, [1] * 16)
        return b.add(s, call(b, "llvm.x86.avx2.pmadd.wd", s.type, pairs, ones))

    def neon(s: Any, x: Any, w: Any, kind: str = "usdot") -> Any:
        small = ir.VectorType(I8, 16)
        x, w = b.bitcast(x, small), b.bitcast(w, small)
        return call(b, f"llvm.aarch64.neon.{kind}.v4i32.v16i8", s.type, s, x, w)

    ways = {"vpdpbusd512": (16, vnni), "vpdpbusd256": (8, vnni), "pmaddubsw": (8, maddubs)}
    if name != "sdot":
        return _in_parts(b, *ways.get(name, (4, neon)), sums, x, w)
    high = ir.Constant(INTS, [-0x7F7F7F80] * LANES)  # 0x80 in every byte: -128, or a flip by it
    product = functools.partial(neon, kind="sdot")
    away = _in_parts(b, 4, product, ir.Constant(INTS, None), high, w)
    return b.sub(_in_parts(b, 4, product, sums, b.xor(x, high), w), away)


class Bytes:
    """Unsigned bytes, one plane of them or two, by the byte product of this name.

    Attributes:
        planes: How many times a row of activations meets the weights.
        rows: Of activations that share the weights in registers.
        parts: Of a vector of rows, which are multiplied apart.
        unrolled: Steps of four columns in one turn of the loop; depths have a multiple of 4.
        x_bytes: The length of four activations in each plane.
        w_bytes: The length of sixteen rows of weights, four columns of each.
    """

    planes, rows, parts, unrolled, x_bytes, w_bytes = 1, 1, 1, 4, 4, 64

    def __init__(self, name: str, planes: int = 1) -> None:
        self.name, self.planes = name, planes
        if name == "vpdpbusd512":
            self.rows = 4 // planes

    def groups(self, vectors: int, rows: int) -> list[list[int]]:
        """Which parts of vectors are summed in registers at the same time."""
        parts = [*range(vectors)]
        spare = self.planes == 1 or self.name == "vpdpbusd512"
        return [parts] if spare else [parts[:2], parts[2:]]

    def zeros(self) -> list[Any]:
        """Sums of a part, before the first product."""
        return [ir.Constant(INTS, None)]

    def spread(self, b: ir.IRBuilder, at: Any) -> Any:
        """Four activations from an address, for all lanes."""
        return spread(b, load(b, at, I32))

    def weights(self, b: ir.IRBuilder, at: Any) -> Any:
        """The rows of a part, four columns of each."""
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

    rows, parts, x_bytes = 4, 2, 8

    def __init__(self) -> None:
        super().__init__("")

    def groups(self, vectors: int, rows: int) -> list[list[int]]:
        """Eight rows at a time for several rows of activations; for a single one as many as fit."""
        parts = [*range(2 * vectors)]
        return [[part] for part in parts] if rows > 1 else [parts[::2], parts[1::2]]

    def zeros(self) -> list[Any]:
        """Two lanes a row."""
        return [ir.Constant(ir.VectorType(I32, 8), None)] * 2

    def spread(self, b: ir.IRBuilder, at: Any) -> Any:
        """Four activations for four rows."""
        return b.bitcast(spread(b, load(b, at, I64), 4), ir.VectorType(I16, 16))

    def weights(self, b: ir.IRBuilder, at: Any) -> Any:
        """Four rows and four rows."""
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

    rows, unrolled, x_bytes = 2, 1, 16

    def __init__(self, w_bytes: int) -> None:
        super().__init__("")
        self.w_bytes = w_bytes

    def groups(self, vectors: int, rows: int) -> list[list[int]]:
        """One vector after the other."""
        return [[part] for part in range(vectors)]

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
