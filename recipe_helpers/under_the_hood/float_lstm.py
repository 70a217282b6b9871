"""The kernels of `Int8LSTM` in float arithmetic: what of the gain is fusion, what is integers."""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from int8_rnn.tiles import pack_terms
from torch import Tensor, nn

from int8_rnn import Int8LSTM, Scheme, fast_path

from ..common.checks import describe, one_of
from ..common.errors import EngineError, InputError

# The kernels' float arithmetic knows neither scales of columns nor residuals.
_SCHEME = Scheme(columns=False, residual=False)
_FLOATS = 32, True  # what activations are that are not quantized


class FusedFloatLSTM(Int8LSTM):
    """An LSTM that runs in the compiled kernels of `Int8LSTM`, but multiplies in floats.

    Beside `nn.LSTM` and `Int8LSTM` it tells apart what makes the latter fast: with float32 weights
    it shares only the fusion of all steps into one call; with int8 weights, also the fewer bytes;
    what then remains is the integer arithmetic. Activations are not quantized.
    """

    weights: str = "float32"

    @classmethod
    def from_float(  # type: ignore[override]  # no scheme: activations stay floats
        cls, lstm: nn.LSTM, *, weights: str = "float32"
    ) -> FusedFloatLSTM:
        """Take over an `nn.LSTM`, its weights as they are, or quantized as those of `Int8LSTM`.

        Args:
            lstm: The layers.
            weights: "float32" or "int8".

        Raises:
            ArgumentError: `weights` is neither.
            ModelError: As for `Int8LSTM.from_float`.
            EngineError: There is no compiled code on this machine.
        """
        one_of("weights", weights, ("float32", "int8"))
        if not (state := fast_path()).available:
            raise EngineError("FusedFloatLSTM has no kernel: {reason}", reason=state.reason)
        from int8_rnn.fast.ways import float_tiles  # which needs the compiled kernels

        made = super().from_float(lstm, scheme=_SCHEME)
        made.weights = weights
        for name, (rows, _depth, gates, _bias) in made._sizes.items():
            if weights == "float32":
                made._buffers[f"{name}_tiles"] = float_tiles(getattr(lstm, name).detach(), gates)
                bias = made._bias(name)
                ones, zeros = torch.ones(rows), torch.zeros(rows)
                terms = pack_terms((ones, zeros if bias is None else bias, zeros), gates)
                made._buffers[f"{name}_terms"] = terms
        return made

    def bits_of(self, name: str) -> tuple[int, bool]:
        """Activations of 32 bits, which are floats."""
        return _FLOATS

    def _run_reference(self, data: Tensor, batch_sizes: Any, states: Any) -> NoReturn:
        raise InputError(
            "input is a {what}; pass a float32 tensor of shape (steps, batch, {size}), and "
            "as hx None or a pair of states that fit.",
            what=describe(data),
            size=self.input_size,
        )
