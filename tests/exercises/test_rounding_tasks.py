"""E4 and E9: several right solutions each, and typical wrong ones."""

import torch

import recipe_helpers as rh
from recipe_helpers.exercises import rounding_tasks

from .made_up import accepted, judges_all

# --- E4 -------------------------------------------------------------------------------------------


def symmetric(numbers, largest=127.0, low=-127, bound=0.5):
    scale = float(numbers.abs().max()) / largest or 1.0
    integers = (numbers / scale).round().clamp(low, 127).to(torch.int8)
    return integers, scale, bound * scale


def with_the_helper(numbers):
    if not numbers.any():
        return torch.zeros_like(numbers, dtype=torch.int8), 1, 0
    rounding = rh.round_to_grid(numbers)
    return rounding.integers, rounding.scale, rounding.scale / 2


def on_grid(largest):
    return lambda values: symmetric(values, largest, -128)


RIGHT_E4 = [symmetric, with_the_helper]
RIGHT_E4 += [on_grid(116), on_grid(127.5)]  # every grid that uses the range


def shifted(numbers, by=0.3):
    """Rounded, but not to the nearest: errors reach 0.8 steps."""
    _, scale, bound = symmetric(numbers)
    return (numbers / scale + by).round().clamp(-127, 127).to(torch.int8), scale, bound


def grid(scale_of, rounded=torch.round, clamped=True):
    """A solution that gets its scale, or its integers, in some other way."""

    def solution(values):
        scale = float(scale_of(values)) or 1.0
        steps = rounded(values / scale)
        return (steps.clamp(-128, 127) if clamped else steps).to(torch.int8), scale, scale / 2

    return solution


def peak(values):
    return values.abs().max() / 127


WRONG_E4 = [
    (shifted, "steps off; half a step is the most"),
    (lambda x: shifted(x, -0.05), "steps off; half a step is the most"),
    (lambda x: symmetric(x, bound=0.51), "larger than it need be"),
    (lambda x: symmetric(x, bound=0.45), "more than the bound"),
    (grid(peak, torch.trunc), "cut off"),
    (grid(peak, torch.floor), "rounded down"),
    (grid(lambda x: max(float(x.max()) / 127, 1e-9)), "which number decides"),
    (grid(lambda x: x.abs().max() / 127.5, clamped=False), "wrap around"),
    (on_grid(114), "Only 114 of the 127 steps on one side"),
    (on_grid(129), "129 steps are more than int8 holds"),
    (lambda x: (*symmetric(x)[:1], -symmetric(x)[1], 1.0), "A scale is not above zero"),
    (lambda x: (symmetric(x)[0].float(), *symmetric(x)[1:]), "as the integers, not a float32"),
    (lambda x: symmetric(x)[:2], "not 2 parts"),
    (lambda x: ((x / (s := peak(x))).round().to(torch.int8), s, s / 2), "a tensor of zeros"),
    (lambda x: (symmetric(x)[0], x.abs() / 127, 1.0), "as the scale, not a float32 tensor"),
    (lambda x: (symmetric(x)[0][:3], *symmetric(x)[1:]), "Give a tensor of shape ("),
    (symmetric(torch.ones(3)), "the function itself"),
]


# --- E9 -------------------------------------------------------------------------------------------


def by_rows(weight, largest=127.0, low=-127):
    scales = weight.abs().amax(dim=1) / largest
    scales = torch.where(scales > 0, scales, 1.0)
    integers = (weight / scales[:, None]).round().clamp(low, 127)
    return integers.to(torch.int8), scales


def with_columns_kept(weight):
    integers, scales = by_rows(weight)
    return integers, scales[:, None]


def per_tensor(weight):
    scale = weight.abs().max() / 127
    return (weight / scale).round().to(torch.int8), scale


def scaled(scales_of, rounded=torch.round, clamped=True):
    """A solution that gets its scales, or its integers, in some other way."""

    def solution(weight):
        scales = scales_of(weight)
        steps = rounded(weight / scales[:, None])
        return (steps.clamp(-128, 127) if clamped else steps).to(torch.int8), scales

    return solution


def row_scales(weight):
    return by_rows(weight)[1]


WRONG_E9 = [
    (scaled(row_scales, lambda steps: (steps + 0.3).round()), "half a step is the most"),
    (per_tensor, "one scale for the whole matrix"),
    (lambda w: (per_tensor(w)[0], per_tensor(w)[1].repeat(len(w))), "the scale of the largest"),
    (lambda w: (by_rows(w.T)[0].T, by_rows(w.T)[1]), "a scale for each column"),
    (scaled(lambda w: w.abs().amax(1) / 127), "a row of zeros"),
    (scaled(row_scales, torch.trunc), "cut off"),
    (scaled(row_scales, torch.floor), "rounded down"),
    (scaled(lambda w: by_rows(w, 127.5)[1], clamped=False), "wrap around"),
    (scaled(lambda w: w.amax(1).clamp(min=1e-9) / 127), "which number decides"),
    (lambda w: by_rows(w, 7), "Only 7 of the 127 steps on one side"),
    (lambda w: by_rows(w, 255), "255 steps are more than int8 holds"),
    (lambda w: (by_rows(w)[0], -by_rows(w)[1]), "not above zero"),
    (lambda w: (by_rows(w)[0].T, by_rows(w)[1]), "Give a tensor of shape ("),
    (lambda w: (by_rows(w)[0], by_rows(w)[1][1:]), "There are 5 scales for 6 rows"),
    (lambda w: (by_rows(w)[0], by_rows(w)[1] * torch.nan), "as the scales, not NaN"),
]


def test_answers():
    right = [by_rows, with_columns_kept]
    right += [lambda w: by_rows(w, 116, -128), lambda w: by_rows(w, 127.5, -128)]
    wrong = {"E4": WRONG_E4, "E9": WRONG_E9}
    judges_all(rounding_tasks, {"E4": RIGHT_E4, "E9": right}, wrong)


def test_a_function_that_changes_what_it_is_given_changes_nothing_else():
    def in_place(weight):
        integers, scales = by_rows(weight)
        weight.zero_()
        return integers, scales

    accepted("E9", in_place)
    accepted("E9", in_place)
