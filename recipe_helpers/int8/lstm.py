"""An int8 LSTM in plain tensors, a drop-in for `nn.LSTM` at inference.

They need no quantized dtype, no engine and nothing of torch.ao; their state is a handful of plain
tensors. The arithmetic is in `arithmetic.py`, in about as many lines as it takes to explain.

One call of `arithmetic.run_layer` runs one layer in one direction. Compiled code takes over above
that seam, for all layers in one call (`fast_path/calls.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..common.errors import ArgumentError
from ..common.language import Text
from . import arithmetic
from .arithmetic import DEFAULT, LayerWeights, Scheme, State
from .recurrent import Int8Recurrent, States


class Int8LSTM(Int8Recurrent):
    """A drop-in for `nn.LSTM` at inference, with int8 weights and dynamic quantization.

    Weights are int8 with one scale per row of each matrix and a power of two per column. Rows of
    `W_ih` that are far coarser than the others have a second line of integers (`residual.py`).
    Activations are quantized at every call, each row by itself, with as many bits as an int32
    accumulator can carry (`arithmetic.most_activation_bits`). `scheme` changes these choices.

    The arguments are those of `nn.LSTM`; `dropout` is kept but never applied, and no gradient
    flows. The state is named as in `nn.LSTM`: `weight_ih_l0`, `weight_hh_l0` (and `weight_hr_l0`)
    in int8, each with a float32 `..._scale` and `..._columns`, and the biases in float32, which
    `.half()` and `.double()` leave as they are. A residual is `weight_ih_l0_residual` in int8, its
    `..._scale`, and its `..._rows` in int64. The scheme belongs to the constructor, not to the
    state; but a state without `..._columns` or residuals, as version 1.0 saved it, takes them away.

    A row that holds NaN or infinity gives NaN from there on, in its own sequence alone. A row's
    results are the same bits whatever batch it is in and on however many threads.
    `torch.export` works for a fixed number of steps: the loop is unrolled.

    **Memory.** Compiled code reads the weights in an order of its own. So from its first call on a
    module holds them twice: one more byte for each weight, or two for `weight_hh` up to width 256
    on CPUs without VNNI or the like (where wide layers of 16-bit activations need no second copy).
    The copy is made anew when weights change, however that happens, and goes with the module;
    `fast_path/packing.py` says how a change is noticed. Neither `state_dict` nor a copy or pickle
    of the module holds it. `fast=False` does without.

    Args:
        scheme: A `Scheme`, or its name: "default" or "torch.ao".
        fast: None takes the compiled fast path where there is one; False never does.

    Raises:
        ArgumentError: A size is not a positive whole number, `proj_size` is not below
            `hidden_size`, or the sums of products would not fit int32.
    """

    _GATES = 4
    _FLOAT = nn.LSTM

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        scheme: Scheme | str = DEFAULT,
        fast: bool | None = None,
    ) -> None:
        super().__init__()
        if isinstance(hidden_size, int) and (
            not isinstance(proj_size, int) or not 0 <= proj_size < max(hidden_size, 1)
        ):
            raise ArgumentError(
                Text(
                    "proj_size is {value}; pass 0 for no projection, or a whole number below "
                    "hidden_size, {size}.",
                    value=repr(proj_size),
                    size=hidden_size,
                )
            )
        self.fast = fast
        options = {
            "bias": bias,
            "batch_first": batch_first,
            "dropout": dropout,
            "bidirectional": bidirectional,
            "proj_size": proj_size,
        }
        self._build((input_size, hidden_size, num_layers), options, scheme)

    @classmethod
    def from_float(
        cls,
        lstm: nn.LSTM,
        *,
        scheme: Scheme | str = DEFAULT,
        activation_bits: int | None = None,
        fast: bool | None = None,
    ) -> Int8LSTM:
        """Convert an `nn.LSTM`; the weights are quantized here, once.

        Args:
            lstm: The layers, float32.
            scheme: A `Scheme`, or its name.
            activation_bits: 8 for the 8-bit mode (`arithmetic.eight_bit`): faster, and less
                exact. None for what the scheme says.
            fast: As in the constructor.

        Raises:
            ModelError: It is no nn.LSTM or overrides its forward, or a weight is not float32 or
                holds NaN or infinity.
            ArgumentError: The scheme's activation bits would overflow int32 at these sizes, or
                `activation_bits` is something else or stands beside another scheme.
        """
        return cls._converted("lstm", lstm, scheme, activation_bits, fast)

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002
        hx: State | None = None,
    ) -> tuple[Tensor | PackedSequence, State]:
        """Run all layers over the sequence; arguments and results as those of `nn.LSTM`.

        Args:
            input: float32 (steps, batch, inputs), (batch, steps, inputs) if batch_first, or
                (steps, inputs), or a PackedSequence.
            hx: Initial hidden state, (layers · directions, batch, proj_size or hidden), and cell
                state, (layers · directions, batch, hidden); zeros if None.

        Returns:
            The outputs of the last layer in the form of `input`, and the final (hidden, cell).

        Raises:
            InputError: Shapes or dtypes do not fit, or the sequence is empty.
        """
        if (fast := self._fast()) is not None:
            done: tuple[Tensor, State] | None = fast.run_usual(self, input, hx)
            if done is not None:
                return done
        with torch.no_grad():
            output, (hidden, cell) = self._forward(input, hx)
        return output, (hidden, cell)

    def _widths(self) -> tuple[int, ...]:
        return self._output_size, self.hidden_size

    def _run_layer(
        self,
        data: Tensor,
        batch_sizes: list[int],
        states: States,
        weights: LayerWeights,
        reverse: bool,
    ) -> tuple[Tensor, States]:
        hidden, cell = states
        how = self.activation_bits, self.scheme, reverse
        return arithmetic.run_layer(data, batch_sizes, (hidden, cell), weights, *how)
