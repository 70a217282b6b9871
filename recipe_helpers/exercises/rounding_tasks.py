"""E4 and E9: quantize a vector and bound its error; quantize a matrix with a scale per row."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..common.language import N_
from .answers import ANSWER, Array, anything, function, number, numbers, parts, result, tensor
from .verdicts import Findings, Sentence, near, refuse, tried_on

SLACK = 1e-3  # of a step: float32 rounds, too
SMALLEST_PEAK, LARGEST_PEAK = 115.0, 127.6  # the integer that the largest number may stand for
INTEGERS = N_("the integers")


def _vectors() -> dict[str, Tensor]:
    drawn = torch.randn(200, generator=torch.Generator().manual_seed(4))
    return {
        N_("random numbers"): drawn,
        N_("numbers whose largest magnitude is negative"): torch.tensor([0.3, -1.27, 6e-3, 0.8]),
        N_("numbers of one sign"): drawn.abs() + 0.1,
        N_("very small numbers"): drawn * 1e-6,
        N_("very large numbers"): drawn * 1e6,
        N_("numbers with an outlier"): torch.cat([drawn, torch.tensor([50.0])]),
        N_("a single number"): torch.tensor([-0.3]),
        N_("a tensor of zeros"): torch.zeros(5),
    }


def by_hand(answer: Any) -> Findings:
    """E4: a function of a float32 tensor (n) to (int8 integers, scale, bound of the error)."""
    quantize = function(ANSWER, answer)
    for case, values in _vectors().items():
        integers_like = tensor(torch.int8, tuple(values.shape))
        wanted = {INTEGERS: integers_like, N_("the scale"): number, N_("the bound"): number}
        with tried_on(case):
            integers, scale, bound = parts(result(quantize, values), wanted)
            moved = _check_grid(values[None], integers[None], np.array([scale])) * scale
            mistakes = {
                N_("A number moved by {largest:.3g}: more than the bound {bound:.3g}."): (
                    bound < moved - SLACK * scale
                ),
                N_(
                    "The bound {bound:.3g} is true, but larger than it need be: how far is it at "
                    "most from a number to the nearest point of a grid of step {scale:.3g}?"
                ): bound > scale * (0.5 + SLACK),
            }
            refuse(mistakes, largest=moved, bound=bound, scale=scale)
    yield Sentence(
        N_("The integers, the scale and the bound hold for every tensor that was tried.")
    )


def _matrices() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(9)
    drawn, narrow, square, other = (
        torch.randn(shape, generator=generator) for shape in ((6, 10), (10, 4), (5, 5), (4, 6))
    )
    holed = drawn.clone()
    holed[2] = 0
    return {
        N_("a matrix of 6 rows and 10 columns"): drawn,
        N_("a matrix of 10 rows and 4 columns"): narrow,
        N_("a square matrix"): square,
        N_("rows of very different size"): drawn * torch.logspace(-4, 3, 6)[:, None],
        N_("columns of very different size"): other * torch.logspace(-3, 2, 6),
        N_("a matrix with a row of zeros"): holed,
        N_("a single row"): drawn[:1],
    }


def per_channel(answer: Any) -> Findings:
    """E9: a function of a float32 weight (N, K) to (int8 integers (N, K), scales (N))."""
    quantize = function(ANSWER, answer)
    for case, weight in _matrices().items():
        integers_like = tensor(torch.int8, tuple(weight.shape))
        wanted = {INTEGERS: integers_like, N_("the scales"): anything}
        with tried_on(case):
            integers, scales = parts(result(quantize, weight), wanted)
            _check_grid(weight, integers, _scales(scales, *weight.shape))
    praise = N_("Every row has a scale of its own, and no weight moves by more than half a step.")
    yield Sentence(praise)


def _scales(value: Any, rows: int, columns: int) -> Array:
    flat = value.reshape(-1) if isinstance(value, Tensor | np.ndarray) else value
    found = len(flat) if hasattr(flat, "__len__") else 1
    mistakes = {
        N_("There is a scale for each column; a row is what makes one output."): found == columns,
        N_("There is one scale for the whole matrix; each row needs one."): found == 1,
        N_("There are {count} scales for {rows} rows."): True,
    }
    refuse(mistakes, found == rows, count=found, rows=rows)
    return numbers(N_("the scales"), flat)


def _check_grid(values: Tensor, given: Tensor, scales: Array) -> float:
    """One scale for each row, which uses the range; no number further off than half a step.

    Returns:
        How far off the worst number is, in steps.
    """
    exact, integers = values.double().numpy(), given.double().numpy()
    refuse({N_("A scale is not above zero."): bool((scales <= 0).any())})
    peaks = np.abs(exact).max(axis=1)
    for scale, peak in zip(scales, peaks, strict=True):
        mistakes = {
            N_("A row has the scale of the largest one; each row needs its own."): (
                len(scales) > 1 and _uses_the_range(peaks.max() / scale)
            ),
            N_("{steps:.4g} steps are more than int8 holds: which number decides?"): (
                peak > LARGEST_PEAK * scale
            ),
            N_("Only {steps:.3g} of the 127 steps on one side of zero are used."): True,
        }
        refuse(mistakes, not peak or _uses_the_range(peak / scale), steps=peak / scale)

    def mostly(rounded: Array) -> bool:  # a number just beside an integer may go either way
        return bool((rounded == integers).mean() > 0.8)

    steps = exact / scales[:, None]
    errors = np.abs(steps - integers)
    worst = errors.argmax()
    step, error = steps.flat[worst], errors.flat[worst]
    mistakes = {
        N_("{step:.4g} steps do not fit into int8 and wrap around: clamp, then convert."): (
            near(error, 256, 0.01)
        ),
        N_("Fractions were cut off, and errors reach a whole step: round."): (
            mostly(np.trunc(steps))
        ),
        N_("Everything was rounded down, and errors reach a whole step."): mostly(np.floor(steps)),
        N_("A number is {error:.3g} steps off; half a step is the most that rounding costs."): True,
    }
    refuse(mistakes, error <= 0.5 + SLACK, step=step, error=error)
    return float(error)


def _uses_the_range(steps: float) -> bool:
    return bool(SMALLEST_PEAK <= steps <= LARGEST_PEAK)
