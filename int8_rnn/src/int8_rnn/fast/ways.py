"""Parts of the compiled path by themselves: one product to be measured, and float32 weights.

For whoever wants to know what makes the int8 modules fast. There are up to four ways to multiply
int8 weights with activations of 16 bits (or of 8, the last):

    ROWS       one row of weights after the other as PyTorch stores them, each widened
    TILES      the same arithmetic, on weights in the order in which they are read (`tiles.pack`)
    PLANES     tiles of bytes times two planes of bytes
    ONE_PLANE  tiles of bytes times one plane
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..tiles import pack
from .loading import load
from .records import BYTES as ONE_PLANE, MARK, PLANES, ROWS, WEIGHT, WORDS as TILES, is_exact

__all__ = ["ONE_PLANE", "PLANES", "ROWS", "TILES", "float_tiles", "product", "ways"]


def ways() -> tuple[int, ...]:
    """Those that this CPU has; needs compiled code (`fast_path().available`)."""
    instruction = load().instruction
    planes = (PLANES,) if is_exact(instruction) else ()
    return (ROWS, TILES, *planes, *((ONE_PLANE,) if instruction else ()))


def product(way: int, weights: Tensor, activations: Tensor) -> tuple[Callable[[], None], Tensor]:
    """A product that is ready to run, again and again.

    Args:
        way: One of `ways()`.
        weights: int8 (4 · units, depth), both multiples of 16, on which this CPU does not saturate.
        activations: int16 (rows, depth); for PLANES uint8 (rows, 2 · depth), the high bytes of
            q + 32768 and then the low ones; for ONE_PLANE uint8 (rows, depth).

    Returns:
        What runs it, and the int32 sums that it writes: (rows, 4 · units), in the order of the
        rows of the weights where the way is ROWS, else (rows, tiles, gate, unit of the tile).
        Those of PLANES are 32768 times the sum of the weights of a row too large.
    """
    outputs, depth = weights.shape
    held = weights.contiguous() if way == ROWS else pack(weights, 4)
    activations = activations.contiguous()
    sums = torch.zeros(len(activations), outputs, dtype=torch.int32)
    w = np.zeros(1, WEIGHT)
    w["tiles_at"], w["tile_bytes"], w["tiles"] = held.data_ptr(), 64 * depth, outputs // 64
    w["steps"], w["form"], w["vectors"] = depth // 4, way, 4
    w["q_bytes"] = activations.stride(0) * activations.element_size()
    x_at, out_at, out_step = activations.data_ptr() - MARK, sums.data_ptr(), 4 * outputs
    numbers = w.ctypes.data, x_at, len(activations), out_at, out_step
    multiply = load().multiply_all

    def run(keep: tuple[object, ...] = (w, held, activations, sums)) -> None:
        multiply(*numbers)

    return run, sums


def float_tiles(weights: Tensor, gates: int) -> Tensor:
    """Weights float32 (rows, depth) in the order in which kernels read them, column by column.

    A module that has such buffers instead of int8 tiles, and whose `bits_of` says (32, True), runs
    in the same kernels with float32 products; with int8 tiles, it multiplies those as floats.
    """
    return pack(weights, gates).transpose(-1, -2).contiguous()
