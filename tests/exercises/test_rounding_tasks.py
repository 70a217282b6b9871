"""E4 and E9: several right solutions each, and typical wrong ones."""

import numpy as np
import pytest
import torch

import recipe_helpers as rh

from .made_up import accepted, refused_all

# --- E4 -------------------------------------------------------------------------------------------


def symmetric(numbers, largest=127.0, low=-127, bound=0.5):
    scale = float(numbers.abs().max()) / largest or 1.0
    integers = (numbers / scale).round().clamp(low, 127).to(torch.int8)
    return integers, scale, bound * scale


def as_torch_ao(numbers):
    return symmetric(numbers, 127.5, -128)


def with_the_helper(numbers):
    if not numbers.any():
        return torch.zeros_like(numbers, dtype=torch.int8), 1, 0
    rounding = rh.round_to_grid(numbers)
    return rounding.integers, rounding.scale, rounding.scale / 2


def in_numpy(numbers):
    values = numbers.double().numpy()
    scale = np.abs(values).max() / 127 or np.float64(1)
    return torch.from_numpy(np.rint(values / scale).astype(np.int8)), scale, scale / 2


def with_tensors(numbers):
    scale = (numbers.abs().max() / 127).clamp(min=1e-30)
    integers = (numbers / scale).round().char()
    error = (integers * scale - numbers).abs().max()  # this tensor's own largest error
    return integers, scale, error


def test_e4_accepts():
    for solution in (symmetric, as_torch_ao, with_the_helper, in_numpy, with_tensors):
        accepted("E4", solution)
    for largest in (116, 127.5):  # every grid that uses the range
        accepted("E4", lambda numbers, largest=largest: symmetric(numbers, largest, -128))


def outlier_cut(numbers):
    scale = float(numbers.abs().median()) / 40 or 1.0
    return (numbers / scale).round().clamp(-127, 127).to(torch.int8), scale, scale / 2


def shifted(numbers, by=0.3):
    """Rounded, but not to the nearest: errors reach 0.8 steps."""
    _, scale, bound = symmetric(numbers)
    return (numbers / scale + by).round().clamp(-127, 127).to(torch.int8), scale, bound


WRONG_E4 = [
    (shifted, "steps off; half a step is the most"),
    (lambda x: shifted(x, -0.05), "steps off; half a step is the most"),
    (lambda x: (*symmetric(x)[:2], symmetric(x)[1]), "larger than it need be"),
    (lambda x: symmetric(x, bound=0.51), "larger than it need be"),
    (lambda x: symmetric(x, bound=0.45), "more than the bound"),
    (lambda x: symmetric(x, bound=0), "more than the bound"),
    (lambda x: ((x / (s := symmetric(x)[1])).to(torch.int8), s, s / 2), "cut off"),
    (lambda x: ((x / (s := symmetric(x)[1])).floor().to(torch.int8), s, s / 2), "rounded down"),
    (lambda x: ((x / (s := max(float(x.max()) / 127, 1e-9))).round().clamp(-128, 127).to(
        torch.int8), s, s / 2), "which number decides"),
    (lambda x: ((x / (s := float(x.abs().max()) / 127.5 or 1)).round().to(torch.int8), s, s),
     "wrap around"),
    (lambda x: symmetric(x, 114), "Only 114 of the 127 steps on one side"),
    (lambda x: symmetric(x, 255), "more than int8 holds"),
    (outlier_cut, "int8"),
    (lambda x: (symmetric(x)[0].float(), *symmetric(x)[1:]), "as the integers, not a float32"),
    (lambda x: (symmetric(x)[0].tolist(), *symmetric(x)[1:]), "not something of type list"),
    (lambda x: symmetric(x)[:2], "not 2 parts"),
    (lambda x: ((x / (s := x.abs().max() / 127)).round().to(torch.int8), s, s / 2),
     "came up with a tensor of zeros"),
    (lambda x: (symmetric(x)[0], x.abs() / 127, 1.0), "as the scale, not a float32 tensor"),
    (lambda x: (symmetric(x)[0], float("nan"), 1.0), "finite number"),
    (lambda x: (symmetric(x)[0][:3], *symmetric(x)[1:]), "Give a tensor of shape ("),
    (lambda x: 1 / 0, "raised ZeroDivisionError"),
    (lambda x, scale: x, "raised TypeError"),
    (symmetric(torch.ones(3)), "the function itself"),
]  # fmt: skip


def test_e4_refuses():
    refused_all("E4", WRONG_E4)


# --- E9 -------------------------------------------------------------------------------------------


def by_rows(weight, largest=127.0, low=-127):
    scales = weight.abs().amax(dim=1) / largest
    scales = torch.where(scales > 0, scales, 1.0)
    integers = (weight / scales[:, None]).round().clamp(low, 127)
    return integers.to(torch.int8), scales


def one_row_after_the_other(weight):
    rows = [rh.round_to_grid(row, None if row.any() else 1.0) for row in weight]
    return torch.stack([row.integers for row in rows]), [row.scale for row in rows]


def with_columns_kept(weight):
    integers, scales = by_rows(weight)
    return integers, scales[:, None]


def by_pytorch(weight):
    scales = by_rows(weight, 127.5, -128)[1]
    zeros = torch.zeros(len(weight), dtype=torch.int64)
    quantized = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
    return quantized.int_repr(), quantized.q_per_channel_scales()


def by_int8_lstm(weight):
    from int8_rnn.scheme import Scheme
    from int8_rnn.weights import quantize_weight

    found = quantize_weight("weight", weight, Scheme(columns=False))
    return found.values, found.scale


@pytest.mark.filterwarnings("ignore:.*quantize_per_channel.*deprecated:UserWarning")
def test_e9_accepts():
    for solution in (by_rows, one_row_after_the_other, with_columns_kept, by_pytorch, by_int8_lstm):
        accepted("E9", solution)
    for largest in (116, 127.5):
        accepted("E9", lambda weight, largest=largest: by_rows(weight, largest, -128))


def per_tensor(weight):
    scale = weight.abs().max() / 127
    return (weight / scale).round().to(torch.int8), scale


WRONG_E9 = [
    (
        lambda w: (
            (w / by_rows(w)[1][:, None] + 0.3).round().clamp(-127, 127).to(torch.int8),
            by_rows(w)[1],
        ),
        "steps off; half a step is the most",
    ),
    (per_tensor, "one scale for the whole matrix"),
    (lambda w: (per_tensor(w)[0], per_tensor(w)[1].repeat(len(w))), "the scale of the largest"),
    (lambda w: (by_rows(w.T)[0].T, by_rows(w.T)[1]), "a scale for each column"),
    (lambda w: ((w / (s := w.abs().amax(1) / 127)[:, None]).round().to(torch.int8), s),
     "a row of zeros"),
    (lambda w: ((w / (s := by_rows(w)[1])[:, None]).to(torch.int8), s), "cut off"),
    (lambda w: ((w / (s := by_rows(w, 127.5)[1])[:, None]).round().to(torch.int8), s),
     "wrap around"),
    (lambda w: ((w / (s := w.amax(1).clamp(min=1e-9) / 127)[:, None]).round().clamp(-128, 127)
                .to(torch.int8), s), "which number decides"),
    (lambda w: by_rows(w, 7), "steps on one side"),
    (lambda w: by_rows(w, 255), "more than int8 holds"),
    (lambda w: (by_rows(w)[0].int(), by_rows(w)[1]), "not a int32 tensor"),
    (lambda w: (by_rows(w)[0], -by_rows(w)[1]), "not above zero"),
    (lambda w: (by_rows(w)[0].T, by_rows(w)[1]), "Give a tensor of shape ("),
    (lambda w: by_rows(w)[0], "not a int8 tensor"),
    (lambda w: (by_rows(w)[1], by_rows(w)[0]), "as the integers, not a float32"),
    (lambda w: (by_rows(w)[0], by_rows(w)[1][1:]), "scales for"),
    (lambda w: (by_rows(w)[0], 1 / by_rows(w)[1]), "steps"),
    (lambda w: (by_rows(w)[0], by_rows(w)[1] * torch.nan), "NaN"),
    (lambda w: w.quantise(), "raised AttributeError"),
]  # fmt: skip


def test_e9_refuses():
    refused_all("E9", WRONG_E9)


def test_a_function_that_changes_what_it_is_given_changes_nothing_else():
    def in_place(weight):
        integers, scales = by_rows(weight)
        weight.zero_()
        return integers, scales

    accepted("E9", in_place)
    accepted("E9", in_place)
