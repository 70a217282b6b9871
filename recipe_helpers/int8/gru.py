"""An int8 GRU in plain tensors, a drop-in for `nn.GRU` at inference."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from . import arithmetic
from .arithmetic import DEFAULT, LayerWeights, Scheme
from .recurrent import Int8Recurrent, States


class Int8GRU(Int8Recurrent):
    """A drop-in for `nn.GRU` at inference, with int8 weights and dynamic quantization.

    The arguments are those of `nn.GRU`; `dropout` is kept but never applied, and no gradient
    flows. Scales, state, NaN and infinity, threads, export and memory are as in `Int8LSTM`, with
    three gates on top of each other instead of four.

    Args:
        scheme: A `Scheme`, or its name: "default" or "torch.ao".
        fast: None takes the compiled fast path where there is one; False never does.

    Raises:
        ArgumentError: A size is not a positive whole number, or the sums of products would not
            fit int32.
    """

    _GATES = 3
    _FLOAT = nn.GRU

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        scheme: Scheme | str = DEFAULT,
        fast: bool | None = None,
    ) -> None:
        super().__init__()
        self.fast = fast
        options = {
            "bias": bias,
            "batch_first": batch_first,
            "dropout": dropout,
            "bidirectional": bidirectional,
        }
        self._build((input_size, hidden_size, num_layers), options, scheme)

    @classmethod
    def from_float(
        cls,
        gru: nn.GRU,
        *,
        scheme: Scheme | str = DEFAULT,
        activation_bits: int | None = None,
        fast: bool | None = None,
    ) -> Int8GRU:
        """Convert an `nn.GRU`; arguments and errors as in `Int8LSTM.from_float`."""
        return cls._converted("gru", gru, scheme, activation_bits, fast)

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002
        hx: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Run all layers over the sequence; arguments and results as those of `nn.GRU`.

        Args:
            input: float32 (steps, batch, inputs), (batch, steps, inputs) if batch_first, or
                (steps, inputs), or a PackedSequence.
            hx: Initial hidden state, (layers · directions, batch, hidden); zeros if None.

        Returns:
            The outputs of the last layer in the form of `input`, and the final hidden state.

        Raises:
            InputError: Shapes or dtypes do not fit, or the sequence is empty.
        """
        if (fast := self._fast()) is not None:
            done = fast.run_usual(self, input, None if hx is None else (hx,))
            if done is not None:
                return done[0], done[1][0]
        with torch.no_grad():
            output, (hidden,) = self._forward(input, hx)
        return output, hidden

    def _run_layer(
        self,
        data: Tensor,
        batch_sizes: list[int],
        states: States,
        weights: LayerWeights,
        reverse: bool,
    ) -> tuple[Tensor, States]:
        how = self.activation_bits, self.scheme, reverse
        output, final = arithmetic.run_gru_layer(data, batch_sizes, states[0], weights, *how)
        return output, (final,)
