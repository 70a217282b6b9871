"""How an int8 weight matrix lies in memory: in the order in which the kernels read it.

A tile holds sixteen hidden units of every gate (or 64 rows of a matrix without gates), four
columns at a time: the four bytes that one lane of a byte product multiplies stand side by side,
sixteen lanes make a vector, the vectors of all gates a step, the steps over the columns a tile:

    tiles[tile, step, vector, lane, byte]   =   values[row, 4 · step + byte]
      with gates:     row = vector · units + 16 · tile + lane
      without:        row = 64 · tile + 16 · vector + lane

Padding is 0: units to a multiple of 16, rows to one of 64, columns to one of 16. The layout is
the same on every CPU, so that a module pickled on one runs on another.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LANES = 16  # rows in a vector: one int32 sum each
BYTES = 4  # columns that a lane sums at once
VECTORS = 4  # in a step of a matrix without gates
_COLUMNS = 16  # columns are padded to a multiple of this: four steps


def pack(values: Tensor, gates: int) -> Tensor:
    """An int8 matrix (rows, depth) as tiles, int8 (tiles, steps, vectors, 16, 4), contiguous.

    Args:
        values: The matrix; with gates, those stand on top of each other, `rows / gates` units each.
        gates: 4 for the weights of an LSTM, 3 for those of a GRU, 1 for any other matrix.
    """
    rows, depth = values.shape
    units, block = rows // gates, _block(gates)
    padded = values.new_zeros(gates, -(-units // block) * block, -(-depth // _COLUMNS) * _COLUMNS)
    padded[:, :units, :depth] = values.view(gates, units, depth)
    split = padded.view(gates, -1, block // LANES, LANES, padded.shape[2] // BYTES, BYTES)
    # (gates, tiles, vectors of a block, lanes, steps, bytes); one of the first and third is 1.
    return split.permute(1, 4, 0, 2, 3, 5).flatten(2, 3).contiguous()


def unpack(tiles: Tensor, rows: int, depth: int, gates: int) -> Tensor:
    """The matrix (rows, depth) that `pack` was given, in memory of its own."""
    count, steps, _, lanes, width = tiles.shape
    split = tiles.view(count, steps, gates, _block(gates) // LANES, lanes, width)
    ordered = split.permute(2, 0, 3, 4, 1, 5).reshape(gates, -1, steps * width)
    # Not `contiguous`: a part of the padded rows would be saved with all of them.
    own = ordered[:, : rows // gates, :depth].clone(memory_format=torch.contiguous_format)
    return own.view(rows, depth)


def pack_terms(lines: Sequence[Tensor], gates: int) -> Tensor:
    """Lines of numbers, float32 or int32 (rows,), in the order in which the kernels sum rows.

    int32 (lines, gates · padded units), floats bit for bit; padding is 0.
    """
    rows, block = len(lines[0]), _block(gates)
    units = rows // gates
    padded = lines[0].new_zeros(len(lines), gates, -(-units // block) * block, dtype=torch.int32)
    for line, values in zip(padded, lines, strict=True):
        line[:, :units] = values.view(torch.int32).view(gates, units)
    return padded.flatten(1)


def unpack_terms(line: Tensor, rows: int, gates: int) -> Tensor:
    """One line of float32 terms as (rows,), a copy; `plain_aten` hands them on as floats."""
    floats = line if line.dtype == torch.float32 else line.view(torch.float32)
    return floats.view(gates, -1)[:, : rows // gates].reshape(rows).clone()


def _block(gates: int) -> int:
    """Units (with gates) or rows (without) in a tile."""
    return LANES if gates > 1 else LANES * VECTORS
