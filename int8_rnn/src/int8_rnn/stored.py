"""A module that holds int8 weights as tiles, and speaks of them as rows in its state dict.

For each weight `name` a module holds one set of buffers, in the order in which kernels read them
(`tiles.py`). Kernels and reference read the same ones; there is no second copy.

    {name}_tiles             int8, `tiles.pack` of the integers
    {name}_terms             int32, `tiles.pack_terms` of the scale, the bias and the sum of the
                             integers of each row
    {name}_columns           float32 (columns,), powers of two, or None
    {name}_residual_rows     int64, the rows that have a residual, or None;
    {name}_residual_tiles    its integers and its terms as above,
    {name}_residual_terms    a matrix without gates

The state dict has the rows instead, named as in `nn.LSTM`, `nn.GRU` and `nn.Linear` (`_table`). As
attributes of the module they are copies: to change a weight, load a state dict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from . import operators
from .checks import describe, fits
from .errors import ArgumentError, ModelError
from .scheme import Scheme
from .tiles import pack, pack_terms, unpack, unpack_terms
from .weights import Int8Weight, Residual, checked_residual

SCALE, BIAS = 0, 1  # of the lines of terms
_KEYS = ("tiles", "terms", "columns", "residual_rows", "residual_tiles", "residual_terms")


class Matrix(NamedTuple):
    """Shape (rows, depth) of a weight, its gates, and the name of its bias if it has one."""

    rows: int
    depth: int
    gates: int
    bias: str | None


class Stored(nn.Module):
    """Base class of `Int8Module`: its buffers and its state dict."""

    scheme: Scheme
    _how: str  # what `operators` tells of the module when a call is traced

    def __init__(self) -> None:
        super().__init__()
        self._sizes: dict[str, Matrix] = {}
        self._owners: dict[str, str] = {}  # the weight that a name of the state dict belongs to

    def _add(self, name: str, matrix: Matrix) -> None:
        """Make room for a weight, of zeros."""
        self._sizes[name] = matrix
        for key in _KEYS:
            self.register_buffer(f"{name}_{key}", None, persistent=False)
        zeros = torch.zeros(matrix.rows, matrix.depth, dtype=torch.int8)
        scale = torch.ones(matrix.rows if self.scheme.weights == "channel" else 1)
        columns = torch.ones(matrix.depth) if self.scheme.columns else None
        self._owners.update(dict.fromkeys(self._table(name), name))
        self._put(name, Int8Weight(zeros, scale, columns))

    @torch.no_grad()
    def _put(self, name: str, weight: Int8Weight, *, in_place: bool = False) -> None:
        """Store a weight; in place, so that memory which is shared stays so, where it can be."""
        values, scale, columns, residual, bias = weight
        rows, _, gates, _ = self._sizes[name]
        columns = None if columns is None else columns.clone()
        packed = [*_packed(values, scale.expand(rows), bias, gates), columns]
        if residual is not None:
            rows_of, more, scale = residual
            packed += [rows_of.clone(), *_packed(more, scale, None, 1)]
        for key, new in zip(_KEYS, packed + [None] * (len(_KEYS) - len(packed)), strict=True):
            old = self._buffers.get(f"{name}_{key}")
            if new is None:  # torch.export counts buffers wrongly where some are None
                self._buffers.pop(f"{name}_{key}", None)
            elif in_place and old is not None and old.shape == new.shape:
                old.copy_(new)
            else:
                self._buffers[f"{name}_{key}"] = new
        self._how = operators.described(self)

    def _weight(self, name: str) -> Int8Weight:
        """A weight and its bias as rows; copies."""
        rows, depth, gates, named = self._sizes[name]
        held: list[Any] = [self._buffers.get(f"{name}_{key}") for key in _KEYS]
        tiles, terms, columns, places, more_tiles, more_terms = held
        scale = unpack_terms(terms[SCALE], rows, gates)
        if self.scheme.weights == "tensor":
            scale = scale[:1]
        residual = None
        if places is not None:
            more = unpack(more_tiles, len(places), depth, 1)
            of_rows = unpack_terms(more_terms[SCALE], len(places), 1)
            residual = Residual(places.clone(), more, of_rows)
        columns = None if columns is None else columns.clone()
        bias = unpack_terms(terms[BIAS], rows, gates) if named else None
        return Int8Weight(unpack(tiles, rows, depth, gates), scale, columns, residual, bias)

    # -- the state dict ----------------------------------------------------------------------

    def _table(self, name: str) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        """What the state dict has of a weight: names, dtypes, shapes; -1 for any size."""
        rows, depth, _, bias = self._sizes[name]
        scales = rows if self.scheme.weights == "channel" else 1
        return {
            name: (torch.int8, (rows, depth)),
            f"{name}_scale": (torch.float32, (scales,)),
            f"{name}_columns": (torch.float32, (depth,)),
            f"{name}_residual_rows": (torch.int64, (-1,)),
            f"{name}_residual": (torch.int8, (-1, depth)),
            f"{name}_residual_scale": (torch.float32, (-1,)),
            **({bias: (torch.float32, (rows,))} if bias else {}),
        }

    def _rows(self, name: str) -> dict[str, Any]:
        """What `_table` lists, None for what there is not; copies."""
        *always, residual, bias = self._weight(name)
        found = (*always, *(residual or (None,) * 3), bias)
        return dict(zip(self._table(name), found, strict=False))  # no name, no bias

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name in self._sizes:
            rows = self._rows(name).items()
            destination.update({prefix + key: one for key, one in rows if one is not None})

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        found: tuple[list[str], ...] = (missing_keys, unexpected_keys, error_msgs)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, *found)
        own = self._owners
        unexpected_keys[:] = [key for key in unexpected_keys if key[len(prefix) :] not in own]
        given = {key: state_dict[prefix + key] for key in own if prefix + key in state_dict}
        # Version 1.0 knew no column scales; but a state has those of all weights, or of none.
        columns = any(key.endswith("_columns") for key in given)
        optional = ("_residual_rows", "_residual", "_residual_scale", *["_columns"][columns:])
        if strict:
            wanted = [key for key in own if not key.endswith(optional)]
            missing_keys += [prefix + key for key in wanted if key not in given]
        assign = bool(local_metadata.get("assign_to_params_buffers", False))
        taken = []
        for name in dict.fromkeys(own[key] for key in given):
            try:
                taken.append((name, self._taken(name, given, prefix, assign)))
            except ModelError as error:
                error_msgs.append(str(error))
        if not error_msgs:  # all of them, or none
            for name, weight in taken:
                self._put(name, weight, in_place=not assign)
            left = any(f"{name}_columns" in self._buffers for name in self._sizes)
            self.scheme = replace(self.scheme, columns=left)
            self._how = operators.described(self)

    def _taken(self, name: str, state: Mapping[str, Any], prefix: str, assign: bool) -> Int8Weight:
        """A weight as it is with what a state gives of it."""
        table, now = self._table(name), self._rows(name)
        columns, *residual = [*table][2:6]
        if name in state:  # whose columns and residual go with it
            now.update(dict.fromkeys((columns, *residual)))
        now.update({key: state[key] for key in table if key in state})
        for key, (dtype, shape) in table.items():
            if key in state and key not in residual and not fits(state[key], dtype, *shape):
                raise ModelError(
                    "{name} is a {what}; this module takes a {dtype} tensor of shape {shape}.",
                    name=prefix + key,
                    what=describe(state[key]),
                    dtype=str(dtype).removeprefix("torch."),
                    shape=shape,
                )
        parts = [now[key] for key in residual]
        if any(part is not None for part in parts):
            checked_residual(prefix + name, table[name][1], parts)
        device = self._buffers[f"{name}_tiles"].device
        if device.type == "meta" and not assign:
            raise ModelError(
                "{name} is on the device meta and has no memory; pass assign=True.",
                name=prefix + name,
            )
        if not assign:
            now = {key: one if one is None else one.to(device) for key, one in now.items()}
        values, scale, of_columns, *more, bias = [*now.values(), None][:7]
        found = None if more[0] is None else Residual(*more)
        return Int8Weight(values, scale, of_columns, found, bias)

    # -- a module like any other -------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            owner = self.__dict__.get("_owners", {}).get(name)
            if owner is None:
                raise
            return self._rows(owner)[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("_owners", {}):
            raise ArgumentError(
                "{name} is stored in the order of the kernels and cannot be set by itself; call "
                "load_state_dict({{{name!r}: ...}}, strict=False).",
                name=name,
            )
        super().__setattr__(name, value)

    def _apply(self, fn: Any, recurse: bool = True) -> nn.Module:
        # .half() and .double() would spoil the scales, and there is nothing to gain.
        def keep_dtype(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(keep_dtype, recurse)


def _packed(values: Tensor, scale: Tensor, bias: Tensor | None, gates: int) -> list[Tensor]:
    """Tiles and terms of a matrix."""
    bias = torch.zeros_like(scale) if bias is None else bias
    terms = [scale.contiguous(), bias.contiguous(), values.sum(dim=1, dtype=torch.int32)]
    return [pack(values.contiguous(), gates), pack_terms(terms, gates)]
