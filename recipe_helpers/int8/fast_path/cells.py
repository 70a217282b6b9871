"""From the integer sums of a tile to its 16 hidden units, while the sums are in the first cache.

The `terms` of a tile stand in the order in which they are needed, 16 numbers each:

    [scale of each vector of rows][bias of each vector][sum of the weights of each row, int32]

With them a sum becomes a float32, each operation rounded by itself, as `arithmetic.py` says:

    y = float(sum - offset · row sum) · (s_x · scale) + bias

Below that come the gates, in the same order of operations as in `arithmetic.run_layer` and
`run_gru_layer`, sixteen units at a time.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .basics import CLAMP, TANH_P, TANH_Q
from .vectors import Floats, as_floats, beyond, load_floats, load_integers, spread


def tanh(x: Floats) -> Floats:
    """The rational approximation of `rows.tanh`."""
    x = x.within(float(CLAMP))
    square = x * x
    p, q = (Floats.all(x.builder, float(coefficients[0])) for coefficients in (TANH_P, TANH_Q))
    for coefficient in TANH_P[1:]:
        p = p.times_plus(square, coefficient)
    for coefficient in TANH_Q[1:]:
        q = q.times_plus(square, coefficient)
    return x * p / q


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), by tanh."""
    return tanh(x * 0.5) * 0.5 + 0.5


class _Sums:
    """The sums of one row of activations with a tile, as floats once they are asked for."""

    def __init__(self, builder: ir.IRBuilder, vectors: int, *given: Any) -> None:
        self.builder, self.vectors = builder, vectors
        self.sums, self.terms, scale, offset = given
        self.scale = Floats(builder, spread(builder, scale))
        self.offset = spread(builder, offset)

    def __getitem__(self, vector: int) -> Floats:
        b, at = self.builder, lambda part: beyond(b, self.terms, part * self.vectors + vector)
        away = b.mul(self.offset, load_integers(b, at(2)))
        exact = b.sub(load_integers(b, beyond(b, self.sums, vector)), away)
        return as_floats(b, exact) * (self.scale * load_floats(b, at(0))) + load_floats(b, at(1))


def _rescale(vectors: int) -> Any:
    """An intrinsic that turns the sums of one row of activations into floats, in place."""

    @intrinsic
    def rescale(typing_context: Any, sums: Any, terms: Any, scale: Any, offset: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            found = _Sums(builder, vectors, *arguments)
            for vector in range(vectors):
                found[vector].store(beyond(builder, arguments[0], vector))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.float32, types.int32), build

    return rescale


rescale3, rescale4 = _rescale(3), _rescale(4)

_CELL = types.void(
    types.int64, types.int64, types.float32, types.int32, types.int64, types.int64, types.int64
)


@intrinsic
def lstm_cell(
    typing_context: Any, sums: Any, terms: Any, scale: Any, offset: Any, pre: Any, cell: Any,
    hidden: Any,
) -> Any:  # fmt: skip
    """Sixteen units of an LSTM: `pre` is W_ih x + b_ih, the sums those of W_hh h."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        b, (pre, cell, hidden) = builder, arguments[4:]
        recurrent = _Sums(b, 4, *arguments[:4])
        i, f, g, o = (load_floats(b, beyond(b, pre, gate)) + recurrent[gate] for gate in range(4))
        i, f, o = map(sigmoid, (i, f, o))
        c = f * load_floats(b, cell) + i * tanh(g)
        c.store(cell)
        (o * tanh(c)).store(hidden)
        return context.get_dummy_value()

    return _CELL, build


@intrinsic
def gru_cell(
    typing_context: Any, sums: Any, terms: Any, scale: Any, offset: Any, pre: Any, before: Any,
    hidden: Any,
) -> Any:  # fmt: skip
    """Sixteen units of a GRU; `before` is their hidden state, which may be `hidden` itself."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        b, (pre, before, hidden) = builder, arguments[4:]
        recurrent = _Sums(b, 3, *arguments[:4])
        from_input = [load_floats(b, beyond(b, pre, gate)) for gate in range(3)]
        r, z = (sigmoid(from_input[gate] + recurrent[gate]) for gate in range(2))
        n = tanh(from_input[2] + r * recurrent[2])
        (n + z * (load_floats(b, before) - n)).store(hidden)
        return context.get_dummy_value()

    return _CELL, build


@intrinsic
def copy_vector(typing_context: Any, source: Any, target: Any) -> Any:
    """Copy sixteen numbers."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        load_floats(builder, arguments[0]).store(arguments[1])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), build
