"""What the int8 LSTM and GRU share: layers, directions, forms of the input, conversion, state.

One call of `_run_layer` runs one layer in one direction; the final states of all come as a tuple
of tensors, (hidden, cell) for an LSTM and (hidden,) for a GRU.
"""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..common.checks import describe, positive_int
from ..common.errors import InputError
from ..common.language import Text
from . import arithmetic
from .arithmetic import LayerWeights, Scheme, as_scheme, chosen_scheme
from .linear import Int8Module, require_plain

States = tuple[Tensor, ...]
Kind = TypeVar("Kind", bound="Int8Recurrent")


class Int8Recurrent(Int8Module):
    """An int8 drop-in for one kind of `nn.RNNBase`; see `Int8LSTM` and `Int8GRU`."""

    _GATES: int  # how many stand on top of each other in a weight
    _FLOAT: type[nn.RNNBase]  # what it stands in for
    _PARTS = ("ih", "hh", "hr")

    def _build(
        self, sizes: tuple[int, int, int], options: dict[str, Any], scheme: Scheme | str
    ) -> None:
        """Check the sizes and register empty weights; options as attributes of nn.RNNBase."""
        names = ("input_size", "hidden_size", "num_layers")
        for name, value in zip(names, sizes, strict=True):
            setattr(self, name, positive_int(name, value))
        for name, value in options.items():
            setattr(self, name, value)
        self.scheme = as_scheme(scheme)
        directions = 2 if self.bidirectional else 1
        self._output_size = self.proj_size or self.hidden_size
        inner = directions * self._output_size
        longest = max(self.input_size, self.hidden_size, inner * (self.num_layers > 1))
        self.activation_bits = arithmetic.most_activation_bits(longest, self.scheme)
        stacked = self._GATES * self.hidden_size
        for layer, suffix in self._suffixes():
            inputs = self.input_size if layer == 0 else inner
            self._store(f"weight_ih{suffix}", self._empty(stacked, inputs))
            self._store(f"weight_hh{suffix}", self._empty(stacked, self._output_size))
            if self.bias:
                for part in ("ih", "hh"):
                    self.register_buffer(f"bias_{part}{suffix}", torch.zeros(stacked))
            if self.proj_size:
                self._store(f"weight_hr{suffix}", self._empty(self.proj_size, self.hidden_size))

    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int = 0

    def _suffixes(self) -> list[tuple[int, str]]:
        ends = ("", "_reverse") if self.bidirectional else ("",)
        return [(layer, f"_l{layer}{end}") for layer in range(self.num_layers) for end in ends]

    @classmethod
    def _converted(
        cls: type[Kind],
        name: str,
        module: nn.RNNBase,
        scheme: Scheme | str,
        activation_bits: int | None,
        fast: bool | None,
    ) -> Kind:
        """What `from_float` of both kinds does."""
        require_plain(name, module, cls._FLOAT)
        scheme = chosen_scheme(scheme, activation_bits)
        taken = [key for key in inspect.signature(cls).parameters if key not in ("scheme", "fast")]
        with torch.device("meta"):
            made = cls(**{key: getattr(module, key) for key in taken}, scheme=scheme, fast=fast)
        for _, suffix in made._suffixes():
            for key in (f"weight_{part}{suffix}" for part in cls._PARTS):
                if hasattr(made, key):
                    # Not that of W_hh: it would be multiplied at every step, for states that lie
                    # between -1 and 1, whose rows differ less.
                    weight = arithmetic.quantize_weight(
                        key, getattr(module, key), made.scheme, residual="weight_ih" in key
                    )
                    made._store(key, weight)
            for key in (f"bias_{part}{suffix}" for part in ("ih", "hh")):
                if module.bias:
                    setattr(made, key, getattr(module, key).detach().clone())
        return made.train(module.training)

    def _forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002
        hx: Any,
    ) -> tuple[Tensor | PackedSequence, States]:
        packed = isinstance(input, PackedSequence)
        steps = self._checked(input.data if isinstance(input, PackedSequence) else input, packed)
        batched = packed or steps.dim() == 3
        if packed:
            data, batch_sizes = steps, input.batch_sizes.tolist()
        else:
            steps = steps if batched else steps[:, None]
            steps = steps.transpose(0, 1) if batched and self.batch_first else steps
            data, batch_sizes = steps.flatten(0, 1), [steps.shape[1]] * steps.shape[0]
        states = self._initial(hx, data, batch_sizes[0], batched)
        if packed and input.sorted_indices is not None:
            states = tuple(part[:, input.sorted_indices] for part in states)

        data, states = self._run(data, batch_sizes, states)

        if packed:
            if input.unsorted_indices is not None:
                states = tuple(part[:, input.unsorted_indices] for part in states)
            return PackedSequence(data, *input[1:]), states
        output = data.view(*steps.shape[:2], data.shape[1])
        if not batched:
            return output[:, 0], tuple(part[:, 0] for part in states)
        return output.transpose(0, 1) if self.batch_first else output, states

    def _run(self, data: Tensor, batch_sizes: list[int], states: States) -> tuple[Tensor, States]:
        done = self._run_fast(data, tuple(batch_sizes), states)
        if done is not None:
            return done
        finals: list[States] = []
        outputs: list[Tensor] = []
        for index, (_, suffix) in enumerate(self._suffixes()):
            weights = LayerWeights(
                self._weight(f"weight_ih{suffix}"),
                self._weight(f"weight_hh{suffix}"),
                getattr(self, f"bias_ih{suffix}", None),
                getattr(self, f"bias_hh{suffix}", None),
                self._weight(f"weight_hr{suffix}") if self.proj_size else None,
            )
            reverse = suffix.endswith("_reverse")
            before = tuple(part[index] for part in states)
            output, final = self._run_layer(data, batch_sizes, before, weights, reverse)
            finals.append(final)
            outputs.append(output)
            if reverse or not self.bidirectional:
                data, outputs = torch.cat(outputs, dim=1), []
        return data, tuple(torch.stack(parts) for parts in zip(*finals, strict=True))

    def _run_fast(
        self, data: Tensor, batch_sizes: tuple[int, ...], states: States
    ) -> tuple[Tensor, States] | None:
        """All layers in compiled code; None where there is none."""
        if (fast := self._fast()) is None:
            return None
        done: tuple[Tensor, States] | None = fast.run_recurrent(self, data, batch_sizes, states)
        return done

    def _run_layer(
        self,
        data: Tensor,
        batch_sizes: list[int],
        states: States,
        weights: LayerWeights,
        reverse: bool,
    ) -> tuple[Tensor, States]:
        """One layer in one direction, by the reference."""
        raise NotImplementedError

    def _checked(self, steps: Tensor, packed: bool) -> Tensor:
        """The input if its shape and dtype fit."""
        dims = (2,) if packed else (2, 3)
        fits = isinstance(steps, Tensor) and steps.dtype == torch.float32 and steps.dim() in dims
        if not fits or steps.shape[-1] != self.input_size:
            raise InputError(
                Text(
                    "input is a {what}; pass a float32 tensor of shape (steps, batch, {size}), "
                    "(batch, steps, {size}) if batch_first, or (steps, {size}), or a "
                    "PackedSequence of such.",
                    what=describe(steps),
                    size=self.input_size,
                )
            )
        if not steps.shape[self.batch_first and steps.dim() == 3 and not packed]:
            raise InputError(
                Text(
                    "input is a {what}, a sequence of no steps; pass one step at least.",
                    what=describe(steps),
                )
            )
        return steps

    def _widths(self) -> tuple[int, ...]:
        """The widths of the states."""
        return (self._output_size,)

    def _initial(self, hx: Any, data: Tensor, batch: int, batched: bool) -> States:
        """The initial states as tensors of shape (layers · directions, batch, width)."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        widths = self._widths()
        if hx is None:
            return tuple(data.new_zeros(count, batch, width) for width in widths)
        expected = [(count, batch, width) if batched else (count, width) for width in widths]
        if len(widths) == 1:
            given = (hx,)
            wanted = Text("a float32 tensor of shape {shape}", shape=expected[0])
        else:
            given = tuple(hx) if isinstance(hx, tuple | list) else ()
            wanted = Text(
                "(hidden, cell), float32 tensors of shape {hidden} and {cell}",
                hidden=expected[0],
                cell=expected[1],
            )
        fits = len(given) == len(widths) and all(
            isinstance(part, Tensor) and part.dtype == torch.float32 and part.shape == shape
            for part, shape in zip(given, expected, strict=True)
        )
        if not fits:
            raise InputError(
                Text(
                    "hx is {what}; for this input pass {wanted}.", what=describe(hx), wanted=wanted
                )
            )
        return given if batched else tuple(part[:, None] for part in given)

    def flatten_parameters(self) -> None:
        """Nothing to do; models call it on an nn.LSTM or nn.GRU."""

    def extra_repr(self) -> str:
        """The sizes and the choices, as PyTorch shows them."""
        shown = [f"{self.input_size}, {self.hidden_size}"]
        usual = inspect.signature(type(self)).parameters
        for name in ("num_layers", "bias", "batch_first", "bidirectional", "proj_size"):
            if name in usual and getattr(self, name) != usual[name].default:
                shown.append(f"{name}={getattr(self, name)}")
        return ", ".join([*shown, f"activation_bits={self.activation_bits}"])
