"""E10 to E12: ruin torch.ao, prove that nothing saturates, and compute one step in integers."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..common.language import N_
from ..int8.lstm import Int8LSTM
from ..recipe.model import demonstration
from .answers import float_tensor, function, parts, result, whole
from .oracles import How, in_float64, lstm_step, relative_error, torch_ao_copy
from .verdicts import Notes, WrongAnswer, said

RUINED, WHOLE = 0.25, 0.01  # relative errors
INT16_MIN, INT16_MAX = -(2**15), 2**15 - 1
RIGHT = How()
AGREES = 1e-5  # float32 against float64; one integer more or less makes a hundred times that
MOST_STEPS, MOST_SEQUENCES = 1000, 100

Array = np.ndarray


# --- E10 ------------------------------------------------------------------------------------------


def ruinous_input(answer: Any, notes: Notes) -> None:
    """E10: inputs (steps, batch, 8) that torch.ao cannot serve and Int8LSTM can."""
    inputs = float_tensor(N_("The input"), answer)
    demo = demonstration()
    width = demo.inputs.shape[-1]
    if inputs.ndim != 3 or inputs.shape[-1] != width or not inputs.numel():
        raise WrongAnswer(
            "The input has the shape {shape}; (steps, batch, {width}) fits the recipe's model.",
            shape=tuple(inputs.shape),
            width=width,
        )
    if inputs.shape[0] > MOST_STEPS or inputs.shape[1] > MOST_SEQUENCES:
        raise WrongAnswer(
            "The input is longer than need be: {steps} steps and {sequences} sequences are enough.",
            steps=MOST_STEPS,
            sequences=MOST_SEQUENCES,
        )
    exact = in_float64(demo.model.lstm, inputs)
    theirs, ours = torch_ao_copy(demo.model), Int8LSTM.from_float(demo.model.lstm)
    with torch.inference_mode():
        torch_ao, plain = (relative_error(m(inputs)[0], exact) for m in (theirs, ours))
    if plain <= WHOLE:
        notes.good("Int8LSTM keeps the output: its error is below {most:.0%}.", most=WHOLE)
    else:
        notes.bad(
            "Int8LSTM loses it as well, with an error of {error:.1%}; leave it a row that has a "
            "scale of its own.",
            error=plain,
        )
    if torch_ao >= RUINED:
        notes.good("torch.ao is ruined: its error is above {least:.0%}.", least=RUINED)
    else:
        notes.bad(_why_not_ruined(inputs, torch_ao))


def _why_not_ruined(inputs: Tensor, error: float) -> str:
    peaks = inputs.abs().amax(dim=2).flatten()  # of each row: one step of one sequence
    if not float(peaks.max()):
        message = N_("torch.ao errs by {error:.1%}: zeros are exact on every grid.")
    elif len(peaks) == 1:
        message = N_("torch.ao errs by {error:.1%}: one row alone has the scale to itself.")
    elif float(peaks.max()) <= 100 * float(peaks.median()):
        message = N_(
            "torch.ao errs by {error:.1%}, {wanted:.0%} are asked for: the rows are of about "
            "one size, and one scale serves them all."
        )
    else:
        message = N_(
            "torch.ao errs by {error:.1%}, {wanted:.0%} are asked for: the direction is right, "
            "but most of the output does not depend on what is lost."
        )
    return said(message, error=error, wanted=RUINED)


# --- E11 ------------------------------------------------------------------------------------------


@cache
def _extremes(levels: int) -> tuple[int, int]:
    """The smallest and largest sum of two products, over all integers."""
    activations = np.arange(levels + 1, dtype=np.int64)
    products = np.multiply.outer(activations, np.arange(-128, 128))
    # The pairs are independent: the extremes of the sum are the sums of the extremes.
    return 2 * int(products.min()), 2 * int(products.max())


def _fits(low: int, high: int) -> bool:
    return low >= INT16_MIN and high <= INT16_MAX


def no_saturation(answer: Any, notes: Notes) -> None:
    """E11: (a function of the levels to the extremes of a pair, the most levels that fit)."""
    given, most = parts(answer, (N_("the function"), N_("the largest number of levels that fits")))
    extremes = function(given, "levels")
    fault = _why_not_extremes(extremes)
    if fault:
        notes.bad(fault)
    else:
        low, high = _extremes(127)
        notes.good(
            "The extremes are right for 0 to 255 levels. At 127 they are {low} and {high}, and "
            "16 bits hold both: no pair can ever saturate.",
            low=low,
            high=high,
        )
    fits = max(n for n in range(256) if _fits(*_extremes(n)))
    found = whole(N_("The largest number of levels"), most)
    if found == fits:
        notes.good("{count} is the largest number of levels that fits.", count=found)
    elif not 0 <= found <= 255:
        notes.bad("An unsigned byte has levels from 0 to 255; {count} is none.", count=found)
    elif found < fits:
        notes.bad("{count} levels fit, but they are not the most: try one more.", count=found)
    else:
        low, high = _extremes(found)
        notes.bad(
            "{count} levels do not fit: a pair can be {low} or {high}.",
            count=found,
            low=low,
            high=high,
        )


def _why_not_extremes(extremes: Callable[..., Any]) -> str:
    for levels in (127, 255, 1, 0, 128, 129, 64):
        case = said("{count} levels", count=levels)
        found = parts(
            result(extremes, levels, case=case), (N_("the smallest"), N_("the largest sum"))
        )
        pair = tuple(whole(said("Given {case}, an extreme", case=case), value) for value in found)
        low, high = _extremes(levels)
        if pair == (low, high):
            continue
        if pair == (high, low):
            return N_("The extremes have changed places: the smallest comes first.")
        if pair == (low // 2, high // 2):
            return N_(
                "Those are the extremes of one product; two are added before 16 bits must do."
            )
        if pair == (-high, high):
            return N_("A weight reaches from -128 to 127: one side has one more than the other.")
        if pair == (-(2 * levels * 127), 2 * levels * 128) or pair == (low, -low):
            return N_("No weight is 128: int8 reaches from -128 to 127.")
        if all(-128 <= value <= 127 for value in pair):
            return said(
                "Given {case}, the sum was wrapped to 8 bits: compute in wider integers.", case=case
            )
        if pair[0] >= 0 > low:
            return N_("Weights have a sign: what is the smallest sum?")
        if pair == (max(low, INT16_MIN), min(high, INT16_MAX)):
            return said(
                "Given {case}, the sum was cut off at 16 bits; the question is what it would be.",
                case=case,
            )
        if low <= pair[0] and pair[1] <= high:
            return said(
                "Given {case}, {low} and {high} are possible, but not the worst: a proof has to "
                "look at every integer, and random ones miss the corners.",
                case=case,
                low=pair[0],
                high=pair[1],
            )
        return said(
            "Given {case}, no pair of products reaches from {low} to {high}.",
            case=case,
            low=pair[0],
            high=pair[1],
        )
    return ""


# --- E12 ------------------------------------------------------------------------------------------


@cache
def _steps() -> tuple[tuple[Any, ...], ...]:
    """Name, LSTM, x, hidden and cell state of cases in which no weight lies on a tie.

    In either matrix the largest magnitude is a positive weight, 127.5, which is cut to 127.
    """
    found = []
    for width, batch in ((8, 1), (8, 3), (12, 1), (20, 2), (8, 2), (12, 4)):
        for seed in range(100):
            demo = demonstration(width=width, batch_size=batch, seed=seed)
            lstm, (hidden, cell) = demo.model.lstm, demo.hidden
            matrices = [p.detach() for p in lstm.parameters() if p.ndim == 2]
            if all(float(m.max()) > 1.0001 * float(-m.min()) for m in matrices):
                state = hidden[0].tanh(), cell[0]
                found.append(
                    (
                        said("width {width}, batch {batch}", width=width, batch=batch),
                        lstm,
                        demo.inputs[0],
                        *state,
                    )
                )
                break
    return tuple(found)


_STATES = (N_("Given {case}, the hidden state"), N_("Given {case}, the cell state"))
_MISTAKES = {
    How(levels=0): N_("That is the step in floats: nothing was rounded."),
    How(levels=255): N_(
        "The activations have 255 levels; the task, like torch.ao on x86, has 127."
    ),
    How(zero_point=False): N_(
        "The correction for the zero point is missing: x is about scale times (q - zero point)."
    ),
    How(recurrent=False): N_("The product of the hidden state is still in floats."),
    How(weights=False): N_("The weights are still floats."),
    How(largest=127.0): N_(
        "The weights' grid is another one: the largest weight stands for 127.5."
    ),
    How(largest=128.0): N_(
        "The weights' grid is another one: the largest weight stands for 127.5."
    ),
    How(biases=1): N_("One of the two biases is missing."),
    How(biases=0): N_("The biases are missing."),
    How(gates="iofg"): N_("Two gates have changed places: the rows are those of i, f, g, o."),
    How(gates="figo"): N_("Two gates have changed places: the rows are those of i, f, g, o."),
    How(gates="ifog"): N_("Two gates have changed places: the rows are those of i, f, g, o."),
    How(gates="igfo"): N_("Two gates have changed places: the rows are those of i, f, g, o."),
}


def step_in_integers(answer: Any, notes: Notes) -> None:
    """E12: a function of (lstm, x, hidden, cell) to the next (hidden, cell), all (batch, width)."""
    step = function(answer, "lstm", "x", "hidden", "cell")
    found = []
    for case, *arguments in _steps():
        with torch.no_grad():
            given = parts(
                result(step, *arguments, case=case), (N_("the hidden"), N_("the cell state"))
            )
        shape = tuple(arguments[-1].shape)
        hidden, cell = (
            float_tensor(said(name, case=case), value, shape).double().numpy()
            for name, value in zip(_STATES, given, strict=True)
        )
        found.append((hidden, cell))
    agree = sum(d <= AGREES for d in _differences(found, RIGHT))
    if agree >= len(found) - 1:  # a number on a tie may fall to the other side once
        notes.good("The step agrees with one that was computed in 64-bit integers.")
        return
    if _typical([(c, h) for h, c in found]) <= AGREES:
        raise WrongAnswer("The two states have changed places: the hidden state comes first.")
    for how, sentence in _MISTAKES.items():
        if _typical(found, how) <= AGREES:
            raise WrongAnswer(sentence)
    raise WrongAnswer(
        "A state is off by {error:.2g}; compare the integers of x, of the hidden state and of the "
        "two matrices one after the other.",
        error=_typical(found),
    )


def _truth(case: tuple[Any, ...], how: How) -> tuple[Array, Array]:
    lstm, x, hidden, cell = case[1:]
    return lstm_step(lstm, x, hidden, cell, how)


def _differences(found: list[tuple[Array, Array]], how: How) -> list[float]:
    """The largest difference of either state, in each case."""
    pairs = zip(found, (_truth(case, how) for case in _steps()), strict=True)
    return [max(float(np.abs(a - b).max()) for a, b in zip(f, t, strict=True)) for f, t in pairs]


def _typical(found: list[tuple[Array, Array]], how: How = RIGHT) -> float:
    return statistics.median(_differences(found, how))
