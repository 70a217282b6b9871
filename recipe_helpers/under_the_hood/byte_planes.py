"""Under the hood: 16-bit integers as two planes of bytes, and the product that comes of it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..common.checks import describe
from ..common.errors import InputError
from ..common.language import Text

OFFSET = 2**15  # makes a 16-bit integer an unsigned one
# Ways to multiply, each the step after the one before; see `planes_and_tiles`.
ROWS, TILES, PLANES, ONE_PLANE = "rows", "tiles", "planes", "one plane"
WAYS = (ROWS, TILES, PLANES, ONE_PLANE)


def byte_planes(integers: Tensor) -> tuple[Tensor, Tensor]:
    """The high and the low bytes of integers + 32768, which are 0 to 65535.

    Args:
        integers: int16 (..., K).

    Returns:
        Two uint8 tensors of that shape: integers = 256 · high + low - 32768.

    Raises:
        InputError: they are of another type.
    """
    if not isinstance(integers, Tensor) or integers.dtype != torch.int16:
        raise _unfit("integers", integers, "int16", "(..., K)")
    unsigned = integers.int() + OFFSET
    return (unsigned >> 8).to(torch.uint8), (unsigned & 255).to(torch.uint8)


def product_by_planes(integers: Tensor, weights: Tensor) -> Tensor:
    """`integers @ weights.T` from two products of unsigned with signed bytes.

    256 · Σ high·w + Σ low·w - 32768 · Σ w, all in 32 bits: what overflows on the way is a multiple
    of 2^32, so the result is right wherever it fits itself.

    Args:
        integers: int16 (..., K).
        weights: int8 (N, K).

    Returns:
        int32 (..., N).

    Raises:
        InputError: types or shapes do not fit.
    """
    high, low = byte_planes(integers)
    if (
        not isinstance(weights, Tensor)
        or weights.dtype != torch.int8
        or weights.shape[1:] != integers.shape[-1:]
    ):
        raise _unfit("weights", weights, "int8", f"(N, {integers.shape[-1]})")
    by_plane = [plane.int() @ weights.int().T for plane in (high, low)]
    return 256 * by_plane[0] + by_plane[1] - OFFSET * weights.sum(1, dtype=torch.int32)


def _unfit(name: str, came: object, kind: str, shape: str) -> InputError:
    return InputError(
        Text(
            "{name} is a {what}; pass an {kind} tensor {shape}.",
            name=name,
            what=describe(came),
            kind=kind,
            shape=shape,
        )
    )
