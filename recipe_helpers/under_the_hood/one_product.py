"""Under the hood: one recurrent product in each way that the compiled kernel knows.

Imported where there is a compiled kernel; `planes_and_tiles` says what the ways are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..common.checks import positive_int
from ..common.errors import ArgumentError
from ..common.language import Text
from ..int8.fast_path.all_tiles import multiply_all
from ..int8.fast_path.dots import host_instruction, is_exact
from ..int8.fast_path.packing import pack
from ..int8.fast_path.products import product
from ..int8.fast_path.tiles import INTEGER, LANES
from .byte_planes import OFFSET, ONE_PLANE, PLANES, ROWS, TILES, byte_planes

_WIDENED = 256  # width up to which weights of 16 bits are worth their size


@dataclass(frozen=True)
class Product:
    """A product that is ready: `run` writes int32 sums, which `result` brings into order."""

    run: Callable[[], object]
    sums: Tensor
    excess: Tensor  # int32 (4 · width), what the sums have too much
    in_tiles: bool

    def result(self) -> Tensor:
        """int32 (rows, 4 · width): the true sums, in the order of the rows of the weights."""
        sums = self.sums
        if self.in_tiles:
            sums = sums.unflatten(1, (-1, 4, 16)).transpose(1, 2)
        return sums.flatten(1) - self.excess


def in_byte_tiles(weights: Tensor) -> Tensor:
    """Weights, int8 (4 · units, depth), as the kernel packs them: (tiles, depth / 4, 4, 16, 4)."""
    return pack(weights, 4, "planes" if is_exact(host_instruction()) else "bytes").tiles


def operands(width: int, rows: int = 1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random weights, int8 (4 · width, width), on which no CPU saturates; int16 (rows, width)."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randint(-64, 65, (4 * width, width), generator=generator)
    integers = torch.randint(-(2**15), 2**15, (rows, width), generator=generator)
    return weights.to(torch.int8), integers.to(torch.int16)


def one_product(width: int, rows: int = 1, seed: int = 0) -> dict[str, Product]:
    """The product of `operands`, in each of `WAYS` that this CPU has.

    The ways of 16 bits give equal results; one plane multiplies the high bytes alone.

    Raises:
        ArgumentError: `width` is no multiple of 16.
    """
    if positive_int("width", width) % 16:
        raise ArgumentError(
            Text("width is {width}; pass a multiple of 16, the units of a tile.", width=width)
        )
    weights, integers = operands(width, positive_int("rows", rows), seed)
    planes, row_sums = byte_planes(integers), weights.sum(1, dtype=torch.int32)
    found = {ROWS: _by_rows(weights, integers)}
    kind = "wide" if width <= _WIDENED else "narrow"
    found[TILES] = _by_tiles(weights, kind, integers.view(torch.uint8), 0 * row_sums)
    if is_exact(host_instruction()):
        found[PLANES] = _by_tiles(weights, "planes", torch.cat(planes, 1), OFFSET * row_sums)
    if host_instruction() is not None:
        found[ONE_PLANE] = _by_tiles(weights, "bytes", planes[0], 0 * row_sums)
    return found


def _by_rows(weights: Tensor, integers: Tensor) -> Product:
    (outputs, depth), rows = weights.shape, len(integers)
    sums = torch.zeros(rows, outputs, dtype=torch.int32)

    def run(keep: tuple[Tensor, ...] = (weights, integers, sums)) -> None:
        product.ctypes(
            INTEGER, keep[0].data_ptr(), depth, outputs, keep[1].data_ptr(), 2 * depth, rows,
            depth, depth - LANES, keep[2].data_ptr(), 4 * outputs,
        )  # fmt: skip

    return Product(run, sums, torch.zeros_like(sums), in_tiles=False)


def _by_tiles(weights: Tensor, kind: str, activations: Tensor, excess: Tensor) -> Product:
    packed = pack(weights, 4, kind)
    tiles, depth = len(packed.tiles), weights.shape[1]
    tile_bytes = packed.tiles[0].numel() * packed.tiles.element_size()
    steps = depth // 4 if kind in ("planes", "bytes") else depth // 2
    rows, row_bytes = activations.shape
    sums = torch.zeros(rows, 64 * tiles, dtype=torch.int32)

    def run(keep: tuple[Tensor, ...] = (packed.tiles, activations, sums)) -> None:
        multiply_all(
            packed.product_at, tiles, 4, keep[0].data_ptr(), tile_bytes, steps,
            keep[1].data_ptr(), row_bytes, rows, keep[2].data_ptr(),
        )  # fmt: skip

    return Product(run, sums, excess, in_tiles=True)
