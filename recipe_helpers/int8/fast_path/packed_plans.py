"""Packed layers: their weights, and for each size of input its task with all working buffers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from ..residual import has_residual
from .basics import SYNC
from .packed_layer import ALL, run_packed
from .packed_residual import residual_in
from .packed_task import PER_CALL, PackedTask
from .packed_weights import KeptMatrix, Tensors, addresses_of, tensors_of
from .packing import UNITS, Watch, padded
from .plans import CHUNK_ROWS, aligned_room, ends_of, threads_for
from .quantizing import quantize_rows_at

_BLOCKS_PER_THREAD = 4
_KEPT_BYTES = 1 << 22  # working buffers up to this size are kept for the next call


class Sizes(NamedTuple):
    """What else than the weights a plan follows from."""

    batch_sizes: tuple[int, ...]
    reverse: int
    directions: int
    allowed: int  # threads

    @property
    def chunk(self) -> int:
        """For how many steps of input at once a plan has room.

        A power of two at most, so that calls of other lengths find plans that suit them.
        """
        fewest = 1 << (len(self.batch_sizes) - 1).bit_length()
        return min(fewest, max(1, CHUNK_ROWS // self.batch_sizes[0]))


# Scales, column scales and biases, which hold their memory, and where that lies, 0 where there is
# none, in the order of `PackedTask`.
Small = tuple[list[Tensor], list[int]]


class PackedLayer:
    """The packed weights of one layer in one direction.

    Attributes:
        parts: The weights `ih`, `hh` and (or None) `hr`.
        small: What is read anew at every call; another tuple whenever one of them has moved.
        residual: That of W_ih, or None.
    """

    def __init__(self, module: Any, suffix: str) -> None:
        tensors: Tensors = module._buffers
        self.suffix, self.gates, scheme = suffix, module._GATES, module.scheme
        self.symmetric = symmetric = scheme.symmetric
        self.most = scheme.largest_integer(module.activation_bits)
        names = [f"weight_{part}{suffix}" for part in ("ih", "hh", "hr")]
        self._names = [
            *(f"{name}_scale" for name in names),
            *(f"{name}_columns" for name in names),
            f"bias_ih{suffix}",
            f"bias_hh{suffix}",
        ]
        self.parts: list[KeptMatrix | None] = []
        self._watches: list[tuple[str, Watch]] = []
        for name, stacked in zip(names, (self.gates, self.gates, 1), strict=True):
            values = tensors.get(name)
            if values is None:
                self.parts.append(None)
                continue
            part = KeptMatrix(values, stacked, symmetric, row_by_row=name == names[1])
            self.parts.append(part)
            self._watches.append((name, part.watch))
        (ih, hh), self.projected = tensors_of(tensors, names[:2]), self.parts[2] is not None
        self.inputs, self.outputs, self.hidden = ih.shape[1], hh.shape[1], len(hh) // self.gates
        self._widest = max(self.inputs, self.outputs, self.hidden)
        self._input_weight = names[0]
        self.residual = residual_in(tensors, self._input_weight, scheme, self.most)
        if self.residual is not None:
            self._watches += self.residual.watches
            self._places = self.residual.places(self.gates, self.hidden)
        self._look_up(tensors)

    def _look_up(self, tensors: Tensors) -> None:
        """Where the small tensors lie."""
        self.small: Small = addresses_of(tensors, self._names, self._widest)
        names = list(self._names)
        if self.residual is not None:
            self._residual_small = self.residual.small(tensors)
            names.append(self.residual.names[-1])
        found = [(name, tensors.get(name)) for name in names]
        self._absent = [name for name, tensor in found if tensor is None]
        # What is not contiguous has been copied, and is copied again for each call.
        self._found = [
            (name, tensor, tensor.data_ptr() if tensor.is_contiguous() else -1)
            for name, tensor in found
            if tensor is not None
        ]

    def addresses_of_weights(self) -> dict[int, int]:
        """By the `id` of each weight where its memory lies; -1 where that does not say enough."""
        return {id(watch.tensor): watch.address for _, watch in self._watches}

    def addresses_of_others(self) -> dict[int, int]:
        """The same of scales, column scales and biases."""
        return {id(tensor): address for _, tensor, address in self._found}

    def is_current(self, tensors: Tensors) -> bool:
        """Whether these still are the weights that were packed; what else moved is found again."""
        for name, watch in self._watches:
            if not watch.unchanged(tensors.get(name)):
                return False
        if self.residual is None and has_residual(tensors, self._input_weight):
            return False
        for name, tensor, address in self._found:
            if tensors.get(name) is not tensor or tensor.data_ptr() != address:
                self._look_up(tensors)
                return True
        if any(tensors.get(name) is not None for name in self._absent):
            self._look_up(tensors)
        return True

    def threads(self, sizes: Sizes) -> int:
        """How many threads share a call of these sizes."""
        rows, steps = sum(sizes.batch_sizes), len(sizes.batch_sizes)
        work = self.gates * self.hidden * (self.inputs + self.outputs) * rows
        return threads_for(sizes.allowed, work, work // steps)

    def residual_task(self) -> tuple[int, int]:
        """The fields of a task that belong to the residual."""
        return (0, 0) if self.residual is None else (len(self._places), self._places.ctypes.data)

    def run_residual(self, x: Tensor) -> Tensor:
        """What the residual adds to the product of W_ih with `x` (..., inputs), contiguous."""
        assert self.residual is not None
        return self.residual.run(self._residual_small, x.view(-1, self.inputs))


class PackedPlan:
    """A `PackedTask` but for what differs from call to call, and its working buffers."""

    def __init__(self, layer: PackedLayer, sizes: Sizes, chunk: int = 0) -> None:
        """Lay out the buffers; `chunk` steps share a product with W_ih, as `sizes` says if 0."""
        self.layer = layer  # held for helpers that come late
        batch, chunk = sizes.batch_sizes[0], chunk or sizes.chunk
        hidden, outputs, inputs = layer.hidden, layer.outputs, layer.inputs
        tiles, projected = padded(hidden, UNITS) // UNITS, int(layer.projected)
        projection_tiles = padded(outputs, 64) // 64 if projected else 0
        self.threads = layer.threads(sizes)
        self.blocks = 1 if self.threads == 1 else min(self.threads * _BLOCKS_PER_THREAD, tiles)
        widths = inputs, outputs, hidden
        buffers = self._buffers(layer, widths, chunk * batch, batch, tiles, projection_tiles)
        ends = ends_of(buffers)
        self.room, start = aligned_room(ends[-1])
        at = [start + end for end in ends[:-1]]
        if not projected:
            at.insert(11, at[10])  # the state is the hidden units themselves
        parts = layer.parts
        numbers = [
            layer.gates, layer.symmetric, layer.most, 0, batch, inputs, hidden, outputs,
            projected, sizes.reverse, chunk, self.blocks, tiles, projection_tiles,
            sizes.directions * outputs,
            *(part.packed.form if part else 0 for part in parts),
            *(part.packed.tiles.data_ptr() if part else 0 for part in parts),
            *(part.tile_bytes if part else 0 for part in parts),
            *(part.steps(width) if part else 0 for part, width in zip(parts, widths, strict=True)),
            *(part.packed.product_at if part else 0 for part in parts),
            quantize_rows_at(), 0, *layer.residual_task(), *at,
        ]  # fmt: skip
        self.task = np.array([0] * PER_CALL + [int(number) for number in numbers], np.int64)
        assert len(self.task) == len(PackedTask._fields)
        self.numbers = self.task.data
        self.task_at = self.task.ctypes.data
        self.small: Small = [], []
        # Helpers may come late: what they may still look at serves once.
        self.reusable = self.threads == 1 and ends[-1] < _KEPT_BYTES
        for index, part in enumerate(parts):
            if part:
                part.put_row_sums(self.room, at[index] - start)
        self.turn_to(sizes)

    def turn_to(self, sizes: Sizes) -> None:
        """Serve a call of these sizes, whose first batch, chunk and threads are the same."""
        self.sizes = sizes
        self.first = np.fromiter(itertools.accumulate(sizes.batch_sizes, initial=0), np.int64)
        self.set_number("steps", len(sizes.batch_sizes))
        self.set_number("first_at", self.first.ctypes.data)

    def tell_addresses(self, small: Small) -> None:
        """Write where the layer's small tensors lie."""
        self.small, addresses = small, small[1]
        self.task[PER_CALL - len(addresses) : PER_CALL] = addresses

    def run(self) -> None:
        """The whole layer, on this thread."""
        run_packed(self.task_at, 0, 1, 1, ALL)

    def number(self, name: str) -> int:
        """A field of the task."""
        return self.numbers[PackedTask._fields.index(name)]

    def set_number(self, name: str, number: int) -> None:
        """Change a field of the task."""
        self.numbers[PackedTask._fields.index(name)] = number

    def _buffers(
        self, layer: PackedLayer, widths: Sequence[int], rows: int, batch: int, tiles: int,
        projection_tiles: int,
    ) -> list[int]:  # fmt: skip
        """Bytes of the working buffers in the order of `PackedTask`."""
        terms = 192 * layer.gates * tiles
        quantized = [
            part.row_bytes(width) * count if part else 0
            for part, width, count in zip(layer.parts, widths, (rows, batch, batch), strict=True)
        ]
        row_sums = 64 * layer.gates * tiles
        state = [256 * projection_tiles * batch] * layer.projected
        return [
            terms, terms, 768 * projection_tiles,
            quantized[0], 8 * rows, quantized[1], 8 * batch, quantized[2], 8 * batch,
            64 * tiles * batch, 64 * tiles * batch, *state,
            row_sums * rows, row_sums * batch,
            8 * (SYNC + self.blocks),
        ]  # fmt: skip
