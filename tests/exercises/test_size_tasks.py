"""E1, E3 and E7: several right solutions each, and typical wrong ones."""

import io

import pytest
import torch
from hypothesis import given, settings, strategies as st

import recipe_helpers as rh

from .judged import accepted, refused


def written(model):
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return file.tell()


def ratio(width):
    model = rh.demonstration(dimension=width).model
    return written(model) / written(rh.quantize_dynamic(model))


RATIO = ratio(40)


# --- E1 -------------------------------------------------------------------------------------------


def by_the_law():
    """Overhead and price from two other widths, for each format."""
    laws = []
    for size in ("reference_bytes", "candidate_bytes"):
        low, high = (
            (4 * d * (2 * d + 2), getattr(point.comparison, size))
            for d, point in ((d, rh.size_sweep([d]).at(d)) for d in (24, 64))
        )
        price = (high[1] - low[1]) / (high[0] - low[0])
        laws.append(low[1] + price * (4 * 40 * 82 - low[0]))
    return laws[0] / laws[1]


def test_e1_accepts_ways_to_measure_and_to_predict():
    accepted("E1", (by_the_law(), rh.size_sweep([40]).ratios[0]))
    accepted("E1", [RATIO, round(RATIO, 2)])
    accepted("E1", (torch.tensor(3.2), torch.tensor(RATIO)))


@settings(max_examples=30, deadline=None)
@given(st.floats(0.5, 1.5))
def test_e1_takes_a_prediction_within_five_percent_and_no_other(factor):
    verdict = rh.check("E1", (factor * RATIO, RATIO))
    if abs(factor - 1) < 0.049:
        assert verdict.right
    if abs(factor - 1) > 0.051:
        assert verdict.faults
        assert verdict.correct == ("The ratio that you measured is that of the two files.",)


@pytest.mark.parametrize(
    ("answer", "fragment"),
    [
        ((4.0, RATIO), "without any overhead"),
        ((2.4, RATIO), "too low"),
        ((3.73, RATIO), "too high"),
        ((RATIO, 1 / RATIO), "upside down"),
        ((1 / RATIO, RATIO), "The prediction is upside down"),
        ((RATIO, ratio(8)), "at width 8"),
        ((RATIO, ratio(80)), "at width 80"),
        ((RATIO, 4.0), "the weights alone"),
        ((RATIO, 1 - 1 / RATIO), "share of the bytes that is saved"),
        ((RATIO, written(rh.demonstration(dimension=40).model)), "You measured bytes"),
        ((RATIO, RATIO * 1.02), "is not that of the two files"),
        ((-3.2, RATIO), "above 0"),
        ((float("nan"), RATIO), "finite number"),
        (RATIO, "The answer is 3.2"),
        ((RATIO,), "has 1 parts; give 2"),
        (("3.2", RATIO), "'3.2'; give a number"),
    ],
)
def test_e1_refuses(answer, fragment):
    refused("E1", answer, fragment)


# --- E3 -------------------------------------------------------------------------------------------


def law(few, many, size=written, count=lambda model: sum(p.numel() for p in model.parameters())):
    models = [rh.demonstration(dimension=width).model for width in (few, many)]
    (x1, y1), (x2, y2) = ((count(model), size(model)) for model in models)
    price = (y2 - y1) / (x2 - x1)
    return y1 - price * x1, price


@settings(max_examples=15, deadline=None)
@given(st.integers(4, 40), st.integers(100, 300))
def test_e3_accepts_the_law_from_any_two_widths_that_lie_apart(few, many):
    accepted("E3", law(few, many))


def int8_bytes(model):
    return written(rh.quantize_dynamic(model))


INTERCEPT, PRICE = law(8, 80)


@pytest.mark.parametrize(
    ("answer", "fragments"),
    [
        ((PRICE, INTERCEPT), ["changed places"]),
        ((INTERCEPT, written(rh.demonstration().model) / 576), ["too high", "overhead in it"]),
        (law(8, 80, count=lambda m: 4 * m.lstm.hidden_size**2 * 2), ["not counted"]),
        (law(8, 80, count=lambda m: m.lstm.hidden_size), ["per unit of width"]),
        (law(8, 80, size=int8_bytes), ["INT8 weight"]),
        ((INTERCEPT, 1 / PRICE), ["The price is upside down"]),
        ((INTERCEPT, 8 * PRICE), ["in bits"]),
        ((INTERCEPT / 1000, PRICE / 1000), ["price is in thousands", "intercept is in thousands"]),
        ((written(rh.demonstration().model), PRICE), ["a whole file"]),
        ((0, PRICE), ["above zero"]),
        ((INTERCEPT, -PRICE), ["below or at zero"]),
        ((INTERCEPT * 2, PRICE), ["too large"]),
        ((INTERCEPT / 2, PRICE), ["too small"]),
        ((5, PRICE), ["no archive"]),
        ((INTERCEPT, 3.0), ["does not fit"]),
        ({"intercept": INTERCEPT}, ["type dict"]),
        ((INTERCEPT, float("inf")), ["finite number"]),
    ],
)
def test_e3_refuses(answer, fragments):
    refused("E3", answer, *fragments)


# --- E7 -------------------------------------------------------------------------------------------


def by_comparing_all(models):
    return [
        name
        for name, size, accuracy in models
        if not any(s <= size and a >= accuracy and (s < size or a > accuracy) for _, s, a in models)
    ]


def by_sorting(models):
    kept, best = [], None
    for name, size, accuracy in sorted(models, key=lambda m: (m[1], -m[2])):
        if best is None or accuracy > best[1] or (size, accuracy) == best:
            kept.append(name)
            best = (size, accuracy)
    return tuple(kept)


def by_striking_out(models):
    left = {name: (size, accuracy) for name, size, accuracy in models}
    for _, size, accuracy in models:
        for other, (s, a) in list(left.items()):
            if size <= s and accuracy >= a and (size, accuracy) != (s, a):
                left.pop(other, None)
    return set(left)


SOLUTIONS = [by_comparing_all, by_sorting, by_striking_out]


@pytest.mark.parametrize("solution", SOLUTIONS)
def test_e7_accepts(solution):
    accepted("E7", solution)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=6))
def test_the_solutions_of_e7_agree_on_any_models(pairs):
    models = [(f"m{i}", size, accuracy / 4) for i, (size, accuracy) in enumerate(pairs)]
    assert len({frozenset(solution(models)) for solution in SOLUTIONS}) == 1


@pytest.mark.parametrize(
    ("answer", "fragment"),
    [
        (lambda m: [max(m, key=lambda x: x[2])[0]], "stays out"),
        (lambda m: [min(m, key=lambda x: x[1])[0]], "is missing"),
        (lambda m: [max(m, key=lambda x: x[2] / x[1])[0]], "is missing"),
        (lambda m: [n for n, _, _ in m], "every model was kept"),
        (lambda m: {n for n, _, _ in m} - set(by_comparing_all(m)), "another one dominates"),
        (lambda m: [], "nothing was chosen"),
        (
            lambda m: [n for n, s, a in m if not any(x < s and y > a for _, x, y in m)],
            "stays out",
        ),
        (
            lambda m: [
                n for i, (n, s, a) in enumerate(m)
                if not any(x <= s and y >= a for j, (_, x, y) in enumerate(m) if i != j)
            ],
            "is missing",
        ),
        (lambda m: list({x[1:]: x[0] for x in m if x[0] in by_comparing_all(m)}.values()),
         "both stay"),
        (lambda m: [*by_comparing_all(m), "FP32, width 16"] if len(m) > 4 else [], "stays out"),
        (lambda m: list(range(len(m))), "no name of a model"),
        (lambda m: by_comparing_all(m)[0], "return the names as a list"),
        (lambda m: by_comparing_all([(n, -s, a) for n, s, a in m]), "another one dominates"),
        (lambda m: [n for n, _, a in m if a >= 0.9], "every model was kept"),
        (lambda m: m[9], "raised IndexError"),
        (lambda: [], "other arguments"),
        (["FP32, width 8"], "the function itself"),
    ],
)  # fmt: skip
def test_e7_refuses(answer, fragment):
    refused("E7", answer, fragment)
