"""E1, E3 and E7: several right solutions each, and typical wrong ones."""

import io

import torch

import recipe_helpers as rh

from .made_up import accepted, refused_all


def written(model):
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return file.tell()


def int8_bytes(model):
    return written(rh.quantize_dynamic(model))


def ratio(width):
    model = rh.demonstration(width=width).model
    return written(model) / int8_bytes(model)


# --- E1 -------------------------------------------------------------------------------------------


def law(few, many, size=written, count=lambda model: sum(p.numel() for p in model.parameters())):
    models = [rh.demonstration(width=width).model for width in (few, many)]
    (x1, y1), (x2, y2) = ((count(model), size(model)) for model in models)
    price = (y2 - y1) / (x2 - x1)
    return y1 - price * x1, price


def test_e1_accepts():
    for widths in ((4, 100), (8, 128), (40, 300)):
        accepted("E1", law(*widths))


INTERCEPT, PRICE = law(8, 80)
WRONG_E1 = [
    ((PRICE, INTERCEPT), "changed places"),
    ((INTERCEPT, written(rh.demonstration().model) / 576), "too high", "overhead in it"),
    (law(8, 80, count=lambda m: 4 * m.lstm.hidden_size**2 * 2), "a parameter missing"),
    (law(8, 80, count=lambda m: m.lstm.hidden_size), "per unit of width"),
    (law(8, 80, size=int8_bytes), "INT8 weight"),
    ((INTERCEPT, 1 / PRICE), "The price is upside down"),
    ((INTERCEPT, 8 * PRICE), "in bits"),
    ((INTERCEPT / 1000, PRICE / 1000), "price is in thousands", "intercept is in thousands"),
    ((written(rh.demonstration().model), PRICE), "a whole file"),
    ((0, PRICE), "not above zero"),
    ((INTERCEPT, -PRICE), "zero or below"),
    ((INTERCEPT * 2, PRICE), "too large"),
    ((INTERCEPT / 2, PRICE), "too small"),
    ((INTERCEPT * 1.1, PRICE), "too large"),
    ((5, PRICE), "no archive"),
    ((INTERCEPT, 3.0), "does not fit"),
    ((INTERCEPT, PRICE * 1.01), "too high"),
    ({"intercept": INTERCEPT}, "type dict"),
    ((INTERCEPT, float("inf")), "finite number"),
]


def test_e1_refuses():
    refused_all("E1", WRONG_E1)


# --- E3 -------------------------------------------------------------------------------------------

RATIO = ratio(4)


def by_the_laws(width, known=16, bias=4, int8_overhead=None):
    """Weights cost 4 bytes or 1, biases 4, and what is left of a known file is its overhead."""
    model = rh.demonstration(width=known).model
    fp32 = written(model) - 4 * (8 * known**2 + 8 * known)
    int8 = int8_overhead or int8_bytes(model) - 8 * known**2 - 4 * 8 * known
    weights, biases = 8 * width**2, 8 * width
    return (fp32 + 4 * weights + 4 * biases) / (int8 + weights + bias * biases)


def test_the_hint_of_e3_is_right_to_the_byte():
    for width in (4, 8, 40, 128):
        model = rh.demonstration(width=width).model
        assert int8_bytes(model) == 2781 + 8 * width**2 + 4 * 8 * width
        assert written(model) == 2269 + 4 * (8 * width**2 + 8 * width)


def test_e3_accepts():
    accepted("E3", (by_the_laws(4), rh.size_sweep([4]).ratios[0]))
    accepted("E3", [by_the_laws(4, known=128), round(RATIO, 3)])
    accepted("E3", (torch.tensor(0.96), torch.tensor(RATIO)))


def test_e3_takes_a_prediction_within_two_percent_and_no_other():
    for factor, right in ((0.979, False), (0.981, True), (1.019, True), (1.021, False)):
        verdict = rh.check("E3", (factor * RATIO, RATIO))
        assert verdict.right == right
        assert verdict.correct[0] == "The ratio that you measured is that of the two files."


WRONG_E3 = [
    ((4.0, RATIO), "for weights alone"),
    ((0.8, RATIO), "too low"),
    ((1.29, RATIO), "too high"),
    ((by_the_laws(4, int8_overhead=2269), RATIO), "too high: the INT8 file has more overhead"),
    ((by_the_laws(4, bias=1), RATIO), "counted as one byte"),
    ((RATIO, 1 / RATIO), "upside down"),
    ((1 / RATIO, RATIO), "The prediction is upside down"),
    ((RATIO, ratio(8)), "at width 8"),
    ((RATIO, ratio(80)), "at width 80"),
    ((RATIO, 4.0), "the weights alone"),
    ((RATIO, 1 - 1 / RATIO), "a share of the bytes"),
    ((RATIO, written(rh.demonstration(width=4).model)), "You measured bytes"),
    ((RATIO, RATIO * 1.02), "not the ratio of the two files at width 4"),
    ((-3.2, RATIO), "above zero"),
    ((float("nan"), RATIO), "finite number"),
    (RATIO, "not 0.95"),
    ((RATIO,), "not 1 parts"),
    (("3.2", RATIO), "not '3.2'"),
]


def test_e3_refuses():
    refused_all("E3", WRONG_E3)


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


def test_e7_accepts():
    for solution in SOLUTIONS:
        accepted("E7", solution)


WRONG_E7 = [
    (lambda m: [max(m, key=lambda x: x[2])[0]], "stays out"),
    (lambda m: [min(m, key=lambda x: x[1])[0]], "is missing"),
    (lambda m: [max(m, key=lambda x: x[2] / x[1])[0]], "is missing"),
    (lambda m: [n for n, _, _ in m], "Every model was kept"),
    (lambda m: {n for n, _, _ in m} - set(by_comparing_all(m)), "others dominate"),
    (lambda m: [], "Nothing was chosen"),
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
    (lambda m: list(range(len(m))), "a list of names as the answer, not 0"),
    (lambda m: by_comparing_all(m)[0], "a list of names"),
    (lambda m: by_comparing_all([(n, -s, a) for n, s, a in m]), "others dominate"),
    (lambda m: [n for n, _, a in m if a >= 0.9], "Every model was kept"),
    (lambda m: m[9], "raised IndexError"),
    (lambda: [], "raised TypeError"),
    (["FP32, width 8"], "the function itself"),
]  # fmt: skip


def test_e7_refuses():
    refused_all("E7", WRONG_E7)
