"""E10 to E12: ruin torch.ao, prove that nothing saturates, and compute one step in integers."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..common.language import N_, Text
from ..recipe.accuracy import compare_outputs
from ..recipe.model import demonstration
from ..recipe.quantize import quantize_dynamic
from .answers import function, parts, result, tensor, unfit, whole
from .verdicts import Finding, WrongAnswerError, fault, refuse, tried_on

RUINED, KEPT = 0.25, 0.01  # relative errors
MOST = 1000  # steps, and sequences
AGREES = 1e-5  # float32 against float64; one integer more or less makes a hundred times that

Array = np.ndarray


# --- E10 ------------------------------------------------------------------------------------------


def ruinous_input(answer: Any) -> Iterator[Finding]:
    """E10: inputs (steps, batch, 8) that torch.ao cannot serve and Int8LSTM can."""
    name, model = Text("the input"), demonstration().model
    inputs = tensor(name, answer, torch.float32)
    if inputs.ndim != 3 or inputs.shape[-1] != model.lstm.input_size or not inputs.numel():
        raise unfit(Text("a tensor of shape (steps, batch, 8)"), name, inputs)
    long = {N_("{most} steps and {most} sequences are enough."): max(inputs.shape) > MOST}
    refuse(long, most=MOST)
    versions = quantize_dynamic(model), quantize_dynamic(model, backend="plain")
    theirs, ours = (compare_outputs(model, version, inputs).relative for version in versions)
    lost = {N_("Int8LSTM loses it as well, by {error:.1%}; leave it a quiet row."): ours > KEPT}
    kept = Text("Int8LSTM keeps the output: its error is below {most:.0%}.", most=KEPT)
    yield fault(lost, error=ours) or kept
    rows, features = inputs.abs().amax(dim=2).flatten(), inputs.abs().amax(dim=(0, 1))
    mistakes = {
        N_("torch.ao errs by {error:.1%}: zeros are exact on every grid."): not inputs.any(),
        N_("torch.ao errs by {error:.1%}: one row has the scale to itself."): len(rows) == 1,
        N_(
            "torch.ao errs by {error:.1%}: one feature is loud in every row. That ruins a model "
            "whose weights for it are as many times smaller, for there the quiet features, which "
            "the grid loses, still decide. Here the loud one decides by itself, and it is what the "
            "grid keeps best."
        ): _uneven(features) and not _uneven(rows),
        N_("torch.ao errs by {error:.1%}: one scale serves rows of about one size."): not _uneven(
            rows
        ),
        N_(
            "torch.ao errs by {error:.1%}: the direction is right, but most of the output does not "
            "depend on what is lost; {wanted:.0%} are asked for."
        ): True,
    }
    ruined = Text("torch.ao is ruined: its error is above {least:.0%}.", least=RUINED)
    yield fault(mistakes, theirs >= RUINED, error=theirs, wanted=RUINED) or ruined


def _uneven(peaks: Tensor) -> bool:
    return bool(peaks.max() > 100 * peaks.median())


# --- E11 ------------------------------------------------------------------------------------------


@cache
def _extremes(largest: int) -> tuple[int, int]:
    """The smallest and largest sum of two products, over all integers."""
    products = np.multiply.outer(np.arange(largest + 1), np.arange(-128, 128))
    # The pairs are independent: the extremes of the sum are the sums of the extremes.
    return 2 * int(products.min()), 2 * int(products.max())


def no_saturation(answer: Any) -> Iterator[Finding]:
    """E11: (a function of the largest activation to the extremes of a pair, which of them fits)."""
    name = Text("the largest activation that fits")
    given, most = parts(answer, Text("the function"), name)
    extremes = function(given)
    try:
        for largest in (127, 255, 1, 0, 128, 129, 64):
            with tried_on(Text("activations from 0 to {largest}", largest=largest)):
                _check_extremes(extremes, largest)
    except WrongAnswerError as found:
        yield found
    else:
        yield Text(
            "The extremes are right. At 127 they are {low} and {high}, and 16 bits hold both: no "
            "pair can ever saturate.",
            low=_extremes(127)[0],
            high=_extremes(127)[1],
        )
    at = whole(name, most)
    low, high = _extremes(min(max(at, 0), 255))
    fits = -low <= 2**15 and high < 2**15
    mistakes = {
        N_("An unsigned byte holds 0 to 255; {largest} is none of them."): not 0 <= at <= 255,
        N_("{largest} does not fit: a pair can be {low} or {high}."): not fits,
        N_("{largest} fits, but it is not the most: try one more."): 2 * 128 * (at + 1) <= 2**15,
    }
    yield fault(mistakes, largest=at, low=low, high=high) or Text(
        "{largest} is the largest activation that fits.", largest=at
    )


def _check_extremes(extremes: Any, largest: int) -> None:
    names = Text("the smallest sum"), Text("the largest sum")
    pair = tuple(map(whole, names, parts(result(extremes, largest), *names)))
    low, high = _extremes(largest)
    mistakes = {
        N_("The extremes have changed places: the smallest comes first."): pair == (high, low),
        N_("Those are the extremes of one product; two are added."): pair == (low / 2, high / 2),
        N_("A weight reaches from -128 to 127: one side has one more."): pair == (-high, high),
        N_("No weight is 128: int8 reaches from -128 to 127."): pair
        in ((-high, -low), (low, -low)),
        N_("Weights have a sign: what is the smallest sum?"): pair == (0, high),
        N_("The sum was cut off at 16 bits; the question is what it would be."): pair
        == (max(low, -(2**15)), min(high, 2**15 - 1)),
        N_("The sum was wrapped to 8 bits: compute in wider integers."): min(pair) >= -128
        and max(pair) <= 127,
        N_(
            "Sums from {low} to {high} are possible, but not the worst: a proof has to look at "
            "every integer, and random ones miss the corners."
        ): low <= min(pair) and max(pair) <= high,
        N_("No pair of products reaches from {low} to {high}."): True,
    }
    refuse(mistakes, pair == (low, high), low=pair[0], high=pair[1])


# --- E12 ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """How a step is computed; every field but its default is a mistake that can be recognized."""

    largest_activation: int = 127  # of the integers; 0 for none: nothing is rounded
    zero_point: bool = True  # whether the correction for it is made
    recurrent: bool = True  # whether the hidden state is rounded as well
    weights: bool = True  # whether the weights are rounded
    largest_weight: float = 127.5  # what the largest weight stands for
    biases: int = 2  # how many of the two are added
    gates: str = "ifgo"  # the order in which the rows of a matrix are read


def _affine(values: Array, largest: int) -> tuple[Array, float, int]:
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    scale = (high - low) / largest or 1.0
    zero = round(-low / scale)
    return np.clip(np.rint(values / scale + zero), 0, largest).astype(np.int64), scale, zero


def _product(values: Array, weight: Array, how: Step, rounded: bool) -> Array:
    """Values (batch, K) times weight (N, K), in int64 where both are rounded."""
    if not how.largest_activation or not rounded:
        return values @ weight.T
    scale_w = np.abs(weight).max() / how.largest_weight
    integers_w = np.clip(np.rint(weight / scale_w), -128, 127).astype(np.int64)
    integers, scale, zero = _affine(values, how.largest_activation)
    if not how.weights:
        return (integers - zero) * scale @ weight.T
    sums = integers @ integers_w.T
    if how.zero_point:
        sums -= zero * integers_w.sum(axis=1)
    return sums * (scale * scale_w)


def lstm_step(lstm: nn.LSTM, x: Tensor, hidden: Tensor, cell: Tensor, how: Step) -> Array:
    """The next hidden and cell state (2, batch, width), in float64, of one step of one layer."""
    w_ih, w_hh, b_ih, b_hh = (p.detach().double().numpy() for p in lstm.all_weights[0])
    inputs, h, c = (part.detach().double().numpy() for part in (x, hidden, cell))
    sums = _product(inputs, w_ih, how, True) + _product(h, w_hh, how, how.recurrent)
    sums += (b_ih if how.biases else 0) + (b_hh if how.biases > 1 else 0)
    gates = dict(zip(how.gates, np.split(sums, 4, axis=1), strict=True))
    i, f, o = (1 / (1 + np.exp(-gates[name])) for name in "ifo")
    c = f * c + i * np.tanh(gates["g"])
    return np.stack([o * np.tanh(c), c])


Case = tuple[nn.LSTM, Tensor, Tensor, Tensor]  # an LSTM, x, the hidden and the cell state
_GRID = N_("The weights' grid is another one: the largest weight stands for 127.5.")
_GATES = N_("The rows were read in the order {order}; they are those of the gates i, f, g, o.")
_MISTAKES = {
    Step(largest_activation=0): N_("That is the step in floats: nothing was rounded."),
    Step(largest_activation=255): N_(
        "The activations reach from 0 to 255; in the task, as in torch.ao on x86, to 127."
    ),
    Step(zero_point=False): N_(
        "The correction for the zero point is missing: x is about scale times (q - zero point)."
    ),
    Step(recurrent=False): N_("The product of the hidden state is still in floats."),
    Step(weights=False): N_("The weights are still floats."),
    Step(largest_weight=127.0): _GRID,
    Step(largest_weight=128.0): _GRID,
    Step(biases=1): N_("One of the two biases is missing."),
    Step(biases=0): N_("The biases are missing."),
    **{
        Step(gates="".join(o)): _GATES for o in itertools.permutations("ifgo") if o != tuple("ifgo")
    },
}


@cache
def _steps() -> dict[Text, Case]:
    """Cases in which no weight lies on a tie: the largest magnitudes are positive weights."""
    found: dict[Text, Case] = {}
    for width, batch in ((8, 1), (8, 3), (12, 1), (20, 2), (8, 2), (12, 4)):
        for seed in range(100):
            demo = demonstration(width=width, batch_size=batch, seed=seed)
            lstm, (hidden, cell) = demo.model.lstm, demo.hidden
            matrices = [p.detach() for p in lstm.parameters() if p.ndim == 2]
            if all(float(m.max()) > 1.0001 * float(-m.min()) for m in matrices):
                case = Text("width {width}, batch {batch}", width=width, batch=batch)
                found[case] = lstm, demo.inputs[0], hidden[0].tanh(), cell[0]
                break
    return found


def step_in_integers(answer: Any) -> Iterator[Finding]:
    """E12: a function of (lstm, x, hidden, cell) to the next (hidden, cell), all (batch, width)."""
    step = function(answer)
    names = Text("the hidden state"), Text("the cell state")
    found = []
    for case, arguments in _steps().items():
        with tried_on(case), torch.no_grad():
            given = parts(result(step, *arguments), *names)
            shape = tuple(arguments[-1].shape)
            states = [tensor(n, s, torch.float32, shape) for n, s in zip(names, given, strict=True)]
            found.append(torch.stack(states).double().numpy())
    errors = _errors(found, Step())
    if sum(error <= AGREES for error in errors) >= len(found) - 1:  # a tie may go either way once
        yield Text("The step agrees with one that was computed in 64-bit integers.")
        return
    swapped = N_("The two states have changed places: the hidden state comes first.")
    refuse({swapped: _agree([states[::-1] for states in found], Step())})
    for how, sentence in _MISTAKES.items():
        refuse({sentence: _agree(found, how)}, order=", ".join(how.gates))
    raise WrongAnswerError(
        "A state is off by {error:.2g}; compare the integers of x, of the hidden state and of the "
        "two matrices one after the other.",
        error=statistics.median(errors),
    )


def _errors(found: list[Array], how: Step) -> list[float]:
    """The largest difference of either state from what a step so computed gives, in each case."""
    truths = (lstm_step(*case, how) for case in _steps().values())
    return [float(np.abs(a - b).max()) for a, b in zip(found, truths, strict=True)]


def _agree(found: list[Array], how: Step) -> bool:
    return statistics.median(_errors(found, how)) <= AGREES
