"""E6 and E8: several right solutions each, and typical wrong ones."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy import stats

import recipe_helpers as rh
from recipe_helpers.exercises import trained_tasks
from recipe_helpers.exercises.outlier_model import outlier_model
from recipe_helpers.exercises.verdicts import WrongAnswerError

from .made_up import judges_all

# --- E6 -------------------------------------------------------------------------------------------


def concluded(low, high):
    return "keeps" if low > -0.01 else "loses" if high < -0.01 else "inconclusive"


def by_scipy(fp32, int8):
    d = np.subtract(int8, fp32)
    low, high = stats.t.interval(0.95, len(d) - 1, loc=d.mean(), scale=stats.sem(d))
    return low, high, concluded(low, high)


def by_a_paired_test(fp32, int8):
    found = stats.ttest_rel(int8, fp32).confidence_interval(0.95)
    return torch.tensor(found.low), found.high, concluded(*found)


def ends(make, conclude=concluded):
    """A solution that gets its interval from the array of differences in some other way."""

    def solution(fp32, int8):
        low, high = make(np.subtract(int8, fp32))
        return low, high, conclude(low, high)

    return solution


def around(factor, **spread):
    return ends(
        lambda d: tuple(
            d.mean() + sign * factor(len(d)) * d.std(**({"ddof": 1} | spread)) for sign in (-1, 1)
        )
    )


def student(n, level=0.95):
    return stats.t.ppf(0.5 + level / 2, n - 1) / math.sqrt(n)


def unpaired(fp32, int8):
    found = stats.ttest_ind(int8, fp32).confidence_interval(0.95)
    return found.low, found.high, concluded(*found)


def off_by(low, high):
    """The right interval, with its ends moved by these shares of its width."""
    return lambda a, b: (
        (found := by_scipy(a, b))[0] + low * (found[1] - found[0]),
        found[1] + high * (found[1] - found[0]),
        found[2],
    )


@pytest.mark.parametrize(
    ("low", "high", "right"),
    [
        (-0.0099, 0.0, "keeps"),
        (-0.0101, 0.0, "inconclusive"),
        (-0.05, -0.0099, "inconclusive"),
        (-0.05, -0.0101, "loses"),
    ],
)
def test_a_loss_of_one_point_is_the_margin_of_e6(low, high, right):
    trained_tasks.check_conclusion(right, low, high)
    for wrong in {"keeps", "loses", "inconclusive"} - {right}:
        with pytest.raises(WrongAnswerError):
            trained_tasks.check_conclusion(wrong, low, high)


RIGHT_E6 = [by_scipy, by_a_paired_test, off_by(0.018, -0.018)]
WRONG_E6 = [
    (unpaired, "the difference of each pair"),
    (lambda a, b: by_scipy(b, a), "The sign is the other way round"),
    (around(lambda n: 1.96 / math.sqrt(n)), "1.96 standard errors"),
    (around(student, ddof=0), "n - 1"),
    (around(lambda n: student(n) * math.sqrt(n)), "the root of n"),
    *((around(lambda n, level=level: student(n, level)), "The level is another one")
      for level in (0.8, 0.9, 0.99)),
    (around(lambda n: 1.96), "the root of n"),
    (around(lambda n: 1 / math.sqrt(n)), "one standard error away"),
    (ends(lambda d: (d.min(), d.max())), "the range of the differences"),
    (lambda a, b: (*(100 * x for x in by_scipy(a, b)[:2]), "keeps"), "in percent"),
    (lambda a, b: (by_scipy(a, b)[1], by_scipy(a, b)[0], "keeps"), "above the upper one"),
    (lambda a, b: (*by_scipy(a, b)[:2], "keeps"), "The whole interval lies below"),
    (lambda a, b: (*by_scipy(a, b)[:2], "inconclusive"), "Whether it holds zero"),
    (lambda a, b: (*by_scipy(a, b)[:2], "loses" if by_scipy(a, b)[1] < 0 else "keeps"),
     "to both sides"),
    (lambda a, b: (*by_scipy(a, b)[:2], by_scipy(a, b)[0] > -0.01), '"keeps", "loses"'),
    (lambda a, b: by_scipy(a, b)[2], "not 'keeps'"),
    (lambda a, b: (0.0, 0.0, "keeps"), "not Student's 95 % interval"),
    (off_by(0.022, 0), "not Student's 95 % interval"),
    (off_by(0, 0.022), "not Student's 95 % interval"),
    (lambda a, b: (float("nan"), 0.0, "keeps"), "finite number as the lower end"),
]  # fmt: skip


# --- E8 -------------------------------------------------------------------------------------------


def by_rounding_one_at_a_time(drawn):
    lstm, inputs = drawn.model.lstm, drawn.inputs
    exact, errors = lstm(inputs)[0], {}
    for name, weight in lstm.named_parameters():
        if name.startswith("weight"):
            changed = copy.deepcopy(lstm)
            scale = weight.abs().max() / 127
            changed.get_parameter(name).copy_((weight / scale).round() * scale)
            errors[name] = rh.relative_error(changed(inputs)[0], exact)
    worst = max(errors, key=errors.get)
    return worst, lstm.get_parameter(worst).abs().sum(1).argmax()


def by_looking_for_a_row(drawn):
    peaks = {
        name: weight.abs().amax(1)
        for name, weight in drawn.model.named_parameters()
        if weight.ndim > 1
    }
    uneven = {name: float(peak.max() / peak.median()) for name, peak in peaks.items()}
    worst = max(uneven, key=uneven.get)
    return worst, int(peaks[worst].argmax())


def test_one_row_of_one_matrix_is_to_blame_and_not_the_one_of_the_largest_weights(untouched):
    blamed = set()
    for seed in range(6):
        with untouched():
            drawn = outlier_model(seed)
        assert torch.equal(drawn.inputs, outlier_model(seed).inputs)
        lstm = drawn.model.lstm
        errors = trained_tasks.rounded_alone(lstm, drawn.inputs)
        worst, second = sorted(errors, key=errors.get, reverse=True)[:2]
        assert errors[worst] > 10 * errors[second]
        rows = lstm.get_parameter(worst).detach().abs().amax(dim=1)
        assert (rows > 100 * rows.median()).sum() == 1
        largest = max(errors, key=lambda name: float(lstm.get_parameter(name).detach().abs().max()))
        assert largest == "weight_ih_l0" != worst
        blamed.add(worst)
    assert len(blamed) > 2, "the seed decides"
    versions = [rh.quantize_dynamic(drawn.model, backend=name) for name in ("torch.ao", "plain")]
    ruined, kept = (rh.compare_outputs(drawn.model, v, drawn.inputs).relative for v in versions)
    assert kept < 0.02 < 0.1 < ruined


with torch.no_grad():
    NAME, ROW = by_looking_for_a_row(outlier_model())

WRONG_E8 = [
    (("weight_ih_l0", ROW), "largest weights"),
    (("weight_hh_l2", ROW), "another matrix does far more"),
    (("lstm.weight_ih_l1", ROW), "another matrix does far more"),
    (("bias_hh_l0", ROW), "biases are not quantized"),
    (("weight_hh_l3", ROW), "none of the weight matrices"),
    ((NAME, 3), "Row 3 is like most others"),
    ((NAME, ROW + 1), "counted from 0"),
    ((NAME, 96), "has no row 96"),
    ((NAME, -1), "has no row -1"),
    ((NAME, 95), "Row 95 is like most others"),
    ((NAME, 3.5), "a whole number"),
    ((0, ROW), 'Give a text like "weight_hh_l0" as the name of the matrix, not 0'),
    (NAME, "as the answer, not 'lstm.weight_hh_l0'"),
]


def test_answers():
    with torch.no_grad():
        ways = by_rounding_one_at_a_time, by_looking_for_a_row
        right = [way(outlier_model()) for way in ways]
    right.append((f"model.{NAME}", torch.tensor(ROW)))
    wrong = {"E6": WRONG_E6, "E8": WRONG_E8}
    judges_all(trained_tasks, {"E6": RIGHT_E6, "E8": right}, wrong)
