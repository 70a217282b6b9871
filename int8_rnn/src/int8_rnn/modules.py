"""What all int8 modules share: how they are made of float ones, and the way to compiled code."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from . import operators
from .obstacles import require_plain
from .reference import Product, States
from .scheme import DEFAULT, Scheme, chosen_scheme
from .stored import Stored
from .weights import Int8Weight, quantize_weight

Kind = TypeVar("Kind", bound="Int8Module")


@functools.cache
def _kernels() -> ModuleType | None:
    """The compiled path, or None where it cannot be had, which it says once."""
    from .fast import calls

    return calls if calls.ready() else None


class Int8Module(Stored):
    """Base class of `Int8LSTM`, `Int8GRU` and `Int8Linear`.

    Attributes:
        scheme: Where the scales come from.
        activation_bits: Bits of the integers that its input is quantized to.
        fast: None takes compiled code where there is any; False never does.
    """

    _FLOAT: ClassVar[Any]  # what it stands in for: nn.LSTM, nn.GRU or nn.Linear
    _GATES: ClassVar[int]  # how many stand on top of each other in a weight; 1 for nn.Linear

    activation_bits: int
    fast: bool | None

    def __init__(self, scheme: Scheme, fast: bool | None) -> None:
        super().__init__()
        self.scheme, self.fast = scheme, fast

    @classmethod
    def from_float(
        cls: type[Kind],
        module: nn.Module,
        *,
        scheme: Scheme | str = DEFAULT,
        activation_bits: int | None = None,
        fast: bool | None = None,
    ) -> Kind:
        """Convert the float module that this class stands in for; its weights are quantized once.

        Args:
            module: An nn.LSTM, nn.GRU or nn.Linear, float32.
            scheme: A `Scheme`, or its name.
            activation_bits: Bits of inputs and hidden state alike: 8, faster and less exact, or
                16, slower and a little more exact. None for what the scheme says.
            fast: As in the constructor.

        Raises:
            ModelError: It is of another kind or overrides its forward, or a weight is not float32
                or holds NaN or infinity.
            ArgumentError: The scheme's bits would overflow int32 at these sizes, or
                `activation_bits` is something else or stands beside a scheme with bits of its own.
        """
        require_plain(cls._FLOAT.__name__.lower(), module, cls._FLOAT)
        return cls._from_float(module, chosen_scheme(scheme, activation_bits), fast=fast)

    @classmethod
    def _from_float(
        cls: type[Kind], module: nn.Module, scheme: Scheme, prefix: str = "", fast: Any = None
    ) -> Kind:
        made = cls._like(module, scheme, fast)
        for name, matrix in made._sizes.items():
            # No residual of W_hh: it would be multiplied at every step, for states that lie
            # between -1 and 1, whose rows differ less.
            residual = not name.startswith(("weight_hh", "weight_hr"))
            floats = getattr(module, name)
            weight = quantize_weight(prefix + name, floats, made.scheme, residual=residual)
            bias = getattr(module, matrix.bias).detach() if matrix.bias else None
            made._put(name, weight._replace(bias=bias))
        return made

    @classmethod
    def _like(
        cls: type[Kind], module: nn.Module, scheme: Scheme, fast: Any = None, device: str = "meta"
    ) -> Kind:
        """One of the sizes of a float or int8 module, its weights not filled in."""
        with torch.device(device):
            made = cls(**operators.arguments(cls, module), scheme=scheme, fast=fast)
        return made.train(module.training)

    def extra_repr(self) -> str:
        """The sizes and the choices, as PyTorch shows them."""
        return f"{self._FLOAT.extra_repr(self)}, activation_bits={self.activation_bits}"

    def bits_of(self, name: str) -> tuple[int, bool]:
        """Bits of the activations that this weight multiplies, and whether they are symmetric."""
        return self.activation_bits, self.scheme.symmetric

    def int8_weights(self) -> dict[str, Int8Weight]:
        """The weights by their names, as rows; copies."""
        return {name: self._weight(name) for name in self._sizes}

    # -- a call ------------------------------------------------------------------------------

    def _run(
        self, data: Tensor, batch_sizes: list[int] | None = None, states: States | None = None
    ) -> tuple[Tensor, States]:
        """The output for (steps, batch, inputs), or rows, packed or without steps; last states."""
        way, done = self._way(), None
        if way is not None:
            run = way.run_linear if self._GATES == 1 else way.run_recurrent
            done = run(self, data, batch_sizes, states)
        if done is None:
            with torch.no_grad():
                done = self._run_reference(data, batch_sizes, states)
        return done

    def _way(self) -> ModuleType | None:
        """What takes this call in place of the reference: the operator if traced, or kernels."""
        if torch.compiler.is_compiling():
            return operators
        return None if self.fast is False or torch.jit.is_tracing() else _kernels()

    def _product(self, name: str) -> Product:
        """A weight as the reference takes it, its integers as float64 once for all steps."""
        weight = self._weight(name)
        weight = weight._replace(values=weight.values.double())
        return Product(weight, self.bits_of(name)[0], self.scheme)
