"""The opening, what dynamic quantization is: numbers on a grid, and where its step comes from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ..common import checks, settings
from ..common.errors import ArgumentError
from ..common.language import N_, _
from ..common.tables import Shown, Table
from .inspection import stored_weights
from .quantize import quantize_dynamic

LARGEST = 127  # of int8, on a grid that is symmetric about zero


@dataclass(frozen=True)
class Rounding(Shown):
    """Numbers, and the integers that stand for them on a grid of step `scale`."""

    numbers: torch.Tensor
    scale: float
    integers: torch.Tensor

    @property
    def restored(self) -> torch.Tensor:
        """What the integers stand for: integers x scale."""
        return self.integers * self.scale

    @property
    def errors(self) -> torch.Tensor:
        """Restored less original."""
        return self.restored - self.numbers

    @property
    def relative(self) -> float:
        """Mean |error| / mean |number|."""
        return float(self.errors.abs().mean() / self.numbers.abs().mean())

    def table(self) -> Table:
        """One row per number."""
        columns = zip(self.numbers, self.integers, self.restored, self.errors, strict=True)
        rows = [(f"{x:.4f}", f"{int(n)}", f"{y:.4f}", f"{e:+.4f}") for x, n, y, e in columns]
        headers = (_("number"), _("integer"), _("integer x scale"), _("rounding error"))
        half = self.scale / 2
        caption = _("scale {scale:.4f}, half a step {half:.4f}", scale=self.scale, half=half)
        return Table(headers, rows, caption)


def round_to_grid(numbers: torch.Tensor, scale: float | None = None) -> Rounding:
    """Quantize numbers to int8, symmetrically about zero.

    Args:
        numbers: one-dimensional, float32.
        scale: the step of the grid; None takes the one that just holds the largest magnitude.
            Numbers beyond 127 steps saturate.

    Raises:
        ArgumentError: `numbers` are not what they should be, or `scale` is not above zero or is
            left to numbers that are all zero.
    """
    checks.numbers("numbers", numbers)
    if scale is None:
        scale = float(numbers.abs().max()) / LARGEST
    number = isinstance(scale, int | float) and not isinstance(scale, bool)
    if not number or not 0 < scale < math.inf:
        raise ArgumentError(
            "scale is {value}; pass a step above 0, or numbers unlike 0.", value=repr(scale)
        )
    integers = torch.round(numbers / scale).clamp(-LARGEST, LARGEST).to(torch.int8)
    return Rounding(numbers, scale, integers)


@dataclass(frozen=True)
class ScaleChoice:
    """One batch quantized twice: with a scale fixed beforehand, and with one of its own."""

    name: str
    fixed: Rounding
    dynamic: Rounding


@dataclass(frozen=True)
class ScaleChoices(Shown):
    """Several batches, each with a fixed scale and with a scale found at run time."""

    batches: tuple[ScaleChoice, ...]

    def table(self) -> Table:
        """Scales and relative errors, a row per batch."""
        rows = [
            (
                _(batch.name),
                f"{float(batch.fixed.numbers.abs().max()):.3g}",
                f"{batch.fixed.scale:.3g}",
                f"{batch.fixed.relative:.1%}",
                f"{batch.dynamic.scale:.3g}",
                f"{batch.dynamic.relative:.1%}",
            )
            for batch in self.batches
        ]
        fixed, at_run_time = _("fixed scale"), _("scale at run time")
        headers = (_("batch"), _("largest |x|"), fixed, _("error"), at_run_time, _("error"))
        return Table(headers, rows)


def compare_scales(calibration: torch.Tensor, batches: Mapping[str, torch.Tensor]) -> ScaleChoices:
    """Quantize batches with one scale from calibration data, and with the scale of each.

    Args:
        calibration: what the fixed scale is taken from, one-dimensional.
        batches: name -> one-dimensional float32 tensor.

    Raises:
        ArgumentError: one of these is something else, or all zero.
    """
    checks.numbers("calibration", calibration)
    if not isinstance(batches, Mapping) or not batches:
        came = N_("empty") if batches == {} else type(batches).__name__
        raise ArgumentError("batches is {came}; pass a dict of names and tensors.", came=came)
    for name, batch in batches.items():
        checks.numbers(f"batches[{name!r}]", batch)
    fixed = round_to_grid(calibration).scale
    choices = (
        ScaleChoice(name, round_to_grid(batch, fixed), round_to_grid(batch))
        for name, batch in batches.items()
    )
    return ScaleChoices(tuple(choices))


@dataclass(frozen=True)
class ActivationStep:
    """The grid on which a quantized layer put its input."""

    range: float  # largest less smallest input, zero included
    step: float  # distance of neighbouring grid points, read off the layer's outputs

    @property
    def levels(self) -> float:
        """Steps in the range: 127 where the range is reduced to 7 bits, 255 at 8."""
        return self.range / self.step


def activation_step(batch: torch.Tensor) -> ActivationStep:
    """Find the step to which `torch.ao` rounds a batch, from the outside.

    A quantized linear layer with one weight lets the rounded input through, so its distinct
    outputs lie on the grid; the smallest distance between them is one step.

    Args:
        batch: one-dimensional, float32, a few hundred numbers that fill their range.

    Raises:
        ArgumentError: `batch` is something else, or its numbers are all alike.
    """
    checks.numbers("batch", batch)
    with settings.seeded(0):  # a new layer draws its weight: not from the reader's random state
        single = nn.Sequential(nn.Linear(1, 1, bias=False)).eval()
    with torch.no_grad():
        single[0].weight.fill_(1.0)
    quantized = quantize_dynamic(single)
    (weight,) = stored_weights(quantized)
    with torch.inference_mode():
        outputs = quantized(batch[:, None]).flatten().double()
    values = (outputs / float(weight.dequantized())).unique()
    gaps = values.diff()
    if not gaps.numel():
        raise ArgumentError("batch holds one number only; pass a few hundred different numbers.")
    # Values of one grid point differ in the last digits of float32: no step at all.
    step = float(gaps[gaps > gaps.max() * 1e-3].min())
    span = max(float(batch.max()), 0.0) - min(float(batch.min()), 0.0)
    return ActivationStep(span, step)
