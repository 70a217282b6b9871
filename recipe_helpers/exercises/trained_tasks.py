"""E6 to E8: is the accuracy kept, shrink or quantize, and which matrix breaks a model."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..common.language import N_
from .answers import function, number, parts, result, shown, whole
from .materials import outlier_model
from .oracles import rounded_alone
from .verdicts import Notes, WrongAnswer, said

KEEPS, LOSES, OPEN = "keeps", "loses", "inconclusive"
MARGIN = 0.01  # one percentage point: less is not worth a word
TOLERANCE = 0.02  # of the width of the interval

Array = np.ndarray


# --- E6 -------------------------------------------------------------------------------------------


def _studies() -> dict[str, tuple[Array, Array]]:
    """FP32 and INT8 accuracies, one of each for every seed."""
    random = np.random.default_rng(6)

    def study(seeds: int, mean: float, spread: float) -> tuple[Array, Array]:
        fp32 = 0.9 + 0.04 * random.standard_normal(seeds)
        drawn = random.standard_normal(seeds)
        drawn = (drawn - drawn.mean()) / drawn.std(ddof=1)
        return fp32, fp32 + mean + spread * drawn

    return {
        N_("ten seeds with small differences"): study(10, -0.001, 0.004),
        N_("eight seeds that all lose"): study(8, -0.03, 0.008),
        N_("five seeds that differ a lot"): study(5, -0.004, 0.02),
        N_("six seeds that gain"): study(6, 0.02, 0.006),
        N_("thirty seeds with a certain, small loss"): study(30, -0.004, 0.003),
    }


def _interval(differences: Array, *, quantile: float = 0.975, ddof: int = 1) -> tuple[float, float]:
    from scipy.special import stdtrit  # the quantiles of Student's distribution

    count = len(differences)
    reach = float(stdtrit(count - 1, quantile)) * differences.std(ddof=ddof) / count**0.5
    return float(differences.mean() - reach), float(differences.mean() + reach)


def keeps_accuracy(answer: Any, notes: Notes) -> None:
    """E6: a function of (FP32 accuracies, INT8 accuracies) to (low, high, conclusion)."""
    judge = function(answer, "fp32", "int8")
    for case, (fp32, int8) in _studies().items():
        names = (N_("the lower end"), N_("the upper end"), N_("the conclusion"))
        *ends, conclusion = parts(result(judge, fp32.tolist(), int8.tolist(), case=case), names)
        low, high = (
            number(said("Given {case}, {name}", case=case, name=name), value)
            for name, value in zip(names[:2], ends, strict=True)
        )
        truth = _interval(int8 - fp32)
        if not _same((low, high), truth):
            raise WrongAnswer(_why_not_interval((low, high), fp32, int8, truth), case=case)
        _check_conclusion(conclusion, truth, case)
        notes.good("Right for {case}.", case=case)


def _same(given: tuple[float, float], truth: tuple[float, float]) -> bool:
    allowed = TOLERANCE * (truth[1] - truth[0])
    return all(abs(a - b) <= allowed for a, b in zip(given, truth, strict=True))


def _why_not_interval(
    given: tuple[float, float], fp32: Array, int8: Array, truth: tuple[float, float]
) -> str:
    d, n = int8 - fp32, len(fp32)
    mean, error = float(d.mean()), float(d.std(ddof=1)) / n**0.5
    apart = (fp32.var(ddof=1) / n + int8.var(ddof=1) / n) ** 0.5
    if given[0] > given[1]:
        return N_("Given {case}, the lower end is above the upper one.")
    if _same(given, (-truth[1], -truth[0])):
        return N_("Given {case}, the sign is the other way round: take INT8 less FP32.")
    if _same(given, (100 * truth[0], 100 * truth[1])) or abs(given[0]) > 1:
        return N_(
            "Given {case}, the interval is in percent; give fractions, as the accuracies are."
        )
    if _same(given, (mean - 1.96 * error, mean + 1.96 * error)):
        return N_(
            "Given {case}, the interval is that of a known spread, 1.96 standard errors; with so "
            "few seeds the spread is an estimate, and Student's quantile is wider."
        )
    if _same(given, _interval(d, ddof=0)):
        return N_("Given {case}, the spread was divided by n; an estimate divides by n - 1.")
    if any(_same(given, _interval(d, quantile=q)) for q in (0.95, 0.995, 0.9)):
        return N_("Given {case}, the level is another one; 95 % leave 2.5 % on either side.")
    if _same(given, (float(d.min()), float(d.max()))):
        return N_(
            "Given {case}, that is the range of the differences, not the interval of their mean."
        )
    if _same(given, (mean - error, mean + error)):
        return N_("Given {case}, the ends are one standard error away; that is no 95 % interval.")
    centred = abs((given[0] + given[1]) / 2 - mean) <= 0.1 * (truth[1] - truth[0])
    wide = (given[1] - given[0]) / (truth[1] - truth[0])
    if centred and abs(wide - n**0.5) < 0.15 * n**0.5:
        return N_(
            "Given {case}, the interval is that of single differences; the mean of n of them is "
            "known better, by the root of n."
        )
    if centred and (given[1] - given[0]) > 3 * apart:
        return N_(
            "Given {case}, the interval is far too wide: both models were trained from the same "
            "seeds, so look at the difference of each pair, not at two separate means."
        )
    return N_("Given {case}, this is not Student's 95 % interval of the mean paired difference.")


def _check_conclusion(conclusion: Any, truth: tuple[float, float], case: str) -> None:
    low, high = truth
    right = KEEPS if low > -MARGIN else LOSES if high < -MARGIN else OPEN
    if not isinstance(conclusion, str) or conclusion not in (KEEPS, LOSES, OPEN):
        raise WrongAnswer(
            'Given {case}, the conclusion is {came}; say "keeps", "loses" or "inconclusive".',
            case=case,
            came=shown(conclusion),
        )
    if conclusion == right:
        return
    if right == OPEN:
        message = N_(
            "Given {case}, the interval reaches to both sides of a loss of one point, so that "
            "neither can be concluded."
        )
    elif right == KEEPS:
        message = N_(
            "Given {case}, the whole interval lies above a loss of one point. Whether it "
            "holds zero is another question."
        )
    else:
        message = N_("Given {case}, the whole interval lies below a loss of one point.")
    raise WrongAnswer(message, case=case)


# --- E8 -------------------------------------------------------------------------------------------


@cache
def _culprit() -> tuple[str, int, dict[str, float], str]:
    """The matrix that does the harm, its outlying row, every matrix's error, the largest matrix."""
    drawn = outlier_model()
    lstm = drawn.model.lstm
    errors = rounded_alone(lstm, drawn.inputs)
    matrices = {name: p.detach().numpy() for name, p in lstm.named_parameters() if p.ndim == 2}
    name = max(errors, key=lambda each: errors[each])
    row = int(np.linalg.norm(matrices[name], axis=1).argmax())
    return name, row, errors, max(matrices, key=lambda each: float(np.abs(matrices[each]).max()))


def culprit(answer: Any, notes: Notes) -> None:
    """E8: (name of the matrix, number of its row) of `outlier_model()`."""
    given, row = parts(answer, (N_("the name of the matrix"), N_("the number of the row")))
    name, true_row, errors, largest = _culprit()
    if not isinstance(given, str):
        raise WrongAnswer(
            'The name of the matrix is {came}; give it as text, like "weight_hh_l0".',
            came=shown(given),
        )
    said = given.removeprefix("model.").removeprefix("lstm.")
    if said.startswith("bias"):
        raise WrongAnswer("{name} is a bias: biases are not quantized.", name=given)
    if said not in errors:
        raise WrongAnswer(
            '"{name}" is none of the weight matrices: {known}.', name=given, known=", ".join(errors)
        )
    if said == largest:
        raise WrongAnswer(
            "{name} has the largest weights, but all of them are large: its grid fits them well. "
            "Look for numbers that do not fit their neighbours.",
            name=said,
        )
    if said != name:
        raise WrongAnswer(
            "Rounding {name} alone changes the outputs by {error:.1%}; another one does far more.",
            name=said,
            error=errors[said],
        )
    notes.good("{name} it is.", name=said)
    found = whole(N_("The number of the row"), row)
    if found == true_row:
        notes.good("Row {row} spoils the scale for all others.", row=found)
    elif found == true_row + 1:
        notes.bad("Rows are counted from 0.")
    elif not 0 <= found < 4 * outlier_model().model.lstm.hidden_size:
        notes.bad("The matrix has no row {row}.", row=found)
    else:
        notes.bad("Row {row} is like most others of this matrix.", row=found)
