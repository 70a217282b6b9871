"""E1, E3 and E7: several right solutions each, and typical wrong ones."""

import io

import torch

import recipe_helpers as rh
from recipe_helpers.exercises import size_tasks

from .made_up import accepted, judges_all, refused


def model(width):
    return rh.demonstration(width=width).model


def written(model):
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return file.tell()


def int8_bytes(model):
    return written(rh.quantize_dynamic(model))


def ratio(width):
    return written(model(width)) / int8_bytes(model(width))


# --- E1 -------------------------------------------------------------------------------------------


def law(few, many, size=written, count=lambda model: sum(p.numel() for p in model.parameters())):
    (x1, y1), (x2, y2) = ((count(model(width)), size(model(width))) for width in (few, many))
    price = (y2 - y1) / (x2 - x1)
    return y1 - price * x1, price


INTERCEPT, PRICE = law(8, 80)
WRONG_E1 = [
    ((PRICE, INTERCEPT), "changed places"),
    ((INTERCEPT, written(model(8)) / 576), "too high", "overhead in it"),
    (law(8, 80, count=lambda m: 4 * m.lstm.hidden_size**2 * 2), "a parameter missing"),
    (law(8, 80, count=lambda m: m.lstm.hidden_size), "per unit of width"),
    (law(8, 80, size=int8_bytes), "INT8 weight"),
    ((INTERCEPT, 1 / PRICE), "The price is upside down"),
    ((INTERCEPT, 8 * PRICE), "in bits"),
    ((INTERCEPT / 1000, PRICE / 1000), "price is in thousands", "intercept is in thousands"),
    ((written(model(8)), PRICE), "a whole file"),
    ((0, PRICE), "not above zero"),
    ((INTERCEPT, -PRICE), "zero or below"),
    ((INTERCEPT, 0), "zero or below"),
    ((INTERCEPT / 2, PRICE), "too small"),
    ((INTERCEPT * 0.91, PRICE), "too small"),
    ((INTERCEPT * 1.09, PRICE), "too large"),
    ((5, PRICE), "no archive"),
    ((INTERCEPT, 3.0), "does not fit"),
    ((INTERCEPT, PRICE * 0.994), "does not fit"),
    ((INTERCEPT, PRICE * 1.006), "too high"),
]
RIGHT_E1 = [law(4, 100), law(40, 300), (INTERCEPT * 1.07, PRICE * 0.996), (INTERCEPT * 0.93, PRICE)]


# --- E3 -------------------------------------------------------------------------------------------

RATIO = ratio(4)


def by_the_laws(width, known=16, bias=4, int8_overhead=None):
    """Weights cost 4 bytes or 1, biases 4, and what is left of a known file is its overhead."""
    fp32 = written(model(known)) - 4 * (8 * known**2 + 8 * known)
    int8 = int8_overhead or int8_bytes(model(known)) - 8 * known**2 - 4 * 8 * known
    weights, biases = 8 * width**2, 8 * width
    return (fp32 + 4 * weights + 4 * biases) / (int8 + weights + bias * biases)


def test_the_hint_of_e3_is_right_to_the_byte():
    for width in (4, 8, 40, 128):
        assert int8_bytes(model(width)) == 2781 + 8 * width**2 + 4 * 8 * width
        assert written(model(width)) == 2269 + 4 * (8 * width**2 + 8 * width)


RIGHT_E3 = [
    (by_the_laws(4), rh.size_sweep([4]).ratios[0]),
    [by_the_laws(4, known=128), round(RATIO, 3)],
    (torch.tensor(0.96), torch.tensor(RATIO)),
    (0.981 * RATIO, 0.996 * RATIO),
    (1.019 * RATIO, 1.004 * RATIO),
]
WRONG_E3 = [
    ((0.979 * RATIO, RATIO), "The prediction is too low"),
    ((1.021 * RATIO, RATIO), "The prediction is too high"),
    ((4.0, RATIO), "for weights alone"),
    ((by_the_laws(4, int8_overhead=2269), RATIO), "too high: the INT8 file has more overhead"),
    ((by_the_laws(4, bias=1), RATIO), "counted as one byte"),
    ((1 / RATIO, RATIO), "The prediction is upside down"),
    ((-3.2, RATIO), "above zero"),
    ((RATIO, 1 / RATIO), "The measured ratio is upside down"),
    ((RATIO, ratio(8)), "at width 8"),
    ((RATIO, 4.0), "the weights alone"),
    ((RATIO, 1 - 1 / RATIO), "a share of the bytes"),
    ((RATIO, written(model(4))), "You measured bytes"),
    ((RATIO, RATIO * 1.006), "not the ratio of the two files at width 4"),
    ((RATIO, RATIO * 0.994), "0.95 is not the ratio"),
    ((RATIO, "3.2"), "as the ratio that you measured, not '3.2'"),
]


def test_a_wrong_prediction_leaves_a_right_measurement_right():
    verdict = rh.check("E3", (2 * RATIO, RATIO))
    assert list(map(str, verdict.correct)) == [
        "The ratio that you measured is that of the two files."
    ]
    assert len(rh.check("E3", (2 * RATIO, 2 * RATIO)).faults) == 2


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


WRONG_E7 = [
    (lambda m: [max(m, key=lambda x: x[2])[0]], "FP32, width 16 stays out: INT8, width 16"),
    (lambda m: [min(m, key=lambda x: x[1])[0]], "is missing"),
    (lambda m: [n for n, _, _ in m], "Every model was kept"),
    (lambda m: {n for n, _, _ in m} - set(by_comparing_all(m)), "others dominate"),
    (lambda m: [], "Nothing was chosen"),
    (lambda m: [n for n, s, a in m if not any(x < s and y > a for _, x, y in m)],
     "FP32, width 16 stays out: INT8, width 16 is no larger"),
    (lambda m: [n for n, s, a in m if not any(
        x <= s and y >= a and n != k for k, x, y in m)], "is missing"),
    (lambda m: list({x[1:]: x[0] for x in m if x[0] in by_comparing_all(m)}.values()),
     "A is just as good"),
    (lambda m: list({x[1:]: x[0] for x in m[::-1] if x[0] in by_comparing_all(m)}.values()),
     "B is just as good"),
    (lambda m: [*by_comparing_all(m), "FP32, width 16"] if len(m) > 4 else [],
     "FP32, width 16 stays out: INT8, width 16"),
    (lambda m: list(range(len(m))), "a list of names as the answer, not 0"),
    (lambda m: ["FP32, width 9"], "a list of names as the answer, not 'FP32, width 9'"),
    (lambda m: by_comparing_all(m)[0], "a list of names as the answer, not 'FP32, width 8'"),
    (["FP32, width 8"], "the function itself"),
]  # fmt: skip


def test_answers():
    right = {
        "E1": RIGHT_E1,
        "E3": RIGHT_E3,
        "E7": [by_comparing_all, by_sorting, lambda m: {*by_sorting(m)}],
    }
    judges_all(size_tasks, right, {"E1": WRONG_E1, "E3": WRONG_E3, "E7": WRONG_E7})


def test_the_models_of_e7_are_not_changed_by_an_answer():
    def emptied(models):
        kept = by_comparing_all(models)
        models.clear()
        return kept

    accepted("E7", emptied)
    accepted("E7", by_comparing_all)
    refused("E7", lambda m: by_comparing_all([(n, -s, a) for n, s, a in m]), "others dominate")
