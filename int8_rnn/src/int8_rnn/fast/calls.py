"""From a module to its kernels: records of its weights, and what a call tells compiled code.

`run_recurrent` and `run_linear` do what the reference does, in equal integers; each gives None
where the reference has to do it. A record says where the buffers of a weight lie and how large
they are, and nothing of what is in them, so it holds as long as the same tensors lie there.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from operator import attrgetter, is_
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..scheme import SMALLEST_NORMAL
from . import records, threads
from .ready import ready

if TYPE_CHECKING:
    from .loading import Code

__all__ = ["ready", "run_linear", "run_recurrent", "run_usual"]

KEPT = "_fast_kept"
_CALL = struct.Struct(f"@{records.NUMBERS}q").pack
_address, _version, _FLOAT = Tensor.data_ptr, attrgetter("_version"), torch.float32
_FLOAT_BITS = 32  # a module says so that its activations stay floats
_KEYS = ("tiles", "terms", "columns", "residual_rows", "residual_tiles", "residual_terms")


class _NotOursError(Exception):
    """A module that is for the reference."""


class Kept:
    """The records of a module's weights.

    Attributes:
        layers: For each layer and direction the first numbers of a call, its multiply-adds for a
            row, and its tiles.
        widths: Of the states.
    """

    def __init__(self, module: Any, code: Code) -> None:
        self.code = code
        self.records: list[tuple[np.ndarray, Tensor]] = []
        self.scheme, self.tensors = module.scheme, [*module._buffers.values()]
        self.present = [tensor for tensor in self.tensors if tensor is not None]
        self.places = [*map(_address, self.present)]
        self.bounded: list[Tensor] = []  # tiles for which it matters what is in them
        scheme = module.scheme
        if (
            (scheme.activations, scheme.weights) != ("row", "channel")
            or scheme.smallest_scale != SMALLEST_NORMAL
            or not all(one.is_cpu and one.is_contiguous() for one in self.present)
        ):
            raise _NotOursError
        self.at = {name: self._weight(module, name) for name in module._sizes}
        self.versions = [*map(_version, self.bounded)]
        self.widths: tuple[int, ...] = () if module._GATES == 1 else module._widths()
        starts = [name for name in self.at if name.startswith("weight_ih")]
        self.layers = [self._layer(module, name.removeprefix("weight_ih")) for name in starts]

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(None), ()  # a copy or a pickle of the module has weights of its own

    def is_of(self, module: Any) -> bool:
        """Whether these still are the module's buffers, at the same place."""
        return (
            all(map(is_, module._buffers.values(), self.tensors))
            and len(module._buffers) == len(self.tensors)
            and [*map(_address, self.present)] == self.places
            and module.scheme is self.scheme
            and (not self.bounded or [*map(_version, self.bounded)] == self.versions)
        )

    def _weight(self, module: Any, name: str) -> int:
        """The address of the record of a weight."""
        rows, depth, gates, _ = module._sizes[name]
        buffers = module._buffers
        tiles, terms, columns, numbers, more, more_terms = (
            buffers.get(f"{name}_{key}") for key in _KEYS
        )
        how = self._form(module, name, [tiles] if more is None else [tiles, more])
        columns = torch.ones(depth) if columns is None else columns
        units, more_at, rows_at = rows // gates if gates > 1 else 0, 0, 0
        if more is not None:
            one = more, more_terms, columns, 0, 0
            more_at, rows_at = self._record(*one, how, depth, len(numbers), 0), _address(numbers)
        return self._record(tiles, terms, columns, more_at, rows_at, how, depth, rows, units)

    def _record(
        self, tiles: Tensor, terms: Tensor, columns: Tensor, more_at: int, rows_at: int,
        how: tuple[int, int, int], depth: int, rows: int, units: int,
    ) -> int:  # fmt: skip
        """The address of a `WEIGHT`."""
        (count, steps, vectors, *_), (form, symmetric, most) = tiles.shape, how
        tile_bytes, q_bytes = (
            tiles[0].numel() * tiles.element_size(),
            4 * steps * records.X_BYTES[form],
        )
        addresses = *map(_address, (tiles, terms, columns)), more_at, rows_at
        step = -(-(records.MARK + q_bytes) // 64) * 64  # whole cache lines
        numbers = tile_bytes, count, steps, step, form, vectors, symmetric, most
        self.records.append(
            (np.array([(*addresses, *numbers, depth, rows, units)], records.WEIGHT), columns)
        )
        address: int = self.records[-1][0].ctypes.data
        return address

    def _form(self, module: Any, name: str, tiles: list[Tensor]) -> tuple[int, int, int]:
        """The form of what meets a weight; whether integers are symmetric, and the largest."""
        bits, symmetric = module.bits_of(name)
        exact = records.is_exact(self.code.instruction)
        if bits == _FLOAT_BITS:
            return records.FLOATS if tiles[0].dtype is _FLOAT else records.WEIGHTS, 1, 0
        if symmetric:
            return records.PLANES if exact else records.WORDS, 1, 2 ** (bits - 1) - 1
        if bits > 8:
            raise _NotOursError
        if not exact:
            if not self.code.instruction or not all(map(_in_pairs, tiles)):
                return records.WORDS, 0, 2**bits - 1
            self.bounded += tiles
        return records.BYTES, 0, 2**bits - 1

    def _layer(self, module: Any, suffix: str) -> tuple[tuple[int, ...], int, int]:
        ih, hh, hr = (self.at.get(f"weight_{part}{suffix}", 0) for part in ("ih", "hh", "hr"))
        sizes = [module._sizes[f"weight_{part}{suffix}"] for part in ("ih", "hh")]
        outputs = (2 if module.bidirectional else 1) * module._output_size
        work = sum(one.rows * one.depth for one in sizes)
        tiles = -(-module.hidden_size // 16)
        return (ih, hh, hr, suffix.endswith("_reverse"), outputs), work, tiles


def _in_pairs(tiles: Tensor) -> bool:
    """Whether no two neighbours in a row exceed 128 together, and any change would be noticed."""
    if tiles.is_inference():
        return False
    return int(tiles.to(torch.int16).abs_().unflatten(-1, (2, 2)).sum(-1).max()) <= 128


def _kept(module: Any) -> Kept | None:
    """The records of a module, made anew where its buffers are others; None for the reference."""
    kept: Kept | None = module.__dict__.get(KEPT)
    if kept is None or not kept.is_of(module):
        from .loading import load  # which there may be no llvmlite for

        try:
            kept = module.__dict__[KEPT] = Kept(module, load())
        except _NotOursError:
            return None
    return kept


def _is_plain(tensor: Any) -> bool:
    return type(tensor) is Tensor and tensor.dtype is _FLOAT and tensor.is_cpu


def run_usual(module: Any, data: Any, hx: Any) -> tuple[Tensor, tuple[Tensor, ...]] | None:
    """The usual call of a recurrent module without detours; None where it is another one.

    Args:
        module: An Int8LSTM or Int8GRU.
        data: Its input, whatever it is.
        hx: Its initial states, whatever they are.
    """
    if not _is_plain(data) or data.dim() != 3:
        return None
    turned = module.batch_first
    if turned:
        data = data.transpose(0, 1)
    steps, batch, inputs = data.shape
    if inputs != module.input_size or not steps or not batch or not (kept := _kept(module)):
        return None
    states = None
    if hx is not None:
        shapes = [(len(kept.layers), batch, width) for width in kept.widths]
        states = hx if len(shapes) > 1 else (hx,)
        if type(states) is not tuple or len(states) != len(shapes):
            return None
        for part, shape in zip(states, shapes, strict=True):
            if not _is_plain(part) or part.shape != shape:
                return None
    output, finals = _run(kept, data, steps, batch, 0, states)
    return (output.transpose(0, 1) if turned else output), finals


def run_recurrent(
    module: Any, data: Tensor, batch_sizes: Sequence[int] | None, states: Sequence[Tensor] | None
) -> tuple[Tensor, tuple[Tensor, ...]] | None:
    """All layers of an Int8LSTM or Int8GRU, one after the other.

    Args:
        module: Whose buffers hold the weights.
        data: float32 (steps, batch, inputs), or packed rows (rows, inputs).
        batch_sizes: Of packed rows, how many each step has; never rising.
        states: Initial states (layers · directions, batch, width) each; zeros if None.

    Returns:
        The output, and the final states, (hidden, cell) or (hidden,).
    """
    if not all(map(_is_plain, (data, *(states or ())))) or not (kept := _kept(module)):
        return None
    if batch_sizes is None:
        steps, batch = data.shape[:2]
        return _run(kept, data, steps, batch, 0, states) if steps and batch else None
    first = np.fromiter(itertools.accumulate(batch_sizes, initial=0), np.int64)
    if len(batch_sizes) == 0 or first[-1] != len(data):
        return None
    return _run(kept, data, len(batch_sizes), batch_sizes[0], first.ctypes.data, states)


def _run(
    kept: Kept, data: Tensor, steps: int, batch: int, first_at: int, states: Any
) -> tuple[Tensor, tuple[Tensor, ...]]:
    layers, widths, run = kept.layers, kept.widths, kept.code.run
    count, allowed, leading = len(layers), torch.get_num_threads(), data.shape[:-1]
    finals = tuple([data.new_empty(count, batch, width) for width in widths])
    h_at, c_at = _address(finals[0]), _address(finals[-1])
    h0_at = c0_at = h0_step = c0_step = 0
    h_step, c_step = 4 * batch * widths[0], 4 * batch * widths[-1]
    if states is not None:
        states = [part.contiguous() for part in states]
        h0_at, c0_at, h0_step, c0_step = _address(states[0]), _address(states[-1]), h_step, c_step
    for layer, work, tiles in layers:
        *_, reverse, outputs = layer
        if not reverse:
            x = data.contiguous()
            data = x.new_empty(*leading, outputs)
        y_at, many, sync_at = _address(data) + 2 * outputs * reverse, 1, 0
        if allowed > 1:
            rows = data.numel() // outputs
            many = threads.threads_for(allowed, work * rows, steps)
        if many > 1:
            sync = np.zeros(records.CLAIMS // 8 + tiles, np.int64)
            sync_at = sync.ctypes.data
        call = _CALL(
            *layer, _address(x), y_at, h0_at, c0_at, h_at, c_at, first_at, steps, batch, sync_at,
            many,
        )  # fmt: skip
        if many > 1:
            keep = kept, x, data, finals, states
            _check(threads.run_with(run, call, many, sync, keep))
        else:
            _check(run(call, 0))
        h0_at, c0_at, h_at, c_at = h0_at + h0_step, c0_at + c0_step, h_at + h_step, c_at + c_step
    return data, finals


def _check(failed: int) -> None:
    if failed:
        raise MemoryError("there is no memory for the working buffers; pass a smaller batch.")


def run_linear(module: Any, rows: Tensor, *_: Any) -> tuple[Tensor, tuple[()]] | None:
    """An Int8Linear: float32 (rows, in) gives (rows, out), and no states."""
    if not _is_plain(rows) or not len(rows) or not (kept := _kept(module)):
        return None
    x = rows.contiguous()
    y = x.new_empty(len(x), module.out_features)
    places = *[0] * 4, _address(x), _address(y), *[0] * 6
    _check(kept.code.run(_CALL(kept.at["weight"], *places, len(x), 0, 1), 0))
    return y, ()
