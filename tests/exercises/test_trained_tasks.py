"""E6 and E8: several right solutions each, and typical wrong ones."""

import copy
import math
import statistics

import numpy as np
import pytest
import torch
from scipy import stats

import recipe_helpers as rh
from recipe_helpers.common.intervals import mean_interval
from recipe_helpers.exercises import trained_tasks
from recipe_helpers.exercises.outlier_model import outlier_model
from recipe_helpers.exercises.verdicts import WrongAnswerError

from .made_up import accepted, refused, refused_all

# --- E6 -------------------------------------------------------------------------------------------


def concluded(low, high):
    return "keeps" if low > -0.01 else "loses" if high < -0.01 else "inconclusive"


def by_scipy(fp32, int8):
    d = np.subtract(int8, fp32)
    low, high = stats.t.interval(0.95, len(d) - 1, loc=d.mean(), scale=stats.sem(d))
    return low, high, concluded(low, high)


def by_hand(fp32, int8):
    d = [b - a for a, b in zip(fp32, int8, strict=True)]
    reach = stats.t.ppf(0.975, len(d) - 1) * statistics.stdev(d) / math.sqrt(len(d))
    low, high = statistics.mean(d) - reach, statistics.mean(d) + reach
    return low, high, concluded(low, high)


def by_the_helper(fp32, int8):
    found = mean_interval([b - a for a, b in zip(fp32, int8, strict=True)])
    return [found.low, found.high, concluded(found.low, found.high)]


def by_a_paired_test(fp32, int8):
    found = stats.ttest_rel(int8, fp32).confidence_interval(0.95)
    return torch.tensor(found.low), found.high, concluded(*found)


def test_e6_accepts():
    for solution in (by_scipy, by_hand, by_the_helper, by_a_paired_test):
        accepted("E6", solution)


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


def test_e6_takes_ends_within_two_percent_of_the_width_and_no_others():
    def off_by(share):
        def solution(fp32, int8):
            low, high, conclusion = by_scipy(fp32, int8)
            return low + share * (high - low), high, conclusion

        return solution

    accepted("E6", off_by(0.018))
    refused("E6", off_by(0.022), "not Student's 95 % interval")


def test_a_loss_of_one_point_is_the_margin_of_e6():
    for low, high, right in (
        (-0.0099, 0.0, "keeps"),
        (-0.0101, 0.0, "inconclusive"),
        (-0.05, -0.0099, "inconclusive"),
        (-0.05, -0.0101, "loses"),
    ):
        trained_tasks._check_conclusion(right, low, high)
        for wrong in {"keeps", "loses", "inconclusive"} - {right}:
            with pytest.raises(WrongAnswerError):
                trained_tasks._check_conclusion(wrong, low, high)


WRONG_E6 = [
    (unpaired, "the difference of each pair"),
    (lambda a, b: by_hand(b, a), "The sign is the other way round"),
    (around(lambda n: 1.96 / math.sqrt(n)), "1.96 standard errors"),
    (around(student, ddof=0), "n - 1"),
    (around(lambda n: student(n) * math.sqrt(n)), "the root of n"),
    (around(lambda n: student(n, 0.9)), "The level is another one"),
    (around(lambda n: student(n, 0.99)), "The level is another one"),
    (around(lambda n: 1 / math.sqrt(n)), "one standard error away"),
    (ends(lambda d: (d.min(), d.max())), "the range of the differences"),
    (lambda a, b: (*(100 * x for x in by_hand(a, b)[:2]), "keeps"), "in percent"),
    (lambda a, b: (by_hand(a, b)[1], by_hand(a, b)[0], "keeps"), "above the upper one"),
    (lambda a, b: (*by_hand(a, b)[:2], "keeps"), "The whole interval lies below"),
    (lambda a, b: (*by_hand(a, b)[:2], "inconclusive"), "Whether it holds zero"),
    (lambda a, b: (*by_hand(a, b)[:2], "loses" if by_hand(a, b)[1] < 0 else "keeps"),
     "to both sides"),
    (lambda a, b: (*by_hand(a, b)[:2], by_hand(a, b)[0] > -0.01), '"keeps", "loses"'),
    (lambda a, b: by_hand(a, b)[2], "not 'keeps'"),
    (lambda a, b: (0.0, 0.0, "keeps"), "not Student's 95 % interval"),
    (lambda a, b: (float("nan"), 0.0, "keeps"), "finite number"),
    (lambda a, b: (a - b).mean(), "raised TypeError"),
    (lambda differences: (0, 0, "keeps"), "raised TypeError"),
]  # fmt: skip


def test_e6_refuses():
    refused_all("E6", WRONG_E6)


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


def by_repairing_one_at_a_time(drawn):
    """The matrix whose largest row, set to zero, brings FP32 and INT8 together."""
    errors = {}
    for name, weight in drawn.model.named_parameters():
        if weight.ndim > 1:
            changed = copy.deepcopy(drawn.model)
            row = int(weight.norm(dim=1).argmax())
            changed.get_parameter(name)[row] = 0
            quantized = rh.quantize_dynamic(changed)
            errors[name, row] = rh.compare_outputs(changed, quantized, drawn.inputs).relative
    return min(errors, key=errors.get)


def test_e8_accepts():
    for solution in (by_rounding_one_at_a_time, by_looking_for_a_row, by_repairing_one_at_a_time):
        with torch.no_grad():
            accepted("E8", solution(outlier_model()))


NAME, ROW = "weight_hh_l0", 74


WRONG_E8 = [
    (("weight_ih_l0", ROW), "largest weights"),
    (("weight_hh_l2", ROW), "another matrix does far more"),
    (("lstm.weight_ih_l1", ROW), "another matrix does far more"),
    (("bias_hh_l0", ROW), "biases are not quantized"),
    (("weight_hh_l3", ROW), "none of the weight matrices"),
    (("weight_hh", ROW), "none of the weight matrices"),
    ((NAME, 3), "is like most others"),
    ((NAME, 1000), "has no row 1000"),
    ((NAME, -1), "has no row -1"),
    ((NAME, 3.5), "a whole number"),
    ((NAME, None), "a finite number as the number of the row, not None"),
    ((0, ROW), "Give a text like"),
    (NAME, "not 'weight_hh_l0'"),
    ((torch.ones(3, 3), ROW), "Give a text like"),
]


def test_e8_refuses():
    refused_all("E8", WRONG_E8)


def test_e8_sees_a_row_that_was_counted_from_one():
    with torch.no_grad():
        name, row = by_looking_for_a_row(outlier_model())
    refused("E8", (name, row + 1), "counted from 0")
