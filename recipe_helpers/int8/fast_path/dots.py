"""Products of unsigned with signed bytes, four at a time, in one instruction where there is one.

    lane          0                  1                 ...  15
    activations   [a0 a1 a2 a3]      [a0 a1 a2 a3]          the same four unsigned bytes everywhere
    weights       [w0 w1 w2 w3]      [w0 w1 w2 w3]          signed; each lane belongs to one row
    sums          += a0·w0 + ... + a3·w3                    int32, nothing saturates

That is `vpdpbusd` on x86 with VNNI, and `usdot` on ARM; `sdot`, which older ARM CPUs have, takes
signed bytes on both sides: Σ a·w = Σ (a - 128)·w - Σ (-128)·w. Without any of them, x86 has
`pmaddubsw`: it adds two products in 16 bits and saturates, unless the weights are bounded in
pairs (`weights.py`); the sums of two are then widened and added by `pmaddwd`.

Which of them there is, LLVM is asked: it is given a pattern to compile for the CPU that numba
compiles for, and what it makes of it says what the CPU can do.
"""

from __future__ import annotations

import functools
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils
from numba.core.registry import cpu_target

from .intrinsics import I8, I16, I32

LANES16 = 16  # int32 lanes of a vector; LLVM splits it where the CPU's are shorter

_INTS = ir.VectorType(I32, LANES16)

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
    machine = llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=2
    )
    module: str = machine.emit_assembly(llvm.parse_assembly(code))
    return module


def instruction(triple: str, cpu: str, features: str) -> str | None:
    """The byte product of a CPU: vpdpbusd512, vpdpbusd256, usdot, sdot, pmaddubsw or None."""
    target = triple, cpu, features
    if triple.startswith(("aarch64", "arm64")):
        if "usdot" in _assembly(_DOT.format(extend="zext"), *target):
            return "usdot"
        return "sdot" if "sdot" in _assembly(_DOT.format(extend="sext"), *target) else None
    if not triple.startswith("x86_64"):
        return None
    even, odd = (", ".join(f"i32 {lane}" for lane in range(part, 32, 2)) for part in (0, 1))
    found = _assembly(_MULTIPLY_ADD.format(even=even, odd=odd), *target)
    if "vpdpwssd" in found:  # the sister of vpdpbusd
        return "vpdpbusd512" if "zmm" in found else "vpdpbusd256"
    return "pmaddubsw" if "ymm" in found or "zmm" in found else None


@functools.cache
def host_instruction() -> str | None:
    """The byte product of the CPU that numba compiles for."""
    return instruction(*cpu_target.target_context.codegen().magic_tuple())


def is_exact(name: str | None) -> bool:
    """Whether this byte product never saturates, whatever the weights are."""
    return name not in (None, "pmaddubsw")


def _call(builder: ir.IRBuilder, name: str, result: ir.Type, *arguments: Any) -> Any:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _in_parts(builder: ir.IRBuilder, count: int, make: Any, *vectors: Any) -> Any:
    """Apply `make` to `count` equal parts of int32 vectors, and lay the results end to end."""
    size, results = LANES16 // count, []
    for part in range(count):
        places = ir.Constant(ir.VectorType(I32, size), [*range(part * size, (part + 1) * size)])
        results.append(make(*(builder.shuffle_vector(v, v, places) for v in vectors)))
    while len(results) > 1:
        lanes = 2 * results[0].type.count
        every = ir.Constant(ir.VectorType(I32, lanes), [*range(lanes)])
        pairs = zip(results[::2], results[1::2], strict=True)
        results = [builder.shuffle_vector(x, y, every) for x, y in pairs]
    return results[0]


def add_dot(builder: ir.IRBuilder, name: str, sums: Any, x: Any, w: Any) -> Any:
    """`sums` plus four products of bytes in each lane; `x` and `w` hold them as 16 int32."""
    b = builder
    if name == "vpdpbusd512":
        return _call(b, "llvm.x86.avx512.vpdpbusd.512", _INTS, sums, x, w)

    def vnni256(s: Any, x: Any, w: Any) -> Any:
        return _call(b, "llvm.x86.avx512.vpdpbusd.256", s.type, s, x, w)

    def maddubs(s: Any, x: Any, w: Any) -> Any:
        small, words = ir.VectorType(I8, 32), ir.VectorType(I16, 16)
        pairs = _call(b, "llvm.x86.avx2.pmadd.ub.sw", words, *(b.bitcast(v, small) for v in (x, w)))
        ones = ir.Constant(words, [1] * 16)
        return b.add(s, _call(b, "llvm.x86.avx2.pmadd.wd", s.type, pairs, ones))

    def neon(s: Any, x: Any, w: Any, kind: str) -> Any:
        small = ir.VectorType(I8, 16)
        x, w = b.bitcast(x, small), b.bitcast(w, small)
        return _call(b, f"llvm.aarch64.neon.{kind}.v4i32.v16i8", s.type, s, x, w)

    if name == "vpdpbusd256":
        return _in_parts(b, 2, vnni256, sums, x, w)
    if name == "pmaddubsw":
        return _in_parts(b, 2, maddubs, sums, x, w)
    if name == "usdot":
        return _in_parts(b, 4, functools.partial(neon, kind="usdot"), sums, x, w)
    high = ir.Constant(_INTS, [-0x7F7F7F80] * LANES16)  # 0x80 in every byte: -128, or a flip by it
    signed, product = b.xor(x, high), functools.partial(neon, kind="sdot")
    away = _in_parts(b, 4, product, ir.Constant(_INTS, None), high, w)
    return b.sub(_in_parts(b, 4, product, sums, signed, w), away)
