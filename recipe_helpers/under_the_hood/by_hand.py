"""Under the hood: does an LSTM written by hand give the numbers of torch.ao's quantized one?"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..common import checks
from ..common.errors import InputError
from ..common.language import _
from ..common.tables import Shown, Table
from ..recipe.pair import make_pair

TOLERANCE = 1e-6  # a few roundings of float32 in outputs between -1 and 1; one integer is 100 times
# An LSTM by hand: (lstm, inputs, hidden, cell) -> outputs. Inputs and outputs are
# (steps, batch, width), the initial hidden and cell state (batch, width).
ByHand = Callable[[nn.LSTM, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class AgreementPoint:
    """One width and batch size: the largest |by hand - torch.ao| in the outputs of each seed."""

    dimension: int
    batch_size: int
    differences: tuple[float, ...]

    @property
    def agreeing(self) -> int:
        """How many seeds differ by no more than `TOLERANCE`."""
        return sum(difference <= TOLERANCE for difference in self.differences)


@dataclass(frozen=True)
class Agreement(Shown):
    """An LSTM by hand against torch.ao's, over widths, batch sizes and seeds."""

    points: tuple[AgreementPoint, ...]

    @property
    def runs(self) -> int:
        """How many sequences were run."""
        return sum(len(point.differences) for point in self.points)

    @property
    def agreeing(self) -> int:
        """How many of them agree to `TOLERANCE` in every element."""
        return sum(point.agreeing for point in self.points)

    def table(self) -> Table:
        """One row per width and batch size."""
        rows = [
            (
                str(p.dimension),
                str(p.batch_size),
                _("{count} of {all}", count=p.agreeing, all=len(p.differences)),
            )
            for p in self.points
        ]
        headers = (_("width"), _("batch"), _("agree to {tolerance:g}", tolerance=TOLERANCE))
        note = _(
            "{count} of {all} runs agree to {tolerance:g} in every output.",
            count=self.agreeing,
            all=self.runs,
            tolerance=TOLERANCE,
        )
        return Table(headers, rows, note=note)


@checks.renamed(dimensions="widths")
def compare_by_hand(
    by_hand: ByHand,
    *,
    widths: Iterable[int] = (8, 80, 256),
    batch_sizes: Iterable[int] = (1, 8),
    seeds: Iterable[int] = range(10),
    engine: str | None = None,
) -> Agreement:
    """Run an LSTM by hand and torch.ao's on the recipe's model, drawn anew from each seed.

    Args:
        by_hand: called as `by_hand(lstm, inputs, hidden, cell)`, with inputs (steps, batch,
            width) and the state (batch, width); returns the outputs (steps, batch, width).
        widths: rising.
        batch_sizes: rising numbers of sequences.
        seeds: whole numbers.
        engine: torch.ao's engine; None for the current one, or one that works.

    Raises:
        ArgumentError: a size is below 1, or there is no seed.
        InputError: `by_hand` returns something else than outputs of that shape.
    """
    sizes = checks.positive_ints("widths", widths)
    batches = checks.positive_ints("batch_sizes", batch_sizes)
    chosen = checks.seeds("seeds", seeds)
    return Agreement(
        tuple(
            AgreementPoint(
                width, batch, tuple(_difference(by_hand, width, batch, s, engine) for s in chosen)
            )
            for width, batch in itertools.product(sizes, batches)
        )
    )


def _difference(by_hand: ByHand, width: int, batch: int, seed: int, engine: str | None) -> float:
    pair = make_pair(width=width, batch_size=batch, seed=seed, engine=engine)
    lstm: Any = pair.model.lstm
    inputs, hidden = pair.arguments
    with torch.inference_mode():
        theirs = pair.quantized(inputs, hidden)[0]
        ours = by_hand(lstm, inputs, *(part[0] for part in hidden))
    if not isinstance(ours, Tensor) or ours.shape != theirs.shape:
        raise InputError(
            "by_hand returned a {what}; it must return the outputs of every step, a tensor of "
            "shape {shape}.",
            what=checks.describe(ours),
            shape=tuple(theirs.shape),
        )
    return float((ours - theirs).abs().max())


def relative_error(outputs: Tensor, expected: Tensor) -> float:
    """Mean |outputs - expected| / mean |expected|, of two tensors of one shape.

    Raises:
        InputError: the shapes differ.
    """
    if outputs.shape != expected.shape:
        raise InputError(
            "outputs is a {outputs} and expected a {expected}; pass two tensors of one shape.",
            outputs=checks.describe(outputs),
            expected=checks.describe(expected),
        )
    return float((outputs - expected).abs().mean() / expected.abs().mean())
