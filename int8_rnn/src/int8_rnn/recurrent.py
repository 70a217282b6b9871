"""An int8 LSTM and GRU, drop-ins for `nn.LSTM` and `nn.GRU` at inference.

`Int8Recurrent` has what the two share: layers, directions, forms of the input, conversion. Their
states are a tuple of tensors, (hidden, cell) for an LSTM and (hidden,) for a GRU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from . import operators
from .checks import describe, first_line, positive_int
from .errors import ArgumentError, InputError
from .modules import Int8Module, Matrix
from .reference import Bits, Cell, LayerWeights, States, gru_cell, lstm_cell, run_layer
from .scheme import DEFAULT, Scheme, as_scheme, most_activation_bits

LayerResult = tuple[Tensor, States]  # the output of every step, and the final states


class Int8Recurrent(Int8Module):
    """An int8 drop-in for one kind of `nn.RNNBase`; see `Int8LSTM` and `Int8GRU`.

    Attributes:
        hidden_bits: Bits of the integers that its hidden state is quantized to before it
            multiplies `W_hh`.
    """

    _GATES: ClassVar[int]  # how many stand on top of each other in a weight
    _CELL: ClassVar[Cell]

    def _build(
        self, sizes: tuple[int, int, int], options: dict[str, Any], dropout: float = 0.0
    ) -> None:
        """Check the arguments, keep them as nn.RNNBase does, and make room for the weights."""
        for name, value in zip(("input_size", "hidden_size", "num_layers"), sizes, strict=True):
            setattr(self, name, positive_int(name, value))
        try:
            # It refuses what does not go together, and knows the weights' names and shapes.
            twin = self._FLOAT(*sizes, **options, device="meta")
        except (TypeError, ValueError, RuntimeError) as error:
            raise ArgumentError(
                "nn.{kind} does not take these arguments: {message}; pass what it takes.",
                kind=self._FLOAT.__name__,
                message=first_line(error),
            ) from None
        for name, value in {**options, "dropout": dropout}.items():
            setattr(self, name, value)
        self._output_size = twin.proj_size or twin.hidden_size
        inner = (2 if self.bidirectional else 1) * self._output_size * (self.num_layers > 1)
        projected = self.hidden_size * (twin.proj_size > 0)
        inputs, hidden = max(self.input_size, inner, projected), self._output_size
        if self.scheme.hidden_bits is None:
            inputs = hidden = max(inputs, self.hidden_size)  # as many bits for both
        self.activation_bits = most_activation_bits(inputs, self.scheme)
        self.hidden_bits = most_activation_bits(hidden, self.scheme.hidden, "hidden_bits")
        for name, parameter in twin.named_parameters():
            if name.startswith("weight"):
                gates = 1 if name.startswith("weight_hr") else self._GATES
                bias = name.replace("weight", "bias") if self.bias and gates > 1 else None
                rows, depth = parameter.shape
                self._add(name, Matrix(rows, depth, gates, bias))

    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int = 0

    def bits_of(self, name: str) -> tuple[int, bool]:
        """Bits of the activations that this weight multiplies, and whether they are symmetric."""
        if name.startswith("weight_hh"):
            return self.hidden_bits, self.scheme.hidden.symmetric
        return self.activation_bits, self.scheme.symmetric

    def _suffixes(self) -> list[str]:
        """`_l0`, `_l0_reverse`, `_l1` ... in the order in which they run."""
        start = "weight_ih"
        return [name.removeprefix(start) for name in self._sizes if name.startswith(start)]

    def _call(
        self,
        given: Tensor | PackedSequence,
        hx: Any,
    ) -> tuple[Tensor | PackedSequence, States]:
        """Bring the input into the one form that layers take, run them, and bring it back."""
        fast = self._fast()
        if fast is not None and (done := fast.run_usual(self, given, hx)) is not None:
            return done
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
        steps = self._checked(given)
        batched = steps.dim() == 3
        if not batched:
            steps = steps.unsqueeze(1)
        elif self.batch_first:
            steps = steps.transpose(0, 1)
        output, states = self._run(steps, None, self._states(hx, steps.shape[1], batched))
        if not batched:
            return output[:, 0], tuple(part[:, 0] for part in states)
        return output.transpose(0, 1) if self.batch_first else output, states

    def _run(
        self, data: Tensor, batch_sizes: list[int] | None, states: States | None
    ) -> tuple[Tensor, States]:
        """All layers over (steps, batch, inputs), or over packed rows with their batch sizes."""
        if torch.compiler.is_compiling() and batch_sizes is None:
            return operators.recurrent(self, data, states)
        fast = self._fast()
        done = None if fast is None else fast.run_recurrent(self, data, batch_sizes, states)
        return self._run_reference(data, batch_sizes, states) if done is None else done

    @torch.no_grad()
    def _run_reference(
        self, data: Tensor, batch_sizes: list[int] | None, states: States | None
    ) -> tuple[Tensor, States]:
        leading = data.shape[:-1]
        if batch_sizes is None:
            batch_sizes = [leading[1]] * leading[0]
        if states is None:
            states = self._zeros(data, batch_sizes[0])

        def run(weights: LayerWeights, data: Tensor, before: States, reverse: bool) -> LayerResult:
            how = weights, self._bits, self.scheme, reverse
            return run_layer(type(self)._CELL, data, batch_sizes, before, *how)

        output, finals = self._through_layers(data.flatten(0, -2), states, run)
        return output.view(*leading, output.shape[-1]), finals

    def _through_layers(
        self, data: Tensor, states: States, run: Callable[..., LayerResult]
    ) -> LayerResult:
        """Hand each layer's output to the next, those of two directions side by side."""
        finals: list[States] = []
        outputs: list[Tensor] = []
        for index, suffix in enumerate(self._suffixes()):
            reverse = suffix.endswith("_reverse")
            before = tuple(part[index] for part in states)
            output, final = run(self._layer_weights(suffix), data, before, reverse)
            finals.append(final)
            outputs.append(output)
            if reverse or not self.bidirectional:
                data, outputs = torch.cat(outputs, dim=-1), []
        return data, tuple(map(torch.stack, zip(*finals, strict=True)))

    def _zeros(self, data: Tensor, batch: int) -> States:
        """The states where none are given."""
        count = len(self._suffixes())
        return tuple(data.new_zeros(count, batch, width) for width in self._widths())

    @property
    def _bits(self) -> Bits:
        return Bits(self.activation_bits, self.hidden_bits)

    def _layer_weights(self, suffix: str) -> LayerWeights:
        ih, hh, hr = (f"weight_{part}{suffix}" for part in ("ih", "hh", "hr"))
        projection = self._weight(hr) if self.proj_size else None
        both = self._weight(ih), self._weight(hh)
        return LayerWeights(*both, self._bias(ih), self._bias(hh), projection)

    def _checked(self, steps: Tensor, packed: bool = False) -> Tensor:
        """The input if its shape and dtype fit."""
        dims = (2,) if packed else (2, 3)
        fits = isinstance(steps, Tensor) and steps.dtype == torch.float32 and steps.dim() in dims
        if not fits or steps.shape[-1] != self.input_size:
            raise InputError(
                "input is a {what}; pass a float32 tensor of shape (steps, batch, {size}), "
                "(batch, steps, {size}) if batch_first, or (steps, {size}), or a "
                "PackedSequence of such.",
                what=describe(steps),
                size=self.input_size,
            )
        if not steps.shape[self.batch_first and steps.dim() == 3]:
            raise InputError(
                "input is a {what}, a sequence of no steps; pass one step at least.",
                what=describe(steps),
            )
        return steps

    def _widths(self) -> tuple[int, ...]:
        """The widths of the states."""
        return (self._output_size,)

    def _states(self, hx: Any, batch: int, batched: bool) -> States | None:
        """The initial states, (layers · directions, batch, width) each; None for zeros."""
        if hx is None:
            return None
        count, widths = self.num_layers * (2 if self.bidirectional else 1), self._widths()
        shapes: list[tuple[int, ...]] = [
            (count, batch, width) if batched else (count, width) for width in widths
        ]
        given = hx if len(widths) > 1 else (hx,)
        fits = isinstance(given, tuple | list) and len(given) == len(widths)
        if not fits or not all(
            isinstance(part, Tensor) and part.dtype == torch.float32 and part.shape == shape
            for part, shape in zip(given, shapes, strict=True)
        ):
            raise InputError(
                "hx is {what}; for this input pass {states}, in float32 and of shape {shapes}.",
                what=describe(hx),
                states="(hidden, cell)" if len(shapes) > 1 else "the hidden state",
                shapes=" and ".join(map(str, shapes)),
            )
        return tuple(given) if batched else tuple(part.unsqueeze(1) for part in given)

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
        super().__init__(as_scheme(scheme), fast)
        options = {
            "bias": bias,
            "batch_first": batch_first,
            "bidirectional": bidirectional,
            "proj_size": proj_size,
        }
        self._build((input_size, hidden_size, num_layers), options, dropout)

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002
        hx: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor]]:
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
        output, (hidden, cell) = self._call(input, hx)
        return output, (hidden, cell)

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
        super().__init__(as_scheme(scheme), fast)
        options = {"bias": bias, "batch_first": batch_first, "bidirectional": bidirectional}
        self._build((input_size, hidden_size, num_layers), options, dropout)

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002
        hx: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Run all layers over the sequence; arguments and results as those of `nn.GRU`.

        Args:
            input: As in `Int8LSTM.forward`.
            hx: Initial hidden state, (layers · directions, batch, hidden); zeros if None.

        Returns:
            The outputs of the last layer in the form of `input`, and the final hidden state.

        Raises:
            InputError: Shapes or dtypes do not fit, or the sequence is empty.
        """
        output, (hidden,) = self._call(input, hx)
        return output, hidden
