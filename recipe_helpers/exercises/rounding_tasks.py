"""E4 and E9: quantize a vector and bound its error; quantize a matrix with a scale per row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..common.language import N_, Text
from .answers import function, number, numbers, parts, result, tensor
from .verdicts import Finding, near, refuse, tried_on

SLACK = 1e-3  # of a step: float32 rounds, too
SMALLEST_PEAK, LARGEST_PEAK = 115.0, 127.6  # the integer that the largest number may stand for
INTEGERS = Text("the integers")

Array = np.ndarray


def _vectors() -> dict[Text, Tensor]:
    drawn = torch.randn(200, generator=torch.Generator().manual_seed(4))
    return {
        Text("random numbers"): drawn,
        Text("numbers whose largest magnitude is negative"): torch.tensor([0.3, -1.27, 6e-3, 0.8]),
        Text("numbers of one sign"): drawn.abs() + 0.1,
        Text("very small numbers"): drawn * 1e-6,
        Text("very large numbers"): drawn * 1e6,
        Text("numbers with an outlier"): torch.cat([drawn, torch.tensor([50.0])]),
        Text("a single number"): torch.tensor([-0.3]),
        Text("a tensor of zeros"): torch.zeros(5),
    }


def by_hand(answer: Any) -> Iterator[Finding]:
    """E4: a function of a float32 tensor (n) to (int8 integers, scale, bound of the error)."""
    quantize = function(answer)
    names = Text("the scale"), Text("the bound")
    for case, values in _vectors().items():
        with tried_on(case):
            given, *others = parts(result(quantize, values), INTEGERS, *names)
            integers = _integers(given, values)
            scale, bound = map(number, names, others)
            exact = values.double().numpy()
            _check_grid(exact[None], integers[None], np.array([scale]))
            largest = float(np.abs(exact - integers * scale).max())
            mistakes = {
                N_("A number moved by {largest:.3g}: more than the bound {bound:.3g}."): (
                    bound < largest - SLACK * scale
                ),
                N_(
                    "The bound {bound:.3g} is true, but larger than it need be: how far is it at "
                    "most from a number to the nearest point of a grid of step {scale:.3g}?"
                ): bound > scale * (0.5 + SLACK),
            }
            refuse(mistakes, largest=largest, bound=bound, scale=scale)
    yield Text("The integers, the scale and the bound hold for every tensor that was tried.")


def _matrices() -> dict[Text, Tensor]:
    generator = torch.Generator().manual_seed(9)
    drawn, narrow, square, other = (
        torch.randn(shape, generator=generator) for shape in ((6, 10), (10, 4), (5, 5), (4, 6))
    )
    holed = drawn.clone()
    holed[2] = 0
    return {
        Text("a matrix of 6 rows and 10 columns"): drawn,
        Text("a matrix of 10 rows and 4 columns"): narrow,
        Text("a square matrix"): square,
        Text("rows of very different size"): drawn * torch.logspace(-4, 3, 6)[:, None],
        Text("columns of very different size"): other * torch.logspace(-3, 2, 6),
        Text("a matrix with a row of zeros"): holed,
        Text("a single row"): drawn[:1],
    }


def per_channel(answer: Any) -> Iterator[Finding]:
    """E9: a function of a float32 weight (N, K) to (int8 integers (N, K), scales (N))."""
    quantize = function(answer)
    for case, weight in _matrices().items():
        with tried_on(case):
            given, scales = parts(result(quantize, weight), INTEGERS, Text("the scales"))
            integers = _integers(given, weight)
            _check_grid(weight.double().numpy(), integers, _scales(scales, *weight.shape))
    yield Text("Every row has a scale of its own, and no weight moves by more than half a step.")


def _scales(value: Any, rows: int, columns: int) -> Array:
    flat = value.reshape(-1) if isinstance(value, Tensor | np.ndarray) else value
    found = len(flat) if hasattr(flat, "__len__") else 1
    mistakes = {
        N_("There is a scale for each column; a row is what makes one output."): found == columns,
        N_("There is one scale for the whole matrix; each row needs one."): found == 1,
        N_("There are {count} scales for {rows} rows."): True,
    }
    refuse(mistakes, found == rows, count=found, rows=rows)
    return numbers(Text("the scales"), flat)


def _integers(value: Any, like: Tensor) -> Array:
    return tensor(INTEGERS, value, torch.int8, tuple(like.shape)).double().numpy()


def _check_grid(exact: Array, integers: Array, scales: Array) -> None:
    """One scale for each row, which uses the range; no number further off than half a step."""
    refuse({N_("A scale is not above zero."): bool((scales <= 0).any())})
    peaks = np.abs(exact).max(axis=1)
    for scale, peak in zip(scales, peaks, strict=True):
        whole = len(scales) > 1 and _uses_the_range(peaks.max(), scale)
        mistakes = {
            N_("A row has the scale of the largest one; each row needs its own."): whole,
            N_("{steps:.4g} steps are more than int8 holds: which number decides?"): (
                peak > LARGEST_PEAK * scale
            ),
            N_("Only {steps:.3g} of the 127 steps on one side of zero are used."): True,
        }
        refuse(mistakes, not peak or _uses_the_range(peak, scale), steps=peak / scale)

    def mostly(rounded: Array) -> bool:  # a number just beside an integer may go either way
        return bool((rounded == integers).mean() > 0.8)

    steps = exact / scales[:, None]
    errors = np.abs(steps - integers)
    worst = np.unravel_index(errors.argmax(), errors.shape)
    mistakes = {
        N_("{step:.4g} steps do not fit into int8 and wrap around: clamp, then convert."): (
            near(errors[worst], 256, 0.01)
        ),
        N_("Fractions were cut off, and errors reach a whole step: round."): mostly(
            np.trunc(steps)
        ),
        N_("Everything was rounded down, and errors reach a whole step."): mostly(np.floor(steps)),
        N_("A number is {error:.3g} steps off; half a step is the most that rounding costs."): True,
    }
    fits = errors[worst] <= 0.5 + SLACK
    refuse(mistakes, fits, step=steps[worst], error=errors[worst])


def _uses_the_range(peak: float, scale: float) -> bool:
    return bool(SMALLEST_PEAK <= peak / scale <= LARGEST_PEAK)
