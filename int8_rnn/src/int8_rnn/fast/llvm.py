"""What numba has no word for: routines by name, memory at an address, sixteen lanes at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import numpy_support

# `loading.py` says what they are.
MALLOC, FREE, YIELD = OURS = "int8_rnn_malloc", "int8_rnn_free", "int8_rnn_yield"
I8, I16, I32, I64, F32 = *map(ir.IntType, (8, 16, 32, 64)), ir.FloatType()
VOID = ir.VoidType()
LANES = 16  # of a vector; LLVM splits it where the CPU's are shorter
INTS, FLOATS = ir.VectorType(I32, LANES), ir.VectorType(F32, LANES)


def at_offset(b: ir.IRBuilder, address: Any, offset: int) -> Any:
    """An address so many bytes further on."""
    return b.add(address, I64(offset)) if offset else address


def pointer(b: ir.IRBuilder, address: Any, element: ir.Type) -> Any:
    """An address as LLVM's pointer to elements of this type."""
    return b.inttoptr(address, element.as_pointer())


def load(b: ir.IRBuilder, address: Any, kind: ir.Type = FLOATS) -> Any:
    """A number or a vector from an address."""
    return b.load(pointer(b, address, kind), align=4)


def store(b: ir.IRBuilder, value: Any, address: Any) -> None:
    """Write a number or a vector to an address."""
    b.store(value, pointer(b, address, value.type), align=4)


def spread(b: ir.IRBuilder, value: Any, lanes: int = LANES) -> Any:
    """One number in all lanes."""
    kind, first = ir.VectorType(value.type, lanes), ir.Constant(ir.VectorType(I32, lanes), None)
    alone = b.insert_element(ir.Constant(kind, ir.Undefined), value, I32(0))
    return b.shuffle_vector(alone, alone, first)


def lanes_of(b: ir.IRBuilder, vector: Any, lanes: range, other: Any = None) -> Any:
    """These lanes of a vector, or of two end to end."""
    places = ir.Constant(ir.VectorType(I32, len(lanes)), [*lanes])
    return b.shuffle_vector(vector, vector if other is None else other, places)


def call(b: ir.IRBuilder, name: str, result: ir.Type, *arguments: Any) -> Any:
    """Call one of LLVM's functions by its name."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return b.call(cgutils.get_or_insert_function(b.module, kind, name), arguments)


class Fields:
    """The numbers of a record in memory, in code that is being emitted."""

    def __init__(self, b: ir.IRBuilder, at: Any, dtype: np.dtype[Any]) -> None:
        self._b, self._at, self._dtype = b, at, dtype

    def __getattr__(self, name: str) -> Any:
        return load(self._b, at_offset(self._b, self._at, 8 * self._dtype.names.index(name)), I64)


EMITTED: dict[str, tuple[Any, Callable[..., Any]]] = {}
COMPILED: dict[str, tuple[Any, Callable[..., Any]]] = {}


def routine(count: int, result: Any = types.void, *, emitted: bool = False) -> Callable[..., Any]:
    """Make a function of `count` int64 one that kernels call by its name.

    It is compiled once, apart from all of its callers (`building.py`): from Python by numba, or
    `emitted`, by itself, in LLVM's instructions, as `function(b, *values)`.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        symbol, signature = f"int8_rnn_{function.__name__}", result(*[types.int64] * count)
        (EMITTED if emitted else COMPILED)[symbol] = signature, function
        return types.ExternalFunction(symbol, signature)

    return decorate


def emit() -> str:
    """The routines that are written in LLVM's instructions, as its assembly."""
    module = ir.Module()
    for symbol, (signature, function) in EMITTED.items():
        result = VOID if signature.return_type is types.void else I64
        made = ir.Function(module, ir.FunctionType(result, [I64] * len(signature.args)), symbol)
        b = ir.IRBuilder(made.append_basic_block())
        value = function(b, *made.args)
        b.ret_void() if value is None else b.ret(value)
    return str(module)


@intrinsic
def at_address(typing_context: Any, address: Any) -> Any:
    """The address as a pointer, for numba.carray."""
    return types.voidptr(types.int64), lambda c, b, s, given: pointer(b, given[0], I8)


@intrinsic
def bits_of(typing_context: Any, value: Any) -> Any:
    """The bits of a float32."""
    return types.int32(types.float32), lambda c, b, s, given: b.bitcast(given[0], I32)


@intrinsic
def from_bits(typing_context: Any, bits: Any) -> Any:
    """The float32 that has these bits."""
    return types.float32(types.int32), lambda c, b, s, given: b.bitcast(given[0], F32)


def record(dtype: Any) -> Any:
    """An operation that gives the record at an address."""
    kind, memory = numpy_support.from_dtype(dtype), ir.ArrayType(I8, dtype.itemsize)

    @intrinsic
    def at(typing_context: Any, address: Any) -> Any:
        return kind(types.int64), lambda c, b, s, given: pointer(b, given[0], memory)

    return at


allocate = types.ExternalFunction(MALLOC, types.int64(types.int64))
free = types.ExternalFunction(FREE, types.void(types.int64))
yield_processor = types.ExternalFunction(YIELD, types.int32())


@routine(3, emitted=True)
def copy_bytes(b: Any, source: Any, target: Any, count: Any) -> None:
    """Copy so many bytes."""
    cgutils.raw_memcpy(b, pointer(b, target, I8), pointer(b, source, I8), count, 1)


@routine(2, emitted=True)
def clear_bytes(b: Any, at: Any, count: Any) -> None:
    """Set bytes to zero."""
    cgutils.memset(b, pointer(b, at, I8), count, 0)


@routine(1, types.int64, emitted=True)
def load_published(b: Any, at: Any) -> Any:
    """Read an int64 that another thread has published, and all that it wrote before."""
    return b.load_atomic(pointer(b, at, I64), "acquire", 8)


@routine(2, emitted=True)
def publish(b: Any, at: Any, value: Any) -> None:
    """Write an int64 for other threads, after all that was written before."""
    b.store_atomic(value, pointer(b, at, I64), "release", 8)


@routine(2, types.int64, emitted=True)
def raise_to(b: Any, at: Any, value: Any) -> Any:
    """Make an int64 that threads share at least this large, and return what it was."""
    return b.atomic_rmw("max", pointer(b, at, I64), value, "acq_rel")


@routine(2, types.int64, emitted=True)
def add_to(b: Any, at: Any, value: Any) -> Any:
    """Add to an int64 that threads share, and return what it was."""
    return b.atomic_rmw("add", pointer(b, at, I64), value, "acq_rel")
