"""What all int8 modules share: weights held as tiles, a state dict in rows, the compiled path.

For each weight `name` a module holds one set of buffers, in the order in which kernels read them
(`tiles.py`). Kernels and reference read the same ones; there is no second copy.

    {name}_tiles             int8, `tiles.pack` of the integers
    {name}_terms             int32, `tiles.pack_terms` of the scale, the bias and the sum of the
                             integers of each row
    {name}_columns           float32 (columns,), powers of two, or None
    {name}_residual_rows     int64, the rows that have a residual, or None;
    {name}_residual_tiles    its integers and its terms as above,
    {name}_residual_terms    a matrix without gates

The state dict has the rows instead, named as in `nn.LSTM`, `nn.GRU` and `nn.Linear`: `name`,
`{name}_scale`, `{name}_columns`, the bias, and `{name}_residual`, `..._scale`, `..._rows`. As
attributes of the module they are copies: to change a weight, load a state dict.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from . import operators
from .checks import describe
from .errors import ArgumentError, ModelError
from .obstacles import require_plain
from .scheme import DEFAULT, Scheme, chosen_scheme
from .tiles import pack, pack_terms, row_sums, unpack, unpack_terms
from .weights import Int8Weight, Residual, checked_residual, quantize_weight

Kind = TypeVar("Kind", bound="Int8Module")

# What `tiles.pack_terms` is given, in this order.
SCALE, BIAS, SUMS = range(3)


class Matrix(NamedTuple):
    """Shape (rows, depth) of a weight, its gates, and the name of its bias if it has one."""

    rows: int
    depth: int
    gates: int
    bias: str | None


@functools.cache
def _kernels() -> ModuleType | None:
    """The compiled path, or None where it cannot be had, which it says once."""
    from .fast import calls

    return calls if calls.ready() else None


class Int8Module(nn.Module):
    """Base class of `Int8LSTM`, `Int8GRU` and `Int8Linear`.

    Attributes:
        scheme: Where the scales come from.
        activation_bits: Bits of the integers that its input is quantized to.
        fast: None takes compiled code where there is any; False never does.
    """

    _how: str  # what `operators` tells of it when a call is traced

    scheme: Scheme
    activation_bits: int
    fast: bool | None

    def __init__(self, scheme: Scheme, fast: bool | None) -> None:
        super().__init__()
        self.scheme, self.fast = scheme, fast
        self._sizes: dict[str, Matrix] = {}

    _FLOAT: ClassVar[Any]  # what it stands in for: nn.LSTM, nn.GRU or nn.Linear

    @classmethod
    def from_float(
        cls: type[Kind],
        module: nn.Module,
        *,
        scheme: Scheme | str = DEFAULT,
        activation_bits: int | None = None,
        fast: bool | None = None,
    ) -> Kind:
        """Convert the float module that this class stands in for; its weights are quantized once.

        Args:
            module: An nn.LSTM, nn.GRU or nn.Linear, float32.
            scheme: A `Scheme`, or its name.
            activation_bits: Bits of inputs and hidden state alike: 8, faster and less exact, or
                16, slower and a little more exact. None for what the scheme says.
            fast: As in the constructor.

        Raises:
            ModelError: It is of another kind or overrides its forward, or a weight is not float32
                or holds NaN or infinity.
            ArgumentError: The scheme's bits would overflow int32 at these sizes, or
                `activation_bits` is something else or stands beside a scheme with bits of its own.
        """
        require_plain(cls._FLOAT.__name__.lower(), module, cls._FLOAT)
        return cls._from_float(module, chosen_scheme(scheme, activation_bits), fast=fast)

    @classmethod
    def _from_float(
        cls: type[Kind],
        module: nn.Module,
        scheme: Scheme,
        prefix: str = "",
        fast: bool | None = None,
    ) -> Kind:
        made = cls._like(module, scheme, fast)
        for name, sizes in made._sizes.items():
            # No residual of W_hh: it would be multiplied at every step, for states that lie
            # between -1 and 1, whose rows differ less.
            residual = not name.startswith(("weight_hh", "weight_hr"))
            floats = getattr(module, name)
            weight = quantize_weight(prefix + name, floats, made.scheme, residual=residual)
            made._put(name, weight, getattr(module, sizes.bias).detach() if sizes.bias else None)
        return made

    @classmethod
    def _like(
        cls: type[Kind],
        module: nn.Module,
        scheme: Scheme,
        fast: bool | None = None,
        device: str = "meta",
    ) -> Kind:
        """One of the sizes of a float or int8 module, its weights not filled in."""
        taken = inspect.signature(cls).parameters.keys() - {"scheme", "fast"}
        sizes = {key: getattr(module, key) for key in taken}
        sizes["bias"] = sizes["bias"] is not None and sizes["bias"] is not False
        with torch.device(device):
            return cls(**sizes, scheme=scheme, fast=fast).train(module.training)

    def extra_repr(self) -> str:
        """The sizes and the choices, as PyTorch shows them."""
        return f"{self._FLOAT.extra_repr(self)}, activation_bits={self.activation_bits}"

    def bits_of(self, name: str) -> tuple[int, bool]:
        """Bits of the activations that this weight multiplies, and whether they are symmetric."""
        return self.activation_bits, self.scheme.symmetric

    def int8_weights(self) -> dict[str, Int8Weight]:
        """The weights by their names, as rows; copies."""
        return {name: self._weight(name) for name in self._sizes}

    # -- buffers -----------------------------------------------------------------------------

    def _matrices(self) -> list[str]:
        return [*self._sizes]

    def _add(self, name: str, matrix: Matrix) -> None:
        """Make room for a weight, of zeros."""
        scales = matrix.rows if self.scheme.weights == "channel" else 1
        values = torch.zeros(matrix.rows, matrix.depth, dtype=torch.int8)
        columns = torch.ones(matrix.depth) if self.scheme.columns else None
        empty = _packed(matrix, Int8Weight(values, torch.ones(scales), columns), None)
        for key, tensor in empty.items():
            self.register_buffer(f"{name}_{key}", tensor, persistent=False)
        self._sizes[name] = matrix
        self._how = operators.described(self)

    def _put(
        self, name: str, weight: Int8Weight, bias: Tensor | None, *, in_place: bool = False
    ) -> None:
        """Store a weight; in place, so that memory which is shared stays so, where it can be."""
        for key, new in _packed(self._sizes[name], weight, bias).items():
            old = self._buffers[f"{name}_{key}"]
            if in_place and old is not None and new is not None and old.shape == new.shape:
                old.copy_(new)
            else:
                self._buffers[f"{name}_{key}"] = new
        self._how = operators.described(self)

    def _weight(self, name: str) -> Int8Weight:
        """A weight as rows."""
        rows, depth, gates, _ = self._sizes[name]
        held: list[Any] = [self._buffers[f"{name}_{key}"] for key in _KEYS]
        tiles, terms, columns, places, more_tiles, more_terms = held
        scale = unpack_terms(terms[SCALE], rows, gates)
        if self.scheme.weights == "tensor":
            scale = scale[:1]
        residual = None
        if places is not None:
            values = unpack(more_tiles, len(places), depth, 1)
            residual = Residual(places, values, unpack_terms(more_terms[SCALE], len(places), 1))
        return Int8Weight(unpack(tiles, rows, depth, gates), scale, columns, residual)

    def _bias(self, name: str) -> Tensor | None:
        """The bias that is added to the products with this weight."""
        rows, _, gates, bias = self._sizes[name]
        terms = self._buffers[f"{name}_terms"]
        return None if bias is None else unpack_terms(terms[BIAS], rows, gates)

    # -- the state dict ----------------------------------------------------------------------

    def _rows(self, name: str) -> dict[str, Any]:
        """What the state dict says of a weight, under every name that it may have there; copies."""
        values, scale, columns, residual = self._weight(name)
        columns = None if columns is None else columns.clone()
        rows, *more = residual or (None, None, None)
        rows = None if rows is None else rows.clone()
        found = dict(zip(_names(name), (values, scale, columns, rows, *more), strict=True))
        if bias := self._sizes[name].bias:
            found[bias] = self._bias(name)
        return found

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name in self._sizes:
            for key, tensor in self._rows(name).items():
                if tensor is not None:
                    destination[prefix + key] = tensor

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
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        own = {key: name for name in self._sizes for key in self._keys(name)}
        unexpected_keys[:] = [key for key in unexpected_keys if key[len(prefix) :] not in own]
        given = {key: state_dict[prefix + key] for key in own if prefix + key in state_dict}
        # Version 1.0 knew no column scales; but a state has those of all weights, or of none.
        columns = any(f"{name}_columns" in given for name in self._sizes)
        assign = bool(local_metadata.get("assign_to_params_buffers", False))
        for name in self._sizes:
            if strict:
                wanted = [key for key in self._keys(name, columns) if key not in given]
                missing_keys += [prefix + key for key in wanted]
            try:
                self._load(name, given, prefix, assign)
            except ModelError as error:
                error_msgs.append(str(error))
        if given and columns != self.scheme.columns:
            self.scheme = replace(self.scheme, columns=columns)

    @torch.no_grad()
    def _load(self, name: str, state: Mapping[str, Any], prefix: str, assign: bool) -> None:
        """Take a weight from a state, whose residual and columns go with its integers."""
        given = {key: state[key] for key in self._keys(name) if key in state}
        if not given:
            return
        key, scale, columns, *residual = _names(name)
        now, sizes = self._rows(name), self._sizes[name]
        if key in given:
            now.update(dict.fromkeys((columns, *residual)))
        shapes = {key: (sizes.rows, sizes.depth), columns: (sizes.depth,), scale: now[scale].shape}
        for one in given.keys() - set(residual):
            dtype = torch.int8 if one == key else torch.float32
            _check(prefix + one, given[one], dtype, tuple(shapes.get(one, (sizes.rows,))))
        now.update(given)
        parts = [now[one] for one in residual]
        if any(part is not None for part in parts):
            checked_residual(prefix + key, shapes[key], parts)
        device = self._buffers[f"{name}_tiles"].device
        if device.type == "meta" and not assign:
            raise ModelError(
                "{name} is on the device meta and has no memory; pass assign=True.",
                name=prefix + key,
            )
        if not assign:
            now = {one: None if value is None else value.to(device) for one, value in now.items()}
        rows, values, of_rows = (now[one] for one in residual)
        found = None if rows is None else Residual(rows, values, of_rows)
        weight = Int8Weight(now[key], now[scale], now[columns], found)
        self._put(name, weight, now.get(sizes.bias or ""), in_place=not assign)

    def _keys(self, name: str, columns: bool | None = None) -> list[str]:
        """The names of a weight's tensors in a state dict; only those that have to be there."""
        bias = self._sizes[name].bias
        key, scale, of_columns, *residual = _names(name)
        always = [key, scale, *([bias] if bias else [])]
        if columns is None:
            return [*always, of_columns, *residual]
        return [*always, of_columns] if columns else always

    # -- a module like any other -------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            for weight in self.__dict__.get("_sizes", ()):
                if name in self._keys(weight):
                    return self._rows(weight)[name]
            raise

    def __setattr__(self, name: str, value: Any) -> None:
        if any(name in self._keys(weight) for weight in self.__dict__.get("_sizes", ())):
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

    def _fast(self) -> ModuleType | None:
        """The compiled path, if this call may take it."""
        if self.fast is False or torch.compiler.is_compiling() or torch.jit.is_tracing():
            return None
        return _kernels()


_KEYS = ("tiles", "terms", "columns", "residual_rows", "residual_tiles", "residual_terms")


@functools.lru_cache(256)
def _names(name: str) -> tuple[str, ...]:
    """What the state dict calls integers, scale, columns, and the residual as `Residual` has it."""
    residual = f"{name}_residual_rows", f"{name}_residual", f"{name}_residual_scale"
    return name, f"{name}_scale", f"{name}_columns", *residual


def _packed(matrix: Matrix, weight: Int8Weight, bias: Tensor | None) -> dict[str, Tensor | None]:
    """The buffers of a weight."""
    values, scale, columns, residual = weight
    rows, _, gates, _ = matrix
    bias = torch.zeros_like(scale) if bias is None else bias
    terms = [scale.expand(rows).contiguous(), bias.expand(rows).contiguous(), row_sums(values)]
    found = [pack(values.contiguous(), gates), pack_terms(terms, gates), columns, None, None, None]
    if residual is not None:
        places, more, of_rows = residual
        terms = [of_rows, torch.zeros_like(of_rows), row_sums(more)]
        found[3:] = places, pack(more, 1), pack_terms(terms, 1)
    return dict(zip(_KEYS, found, strict=True))


def _check(name: str, value: Any, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    if not isinstance(value, Tensor) or value.dtype != dtype or value.shape != shape:
        raise ModelError(
            "{name} is a {what}; this module takes a {dtype} tensor of shape {shape}.",
            name=name,
            what=describe(value),
            dtype=str(dtype).removeprefix("torch."),
            shape=shape,
        )
