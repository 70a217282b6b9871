"""E10 to E12: ruin torch.ao, prove that nothing saturates, and compute one step in integers."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from ..common.language import N_
from ..recipe.accuracy import compare_outputs
from ..recipe.model import demonstration
from ..recipe.quantize import quantize_dynamic
from .answers import ANSWER, anything, function, parts, result, tensor, unfit, whole
from .verdicts import Findings, Sentence, WrongAnswerError, judged, refuse, tried_on

RUINED, KEPT = 0.25, 0.01  # relative errors
MOST = 1000  # steps, and sequences
AGREES = 1e-5  # float32 against float64; one integer more or less makes a hundred times that


# --- E10 ------------------------------------------------------------------------------------------


def ruinous_input(answer: Any) -> Findings:
    """E10: inputs (steps, batch, 8) that torch.ao cannot serve and Int8LSTM can."""
    name, model = N_("the input"), demonstration().model
    inputs = tensor(torch.float32)(name, answer)
    if inputs.ndim != 3 or inputs.shape[-1] != model.lstm.input_size or not inputs.numel():
        raise unfit(N_("a tensor of shape (steps, batch, 8)"), name, inputs)
    long = {N_("{most} steps and {most} sequences are enough."): max(inputs.shape) > MOST}
    refuse(long, most=MOST)
    versions = quantize_dynamic(model), quantize_dynamic(model, backend="plain")
    theirs, ours = (compare_outputs(model, version, inputs).relative for version in versions)
    lost = {N_("Int8LSTM loses it as well, by {error:.1%}; leave it a quiet row."): True}
    kept = N_("Int8LSTM keeps the output: its error is below {most:.0%}.")
    yield judged(kept, ours <= KEPT, lost, error=ours, most=KEPT)
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
        N_("torch.ao errs by {error:.1%}: one scale serves rows of about one size."): (
            not _uneven(rows)
        ),
        N_(
            "torch.ao errs by {error:.1%}: the direction is right, but most of the output does not "
            "depend on what is lost; {wanted:.0%} are asked for."
        ): True,
    }
    ruined = N_("torch.ao is ruined: its error is above {least:.0%}.")
    yield judged(ruined, theirs >= RUINED, mistakes, error=theirs, wanted=RUINED, least=RUINED)


def _uneven(peaks: Tensor) -> bool:
    return bool(peaks.max() > 100 * peaks.median())


# --- E11 ------------------------------------------------------------------------------------------


def extremes_of_a_pair(largest: int) -> tuple[int, int]:
    """The smallest and largest sum of two products of 0 to `largest` with -128 to 127."""
    return -2 * 128 * largest, 2 * 127 * largest


def no_saturation(answer: Any) -> Findings:
    """E11: (a function of the largest activation to the extremes of a pair, which of them fits)."""
    name = N_("the largest activation that fits")
    given, most = parts(answer, dict.fromkeys((N_("the function"), name), anything))
    extremes = function(ANSWER, given)
    low, high = extremes_of_a_pair(127)
    try:
        for largest in (127, 255, 1, 0, 128, 129, 64):
            with tried_on(Sentence(N_("activations from 0 to {largest}"), largest=largest)):
                _check_extremes(extremes, largest)
    except WrongAnswerError as found:
        yield found
    else:
        praise = N_(
            "The extremes are right. At 127 they are {low} and {high}, and 16 bits hold both: no "
            "pair can ever saturate."
        )
        yield Sentence(praise, low=low, high=high)
    at = whole(name, most)
    low, high = extremes_of_a_pair(at)
    mistakes = {
        N_("An unsigned byte holds 0 to 255; {largest} is none of them."): not 0 <= at <= 255,
        N_("{largest} does not fit: a pair can be {low} or {high}."): low < -(2**15),
        N_("{largest} fits, but it is not the most: try one more."): True,
    }
    praise = N_("{largest} is the largest activation that fits.")
    yield judged(praise, at == 2**15 // (2 * 128), mistakes, largest=at, low=low, high=high)


def _check_extremes(extremes: Callable[..., Any], largest: int) -> None:
    names = N_("the smallest sum"), N_("the largest sum")
    pair = tuple(parts(result(extremes, largest), dict.fromkeys(names, whole)))
    low, high = extremes_of_a_pair(largest)
    signed = (-high, -low), (low, -low)
    in_16_bits = max(low, -(2**15)), min(high, 2**15 - 1)
    mistakes = {
        N_("The extremes have changed places: the smallest comes first."): pair == (high, low),
        N_("Those are the extremes of one product; two are added."): pair == (low / 2, high / 2),
        N_("A weight reaches from -128 to 127: one side has one more."): pair == (-high, high),
        N_("No weight is 128: int8 reaches from -128 to 127."): pair in signed,
        N_("Weights have a sign: what is the smallest sum?"): pair == (0, high),
        N_("The sum was cut off at 16 bits; the question is what it would be."): pair == in_16_bits,
        N_("The sum was wrapped to 8 bits: compute in wider integers."): (
            min(pair) >= -128 and max(pair) <= 127
        ),
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

    inputs: bool = True  # whether the product of x is in integers
    recurrent: bool = True  # whether the product of the hidden state is, too
    largest_activation: int = 127  # of the integers
    zero_point: bool = True  # whether the correction for it is made
    weights: bool = True  # whether the weights are rounded
    largest_weight: float = 127.5  # what the largest weight stands for
    biases: int = 2  # how many of the two are added
    gates: str = "ifgo"  # the order in which the rows of a matrix are read

    def product(self, values: Tensor, weight: Tensor) -> Tensor:
        """Values (batch, K) times weight (N, K), both in float64, through integers."""
        low, high = values.min().clamp(max=0), values.max().clamp(min=0)
        scale = (high - low) / self.largest_activation
        zero = (-low / scale).round()
        activations = (values / scale + zero).round().clamp(0, self.largest_activation)
        if self.zero_point:
            activations = activations - zero
        step = weight.abs().max() / self.largest_weight
        rounded = (weight / step).round().clamp(-128, 127) if self.weights else weight / step
        return activations @ rounded.T * (scale * step)  # float64 holds these integers exactly

    def taken(self, lstm: nn.LSTM, *states: Tensor) -> Tensor:
        """The next hidden and cell state (2, batch, width), from x, hidden and cell state."""
        w_ih, w_hh, *biases = (p.detach().double() for p in lstm.all_weights[0])
        x, h, c = (state.double() for state in states)
        sums = self.product(x, w_ih) if self.inputs else x @ w_ih.T
        sums = sums + (self.product(h, w_hh) if self.recurrent else h @ w_hh.T)
        sums = sum(biases[: self.biases], sums)
        i, f, g, o = (sums.chunk(4, dim=-1)[self.gates.index(gate)] for gate in "ifgo")
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return torch.stack([o.sigmoid() * c.tanh(), c])


_GRID = N_("The weights' grid is another one: the largest weight stands for 127.5.")
_GATES = N_("The rows were read in the order {order}; they are those of the gates i, f, g, o.")
_MISTAKES = {
    Step(inputs=False, recurrent=False): N_("That is the step in floats: nothing was rounded."),
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
    **{Step(gates="".join(o)): _GATES for o in itertools.permutations("ifgo") if o != (*"ifgo",)},
}


@cache
def _steps() -> dict[Sentence, tuple[Any, ...]]:
    """Cases, each with an LSTM, x, the hidden and the cell state."""
    found = {}
    for width, batch in ((8, 1), (8, 3), (12, 1), (20, 2), (8, 2), (12, 4)):
        demo = demonstration(width=width, batch_size=batch)
        lstm, (hidden, cell) = demo.model.lstm, demo.hidden
        with torch.no_grad():
            for matrix in (lstm.weight_ih_l0, lstm.weight_hh_l0):
                # The largest weight is a positive one: -127.5 would be a tie.
                matrix[0, 0] = 1.01 * matrix.abs().max()
        case = Sentence(N_("width {width}, batch {batch}"), width=width, batch=batch)
        found[case] = lstm, demo.inputs[0], hidden[0].tanh(), cell[0]
    return found


def step_in_integers(answer: Any) -> Findings:
    """E12: a function of (lstm, x, hidden, cell) to the next (hidden, cell), all (batch, width)."""
    step = function(ANSWER, answer)
    found = []
    for case, arguments in _steps().items():
        state = tensor(torch.float32, tuple(arguments[-1].shape))
        wanted = {N_("the hidden state"): state, N_("the cell state"): state}
        with tried_on(case), torch.no_grad():
            found.append(torch.stack(parts(result(step, *arguments), wanted)).double())
    errors = _errors(found, Step())
    if sum(error <= AGREES for error in errors) >= len(found) - 1:  # a tie may go either way once
        yield Sentence(N_("The step agrees with one that was computed in 64-bit integers."))
        return
    swapped = N_("The two states have changed places: the hidden state comes first.")
    refuse({swapped: _agree([states.flip(0) for states in found], Step())})
    for how, sentence in _MISTAKES.items():
        refuse({sentence: _agree(found, how)}, order=", ".join(how.gates))
    raise WrongAnswerError(
        "A state is off by {error:.2g}; compare the integers of x, of the hidden state and of the "
        "two matrices one after the other.",
        error=statistics.median(errors),
    )


def _errors(found: list[Tensor], how: Step) -> list[float]:
    """The largest difference of either state from what a step so computed gives, in each case."""
    truths = [how.taken(*arguments) for arguments in _steps().values()]
    return [float((a - b).abs().max()) for a, b in zip(found, truths, strict=True)]


def _agree(found: list[Tensor], how: Step) -> bool:
    return statistics.median(_errors(found, how)) <= AGREES
