"""E1 and E3: what a file weighs, by law and foretold; E7: a smaller model, or a quantized one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from ..common.language import N_, Text
from ..recipe.model import demonstration
from ..recipe.quantize import quantize_dynamic
from ..recipe.size import compare_size
from .answers import ANSWER, function, number, parts, result, unfit
from .verdicts import Finding, fault, near, refuse, tried_on

WIDTH = 4  # so narrow that no number of the notebook is near
PREDICTED = 0.02  # how far a prediction may be from the truth, relative


@cache
def bytes_at(width: int) -> tuple[int, int]:
    """The files of the recipe's model at one width, in FP32 and quantized by torch.ao."""
    model = demonstration(width=width).model
    sizes = compare_size(model, quantize_dynamic(model))
    return sizes.reference_bytes, sizes.candidate_bytes


def size_law(answer: Any) -> Iterator[Finding]:
    """E1: (intercept in bytes, price in bytes per parameter) of the FP32 file."""
    names = Text("the intercept in bytes"), Text("the price in bytes per parameter")
    intercept, price = map(number, names, parts(answer, *names))
    (small, _), (large, _) = bytes_at(24), bytes_at(96)
    true_price = (large - small) / (8 * (96**2 - 24**2) + 8 * (96 - 24))
    overhead = small - true_price * (8 * 24**2 + 8 * 24)
    whole_files = [size for width in (8, 16, 40, 80) for size in bytes_at(width)]
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
    yield fault(of_price, near(price, true_price)) or Text("The price per parameter is right.")
    of_intercept = {
        N_("The intercept is not above zero: an empty file has bytes, too."): intercept <= 0,
        N_("The intercept is in thousands of bytes; give bytes."): near(intercept, overhead / 1e3),
        N_("So few bytes hold no archive with names and shapes."): intercept < 20,
        N_("The intercept is a whole file: take its parameters away."): intercept in whole_files,
        N_("The intercept is too small for what is left at zero parameters."): intercept < overhead,
        N_("The intercept is too large for what is left at zero parameters."): True,
    }
    right = Text("The intercept is that of a file with one layer's names and shapes.")
    yield fault(of_intercept, near(intercept, overhead, 0.08)) or right


def predicted_ratio(answer: Any) -> Iterator[Finding]:
    """E3: (ratio predicted, ratio measured), FP32 bytes / INT8 bytes at width 4."""
    names = Text("the ratio that you predicted"), Text("the ratio that you measured")
    predicted, measured = map(number, names, parts(answer, *names))
    before, after = bytes_at(WIDTH)
    truth = before / after
    saved = 1 - 1 / truth
    ratios = {width: bytes_at(width)[0] / bytes_at(width)[1] for width in (8, 16, 40, 80, 512)}
    others = [width for width, ratio in ratios.items() if near(measured, ratio)]
    of_measurement = {
        N_("The measured ratio is upside down: divide FP32 by INT8."): near(measured, 1 / truth),
        N_("You measured bytes; the ratio is asked for."): abs(measured) > 100,
        N_("That is a share of the bytes; the ratio is asked for."): near(measured, saved),
        N_("Four is the ratio of the weights alone; measure whole files."): near(measured, 4),
        N_("That is the ratio at width {other}."): bool(others),
        N_("{came:.2f} is not the ratio of the two files at width {width}."): True,
    }
    values = {"came": measured, "width": WIDTH, "other": sum(others[:1])}
    right = Text("The ratio that you measured is that of the two files.")
    yield fault(of_measurement, near(measured, truth), **values) or right
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
    right = Text("The prediction is within two percent of what this PyTorch writes.")
    yield fault(of_prediction, near(predicted, truth, PREDICTED)) or right


# --- E7 -------------------------------------------------------------------------------------------

Model = tuple[str, int, float]  # name, bytes, accuracy
_FIELDS: dict[Text, list[Model]] = {
    Text("three widths"): [
        ("FP32, width 8", 5_000, 0.92),
        ("INT8, width 8", 4_000, 0.91),
        ("FP32, width 16", 12_000, 0.96),
        ("INT8, width 16", 6_000, 0.96),
        ("FP32, width 32", 40_000, 0.95),
    ],
    Text("a quantized model that lost its accuracy"): [
        ("FP32, width 4", 3_000, 0.85),
        ("FP32, width 32", 40_000, 0.97),
        ("INT8, width 32", 11_000, 0.60),
        ("INT8, width 16", 6_000, 0.95),
    ],
    Text("two models of one size"): [("A", 5_000, 0.9), ("B", 5_000, 0.93), ("C", 9_000, 0.95)],
    Text("two models of one accuracy"): [("A", 5_000, 0.9), ("B", 7_000, 0.9), ("C", 4_000, 0.8)],
    Text("two models that are alike"): [("A", 5_000, 0.9), ("B", 5_000, 0.9), ("C", 4_000, 0.8)],
    Text("one model"): [("alone", 5_000, 0.9)],
}


def pareto(answer: Any) -> Iterator[Finding]:
    """E7: a function of a list of (name, bytes, accuracy) to the names that none dominates."""
    frontier = function(answer)
    for case, models in _FIELDS.items():
        with tried_on(case):
            _check_frontier(result(frontier, list(models)), models)
        yield Text("Right for {case}.", case=case)


def _check_frontier(given: Any, models: list[Model]) -> None:
    numbers = {name: rest for name, *rest in models}
    better = {
        name: [n for n, s, a in models if s <= size and a >= accuracy and [s, a] != numbers[name]]
        for name, size, accuracy in models
    }
    if not isinstance(given, list | tuple | set | frozenset):
        raise unfit(Text("a list of names"), ANSWER, given)
    for name in given:
        if not isinstance(name, str) or name not in numbers:
            raise unfit(Text("a list of names"), ANSWER, name)
    chosen, best = set(given), {name for name in better if not better[name]}
    out, left = sorted(chosen - best), sorted(best - chosen)
    alike = bool(left) and any(numbers[left[0]] == numbers[name] for name in chosen)
    mistakes = {
        N_("Nothing was chosen, but the smallest model always stays."): not chosen,
        N_("These are the models that others dominate; the others stay."): chosen
        == better.keys() - best,
        N_("Every model was kept, also one that another one dominates."): chosen == better.keys(),
        N_("{out} stays out: {better} is no larger and no less accurate."): bool(out),
        N_("{left} is just as good as one that was chosen: both stay."): alike,
        N_("{left} is missing: no model is both as small and as accurate."): True,
    }
    winner = better[out[0]][0] if out else ""
    values = {"out": "".join(out[:1]), "better": winner, "left": "".join(left[:1])}
    refuse(mistakes, chosen == best, **values)
