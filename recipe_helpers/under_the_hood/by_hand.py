"""Under the hood: what torch.ao computes, by hand: an LSTM, and products that are added in pairs.

x86 processors without VNNI multiply 8-bit integers with `vpmaddubsw`: unsigned times signed bytes,
each two neighbouring products added to one 16-bit integer *with saturation*: what does not fit is
cut off at the ends, -32768 and 32767. `vpmaddwd` then adds the pairs in 32 bits.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, PMADDUBSW.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ..common import checks, settings
from ..common.errors import InputError
from ..common.language import _
from ..common.tables import Shown, Table
from ..recipe.model import working_engine
from ..recipe.pair import make_pair

TOLERANCE = 1e-6  # a few roundings of float32 in outputs between -1 and 1; one integer is 100 times
INT16_MIN, INT16_MAX = -(2**15), 2**15 - 1
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


# --- products of integers, added in pairs in 16 bits ----------------------------------------------


def pair_sums(activations: Tensor, weights: Tensor) -> Tensor:
    """The exact sums of neighbouring products, before anything is cut off.

    Args:
        activations: uint8 (..., K).
        weights: int8 (N, K).

    Returns:
        int32 (..., N, K / 2, rounded up); an odd K gets a zero.

    Raises:
        InputError: types or shapes do not fit.
    """
    check_operands("activations", activations, torch.uint8, weights)
    products = activations.int().unsqueeze(-2) * weights.int()
    return pad(products, (0, products.shape[-1] % 2)).unflatten(-1, (-1, 2)).sum(-1).int()


def saturating_product(activations: Tensor, weights: Tensor) -> Tensor:
    """`activations @ weights.T` as `vpmaddubsw` and `vpmaddwd` compute it, in plain tensors.

    Args:
        activations: uint8 (..., K).
        weights: int8 (N, K).

    Returns:
        int32 (..., N).

    Raises:
        InputError: types or shapes do not fit.
    """
    saturated = pair_sums(activations, weights).clamp(INT16_MIN, INT16_MAX)
    return saturated.sum(-1, dtype=torch.int32)


def saturated_share(activations: Tensor, weights: Tensor) -> float:
    """The share of the pairs that do not fit into 16 bits; arguments and errors as above."""
    pairs = pair_sums(activations, weights)
    return float(((pairs < INT16_MIN) | (pairs > INT16_MAX)).double().mean())


def engine_product(activations: Tensor, weights: Tensor, *, engine: str | None = None) -> Tensor:
    """`activations @ weights.T` as PyTorch's quantized engine computes it with the full range.

    The engine takes floats and finds the scale itself. Integers that reach from 0 to 255 get the
    scale 1 and the zero point 0, so that they come out of it as they went in.

    Args:
        activations: uint8 (..., K) with 0 and 255 among them.
        weights: int8 (N, K).
        engine: "x86", "fbgemm", "qnnpack" or "onednn"; None for the current one, or one that works.

    Returns:
        int32 (..., N).

    Raises:
        InputError: types or shapes do not fit, or the activations do not reach from 0 to 255.
    """
    check_operands("activations", activations, torch.uint8, weights)
    if not activations.numel() or activations.min() != 0 or activations.max() != 255:
        raise InputError(
            "activations is a {what} that does not reach from 0 to 255; put both in, or the "
            "engine will choose another scale than 1.",
            what=checks.describe(activations),
        )
    with settings.deprecations_silenced(), settings.engine_set(working_engine(engine)):
        quantized = torch.quantize_per_tensor(weights.float(), 1.0, 0, torch.qint8)
        packed = torch.ops.quantized.linear_prepack(quantized, None)
        result = torch.ops.quantized.linear_dynamic(activations.float(), packed, False)
    return result.round().int()


def integers(name: str, value: Any, dtype: torch.dtype, shape: str = "(..., K)") -> Tensor:
    """`value` if it is a tensor of this type and shape, (..., K) or (N, K); InputError if not."""
    fits = isinstance(value, Tensor) and value.dtype == dtype and value.dim()
    if fits and (shape == "(..., K)" or value.dim() == 2):
        return value
    raise InputError(
        "{name} is a {what}; pass a tensor {shape} of {kind}.",
        name=name,
        what=checks.describe(value),
        shape=shape,
        kind=str(dtype).removeprefix("torch."),
    )


def check_operands(name: str, activations: Tensor, dtype: torch.dtype, weights: Tensor) -> None:
    """InputError unless these are activations (..., K) of this type and int8 weights (N, K)."""
    integers(name, activations, dtype)
    integers("weights", weights, torch.int8, "(N, K)")
    if activations.shape[-1] != weights.shape[1]:
        raise InputError(
            "{name} is a {activations} and weights a {weights}; pass rows of K numbers each, "
            "(..., K) and (N, K).",
            name=name,
            activations=checks.describe(activations),
            weights=checks.describe(weights),
        )
