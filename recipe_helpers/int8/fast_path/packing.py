"""Weights in the order in which the kernels read them, kept, and a rule that notices changes.

    a weight (gates · hidden, depth)          packed: tile after tile, 16 units of each gate
    gate i, unit 0   [0 1 2 3 4 5 ...]        tile 0:  units 0..15 of i, f, g, o, their bytes 0..3
    gate i, unit 1   [0 1 2 3 4 5 ...]                 units 0..15 of i, f, g, o, their bytes 4..7
    ...                                                ...
    gate f, unit 0   [0 1 2 3 4 5 ...]        tile 1:  units 16..31 ...

Units are filled up with zeros to 16, depths to 16 as well. Packing takes longer than a call, so it
is done once. A module thus holds its weights twice from its first call on: one more byte for each
weight, or two where they are widened (`kind_for`). The copy goes when the module goes.

**How a change is noticed.** PyTorch has copy-on-write: `torch._lazy_clone` gives a second tensor
that shares the memory of a weight until somebody writes to either. Whoever asks PyTorch for
memory to write to (`copy_`, `.data`, `load_state_dict`, `numpy()`, `data_ptr()`), through whatever
view, makes it give the weight other memory first, since the twin keeps the old. So a packed weight
is up to date as long as its tensor still is the one it was made from and lies at the same address:
two questions that cost 0.1 µs, ask nothing of autograd's version counter (which `.data` goes
around, and tensors made in inference mode do not have), and say no too often rather than too
seldom.

Memory that somebody else held before (an array of numpy, a state dict) could be written to without
PyTorch being asked, and memory that PyTorch did not allocate cannot be shared in this way. Then
the weight is compared with a copy at every call: slower, and as safe. What goes unnoticed is a
write by a bare address (ctypes) that was asked for before the weight was packed and outlived
every holder of the memory.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .. import weights
from .dots import host_instruction, is_exact
from .packed_tiles import product_at
from .quantizing import BYTES, PLANES, WORDS

UNITS = 16  # hidden units of a tile
DEPTH = 16  # rows of weights are padded to a multiple of it
# Widened weights repay their double size where single rows meet them while they stay in the
# second cache; several rows at once share the widening.
_WIDENED_BYTES = 512 * 1024
_FORMS = {"planes": PLANES, "bytes": BYTES, "wide": WORDS, "narrow": WORDS}
_C: Any = torch._C
address_of = getattr(_C, "_data_address", lambda tensor: 0)
# Inner functions of PyTorch; where one is missing, weights are compared.
_SHARES = hasattr(torch, "_lazy_clone") and all(
    hasattr(_C, name) for name in ("_is_cow_tensor", "_data_address", "_storage_Use_Count")
)
_OWN_HOLDERS = 2  # of the memory of a tensor: the tensor, and the storage object that asks


def padded(count: int, to: int) -> int:
    """`count` rounded up to a multiple of `to`."""
    return -(-count // to) * to


def kind_for(values: Tensor, symmetric: bool, row_by_row: bool) -> str:
    """Which of `packed_tiles.KINDS` multiplies these weights on this CPU.

    `row_by_row` is whether few rows of activations meet them at a time, again and again.
    """
    name = host_instruction()
    if is_exact(name):
        return "planes" if symmetric else "bytes"
    if not symmetric and name is not None and weights.in_pairs(values):
        return "bytes"
    return "wide" if row_by_row and 2 * values.numel() <= _WIDENED_BYTES else "narrow"


class PackedMatrix(NamedTuple):
    """A weight in tiles.

    Attributes:
        tiles: int8 (tiles, depth / group, vectors, 16, group), group 4 or (narrow) 2, or int16
            (..., 2) where widened.
        row_sums: int32 (tiles, vectors, 16), the sums of the weights of each row.
        form: What activations have to look like, one of those of `quantizing`.
        product_at: The address of the product for tiles of this kind.
    """

    tiles: Tensor
    row_sums: Tensor
    form: int
    product_at: int


def pack(values: Tensor, gates: int, kind: str) -> PackedMatrix:
    """Pack int8 (gates · units, depth); a plain matrix has one gate, and 64 units in a tile."""
    rows, depth = values.shape
    vectors, lines = (gates, 1) if gates > 1 else (1, 4)
    units = rows // gates
    blocks = padded(units, UNITS * lines) // UNITS
    whole = values.new_zeros(vectors, blocks * UNITS, padded(depth, DEPTH))
    whole[:, :units, :depth] = values.reshape(vectors, units, depth)
    row_sums = whole.sum(dim=2, dtype=torch.int32).view(vectors, blocks, UNITS).transpose(0, 1)
    group = 4 if kind in ("planes", "bytes") else 2
    if kind == "wide":
        whole = whole.to(torch.int16)
    tiles = whole.view(vectors, blocks, UNITS, -1, group)
    if gates > 1:
        tiles = tiles.permute(1, 3, 0, 2, 4)
    else:
        tiles = tiles.view(blocks // lines, lines, UNITS, -1, group).permute(0, 3, 1, 2, 4)
    return PackedMatrix(
        tiles.contiguous(),
        row_sums.reshape(-1, vectors * lines, UNITS).contiguous(),
        _FORMS[kind],
        product_at(kind, vectors * lines),
    )


def as_matrix(packed: PackedMatrix) -> Tensor:
    """Tiles of bytes row by row: int8 (tiles · vectors · 16, depth), in the order of the sums."""
    tiles, _, vectors, units, _ = packed.tiles.shape
    rows = packed.tiles.permute(0, 2, 3, 1, 4)
    return rows.reshape(tiles * vectors * units, -1).contiguous()


class Watch:
    """Tells whether a tensor is still what it was when the watch began."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.twin: Tensor | None = None  # shares the memory
        self.copy: Tensor | None = None  # has its own
        self.address = -1  # of the shared memory
        if not self._share():
            self.copy = tensor.clone()

    def _share(self) -> bool:
        tensor = self.tensor
        if not _SHARES:
            return False
        if not _C._is_cow_tensor(tensor) and holders(tensor) > _OWN_HOLDERS:
            return False
        try:
            self.twin = torch._lazy_clone(tensor)
        except RuntimeError:  # memory that PyTorch has not allocated
            return False
        self.address = address_of(tensor)
        return True

    def is_shared(self, tensor: Tensor | None) -> bool:
        """Whether `tensor` is the one that is watched, and nobody can have written to it."""
        return tensor is self.tensor and address_of(tensor) == self.address

    def unchanged(self, tensor: Tensor | None) -> bool:
        """Whether `tensor` is the one that is watched, with the same content."""
        if self.copy is None:
            return self.is_shared(tensor)
        if tensor is not self.tensor or not _same_bytes(self.tensor, self.copy):
            return False
        if self._share():  # nobody else holds it any more
            self.copy = None
        return True


def _same_bytes(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    if one.is_contiguous() and one.numel() % 8 == 0 and one.data_ptr() % 8 == 0:
        one, other = (tensor.view(-1).view(torch.int64) for tensor in (one, other))
    return torch.equal(one, other)


def holders(tensor: Tensor) -> int:
    """How many tensors, arrays and so on hold the memory of a tensor."""
    count: int = _C._storage_Use_Count(tensor.untyped_storage()._cdata)
    return count
