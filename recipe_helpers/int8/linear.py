"""An int8 Linear in plain tensors, and what it has in common with the recurrent ones."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.utils import parametrize

from ..common.checks import describe, positive_int
from ..common.errors import InputError, ModelError
from ..common.language import Text
from . import arithmetic
from .arithmetic import DEFAULT, Int8Weight, Scheme, as_scheme, chosen_scheme
from .residual import checked_residual, has_residual, residual_names

_is_compiling, _is_tracing = torch.compiler.is_compiling, torch._C._is_tracing


@functools.cache
def _kernels() -> ModuleType | None:
    """The fast path, or None where it cannot be had, which it says once."""
    from .fast_path import calls, ready

    return calls if ready.compiled() else None


@functools.cache
def _usual(scheme: Scheme) -> bool:
    """Whether activations are quantized by the rules that the fast path knows."""
    return (
        scheme.activations == "row"
        and scheme.weights == "channel"
        and (scheme.symmetric or (scheme.activation_bits or 16) <= 8)
        and scheme.smallest_scale == DEFAULT.smallest_scale
    )


class Int8Module(nn.Module):
    """What all int8 modules share: buffers that keep their dtype, the choice of the fast path."""

    scheme: Scheme
    activation_bits: int
    fast: bool | None

    def _store(self, name: str, weight: Int8Weight) -> None:
        self.register_buffer(name, weight.values)
        self.register_buffer(f"{name}_scale", weight.scale)
        self.register_buffer(f"{name}_columns", weight.columns)
        for part, tensor in zip(residual_names(name), weight.residual or (), strict=False):
            self.register_buffer(part, tensor)

    def _empty(self, rows: int, columns: int) -> Int8Weight:
        scales = rows if self.scheme.weights == "channel" else 1
        values = torch.zeros(rows, columns, dtype=torch.int8)
        alike = torch.ones(columns) if self.scheme.columns else None
        return Int8Weight(values, torch.ones(scales), alike)

    def _weight(self, name: str) -> Int8Weight:
        columns = self._buffers.get(f"{name}_columns")  # one pickled by version 1.0 has none
        scale, parts = getattr(self, f"{name}_scale"), residual_names(name)
        if not has_residual(self._buffers, name):
            return Int8Weight(getattr(self, name), scale, columns)
        found = [self._buffers.get(part) for part in parts]
        residual = checked_residual(name, getattr(self, name), found)
        return Int8Weight(getattr(self, name), scale, columns, residual)

    def __getstate__(self) -> dict[str, Any]:
        # What the fast path has packed stays behind: a copy or a pickle has weights of its own.
        return {
            name: value for name, value in self.__dict__.items() if not name.startswith("_fast_")
        }

    def _fast(self) -> ModuleType | None:
        if self.fast is False or _is_compiling() or _is_tracing():
            return None
        scheme = self.scheme
        if self.__dict__.get("_fast_scheme") is not scheme:  # a look costs less than the rules
            if not _usual(scheme):
                return None
            self.__dict__["_fast_scheme"] = scheme
        return _kernels()

    def _matrices(self) -> list[str]:
        names = [name.removesuffix("_scale") for name in self._buffers if name.endswith("_scale")]
        return [name for name in names if not name.endswith("_residual")]

    def int8_weights(self) -> dict[str, Int8Weight]:
        """The weights by their names."""
        return {name: self._weight(name) for name in self._matrices()}

    def follow(
        self, *, columns: bool, pairs: bool | None = None, residual: bool | None = None
    ) -> None:
        """Make room for weights that were quantized by other rules, as those of other files are."""
        for name in self._matrices():
            if not columns:
                self._buffers[f"{name}_columns"] = None
            elif self._buffers.get(f"{name}_columns") is None:
                scale = getattr(self, f"{name}_scale")
                self._buffers[f"{name}_columns"] = scale.new_ones(getattr(self, name).shape[1])
        pairs = self.scheme.pairs if pairs is None else pairs
        residual = self.scheme.residual if residual is None else residual
        self.scheme = replace(self.scheme, columns=columns, pairs=pairs, residual=residual)

    def follow_residuals(self, state: Mapping[str, Any], prefix: str = "") -> None:
        """Make room for just those residuals that a state has.

        Raises:
            ModelError: One of them is not what a residual of that weight can be.
        """
        for name in self._matrices():
            own, parts = getattr(self, name), residual_names(name)
            for part in parts:
                self._buffers.pop(part, None)
            if has_residual(state, prefix + name):
                found = [state.get(prefix + part) for part in parts]
                # If the weight does not fit either, that is for others to say.
                checked_residual(prefix + name, state.get(prefix + name, own), found)
                for part in parts:
                    there = state[prefix + part]
                    room = torch.empty_like(there, device=own.device)
                    self.register_buffer(part, room)

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *arguments: Any, **options: Any
    ) -> None:
        """Take what the state has of column scales and residuals; version 1.0 knew neither."""
        weights = [prefix + name for name in self._matrices()]
        if weights and all(weight in state_dict for weight in weights):
            self.follow(columns=all(f"{weight}_columns" in state_dict for weight in weights))
            try:
                self.follow_residuals(state_dict, prefix)
            except ModelError as error:
                *_, messages = arguments  # which load_state_dict puts into its error
                messages.append(str(error))
        super()._load_from_state_dict(state_dict, prefix, *arguments, **options)

    def _apply(self, fn: Any, recurse: bool = True) -> nn.Module:
        # .half() and .double() would spoil the scales, and there is nothing to gain.
        def keep_dtype(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(keep_dtype, recurse)


class Int8Linear(Int8Module):
    """A drop-in for `nn.Linear` at inference, with int8 weights and dynamic quantization.

    State: `weight` int8 (out, in), `weight_scale` float32 (out,), `weight_columns` float32 (in,),
    `bias` float32 (out,) or None; and the residual of the coarsest rows, if there are any.
    Scales, NaN and infinity, dtypes, errors and memory are as in `Int8LSTM`.
    """

    bias: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        scheme: Scheme | str = DEFAULT,
        fast: bool | None = None,
    ) -> None:
        super().__init__()
        self.in_features = positive_int("in_features", in_features)
        self.out_features = positive_int("out_features", out_features)
        self.scheme, self.fast = as_scheme(scheme), fast
        self.activation_bits = arithmetic.most_activation_bits(in_features, self.scheme)
        self._store("weight", self._empty(out_features, in_features))
        self.register_buffer("bias", torch.zeros(out_features) if bias else None)

    @classmethod
    def from_float(
        cls,
        linear: nn.Linear,
        *,
        scheme: Scheme | str = DEFAULT,
        activation_bits: int | None = None,
        fast: bool | None = None,
    ) -> Int8Linear:
        """Convert an `nn.Linear`; arguments and errors as in `Int8LSTM.from_float`."""
        require_plain("linear", linear, nn.Linear)
        scheme = chosen_scheme(scheme, activation_bits)
        sizes = linear.in_features, linear.out_features, linear.bias is not None
        with torch.device("meta"):
            made = cls(*sizes, scheme=scheme, fast=fast)
        weight = arithmetic.quantize_weight("weight", linear.weight, made.scheme, residual=True)
        made._store("weight", weight)
        if linear.bias is not None:
            made.bias = linear.bias.detach().clone()
        return made.train(linear.training)

    @torch.no_grad()
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """`input` float32 (..., in) gives float32 (..., out); InputError otherwise."""
        fits = isinstance(input, Tensor) and input.dtype == torch.float32 and input.dim() > 0
        if not fits or input.shape[-1] != self.in_features:
            raise InputError(
                Text(
                    "input is a {what}; pass a float32 tensor of shape (..., {size}).",
                    what=describe(input),
                    size=self.in_features,
                )
            )
        rows = input.reshape(-1, self.in_features)
        output = None if (fast := self._fast()) is None else fast.run_linear(self, rows)
        if output is None:
            weight = self._weight("weight")
            how = self.activation_bits, self.scheme
            output = arithmetic.run_linear(rows, weight, self.bias, *how)
        return output.view(*input.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """The sizes and the choices, as `nn.Linear` shows them."""
        bias = self.bias is not None
        sizes = f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"
        return f"{sizes}, activation_bits={self.activation_bits}"


def require_plain(name: str, module: nn.Module, kind: type[nn.Module]) -> None:
    """ModelError unless `module` is of this kind and nothing stands against converting it."""
    if not isinstance(module, kind):
        raise ModelError(
            Text(
                "{name} is a {kind}; pass a torch.nn.{wanted}.",
                name=name,
                kind=type(module).__name__,
                wanted=kind.__name__,
            )
        )
    if reason := obstacle(module):
        raise ModelError(
            Text(
                "{name}, a {kind}, has to stay in float: {reason}.",
                name=name,
                kind=type(module).__name__,
                reason=reason,
            )
        )


def obstacle(module: nn.Module) -> Text | None:
    """What stands against converting this module, in a few words; None if nothing does."""
    kind = next(kind for kind in (nn.LSTM, nn.GRU, nn.Linear) if isinstance(module, kind))
    if isinstance(module, NonDynamicallyQuantizableLinear):
        return Text("its float weight is read by the nn.MultiheadAttention it belongs to")
    if isinstance(module, nn.modules.lazy.LazyModuleMixin):
        return Text("it is lazy and has no weights before its first input")
    if parametrize.is_parametrized(module):
        return Text(
            "a parametrization computes its weights: rh.without_parametrizations removes it"
        )
    if type(module).forward is not kind.forward or "forward" in vars(module):
        name = kind.__name__
        return Text(
            "it overrides the forward of nn.{name}, which a conversion would drop", name=name
        )
    if module._forward_pre_hooks or module._forward_hooks:
        return Text("it has forward hooks, which a conversion would drop")
    if not all(parameter.numel() for parameter in module.parameters()):
        return Text("it has an empty weight")
    return None
