"""The kernel of the fast path in float arithmetic: what of its gain is fusion, what is integers."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from ..common.checks import describe, one_of
from ..common.errors import EngineError, InputError
from ..common.language import Text
from ..int8.arithmetic import Scheme, State
from ..int8.fast_path import calls, ready
from ..int8.lstm import Int8LSTM

# The kernel's float arithmetic knows neither scales of columns nor residuals.
_SCHEME = Scheme(columns=False, residual=False)


class FusedFloatLSTM(Int8LSTM):
    """An LSTM that runs in the compiled kernel of `Int8LSTM`, but multiplies in floats.

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
        if ready.compiled() is None:
            reason = ready.fast_path().reason
            raise EngineError(Text("FusedFloatLSTM has no kernel: {reason}", reason=reason))
        made = cast(FusedFloatLSTM, super().from_float(lstm, scheme=_SCHEME))
        made.weights = weights
        for name in [name for name in made._buffers if name.endswith("_scale")]:
            if weights == "float32":
                del made._buffers[name]
                weight = name.removesuffix("_scale")
                made._buffers[weight] = getattr(lstm, weight).detach().clone()
        return made

    def forward(self, input: Any, hx: State | None = None) -> tuple[Tensor, State]:  # noqa: A002
        """Run over float32 (steps, batch, inputs); the results are those of `nn.LSTM`.

        Raises:
            InputError: The input is of another form, or does not fit.
        """
        arithmetic = "float" if self.weights == "float32" else "weights"
        done = cast(tuple[Tensor, State] | None, calls.run_fused(self, input, hx, arithmetic))
        if done is None:
            raise InputError(
                Text(
                    "input is a {what}; pass a float32 tensor of shape (steps, batch, {size}), and "
                    "as hx None or a pair of states that fit.",
                    what=describe(input),
                    size=self.input_size,
                )
            )
        return done
