"""E4 and E9: quantize a vector and bound its error; quantize a matrix with a scale per row."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..common.language import N_
from .answers import function, number, numbers, parts, result, shown
from .verdicts import Notes, WrongAnswer, said

SLACK = 1e-3  # of a step: float32 rounds, too
SMALLEST_PEAK, LARGEST_PEAK = 115.0, 127.6  # the integer that the largest number may stand for

Array = np.ndarray


def _vectors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(4)
    drawn = torch.randn(200, generator=generator)
    return {
        N_("random numbers"): drawn,
        N_("numbers whose largest magnitude is negative"): torch.tensor([0.31, -1.27, 0.006, 0.84]),
        N_("numbers of one sign"): drawn.abs() + 0.1,
        N_("very small numbers"): drawn * 1e-6,
        N_("very large numbers"): drawn * 1e6,
        N_("numbers with an outlier"): torch.cat([drawn, torch.tensor([50.0])]),
        N_("a single number"): torch.tensor([-0.3]),
        N_("a tensor of zeros"): torch.zeros(5),
    }


def by_hand(answer: Any, notes: Notes) -> None:
    """E4: a function of a float32 tensor (n) to (int8 integers, scale, bound of the error)."""
    quantize = function(answer, "numbers")
    names = (N_("the integers"), N_("the scale"), N_("the bound"))
    for case, values in _vectors().items():
        first, *others = parts(result(quantize, values, case=case), names)
        integers = _integers(first, values, case)
        scale, bound = (
            number(said("Given {case}, {name}", case=case, name=name), value)
            for name, value in zip(names[1:], others, strict=True)
        )
        _check_scale(np.atleast_1d(scale), values[None], case)
        exact = values.double().numpy()
        _check_errors(exact[None], integers[None], np.atleast_1d(scale), case)
        largest = float(np.abs(exact - integers * scale).max())
        _check_bound(bound, largest, scale, case)
    notes.good("The integers, the scale and the bound hold for every tensor that was tried.")


def _check_bound(bound: float, largest: float, scale: float, case: str) -> None:
    if bound < largest - SLACK * scale:
        raise WrongAnswer(
            "Given {case}, one number moved by {largest:.3g}, which is more than the bound "
            "{bound:.3g}.",
            case=case,
            largest=largest,
            bound=bound,
        )
    if bound > scale * (0.5 + SLACK):
        raise WrongAnswer(
            "Given {case}, the bound {bound:.3g} is true, but larger than it need be: how far is "
            "it at most from a number to the nearest point of a grid of step {scale:.3g}?",
            case=case,
            bound=bound,
            scale=scale,
        )


def _matrices() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(9)
    drawn = torch.randn(6, 10, generator=generator)
    uneven = drawn * torch.logspace(-4, 3, 6)[:, None]
    holed = drawn.clone()
    holed[2] = 0
    return {
        N_("a matrix of 6 rows and 10 columns"): drawn,
        N_("a matrix of 10 rows and 4 columns"): torch.randn(10, 4, generator=generator),
        N_("a square matrix"): torch.randn(5, 5, generator=generator),
        N_("rows of very different size"): uneven,
        N_("columns of very different size"): torch.randn(4, 6, generator=generator)
        * torch.logspace(-3, 2, 6),
        N_("a matrix with a row of zeros"): holed,
        N_("a single row"): drawn[:1],
    }


def per_channel(answer: Any, notes: Notes) -> None:
    """E9: a function of a float32 weight (N, K) to (int8 integers (N, K), scales (N))."""
    quantize = function(answer, "weight")
    for case, weight in _matrices().items():
        given = parts(result(quantize, weight, case=case), (N_("the integers"), N_("the scales")))
        integers = _integers(given[0], weight, case)
        scales = _scales(given[1], weight, case)
        _check_scale(scales, weight, case)
        _check_errors(weight.double().numpy(), integers, scales, case)
    notes.good("Every row has a scale of its own, and no weight moves by more than half a step.")


def _scales(value: Any, weight: Tensor, case: str) -> Array:
    rows, columns = weight.shape
    count = int(np.size(value)) if not isinstance(value, Tensor) else value.numel()
    if count != rows:
        if count == columns:
            message = N_(
                "Given {case}, there is a scale for each column; a channel of a weight is a "
                "row: it makes one output."
            )
        elif count == 1:
            message = N_(
                "Given {case}, there is one scale for the whole matrix; each row needs one."
            )
        else:
            message = N_("Given {case}, there are {count} scales for {rows} rows.")
        raise WrongAnswer(message, case=case, count=count, rows=rows)
    flat = value.reshape(-1) if isinstance(value, Tensor | np.ndarray) else value
    return numbers(said("Given {case}, the list of scales", case=case), flat)


def _integers(value: Any, like: Tensor, case: str) -> Array:
    if not isinstance(value, Tensor):
        raise WrongAnswer(
            "Given {case}, the integers are {came}; return a tensor.", case=case, came=shown(value)
        )
    if value.dtype != torch.int8:
        raise WrongAnswer(
            "Given {case}, the integers are stored as {dtype}; int8 is asked for.",
            case=case,
            dtype=value.dtype,
        )
    if value.shape != like.shape:
        raise WrongAnswer(
            "Given {case}, the integers have the shape {came} instead of {wanted}.",
            case=case,
            came=tuple(value.shape),
            wanted=tuple(like.shape),
        )
    return value.double().numpy()


def _check_scale(scales: Array, values: Tensor, case: str) -> None:
    """One scale for each row: above zero, and such that the int8 range is used."""
    if (scales <= 0).any():
        raise WrongAnswer("Given {case}, a scale is not above zero.", case=case)
    peaks = values.double().abs().amax(dim=1).numpy()
    whole = float(peaks.max())
    for scale, peak in zip(scales, peaks, strict=True):
        if not peak:
            continue
        steps = peak / scale
        if SMALLEST_PEAK <= steps <= LARGEST_PEAK:
            continue
        if len(scales) > 1 and SMALLEST_PEAK <= whole / scale <= LARGEST_PEAK:
            message = N_(
                "Given {case}, a row has the scale of the largest one; each row needs its own."
            )
        elif steps > LARGEST_PEAK:
            message = N_(
                "Given {case}, the largest magnitude is {steps:.4g} steps: more than int8 "
                "holds. Which number decides about the scale?"
            )
        else:
            message = N_(
                "Given {case}, only {steps:.3g} of the steps on one side of zero are used, of "
                "which int8 has 127."
            )
        raise WrongAnswer(message, case=case, steps=steps)


def _check_errors(exact: Array, integers: Array, scales: Array, case: str) -> None:
    """No number further than half a step from what its integer stands for."""
    steps = exact / scales[:, None]
    errors = np.abs(steps - integers)
    if errors.max() <= 0.5 + SLACK:
        return
    wrapped = np.abs(steps - integers) > 200
    if wrapped.any():
        message = N_(
            "Given {case}, a number has changed its sign: {step:.4g} does not fit into int8 "
            "and wraps around. Clamp before you convert."
        )
        raise WrongAnswer(message, case=case, step=float(steps[wrapped][0]))
    if _mostly(np.trunc(steps), integers):
        message = N_(
            "Given {case}, fractions were cut off, so that errors reach a whole step: round."
        )
    elif _mostly(np.floor(steps), integers):
        message = N_(
            "Given {case}, everything was rounded down, so that errors reach a whole step."
        )
    else:
        message = N_(
            "Given {case}, a number is {error:.3g} steps away from what its integer stands "
            "for; half a step is the most that rounding costs."
        )
    raise WrongAnswer(message, case=case, error=float(errors.max()))


def _mostly(first: Array, second: Array) -> bool:
    """Whether nearly all are alike; a number just beside an integer may be rounded either way."""
    return bool((first == second).mean() > 0.8)
