"""An int8 Linear, a drop-in for `nn.Linear` at inference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from .checks import describe, positive_int
from .errors import InputError
from .modules import Int8Module
from .reference import States, run_linear
from .scheme import DEFAULT, Scheme, chosen_scheme, most_activation_bits
from .stored import Matrix


class Int8Linear(Int8Module):
    """A drop-in for `nn.Linear` at inference, with int8 weights and dynamic quantization.

    The state dict has `weight` int8 (out, in), `weight_scale` float32 (out,), `weight_columns`
    float32 (in,), `bias` float32 (out,) if there is one, and the residual of the coarsest rows, if
    there are any. NaN and infinity, dtypes, errors and memory are as in `Int8LSTM`.

    Args:
        scheme: As in `Int8LSTM`; a linear layer has no hidden state, so that the default means
            activations in as many bits as fit.
        fast: As in `Int8LSTM`.
    """

    _FLOAT = nn.Linear
    _GATES = 1

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        scheme: Scheme | str = DEFAULT,
        fast: bool | None = None,
    ) -> None:
        super().__init__(replace(chosen_scheme(scheme), hidden_bits=None), fast)
        self.in_features = positive_int("in_features", in_features)
        self.out_features = self._width = positive_int("out_features", out_features)
        self.activation_bits = most_activation_bits(in_features, self.scheme)
        if not bias:
            self.bias = None
        self._add("weight", Matrix(out_features, in_features, 1, "bias" if bias else None))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """`input` float32 (..., in) gives float32 (..., out); InputError otherwise."""
        if not (
            isinstance(input, Tensor)
            and input.dtype == torch.float32
            and input.shape[-1:] == (self.in_features,)
        ):
            raise InputError(
                "input is a {what}; pass a float32 tensor of shape (..., {size}).",
                what=describe(input),
                size=self.in_features,
            )
        output, _ = self._run(input.reshape(-1, self.in_features))
        return output.view(*input.shape[:-1], self.out_features)

    def _run_reference(self, rows: Tensor, *_: Any) -> tuple[Tensor, States]:
        return run_linear(rows, *self._product("weight")), ()

    def _zeros(self, *_: Any) -> States:
        return ()
