"""What numba has no word for: memory at an address, the bits of a float, indivisible counters."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

I8, I16, I32, I64, F32 = *map(ir.IntType, (8, 16, 32, 64)), ir.FloatType()


def pointer(builder: ir.IRBuilder, address: Any, element: ir.Type) -> Any:
    """An address as LLVM's pointer to elements of this type."""
    return builder.inttoptr(address, element.as_pointer())


@intrinsic
def at_address(typing_context: Any, address: Any) -> Any:
    """The address as a pointer, for numba.carray."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return pointer(builder, arguments[0], I8)

    return types.voidptr(types.int64), build


@intrinsic
def from_bits(typing_context: Any, bits: Any) -> Any:
    """The float32 that has these bits."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], F32)

    return types.float32(types.int32), build


@intrinsic
def bits_of(typing_context: Any, value: Any) -> Any:
    """The bits of a float32 as int32; without the sign bit they are in the order of the values."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], I32)

    return types.int32(types.float32), build


@intrinsic
def fused(typing_context: Any, factor: Any, other: Any, summand: Any) -> Any:
    """The float32 factor · other + summand, rounded once."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(F32, [F32] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.f32")
        return builder.call(function, arguments)

    return types.float32(types.float32, types.float32, types.float32), build


@intrinsic
def load_published(typing_context: Any, address: Any) -> Any:
    """Read an int64 that another thread has published, and all that it wrote before."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(pointer(builder, arguments[0], I64), "acquire", 8)

    return types.int64(types.int64), build


@intrinsic
def publish(typing_context: Any, address: Any, value: Any) -> Any:
    """Write an int64 for other threads, after all that was written before."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[1], pointer(builder, arguments[0], I64), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), build


def _exchange(operation: str) -> Any:
    """An intrinsic that changes an int64 in memory indivisibly, and returns the old one."""

    @intrinsic
    def exchange(typing_context: Any, address: Any, value: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = pointer(builder, arguments[0], I64)
            return builder.atomic_rmw(operation, place, arguments[1], "acq_rel")

        return types.int64(types.int64, types.int64), build

    return exchange


raise_to, add_to = _exchange("max"), _exchange("add")


@intrinsic
def copy_floats(typing_context: Any, source: Any, target: Any, count: Any) -> Any:
    """Copy float32 values from one address to another."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, target, count = arguments
        places = pointer(builder, target, I8), pointer(builder, source, I8)
        cgutils.raw_memcpy(builder, *places, count, 4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), build


@intrinsic
def clear_bytes(typing_context: Any, at: Any, count: Any) -> Any:
    """Set bytes to zero."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at, count = arguments
        cgutils.memset(builder, pointer(builder, at, I8), count, 0)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), build


@intrinsic
def call_at(typing_context: Any, function_at: Any, arguments: Any) -> Any:
    """Call a compiled function of int64 by its address: it is not compiled into its callers."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        parts = cgutils.unpack_tuple(builder, values[1])
        kind = ir.FunctionType(ir.VoidType(), [I64] * len(parts))
        builder.call(pointer(builder, values[0], kind), parts)
        return context.get_dummy_value()

    return types.void(types.int64, arguments), build


def numbers_at(kind: Any) -> Any:
    """An intrinsic that reads a named tuple of int64 from an address, one after the other."""

    @intrinsic
    def read(typing_context: Any, address: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            base = pointer(builder, arguments[0], I64)
            places = (builder.gep(base, [I64(i)], source_etype=I64) for i in range(kind.count))
            loaded = [builder.load(place, typ=I64) for place in places]
            return context.make_tuple(builder, signature.return_type, loaded)

        return kind(types.int64), build

    return read
