"""E6 and E8: is the accuracy kept, and which matrix breaks a model."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import nn

from ..common.language import N_
from ..recipe.accuracy import compare_outputs
from .answers import ANSWER, Array, anything, function, number, parts, result, unfit, whole
from .outlier_model import WIDTH, outlier_model
from .verdicts import Findings, Sentence, refuse, tried_on

KEEPS, LOSES, OPEN = "keeps", "loses", "inconclusive"
MARGIN = 0.01  # one percentage point: less is not worth a word
TOLERANCE = 0.02  # of the width of the interval

Ends = tuple[float, float]


# --- E6 -------------------------------------------------------------------------------------------


def _studies() -> dict[str, tuple[Array, Array]]:
    """FP32 and INT8 accuracies, one of each for every seed."""
    random = np.random.default_rng(6)

    def study(seeds: int, mean: float, spread: float) -> tuple[Array, Array]:
        fp32 = 0.9 + 0.04 * random.standard_normal(seeds)
        return fp32, fp32 + mean + spread * stats.zscore(random.standard_normal(seeds), ddof=1)

    return {
        N_("ten seeds with small differences"): study(10, -0.001, 0.004),
        N_("eight seeds that all lose"): study(8, -0.03, 0.008),
        N_("five seeds that differ a lot"): study(5, -0.004, 0.02),
        N_("six seeds that gain"): study(6, 0.02, 0.006),
        N_("thirty seeds with a certain, small loss"): study(30, -0.004, 0.003),
    }


def keeps_accuracy(answer: Any) -> Findings:
    """E6: a function of (FP32 accuracies, INT8 accuracies) to (low, high, conclusion)."""
    judge = function(ANSWER, answer)
    wanted = {
        N_("the lower end"): number,
        N_("the upper end"): number,
        N_("the conclusion"): anything,
    }
    for case, (fp32, int8) in _studies().items():
        with tried_on(case):
            *ends, conclusion = parts(result(judge, fp32.tolist(), int8.tolist()), wanted)
            truth, wrong = _intervals(fp32, int8)
            off_by = TOLERANCE * (truth[1] - truth[0])
            mistakes = {
                sentence: any(np.allclose(ends, other, rtol=0, atol=off_by) for other in others)
                for sentence, others in wrong.items()
            }
            unlike = N_("This is not Student's 95 % interval of the mean paired difference.")
            refuse(mistakes | {unlike: True}, np.allclose(ends, truth, rtol=0, atol=off_by))
            check_conclusion(conclusion, *truth)
        yield Sentence(N_("Right for {case}."), case=case)


def _intervals(fp32: Array, int8: Array) -> tuple[Ends, dict[str, list[Ends]]]:
    """The right interval, and those that mistakes lead to."""
    d, n = int8 - fp32, len(fp32)
    mean, error = float(d.mean()), float(stats.sem(d))
    student = {level: stats.t.ppf(0.5 + level / 2, n - 1) for level in (0.8, 0.9, 0.95, 0.99)}

    def around(*reaches: float) -> list[Ends]:
        return [(mean - reach, mean + reach) for reach in reaches]

    reach = student.pop(0.95)
    (truth,) = around(reach * error)
    low, high = truth
    unpaired = (stats.ttest_ind(int8, fp32, equal_var=same) for same in (False, True))
    return truth, {
        N_("The lower end is above the upper one."): [(high, low)],
        N_("The sign is the other way round: take INT8 less FP32."): [(-high, -low)],
        N_("The interval is in percent; give fractions, as the accuracies are."): [
            (100 * low, 100 * high)
        ],
        N_(
            "The interval is that of a known spread, 1.96 standard errors; with so few seeds the "
            "spread is an estimate, and Student's quantile is wider."
        ): around(1.96 * error),
        N_("The spread was divided by n; an estimate divides by n - 1."): around(
            reach * error * (1 - 1 / n) ** 0.5
        ),
        N_("The level is another one; 95 % leave 2.5 % on either side."): around(
            *(other * error for other in student.values())
        ),
        N_("That is the range of the differences, not the interval of their mean."): [
            (float(d.min()), float(d.max()))
        ],
        N_("The ends are one standard error away; that is no 95 % interval."): around(error),
        N_(
            "The mean of n differences is known better than a single one, by the root of n."
        ): around(reach * error * n**0.5, 1.96 * error * n**0.5),
        N_(
            "The interval is far too wide: both models were trained from the same seeds, so look "
            "at the difference of each pair, not at two separate means."
        ): [test.confidence_interval(0.95) for test in unpaired],
    }


def check_conclusion(conclusion: Any, low: float, high: float) -> None:
    """Raise unless that is what an interval of INT8 less FP32 accuracies says."""
    right = KEEPS if low > -MARGIN else LOSES if high < -MARGIN else OPEN
    if not isinstance(conclusion, str) or conclusion not in (KEEPS, LOSES, OPEN):
        wanted = N_('"keeps", "loses" or "inconclusive"')
        raise unfit(wanted, N_("the conclusion"), conclusion)
    mistakes = {
        N_("The interval reaches to both sides of a loss of one point."): right == OPEN,
        N_("The whole interval lies below a loss of one point."): right == LOSES,
        N_(
            "The whole interval lies above a loss of one point. Whether it holds zero is another "
            "question."
        ): right == KEEPS,
    }
    refuse(mistakes, conclusion == right)


# --- E8 -------------------------------------------------------------------------------------------


def rounded_alone(lstm: nn.LSTM, inputs: torch.Tensor) -> dict[str, float]:
    """The error of the outputs where one matrix is put on an int8 grid and all else is exact."""
    errors = {}
    for name, weight in lstm.named_parameters():
        if weight.ndim == 2:
            changed = copy.deepcopy(lstm)
            scale = weight.detach().abs().max() / 127
            with torch.no_grad():
                changed.get_parameter(name).copy_((weight / scale).round() * scale)
            errors[name] = compare_outputs(lstm, changed, inputs).relative
    return errors


@cache
def _culprit() -> tuple[str, int, dict[str, float], str]:
    """The matrix that does the harm, its outlying row, every matrix's error, the largest matrix."""
    drawn = outlier_model()
    errors = rounded_alone(drawn.model.lstm, drawn.inputs)
    matrices = {name: drawn.model.lstm.get_parameter(name).detach() for name in errors}
    name = max(errors, key=lambda each: errors[each])
    largest = max(matrices, key=lambda each: float(matrices[each].abs().max()))
    return name, int(matrices[name].norm(dim=1).argmax()), errors, largest


def culprit(answer: Any) -> Findings:
    """E8: (name of the matrix, number of its row) of `outlier_model()`."""
    names = N_("the name of the matrix"), N_("the number of the row")
    given, row = parts(answer, dict.fromkeys(names, anything))
    name, true_row, errors, largest = _culprit()
    if not isinstance(given, str):
        raise unfit(N_('a text like "weight_hh_l0"'), names[0], given)
    found = given.removeprefix("model.").removeprefix("lstm.")
    mistakes = {
        N_("{name} is a bias: biases are not quantized."): found.startswith("bias"),
        N_('"{name}" is none of the weight matrices: {known}.'): found not in errors,
        N_(
            "{name} has the largest weights, but all of them are large: its grid fits them well. "
            "Look for numbers that do not fit their neighbours."
        ): found == largest,
        N_("Rounding {name} alone costs {error:.1%}; another matrix does far more."): True,
    }
    refuse(mistakes, found == name, name=found, known=", ".join(errors), error=errors.get(found))
    yield Sentence(N_("{name} it is."), name=found)
    at = whole(names[1], row)
    mistakes = {
        N_("Rows are counted from 0."): at == true_row + 1,
        N_("The matrix has no row {row}."): at not in range(4 * WIDTH),
        N_("Row {row} is like most others of this matrix."): True,
    }
    refuse(mistakes, at == true_row, row=at)
    yield Sentence(N_("Row {row} spoils the scale for all others."), row=at)
