"""A packed weight with its watch, and the linear layer that has just one."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..scheme import Scheme
from .packing import DEPTH, PackedMatrix, Watch, as_matrix, kind_for, pack, padded
from .plans import aligned_room, ends_of
from .quantizing import BYTES, PLANES, quantize_rows_at

Tensors = Mapping[str, Tensor | None]


class KeptMatrix:
    """One weight of a module in packed form, and whether it still is that of the module."""

    def __init__(self, values: Tensor, gates: int, symmetric: bool, row_by_row: bool) -> None:
        # Watched first: what is written in between is noticed at the next call.
        self.watch = Watch(values)
        self.packed: PackedMatrix = pack(values, gates, kind_for(values, symmetric, row_by_row))
        tiles = self.packed.tiles
        self.tile_bytes = tiles[0].numel() * tiles.element_size()

    @functools.cached_property
    def matrix(self) -> Tensor:
        """The weight as a library multiplies it (`wide.py`); it stays once it was asked for."""
        return as_matrix(self.packed)

    def row_bytes(self, width: int) -> int:
        """Bytes of a row of activations, as `quantizing.row_bytes`."""
        return padded(width, DEPTH) * (1 if self.packed.form == BYTES else 2)

    def steps(self, width: int) -> int:
        """The length of a row in steps of four bytes of activations."""
        return self.row_bytes(width) // (8 if self.packed.form == PLANES else 4)

    def put_row_sums(self, room: Any, at: int) -> None:
        """Put the sums of the weights of each row into the terms of their tile, for good."""
        tiles, vectors, units = self.packed.row_sums.shape
        terms = room[at : at + 12 * tiles * vectors * units].view(np.int32)
        terms.reshape(tiles, 3, vectors, units)[:, 2] = self.packed.row_sums.numpy()


def tensors_of(tensors: Tensors, names: Iterable[str]) -> list[Tensor]:
    """These tensors, none of which may be missing."""
    found = [tensors[name] for name in names]
    return [tensor for tensor in found if tensor is not None]


@functools.cache
def _ones(count: int) -> Tensor:
    return torch.ones(count, device="cpu")


def addresses_of(
    tensors: Tensors, names: Iterable[str], columns: int
) -> tuple[list[Tensor], list[int]]:
    """What holds these tensors, contiguous, and their addresses; 0 where there is none.

    Column scales that are missing are ones, `columns` of them.
    """
    keep, addresses = [], []
    for name in names:
        tensor = tensors.get(name)
        if tensor is None:
            addresses.append(_ones(columns).data_ptr() if name.endswith("_columns") else 0)
            continue
        if not tensor.is_contiguous():
            tensor = tensor.contiguous()
        keep.append(tensor)
        addresses.append(tensor.data_ptr())
    return keep, addresses


class PackedLinear:
    """The packed weight of an Int8Linear, and working buffers that no call is using."""

    _OTHERS = "weight_scale", "weight_columns", "bias"

    def __init__(self, tensors: Tensors, scheme: Scheme, most: int) -> None:
        (values,) = tensors_of(tensors, ["weight"])
        self.scheme, self.most = scheme, most
        self.outputs, self.inputs = values.shape
        self.kept = KeptMatrix(values, 1, scheme.symmetric, False)
        self.rooms: list[tuple[Any, int]] = []

    def is_of(self, tensors: Tensors) -> bool:
        """Whether this still is the weight that was packed."""
        return self.kept.watch.unchanged(tensors["weight"])

    def run(self, tensors: Tensors, x: Tensor, y: Tensor) -> None:
        """Write to y (rows, out) what x (rows, in) gives; both contiguous."""
        from .packed_linear import ROWS, TILE, run_linear

        kept, packed = self.kept, self.kept.packed
        keep, (scale_at, columns_at, bias_at) = addresses_of(tensors, self._OTHERS, self.inputs)
        terms = 12 * padded(self.outputs, TILE)
        sizes = terms, ROWS * kept.row_bytes(self.inputs), 8 * ROWS, 4 * TILE * ROWS
        ends = ends_of(sizes)
        try:
            room, start = self.rooms.pop()
        except IndexError:
            room, start = aligned_room(ends[-1])
            kept.put_row_sums(room, 0)
        run_linear(
            packed.form, int(self.scheme.symmetric), self.most, packed.tiles.data_ptr(),
            kept.tile_bytes, kept.steps(self.inputs), packed.product_at, quantize_rows_at(),
            scale_at, columns_at, bias_at, x.data_ptr(), len(x), self.inputs, y.data_ptr(),
            self.outputs,
            *[start + end for end in ends[:-1]],
        )  # fmt: skip
        self.rooms.append((room, start))
        del keep
