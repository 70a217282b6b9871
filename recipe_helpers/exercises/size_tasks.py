"""E1 and E3: what a file weighs, foretold and measured; E7: a smaller model, or a quantized one."""

from __future__ import annotations

from functools import cache
from typing import Any

from ..common.language import N_
from ..recipe.model import demonstration
from .answers import function, number, parts, result, shown
from .oracles import file_bytes, torch_ao_copy
from .verdicts import Notes, WrongAnswer, said

WIDTH = 40
MEASURED, PREDICTED = 0.005, 0.05  # how far an answer may be from the truth, relative


@cache
def bytes_at(width: int) -> tuple[int, int]:
    """The files of the recipe's model at one width, in FP32 and quantized by torch.ao."""
    model = demonstration(width=width).model
    return file_bytes(model), file_bytes(torch_ao_copy(model))


def _near(value: float, truth: float, relative: float) -> bool:
    return abs(value - truth) <= relative * abs(truth)


def predicted_ratio(answer: Any, notes: Notes) -> None:
    """E1: (ratio predicted, ratio measured), FP32 bytes / INT8 bytes at width 40."""
    given = parts(answer, (N_("the ratio that you predicted"), N_("the ratio that you measured")))
    predicted, measured = (
        number(name, value)
        for name, value in zip(
            (N_("The ratio that you predicted"), N_("The ratio that you measured")),
            given,
            strict=True,
        )
    )
    before, after = bytes_at(WIDTH)
    truth = before / after
    if _near(measured, truth, MEASURED):
        notes.good("The ratio that you measured is that of the two files.")
    else:
        notes.bad(_why_not_measured(measured, before, after))
    if _near(predicted, truth, PREDICTED):
        notes.good("The prediction is within five percent of what this PyTorch writes.")
    else:
        notes.bad(_why_not_predicted(predicted, truth))


def _why_not_measured(value: float, before: int, after: int) -> str:
    truth = before / after
    if _near(value, 1 / truth, MEASURED):
        return N_("The ratio that you measured is upside down: divide FP32 by INT8.")
    if value in (before, after, before - after):
        return N_("You measured bytes; the ratio of the two files is asked for.")
    if _near(value, 1 - 1 / truth, MEASURED) or _near(value, 100 * (1 - 1 / truth), MEASURED):
        return N_("That is the share of the bytes that is saved; give the ratio.")
    if 3.99 < value <= 4.01:
        return N_("Four is the ratio of the weights alone; measure the whole files.")
    for width in (8, 20, 80, 160, 400, 512):
        if _near(value, bytes_at(width)[0] / bytes_at(width)[1], MEASURED):
            return said("That is the ratio at width {width}.", width=width)
    return said(
        "The ratio that you measured, {came:.2f}, is not that of the two files at width {width}: "
        "measure the state dicts of the FP32 and of the INT8 model.",
        came=value,
        width=WIDTH,
    )


def _why_not_predicted(value: float, truth: float) -> str:
    if 3.95 < value <= 4.05:
        return N_("Four would be right without any overhead: what else is in a file?")
    if _near(value, 1 / truth, PREDICTED):
        return N_("The prediction is upside down: above 1, INT8 is smaller.")
    if value <= 0:
        return N_("A ratio of two sizes is above 0; the prediction is not.")
    if value < truth:
        return N_(
            "The prediction is too low: size is an overhead plus a price per parameter, and the "
            "larger the model, the less its overhead counts."
        )
    return N_(
        "The prediction is too high: size is an overhead plus a price per parameter, and the "
        "overhead, and biases that stay FP32, hold the ratio down."
    )


def size_law(answer: Any, notes: Notes) -> None:
    """E3: (intercept in bytes, price in bytes per parameter) of the FP32 file."""
    wanted = (N_("the intercept in bytes"), N_("the price in bytes per parameter"))
    names = (N_("The intercept in bytes"), wanted[1])
    intercept, price = map(number, names, parts(answer, wanted))
    points = []
    for width in (24, 96):
        model = demonstration(width=width).model
        points.append((sum(p.numel() for p in model.parameters()), bytes_at(width)[0]))
    (few, small), (many, large) = points
    true_price = (large - small) / (many - few)
    true_intercept = small - true_price * few
    if _near(price, true_price, MEASURED):
        notes.good("The price per parameter is right.")
    else:
        notes.bad(_why_not_price(price, intercept, true_price))
    if abs(intercept - true_intercept) <= 64 + 0.05 * true_intercept:
        notes.good("The intercept is that of a file that has to hold one layer's names and shapes.")
    else:
        notes.bad(_why_not_intercept(intercept, true_intercept))


def _why_not_price(price: float, intercept: float, truth: float) -> str:
    if _near(intercept, truth, MEASURED):
        return N_("The two numbers have changed places: first the intercept, then the price.")
    if price <= 0:
        return N_("A price below or at zero says that more parameters need no more bytes.")
    if _near(price, 1 / truth, MEASURED):
        return N_("The price is upside down: divide bytes by parameters.")
    if _near(price, 8 * truth, MEASURED):
        return N_("The price is in bits; give bytes.")
    if _near(price, truth / 1000, 0.03):
        return N_("The price is in thousands of bytes; give bytes.")
    if 0.9 < price < 1.1:
        return N_(
            "That is about the price of an INT8 weight; the law of the FP32 file is asked for."
        )
    if truth < price < 3 * truth:
        return N_(
            "The price is too high: either it has the overhead in it, which two measurements "
            "separate, or some parameters were not counted."
        )
    if price > 20 * truth:
        return N_("The price is far too high: is it per unit of width instead of per parameter?")
    return N_("The price does not fit: a parameter is a number of float32, and two files tell.")


def _why_not_intercept(intercept: float, truth: float) -> str:
    if intercept <= 0:
        return N_("The intercept must be above zero: a file without numbers is not empty.")
    if _near(intercept, truth / 1000, 0.05):
        return N_("The intercept is in thousands of bytes; give bytes.")
    if intercept < 20:
        return N_("So few bytes hold no archive with names and shapes.")
    if any(intercept == size for width in (8, 16, 40, 80) for size in bytes_at(width)):
        return N_("The intercept is a whole file; take away what its parameters cost.")
    if intercept < truth:
        return N_("The intercept is too small: it is what is left of a file at zero parameters.")
    return N_("The intercept is too large: it is what is left of a file at zero parameters.")


def pareto(answer: Any, notes: Notes) -> None:
    """E7: a function of a list of (name, bytes, accuracy) to the names that none dominates."""
    frontier = function(answer, "models")
    for case, models in _FIELDS.items():
        chosen = result(frontier, list(models), case=case)
        if not isinstance(chosen, list | tuple | set | frozenset):
            raise WrongAnswer(
                "Given {case}, the function returned {came}; return the names as a list.",
                case=case,
                came=shown(chosen),
            )
        names = {name for name, _, _ in models}
        if strange := [name for name in chosen if not _among(name, names)]:
            raise WrongAnswer(
                "Given {case}, {name} was returned, which is no name of a model.",
                case=case,
                name=shown(strange[0]),
            )
        if fault := _why_not_frontier(set(chosen), models):
            raise WrongAnswer("Given {case}: {fault}", case=case, fault=fault)
        notes.good("Given {case}, the choice is right.", case=case)


Model = tuple[str, int, float]


def _among(name: Any, names: set[str]) -> bool:
    return isinstance(name, str) and name in names


def _why_not_frontier(chosen: set[str], models: list[Model]) -> str:
    def dominates(a: Model, b: Model) -> bool:
        return a[1] <= b[1] and a[2] >= b[2] and (a[1], a[2]) != (b[1], b[2])

    best = {m[0] for m in models if not any(dominates(other, m) for other in models)}
    if chosen == best:
        return ""
    everything = {m[0] for m in models}
    if not chosen:
        return N_("nothing was chosen, but the smallest model that is as accurate always stays.")
    if chosen == everything - best:
        return N_("these are the models that another one dominates; the others stay.")
    if chosen == everything:
        return N_(
            "every model was kept, also one that is larger than another and no more accurate."
        )
    if extra := sorted(chosen - best):
        winner = next(m for m in models for x in models if x[0] == extra[0] and dominates(m, x))
        return said(
            "{out} stays out, since {better} is no larger and no less accurate.",
            out=extra[0],
            better=winner[0],
        )
    left = sorted(best - chosen)[0]
    alike = [m[1:] for m in models if m[0] in chosen]
    if next(m[1:] for m in models if m[0] == left) in alike:
        return said("{left} is just as good as one that was chosen: both stay.", left=left)
    return said(
        "{left} is missing, and no model is both as small and as accurate as it is.", left=left
    )


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
    N_("two models of one size"): [("A", 5_000, 0.90), ("B", 5_000, 0.93), ("C", 9_000, 0.95)],
    N_("two models of one accuracy"): [("A", 5_000, 0.90), ("B", 7_000, 0.90), ("C", 4_000, 0.80)],
    N_("two models that are alike"): [("A", 5_000, 0.90), ("B", 5_000, 0.90), ("C", 4_000, 0.80)],
    N_("one model"): [("alone", 5_000, 0.90)],
}
