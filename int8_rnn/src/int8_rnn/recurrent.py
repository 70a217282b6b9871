"""An int8 LSTM and GRU, drop-ins for `nn.LSTM` and `nn.GRU` at inference.

`Int8Recurrent` has what the two share: layers, directions, forms of the input. Their states are a
tuple of tensors, (hidden, cell) for an LSTM and (hidden,) for a GRU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from .checks import describe, first_line, fits, positive_int
from .errors import ArgumentError, InputError
from .modules import Int8Module
from .reference import Cell, Layer, States, gru_cell, lstm_cell, run_layer
from .scheme import DEFAULT, Scheme, chosen_scheme, most_activation_bits
from .stored import Matrix


class Int8Recurrent(Int8Module):
    """An int8 drop-in for one kind of `nn.RNNBase`; see `Int8LSTM` and `Int8GRU`.

    Attributes:
        hidden_bits: Bits of the integers that its hidden state is quantized to before it
            multiplies `W_hh`.
    """

    _CELL: ClassVar[Cell]

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
        super().__init__(chosen_scheme(scheme), fast)
        self.input_size = positive_int("input_size", input_size)
        self.hidden_size = positive_int("hidden_size", hidden_size)
        self.num_layers = positive_int("num_layers", num_layers)
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.bidirectional, self.proj_size = bidirectional, proj_size
        options: dict[str, Any] = {"proj_size": proj_size} if proj_size else {}  # not of nn.GRU
        try:
            # It refuses what does not go together, and knows the weights' names and shapes.
            sizes = input_size, hidden_size, num_layers, bias, batch_first, 0.0, bidirectional
            twin = self._FLOAT(*sizes, **options, device="meta")
        except (TypeError, ValueError, RuntimeError) as error:
            raise ArgumentError(
                "nn.{kind} does not take these arguments: {message}; pass what it takes.",
                kind=self._FLOAT.__name__,
                message=first_line(error),
            ) from None
        self._output_size = proj_size or hidden_size
        directions = 2 if bidirectional else 1
        self._width, self._count = directions * self._output_size, directions * num_layers
        shapes = {key: one.shape for key, one in twin.named_parameters() if "weight" in key}
        inputs = max(depth for key, (_, depth) in shapes.items() if "weight_hh" not in key)
        hidden = self._output_size
        if self.scheme.hidden_bits is None:
            inputs = hidden = max(inputs, hidden)  # as many bits for both
        self.activation_bits = most_activation_bits(inputs, self.scheme)
        self.hidden_bits = most_activation_bits(hidden, self.scheme.hidden, "hidden_bits")
        for name, (rows, depth) in shapes.items():
            gates = 1 if name.startswith("weight_hr") else self._GATES
            of_rows = name.replace("weight", "bias") if bias and gates > 1 else None
            self._add(name, Matrix(rows, depth, gates, of_rows))

    def bits_of(self, name: str) -> tuple[int, bool]:
        """Bits of the activations that this weight multiplies, and whether they are symmetric."""
        if name.startswith("weight_hh"):
            return self.hidden_bits, self.scheme.hidden.symmetric
        return self.activation_bits, self.scheme.symmetric

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002
        hx: Any = None,
    ) -> tuple[Tensor | PackedSequence, Any]:
        """Run all layers over the sequence; arguments and results as those of `nn.LSTM`, `nn.GRU`.

        Args:
            input: float32 (steps, batch, inputs), (batch, steps, inputs) if batch_first, or
                (steps, inputs), or a PackedSequence.
            hx: Initial hidden state, (layers · directions, batch, proj_size or hidden), of an LSTM
                a pair of it and the cell state, (layers · directions, batch, hidden); zeros if
                None.

        Returns:
            The outputs of the last layer in the form of `input`, and the final hidden state, or
            the pair (hidden, cell).

        Raises:
            InputError: Shapes or dtypes do not fit, or the sequence is empty.
        """
        way = self._way()
        usual = None if way is None else way.run_usual(self, input, hx)
        output, states = self._unusual(input, hx) if usual is None else usual
        return output, states if len(states) > 1 else states[0]

    def _unusual(self, given: Any, hx: Any) -> tuple[Tensor | PackedSequence, States]:
        """Bring the input into the one form that layers take, run them, and bring it back."""
        if isinstance(given, PackedSequence):
            data, sizes = self._checked(given.data, packed=True), given.batch_sizes.tolist()
            states = self._states(hx, sizes[0], batched=True)
            order, back = given.sorted_indices, given.unsorted_indices
            if states is not None and order is not None:
                states = tuple(part[:, order] for part in states)
            output, states = self._run(data, sizes, states)
            if back is not None:
                states = tuple(part[:, back] for part in states)
            return PackedSequence(output, *given[1:]), states
        data = self._checked(given)
        batched, turned = data.dim() == 3, data.dim() == 3 and self.batch_first
        data = data.transpose(0, 1) if turned else data if batched else data.unsqueeze(1)
        output, states = self._run(data, None, self._states(hx, data.shape[1], batched))
        if not batched:
            return output[:, 0], tuple(part[:, 0] for part in states)
        return output.transpose(0, 1) if turned else output, states

    def _checked(self, data: Any, packed: bool = False) -> Tensor:
        """The input if its shape and dtype fit."""
        leading = [[-1]] if packed else [[-1], [-1, -1]]
        if not any(fits(data, torch.float32, *free, self.input_size) for free in leading):
            raise InputError(
                "input is a {what}; pass a float32 tensor of shape (steps, batch, {size}), "
                "(batch, steps, {size}) if batch_first, or (steps, {size}), or a "
                "PackedSequence of such.",
                what=describe(data),
                size=self.input_size,
            )
        # Not `not`, which in PyTorch 2.6 fixes a size that shall stay free in an export.
        if data.shape[self.batch_first and data.dim() == 3] == 0:
            raise InputError(
                "input is a {what}, a sequence of no steps; pass one step at least.",
                what=describe(data),
            )
        steps: Tensor = data
        return steps

    def _widths(self) -> tuple[int, ...]:
        """The widths of the states."""
        return (self._output_size,)

    def _states(self, hx: Any, batch: int, batched: bool) -> States | None:
        """The initial states, (layers · directions, batch, width) each; None for zeros."""
        if hx is None:
            return None
        leading = (self._count, batch) if batched else (self._count,)
        shapes = [(*leading, width) for width in self._widths()]
        given = hx if len(shapes) > 1 and isinstance(hx, (tuple, list)) else (hx,)
        if len(given) != len(shapes) or not all(
            fits(part, torch.float32, *shape) for part, shape in zip(given, shapes, strict=True)
        ):
            raise InputError(
                "hx is {what}; for this input pass {states}, in float32 and of shape {shapes}.",
                what=describe(hx),
                states="(hidden, cell)" if len(shapes) > 1 else "the hidden state",
                shapes=" and ".join(map(str, shapes)),
            )
        return tuple(given) if batched else tuple(part.unsqueeze(1) for part in given)

    def _run_reference(
        self,
        data: Tensor,
        batch_sizes: list[int] | None,
        states: States | None,
        run: Callable[..., tuple[Tensor, States]] = run_layer,
    ) -> tuple[Tensor, States]:
        """Hand each layer's output to the next, those of two directions side by side."""
        states = states or self._zeros(data, batch_sizes)
        finals: list[States] = []
        outputs: list[Tensor] = []
        for index, layer in enumerate(self._layers()):
            before = tuple(part[index] for part in states)
            output, final = run(layer, data, before, batch_sizes)
            finals.append(final)
            outputs.append(output)
            if layer.reverse or not self.bidirectional:
                data, outputs = torch.cat(outputs, dim=-1), []
        return data, tuple(map(torch.stack, zip(*finals, strict=True)))

    def _layers(self) -> Iterator[Layer]:
        """`_l0`, `_l0_reverse`, `_l1` ... in the order in which they run."""
        for name in self._sizes:
            if name.startswith("weight_ih"):
                suffix, cell = name.removeprefix("weight_ih"), type(self)._CELL
                hh = self._product(f"weight_hh{suffix}")._replace(scheme=self.scheme.hidden)
                hr = self._product(f"weight_hr{suffix}") if self.proj_size else None
                yield Layer(cell, self._product(name), hh, hr, suffix.endswith("_reverse"))

    def _zeros(self, data: Tensor, batch_sizes: list[int] | None = None) -> States:
        batch = batch_sizes[0] if batch_sizes else data.shape[1]
        return tuple(data.new_zeros(self._count, batch, width) for width in self._widths())

    def flatten_parameters(self) -> None:
        """Nothing to do; models call it on an nn.LSTM or nn.GRU."""

    def extra_repr(self) -> str:
        """The sizes and the choices, as PyTorch shows them."""
        return f"{super().extra_repr()}, hidden_bits={self.hidden_bits}"


class Int8LSTM(Int8Recurrent):
    """A drop-in for `nn.LSTM` at inference, with int8 weights and dynamic quantization.

    Weights are int8 with one scale per row of each matrix and a power of two per column. Rows of
    `W_ih` that are far coarser than the others have a second line of integers. Activations are
    quantized at every call, each row by itself: inputs with as many bits as an int32 accumulator
    can carry, 16 at most, the hidden state with 8. `scheme` changes these choices.

    The arguments are those of `nn.LSTM`; `dropout` is kept but never applied, and no gradient
    flows. The state dict is named as that of `nn.LSTM`: `weight_ih_l0`, `weight_hh_l0` (and
    `weight_hr_l0`) in int8, each with a float32 `..._scale` and `..._columns`, and the biases in
    float32, which `.half()` and `.double()` leave as they are. A residual is
    `weight_ih_l0_residual` in int8, its `..._scale`, and its `..._rows` in int64. The scheme
    belongs to the constructor, not to the state; but a state without `..._columns` or residuals,
    as other schemes give it, takes them away.

    In memory the weights lie once, in the order in which compiled code reads them; `state_dict()`
    and attributes such as `weight_ih_l0` are copies as rows. To change weights, load a state dict.

    A row that holds NaN or infinity gives NaN from there on, in its own sequence alone. A row's
    results are the same bits whatever batch it is in and on however many threads.

    Args:
        scheme: A `Scheme`, or its name: "default", "exact", "8-bit" or "torch.ao".
        fast: None takes the compiled code where there is any; False never does.

    Raises:
        ArgumentError: A size is not a positive whole number, nn.LSTM does not take the arguments,
            or the sums of products would not fit int32.
    """

    _GATES = 4
    _FLOAT = nn.LSTM
    _CELL = lstm_cell

    def _widths(self) -> tuple[int, ...]:
        return self._output_size, self.hidden_size


class Int8GRU(Int8Recurrent):
    """A drop-in for `nn.GRU` at inference, with int8 weights and dynamic quantization.

    The arguments are those of `nn.GRU`; all else is as in `Int8LSTM`, with three gates on top of
    each other instead of four.
    """

    _GATES = 3
    _FLOAT = nn.GRU
    _CELL = gru_cell
