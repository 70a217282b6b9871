"""E10 to E12: several right solutions each, and typical wrong ones."""

import itertools

import numpy as np
import torch

import recipe_helpers as rh
from recipe_helpers.exercises import integer_tasks

from .made_up import judges_all, refused

INPUTS = rh.demonstration().inputs  # (20, 1, 8)


def loud(step=-1, factor=1000.0):
    inputs = INPUTS.clone()
    inputs[step] *= factor
    return inputs


# --- E10 ------------------------------------------------------------------------------------------

ELEMENT = INPUTS.clone()
ELEMENT[-1, 0, 0] = 1e3


def one_feature(size):
    inputs = INPUTS.clone()
    inputs[..., 0] = size
    return inputs


RIGHT_E10 = [
    loud(-1, 1e6),
    ELEMENT,
    torch.cat([INPUTS, 1e4 * INPUTS], dim=1),  # a loud neighbour in the batch
    torch.cat([INPUTS.repeat(1, 3, 1), loud().repeat(1, 3, 1)]).requires_grad_(),
    loud().repeat(50, 1, 1),  # 1000 steps
]
WRONG_E10 = [
    (INPUTS, "of about one size"),
    (torch.zeros_like(INPUTS), "zeros are exact"),
    (INPUTS[:1], "one row has the scale"),
    (loud(factor=20), "of about one size"),
    (torch.cat([INPUTS[:1], INPUTS[1:] * 1e4]), "of about one size"),
    (torch.cat([INPUTS * 1e4] * 3 + [INPUTS[:2]]), "of about one size"),
    (loud() / 1000, "the direction is right", "25% are asked for"),  # the biases decide
    (loud() * float("nan"), "NaN"),
    (loud()[:, 0], "(steps, batch, 8)"),
    (loud()[..., :4], "(steps, batch, 8)"),
    (loud().repeat(51, 1, 1), "1000 steps and 1000 sequences are enough"),
    (loud().repeat(1, 1001, 1), "1000 steps and 1000 sequences are enough"),
    # No grid of one scale serves a row of one large number and small ones.
    (one_feature(100.0), "Int8LSTM loses it as well, by 5"),
    (one_feature(1000.0), "one feature is loud in every row"),
    (torch.empty(0, 1, 8), "(steps, batch, 8)"),
]


# --- E11 ------------------------------------------------------------------------------------------


def analytic(largest):
    return -2 * 128 * largest, 2 * 127 * largest


def every_product(levels):
    products = torch.arange(levels + 1)[:, None] * torch.arange(-128, 128)
    return 2 * products.min(), 2 * products.max()


RIGHT_E11 = [(analytic, 128), [every_product, torch.tensor(128)]]


def by_chance(levels):
    generator = torch.Generator().manual_seed(0)
    a = torch.randint(levels + 1, (500, 2), generator=generator)
    w = torch.randint(-128, 128, (500, 2), generator=generator)
    sums = (a * w).sum(1)
    return int(sums.min()), int(sums.max())


def in_eight_bits(levels):
    with np.errstate(over="ignore"):
        high = np.int64(2 * levels * 127).astype(np.int8)
    return np.int64(-2 * 128 * levels).astype(np.int8), high


WRONG_E11 = [
    ((analytic, 127), "try one more"),
    ((analytic, 129), "129 does not fit"),
    ((analytic, 256), "0 to 255"),
    ((analytic, -1), "0 to 255"),
    ((analytic, 7.5), "a whole number"),
    ((lambda n: (-300 * n, 300 * n), 128), "No pair of products reaches"),
    ((lambda n: (-128 * n, 127 * n), 128), "extremes of one product"),
    ((lambda n: (-254 * n, 254 * n), 128), "one side has one more"),
    ((lambda n: (-256 * n, 256 * n), 128), "No weight is 128"),
    ((lambda n: (-254 * n, 256 * n), 128), "No weight is 128"),
    ((lambda n: (0, 254 * n), 128), "Weights have a sign"),
    ((lambda n: analytic(n)[::-1], 128), "changed places"),
    ((lambda n: (max(-256 * n, -32768), min(254 * n, 32767)), 128), "cut off at 16 bits"),
    ((in_eight_bits, 128), "wrapped to 8 bits"),
    ((by_chance, 128), "has to look at every integer"),
    ((lambda n: analytic(min(n, 128)), 128), "came up with activations from 0 to 255"),
    ((lambda n: 254 * n, 128), "Give the smallest sum and the largest sum as the answer"),
    ((lambda n: (-256 * n, 254.5 * n), 128), "a whole number as the largest sum"),
    ((lambda n: analytic(n + 1), 200), "No pair of products", "200 does not fit"),
    (analytic, "Give the function and the largest activation"),
]


# --- E12 ------------------------------------------------------------------------------------------


def affine(x, levels=127):
    low, high = x.min().clamp(max=0), x.max().clamp(min=0)
    scale = (high - low) / levels
    zero = (-low / scale).round()
    return (x / scale + zero).round().clamp(0, levels).int(), scale, zero.int()


def product(x, weight, levels=127, largest=127.5, zero_point=True):
    weight_scale = weight.abs().max() / largest
    weights = (weight / weight_scale).round().clamp(-128, 127).int()
    integers, scale, zero = affine(x, levels)
    sums = integers @ weights.T
    if zero_point:
        sums = sums - zero * weights.sum(1, dtype=torch.int32)
    return sums * (scale * weight_scale)


def step(
    lstm, x, hidden, cell, first=product, second=product, bias=1.0, both=1.0, order="ifgo", **how
):
    sums = first(x, lstm.weight_ih_l0, **how) + second(hidden, lstm.weight_hh_l0, **how)
    sums = sums + both * (lstm.bias_ih_l0 + bias * lstm.bias_hh_l0)
    i, f, g, o = (sums.chunk(4, dim=-1)[order.index(gate)] for gate in "ifgo")
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def exact(x, weight, **_):
    return x @ weight.T


def float_weights(x, weight, **_):
    integers, scale, zero = affine(x)
    return (integers - zero) * scale @ weight.T


def variant(**how):
    return lambda lstm, x, hidden, cell: step(lstm, x, hidden, cell, **how)


def by_sequence(lstm, x, hidden, cell):
    """Right for one sequence: each of a batch has scales of its own."""
    found = [step(lstm, *(part[i : i + 1] for part in (x, hidden, cell))) for i in range(len(x))]
    return [torch.cat(states) for states in zip(*found, strict=True)]


WRONG_E12 = [
    (variant(first=exact, second=exact), "nothing was rounded"),
    (lambda lstm, x, h, c: [s[0] for s in lstm(x[None], (h[None], c[None]))[1]], "in floats"),
    (lambda lstm, x, h, c: lstm(x[None], (h[None], c[None]))[1], "of shape (1, 8) as the hidden"),
    (variant(levels=255), "from 0 to 255"),
    (variant(zero_point=False), "correction for the zero point"),
    (variant(second=exact), "the hidden state is still in floats"),
    (variant(first=exact), "is off by"),
    (variant(first=float_weights, second=float_weights), "weights are still floats"),
    (variant(largest=127.0), "stands for 127.5"),
    (variant(largest=128.0), "stands for 127.5"),
    (variant(bias=0.0), "One of the two biases"),
    (variant(both=0.0), "The biases are missing"),
    *((variant(order=order), f"in the order {', '.join(order)}")
      for order in itertools.permutations("ifgo") if "".join(order) != "ifgo"),
    (lambda *a: step(*a)[::-1], "the hidden state comes first"),
    (by_sequence, "is off by"),
    (lambda *a: step(*a)[0], "not a float32 tensor of shape (1, 8)"),
    (lambda *a: [step(*a)[0], step(*a)[1] * 1.001], "is off by"),
]  # fmt: skip


def test_answers():
    right = {"E10": RIGHT_E10, "E11": RIGHT_E11, "E12": [step]}
    wrong = {"E10": WRONG_E10, "E11": WRONG_E11, "E12": WRONG_E12}
    judges_all(integer_tasks, right, wrong)


def test_one_case_of_e12_may_fall_the_other_way_at_a_tie_and_no_two():
    def beside(*widths):
        def solution(lstm, x, hidden, cell):
            moved = 1e-3 * ((lstm.hidden_size, len(x)) in widths)
            return [state + moved for state in step(lstm, x, hidden, cell)]

        return solution

    assert rh.check("E12", beside((8, 3))).right
    refused("E12", beside((8, 3), (20, 2)), "is off by")
