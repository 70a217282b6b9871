"""E1 and E3: what a file weighs, by law and foretold; E7: a smaller model, or a quantized one."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..common.language import N_
from ..recipe.model import demonstration
from ..recipe.quantize import quantize_dynamic
from ..recipe.size import compare_size
from .answers import ANSWER, function, number, parts, result, unfit
from .verdicts import Findings, Sentence, judged, near, refuse, tried_on

WIDTH = 4  # so narrow that no number of the notebook is near
PREDICTED = 0.02  # how far a prediction may be from the truth, relative


@cache
def bytes_at(width: int) -> tuple[int, int]:
    """The files of the recipe's model at one width, in FP32 and quantized by torch.ao."""
    model = demonstration(width=width).model
    sizes = compare_size(model, quantize_dynamic(model))
    return sizes.reference_bytes, sizes.candidate_bytes


def size_law(answer: Any) -> Findings:
    """E1: (intercept in bytes, price in bytes per parameter) of the FP32 file."""
    names = N_("the intercept in bytes"), N_("the price in bytes per parameter")
    intercept, price = parts(answer, dict.fromkeys(names, number))
    widths = np.array([24, 96])
    files = [bytes_at(width)[0] for width in widths.tolist()]
    true_price, overhead = map(float, np.polyfit(8 * widths * (widths + 1), files, 1))
    of_price = {
        N_("The two numbers have changed places."): near(price, overhead, 0.02),
        N_("A price at zero or below says that more parameters need no more bytes."): price <= 0,
        N_("The price is upside down: divide bytes by parameters."): near(price, 1 / true_price),
        N_("The price is in bits; give bytes."): near(price, 8 * true_price),
        N_("The price is in thousands of bytes; give bytes."): near(price, 0.004, 0.03),
        N_("That is about the price of an INT8 weight; FP32 is asked for."): near(price, 1, 0.1),
        N_("The price is far too high: is it per unit of width?"): price > 20 * true_price,
        N_("The price is too high: is the overhead in it, or a parameter missing?"): price > 4,
        N_("The price does not fit: a parameter is a number of float32."): True,
    }
    yield judged(N_("The price per parameter is right."), near(price, true_price), of_price)
    whole_files = [size for width in (8, 16, 40, 80) for size in bytes_at(width)]
    of_intercept = {
        N_("The intercept is not above zero: an empty file has bytes, too."): intercept <= 0,
        N_("The intercept is in thousands of bytes; give bytes."): near(intercept, overhead / 1e3),
        N_("So few bytes hold no archive with names and shapes."): intercept < 20,
        N_("The intercept is a whole file: take its parameters away."): intercept in whole_files,
        N_("The intercept is too small for what is left at zero parameters."): intercept < overhead,
        N_("The intercept is too large for what is left at zero parameters."): True,
    }
    praise = N_("The intercept is that of a file with one layer's names and shapes.")
    yield judged(praise, near(intercept, overhead, 0.08), of_intercept)


def predicted_ratio(answer: Any) -> Findings:
    """E3: (ratio predicted, ratio measured), FP32 bytes / INT8 bytes at width 4."""
    names = N_("the ratio that you predicted"), N_("the ratio that you measured")
    predicted, measured = parts(answer, dict.fromkeys(names, number))
    before, after = bytes_at(WIDTH)
    truth = before / after
    ratios = {width: bytes_at(width)[0] / bytes_at(width)[1] for width in (8, 16, 40, 80, 512)}
    other = next((width for width, ratio in ratios.items() if near(measured, ratio)), None)
    of_measurement = {
        N_("The measured ratio is upside down: divide FP32 by INT8."): near(measured, 1 / truth),
        N_("You measured bytes; the ratio is asked for."): abs(measured) > 100,
        N_("That is a share of the bytes; the ratio is asked for."): near(measured, 1 - 1 / truth),
        N_("Four is the ratio of the weights alone; measure whole files."): near(measured, 4),
        N_("That is the ratio at width {other}."): other is not None,
        N_("{came:.2f} is not the ratio of the two files at width {width}."): True,
    }
    values = {"came": measured, "width": WIDTH, "other": other}
    praise = N_("The ratio that you measured is that of the two files.")
    yield judged(praise, near(measured, truth), of_measurement, **values)
    byte_biases = before / (after - 3 * 8 * WIDTH)
    of_prediction = {
        N_("Four would be right for weights alone: what else is in a file?"): near(
            predicted, 4, 0.01
        ),
        N_("The prediction is upside down: divide FP32 by INT8."): near(predicted, 1 / truth, 0.01),
        N_("The biases were counted as one byte each; they stay FP32."): near(
            predicted, byte_biases, 1e-3
        ),
        N_("A ratio of two sizes is above zero; the prediction is not."): predicted <= 0,
        N_("The prediction is too low: count weights and biases apart."): predicted < truth,
        N_("The prediction is too high: the INT8 file has more overhead than the FP32 one."): True,
    }
    praise = N_("The prediction is within two percent of what this PyTorch writes.")
    yield judged(praise, near(predicted, truth, PREDICTED), of_prediction)


# --- E7 -------------------------------------------------------------------------------------------

Model = tuple[str, int, float]  # name, bytes, accuracy
_FIELDS: dict[str, list[Model]] = {
    N_("three widths"): [
        ("FP32, width 8", 5_000, 0.92),
        ("INT8, width 8", 4_000, 0.91),
        ("FP32, width 16", 12_000, 0.96),
        ("INT8, width 16", 6_000, 0.96),
        ("FP32, width 32", 40_000, 0.95),
    ],
    N_("a quantized model that lost its accuracy"): [
        ("FP32, width 4", 3_000, 0.85),
        ("FP32, width 32", 40_000, 0.97),
        ("INT8, width 32", 11_000, 0.60),
        ("INT8, width 16", 6_000, 0.95),
    ],
    N_("two models of one size"): [("A", 5_000, 0.9), ("B", 5_000, 0.93), ("C", 9_000, 0.95)],
    N_("two models of one accuracy"): [("A", 5_000, 0.9), ("B", 7_000, 0.9), ("C", 4_000, 0.8)],
    N_("two models that are alike"): [("A", 5_000, 0.9), ("B", 5_000, 0.9), ("C", 4_000, 0.8)],
    N_("one model"): [("alone", 5_000, 0.9)],
}


def pareto(answer: Any) -> Findings:
    """E7: a function of a list of (name, bytes, accuracy) to the names that none dominates."""
    frontier = function(ANSWER, answer)
    for case, models in _FIELDS.items():
        with tried_on(case):
            _check_frontier(result(frontier, list(models)), models)
        yield Sentence(N_("Right for {case}."), case=case)


def _check_frontier(given: Any, models: list[Model]) -> None:
    numbers = {name: rest for name, *rest in models}
    better = {
        name: [n for n, s, a in models if s <= size and a >= accuracy and [s, a] != numbers[name]]
        for name, size, accuracy in models
    }
    known = isinstance(given, list | tuple | set | frozenset)
    for name in given if known else [given]:
        if not known or not isinstance(name, str) or name not in numbers:
            raise unfit(N_("a list of names"), ANSWER, name)
    chosen, best = set(given), {name for name in better if not better[name]}
    out, left = min(chosen - best, default=""), min(best - chosen, default="")
    alike = any(numbers.get(left) == numbers[name] for name in chosen)
    mistakes = {
        N_("Nothing was chosen, but the smallest model always stays."): not chosen,
        N_("These are the models that others dominate; the others stay."): chosen
        == better.keys() - best,
        N_("Every model was kept, also one that another one dominates."): chosen == better.keys(),
        N_("{out} stays out: {better} is no larger and no less accurate."): bool(out),
        N_("{left} is just as good as one that was chosen: both stay."): alike,
        N_("{left} is missing: no model is both as small and as accurate."): True,
    }
    refuse(mistakes, chosen == best, out=out, left=left, better="".join(better.get(out, [])[:1]))
