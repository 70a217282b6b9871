"""What numba has no word for: memory at an address, sixteen lanes at a time, atomic counters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import numpy_support

MALLOC, FREE = "int8_rnn_malloc", "int8_rnn_free"  # `loading.py` says what they are
I8, I16, I32, I64, F32 = *map(ir.IntType, (8, 16, 32, 64)), ir.FloatType()
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


def end_to_end(b: ir.IRBuilder, parts: list[Any]) -> Any:
    """Equal vectors, a power of two of them, as one."""
    while len(parts) > 1:
        lanes, pairs = range(2 * parts[0].type.count), zip(parts[::2], parts[1::2], strict=True)
        parts = [lanes_of(b, one, lanes, other) for one, other in pairs]
    return parts[0]


def call(b: ir.IRBuilder, name: str, result: ir.Type, *arguments: Any) -> Any:
    """Call one of LLVM's or C's functions by its name."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return b.call(cgutils.get_or_insert_function(b.module, kind, name), arguments)


EMITTED: dict[str, tuple[int, Callable[..., None]]] = {}
COMPILED: dict[str, tuple[int, Callable[..., None]]] = {}


def routine(count: int, *, name: str = "", emitted: bool = False) -> Callable[..., Any]:
    """Make a function of `count` int64 one that kernels call by its name.

    It is compiled once, apart from all of its callers (`building.py`): from Python by numba, or
    `emitted`, by itself, in LLVM's instructions, as `function(b, *values)`.
    """

    def decorate(function: Callable[..., None]) -> Any:
        symbol = f"int8_rnn_{name or function.__name__}"
        (EMITTED if emitted else COMPILED)[symbol] = count, function

        def by_name(b: ir.IRBuilder, *arguments: Any) -> None:
            call(b, symbol, ir.VoidType(), *arguments)

        by_name.__name__, by_name.__doc__ = function.__name__, function.__doc__
        return operation(types.void, *[types.int64] * count)(by_name)

    return decorate


def emit() -> str:
    """The routines that are written in LLVM's instructions, as its assembly."""
    module = ir.Module()
    for symbol, (count, function) in EMITTED.items():
        kind = ir.FunctionType(ir.VoidType(), [I64] * count)
        made = ir.Function(module, kind, symbol)
        b = ir.IRBuilder(made.append_basic_block())
        function(b, *made.args)
        b.ret_void()
    return str(module)


def operation(*signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make a function `emit(b, *values)` an intrinsic of these types, the result first."""
    result, *parameters = signature
    names = ["typing_context", *(f"a{i}" for i in range(len(parameters)))]

    def decorate(emit: Callable[..., Any]) -> Any:
        def build(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
            value = emit(b, *arguments)
            return context.get_dummy_value() if result is types.void else value

        def typed(*given: Any) -> Any:
            return result(*parameters), build

        typed.__name__, typed.__doc__ = emit.__name__, emit.__doc__
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD  # numba wants to see each argument
        shown = inspect.Signature([inspect.Parameter(name, kind) for name in names])
        typed.__signature__ = shown  # type: ignore[attr-defined]
        return intrinsic(typed)

    return decorate


_AT, _INT, _FLOAT = types.int64, types.int32, types.float32


def record(dtype: Any) -> Any:
    """An operation that gives the record at an address."""
    kind = numpy_support.from_dtype(dtype)

    @operation(kind, _AT)
    def at(b: Any, address: Any) -> Any:
        return pointer(b, address, ir.ArrayType(I8, dtype.itemsize))

    return at


@operation(types.voidptr, _AT)
def at_address(b: Any, address: Any) -> Any:
    """The address as a pointer, for numba.carray."""
    return pointer(b, address, I8)


@operation(_FLOAT, _INT)
def from_bits(b: Any, bits: Any) -> Any:
    """The float32 that has these bits."""
    return b.bitcast(bits, F32)


@operation(_INT, _FLOAT)
def bits_of(b: Any, value: Any) -> Any:
    """The bits of a float32; without the sign bit they are in the order of the values."""
    return b.bitcast(value, I32)


@operation(types.void, _AT, _AT, _AT)
def copy_bytes(b: Any, source: Any, target: Any, count: Any) -> None:
    """Copy so many bytes."""
    cgutils.raw_memcpy(b, pointer(b, target, I8), pointer(b, source, I8), count, 1)


@operation(types.void, _AT, _AT)
def clear_bytes(b: Any, at: Any, count: Any) -> None:
    """Set bytes to zero."""
    cgutils.memset(b, pointer(b, at, I8), count, 0)


@operation(_AT, _AT)
def allocate(b: Any, count: Any) -> Any:
    """So many bytes, by what the loader gives."""
    return call(b, MALLOC, I64, count)


@operation(types.void, _AT)
def free(b: Any, at: Any) -> None:
    """Give back what was allocated."""
    call(b, FREE, ir.VoidType(), at)


@operation(_AT, _AT)
def load_published(b: Any, at: Any) -> Any:
    """Read an int64 that another thread has published, and all that it wrote before."""
    return b.load_atomic(pointer(b, at, I64), "acquire", 8)


@operation(types.void, _AT, _AT)
def publish(b: Any, at: Any, value: Any) -> None:
    """Write an int64 for other threads, after all that was written before."""
    b.store_atomic(value, pointer(b, at, I64), "release", 8)


@operation(_AT, _AT, _AT)
def raise_to(b: Any, at: Any, value: Any) -> Any:
    """Make an int64 that threads share at least this large, and return what it was."""
    return b.atomic_rmw("max", pointer(b, at, I64), value, "acq_rel")


@operation(_AT, _AT, _AT)
def add_to(b: Any, at: Any, value: Any) -> Any:
    """Add to an int64 that threads share, and return what it was."""
    return b.atomic_rmw("add", pointer(b, at, I64), value, "acq_rel")
