"""An int8 LSTM in plain tensors, a drop-in for `nn.LSTM` at inference.

They need no quantized dtype, no engine and nothing of torch.ao; their state is a handful of plain
tensors. The arithmetic is in `arithmetic.py`, in about as many lines as it takes to explain.

One call of `integers.run_layer` runs one layer in one direction. That is the seam where a faster
implementation takes over (`fast_path/calls.py`).
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..common.checks import describe, positive_int
from ..common.errors import ArgumentError, InputError
from . import arithmetic
from .arithmetic import DEFAULT, LayerWeights, Scheme, State, as_scheme
from .linear import Int8Module, require_plain


class Int8LSTM(Int8Module):
    """A drop-in for `nn.LSTM` at inference, with int8 weights and dynamic quantization.

    Weights are int8 with one scale per row of each matrix. Activations are quantized at every
    call, each row by itself, with as many bits as an int32 accumulator can carry
    (`integers.most_activation_bits`). `scheme` changes these choices.

    The arguments are those of `nn.LSTM`; `dropout` is kept but never applied, and no gradient
    flows. The state is named as in `nn.LSTM`: `weight_ih_l0`, `weight_hh_l0` (and `weight_hr_l0`)
    in int8, each with a float32 `..._scale`, and the biases in float32, which `.half()` and
    `.double()` leave as they are. The scheme belongs to the constructor, not to the state.

    A row that holds NaN or infinity gives NaN from there on, in its own sequence alone. A row's
    results are the same bits whatever batch it is in and on however many threads.
    `torch.export` works for a fixed number of steps: the loop is unrolled.

    Args:
        scheme: A `Scheme`, or its name: "default" or "torch.ao".
        fast: None takes the compiled fast path where there is one; False never does.

    Raises:
        ArgumentError: A size is not a positive whole number, `proj_size` is not below
            `hidden_size`, or the sums of products would not fit int32.
    """

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
        self.input_size = positive_int("input_size", input_size)
        self.hidden_size = positive_int("hidden_size", hidden_size)
        self.num_layers = positive_int("num_layers", num_layers)
        if not isinstance(proj_size, int) or not 0 <= proj_size < hidden_size:
            raise ArgumentError(
                f"proj_size is {proj_size!r}; pass 0 for no projection, or a whole number "
                f"below hidden_size, {hidden_size}."
            )
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self.scheme, self.fast = as_scheme(scheme), fast
        directions = 2 if bidirectional else 1
        self._output_size = proj_size or hidden_size
        longest = max(input_size, hidden_size, directions * self._output_size * (num_layers > 1))
        self.activation_bits = arithmetic.most_activation_bits(longest, self.scheme)
        for layer, suffix in self._suffixes():
            inputs = input_size if layer == 0 else directions * self._output_size
            self._store(f"weight_ih{suffix}", self._empty(4 * hidden_size, inputs))
            self._store(f"weight_hh{suffix}", self._empty(4 * hidden_size, self._output_size))
            if bias:
                for part in ("ih", "hh"):
                    self.register_buffer(f"bias_{part}{suffix}", torch.zeros(4 * hidden_size))
            if proj_size:
                self._store(f"weight_hr{suffix}", self._empty(proj_size, hidden_size))

    def _suffixes(self) -> list[tuple[int, str]]:
        ends = ("", "_reverse") if self.bidirectional else ("",)
        return [(layer, f"_l{layer}{end}") for layer in range(self.num_layers) for end in ends]

    @classmethod
    def from_float(
        cls, lstm: nn.LSTM, *, scheme: Scheme | str = DEFAULT, fast: bool | None = None
    ) -> Int8LSTM:
        """Convert an `nn.LSTM`; the weights are quantized here, once.

        Raises:
            ModelError: It is no nn.LSTM or overrides its forward, or a weight is not float32 or
                holds NaN or infinity.
            ArgumentError: The scheme's activation bits would overflow int32 at these sizes.
        """
        require_plain("lstm", lstm, nn.LSTM)
        sizes = (lstm.input_size, lstm.hidden_size, lstm.num_layers, lstm.bias, lstm.batch_first)
        more = (lstm.dropout, lstm.bidirectional, lstm.proj_size)
        with torch.device("meta"):
            made = cls(*sizes, *more, scheme=scheme, fast=fast)
        for _, suffix in made._suffixes():
            for name in (f"weight_{part}{suffix}" for part in ("ih", "hh", "hr")):
                if hasattr(made, name):
                    weight = arithmetic.quantize_weight(name, getattr(lstm, name), made.scheme)
                    made._store(name, weight)
            for name in (f"bias_{part}{suffix}" for part in ("ih", "hh")):
                if lstm.bias:
                    setattr(made, name, getattr(lstm, name).detach().clone())
        return made.train(lstm.training)

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
            done = fast.run_lstm(self, input, hx)
            if done is not None:
                return done
        with torch.no_grad():
            return self._forward(input, hx)

    def _forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002
        hx: State | None,
    ) -> tuple[Tensor | PackedSequence, State]:
        packed = isinstance(input, PackedSequence)
        steps = self._checked(input.data if isinstance(input, PackedSequence) else input, packed)
        batched = packed or steps.dim() == 3
        if packed:
            data, batch_sizes = steps, input.batch_sizes.tolist()
        else:
            steps = steps if batched else steps[:, None]
            steps = steps.transpose(0, 1) if batched and self.batch_first else steps
            data, batch_sizes = steps.flatten(0, 1), [steps.shape[1]] * steps.shape[0]
        hidden, cell = self._initial(hx, data, batch_sizes[0], batched)
        if packed and input.sorted_indices is not None:
            hidden, cell = (part[:, input.sorted_indices] for part in (hidden, cell))

        data, (hidden, cell) = self._run(data, batch_sizes, hidden, cell)

        if packed:
            if input.unsorted_indices is not None:
                hidden, cell = (part[:, input.unsorted_indices] for part in (hidden, cell))
            return PackedSequence(data, *input[1:]), (hidden, cell)
        output = data.view(*steps.shape[:2], data.shape[1])
        if not batched:
            return output[:, 0], (hidden[:, 0], cell[:, 0])
        return output.transpose(0, 1) if self.batch_first else output, (hidden, cell)

    def _run(
        self, data: Tensor, batch_sizes: list[int], hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, State]:
        suffixes = [suffix for _, suffix in self._suffixes()]
        if (fast := self._fast()) is not None:
            most = self.scheme.largest_integer(self.activation_bits)
            state = hidden, cell
            sizes = tuple(batch_sizes)
            done = fast.run_layers(self._buffers, suffixes, data, sizes, state, most)
            if done is not None:
                return done
        finals, outputs = [], []
        for index, suffix in enumerate(suffixes):
            weights = LayerWeights(
                self._weight(f"weight_ih{suffix}"),
                self._weight(f"weight_hh{suffix}"),
                getattr(self, f"bias_ih{suffix}", None),
                getattr(self, f"bias_hh{suffix}", None),
                self._weight(f"weight_hr{suffix}") if self.proj_size else None,
            )
            reverse = suffix.endswith("_reverse")
            state = hidden[index], cell[index]
            output, final = arithmetic.run_layer(
                data, batch_sizes, state, weights, self.activation_bits, self.scheme, reverse
            )
            finals.append(final)
            outputs.append(output)
            if reverse or not self.bidirectional:
                data, outputs = torch.cat(outputs, dim=1), []
        final_hidden, final_cell = zip(*finals, strict=True)
        return data, (torch.stack(final_hidden), torch.stack(final_cell))

    def _checked(self, steps: Tensor, packed: bool) -> Tensor:
        """The input if its shape and dtype fit."""
        dims = (2,) if packed else (2, 3)
        fits = isinstance(steps, Tensor) and steps.dtype == torch.float32 and steps.dim() in dims
        if not fits or steps.shape[-1] != self.input_size:
            raise InputError(
                f"input is a {describe(steps)}; pass a float32 tensor of shape (steps, batch, "
                f"{self.input_size}), (batch, steps, {self.input_size}) if batch_first, or "
                f"(steps, {self.input_size}), or a PackedSequence of such."
            )
        if not steps.shape[self.batch_first and steps.dim() == 3 and not packed]:
            raise InputError(
                f"input is a {describe(steps)}, a sequence of no steps; pass one step at least."
            )
        return steps

    def _initial(self, hx: Any, data: Tensor, batch: int, batched: bool) -> State:
        """The initial state as two tensors of shape (layers · directions, batch, width)."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        widths = self._output_size, self.hidden_size
        if hx is None:
            hidden, cell = (data.new_zeros(count, batch, width) for width in widths)
            return hidden, cell
        expected = [(count, batch, width) if batched else (count, width) for width in widths]
        pair = tuple(hx) if isinstance(hx, tuple | list) else ()
        fits = len(pair) == 2 and all(
            isinstance(part, Tensor) and part.dtype == torch.float32 and part.shape == shape
            for part, shape in zip(pair, expected, strict=True)
        )
        if not fits:
            raise InputError(
                f"hx is {describe(hx)}; for this input pass (hidden, cell), float32 tensors of "
                f"shape {expected[0]} and {expected[1]}."
            )
        hidden, cell = pair if batched else (part[:, None] for part in pair)
        return hidden, cell

    def flatten_parameters(self) -> None:
        """Nothing to do; models call it on an nn.LSTM."""

    def extra_repr(self) -> str:
        """The sizes and the choices, as `nn.LSTM` shows them."""
        shown = [f"{self.input_size}, {self.hidden_size}"]
        for name in ("num_layers", "bias", "batch_first", "bidirectional", "proj_size"):
            usual = inspect.signature(Int8LSTM).parameters[name].default
            if getattr(self, name) != usual:
                shown.append(f"{name}={getattr(self, name)}")
        return ", ".join([*shown, f"activation_bits={self.activation_bits}"])
