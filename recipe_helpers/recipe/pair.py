"""The recipe's LSTM in FP32 and in INT8, side by side: of one width, or swept over many."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import nn

from ..common import checks
from ..common.errors import ArgumentError
from ..common.tables import Shown
from .model import demonstration
from .quantize import quantize_dynamic

Result = TypeVar("Result")


@dataclass(frozen=True)
class Pair:
    """A float model, what quantizing made of it, and what both are called with."""

    model: nn.Module
    quantized: nn.Module
    arguments: tuple[Any, ...]
    macs: int  # multiply-adds of one call

    @property
    def both(self) -> tuple[Any, ...]:
        """What every comparison takes: `rh.compare_outputs(*pair.both)`."""
        return self.model, self.quantized, *self.arguments

    @property
    def parameters(self) -> int:
        """Elements of the float model's parameters."""
        return sum(parameter.numel() for parameter in self.model.parameters())


def make_pair(
    *,
    backend: str = "torch.ao",
    engine: str | None = None,
    weights: str | None = None,
    **sizes: int,
) -> Pair:
    """Draw the recipe's model and inputs, and quantize the model.

    The first three are those of `quantize_dynamic`, the sizes and the seed those of
    `demonstration`; both say what they refuse.
    """
    demo = demonstration(**sizes)
    quantized = quantize_dynamic(demo.model, backend=backend, engine=engine, weights=weights)
    steps = demo.inputs.shape[0] * demo.inputs.shape[1]
    products = sum(p.numel() for p in demo.model.parameters() if p.ndim == 2)
    return Pair(demo.model, quantized, demo.arguments, steps * products)


@dataclass(frozen=True)
class Point(Generic[Result]):
    """What was found at one width."""

    width: int
    parameters: int
    macs: int  # multiply-adds of one call
    comparison: Result

    # The name of `width` in versions 1.0 and 2.0.
    dimension = property(lambda self: self.width)


@dataclass(frozen=True)
class Sweep(Shown, Generic[Result]):
    """The same comparison at several widths of the recipe's one-layer LSTM, rising."""

    points: tuple[Point[Result], ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths."""
        return tuple(point.width for point in self.points)

    # The name of `widths` in versions 1.0 and 2.0.
    dimensions = property(lambda self: self.widths)

    def at(self, width: int) -> Point[Result]:
        """The point of one width.

        Raises:
            ArgumentError: the sweep has no such width.
        """
        if width in self.widths:
            return self.points[self.widths.index(width)]
        raise ArgumentError(
            "{name} is {value!r}; the sweep has {widths}.",
            name="width",
            value=width,
            widths=list(self.widths),
        )


def sweep(
    over: Iterable[int], measure: Callable[[Pair], Result], **made: Any
) -> tuple[Point[Result], ...]:
    """What `measure` finds of the recipe's pair at each of these rising widths.

    Each pair is made by `make_pair`. ArgumentError unless the widths are rising whole numbers.
    """
    points = []
    for width in checks.positive_ints("widths", over):
        pair = make_pair(width=width, **made)
        points.append(Point(width, pair.parameters, pair.macs, measure(pair)))
    return tuple(points)
