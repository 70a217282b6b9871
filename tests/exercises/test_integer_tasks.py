"""E10 to E12: several right solutions each, and typical wrong ones."""

import itertools

import numpy as np
import torch

import recipe_helpers as rh
from recipe_helpers.under_the_hood.saturation import pair_sums

from .made_up import accepted, refused, refused_all

INPUTS = rh.demonstration().inputs  # (20, 1, 8)


def loud(step=-1, factor=1000.0):
    inputs = INPUTS.clone()
    inputs[step] *= factor
    return inputs


# --- E10 ------------------------------------------------------------------------------------------


def test_e10_accepts_a_loud_step_at_the_end():
    for step, factor in ((-5, 300), (-1, 1e6)):
        accepted("E10", loud(step, factor))


def test_e10_accepts_other_ideas():
    element = INPUTS.clone()
    element[-1, 0, 0] = 1e3
    accepted("E10", element)
    accepted("E10", torch.cat([INPUTS, 1e4 * INPUTS], dim=1))  # a loud neighbour in the batch
    accepted("E10", torch.cat([INPUTS.repeat(1, 3, 1), loud().repeat(1, 3, 1)]).requires_grad_())


WRONG_E10 = [
    (INPUTS, "of about one size"),
    (INPUTS * 1e6, "of about one size"),
    (INPUTS * 1e-6, "of about one size"),
    (torch.zeros_like(INPUTS), "zeros are exact"),
    (INPUTS[:1], "one row has the scale"),
    (loud(factor=20), "of about one size"),
    (torch.cat([INPUTS[:1], INPUTS[1:] * 1e4]), "torch.ao errs by"),
    (torch.cat([INPUTS * 1e4] * 3 + [INPUTS[:2]]), "torch.ao errs by"),
    (loud() * float("nan"), "NaN"),
    (loud() * float("inf"), "NaN or infinity"),
    (loud().double(), "not a float64 tensor"),
    (loud().int(), "not a int32 tensor"),
    (loud()[:, 0], "(steps, batch, 8)"),
    (loud()[..., :4], "(steps, batch, 8)"),
    (loud().repeat(100, 1, 1), "1000 steps and 1000 sequences are enough"),
    (loud().numpy(), "not something of type ndarray"),
    (torch.empty(0, 1, 8), "(steps, batch, 8)"),
    (lambda: loud(), "not something of type function"),
]


def test_e10_refuses():
    refused_all("E10", WRONG_E10)


def test_e10_sees_an_input_that_ruins_both():
    """One huge number beside tiny ones in every row: no grid of one scale serves such a row."""
    inputs = INPUTS.clone()
    inputs[..., 0] = 100.0
    refused("E10", inputs, "Int8LSTM loses it as well")


# --- E11 ------------------------------------------------------------------------------------------


def analytic(largest):
    return -2 * 128 * largest, 2 * 127 * largest


def every_product(levels):
    products = torch.arange(levels + 1)[:, None] * torch.arange(-128, 128)
    return 2 * products.min(), 2 * products.max()


def every_pair_of_corners(levels):
    corners = itertools.product((0, levels), (-128, 127))
    sums = [a * w + b * v for (a, w), (b, v) in itertools.product(list(corners), repeat=2)]
    return min(sums), max(sums)


def by_the_helper(levels):
    pairs = torch.tensor([[levels, levels]], dtype=torch.uint8)
    weights = torch.tensor([[-128, -128], [127, 127]], dtype=torch.int8)
    return tuple(pair_sums(pairs, weights).flatten().tolist())


def test_e11_accepts():
    for solution in (analytic, every_product, every_pair_of_corners, by_the_helper):
        accepted("E11", (solution, 128))
        accepted("E11", [solution, torch.tensor(128)])


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
    ((analytic, 255), "255 does not fit"),
    ((analytic, 256), "0 to 255"),
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
    ((lambda n: 254 * n, 128), "Give the smallest sum and the largest sum as the answer"),
    ((lambda n: (float("nan"), 254 * n), 128), "finite number"),
    ((lambda: (0, 0), 128), "raised TypeError"),
    ((lambda n: [][n], 128), "raised IndexError"),
    (analytic, "Give the function and the largest activation"),
    ((True, 128), "the function itself"),
]


def test_e11_refuses():
    refused_all("E11", WRONG_E11)


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


def step(lstm, x, hidden, cell, first=product, second=product, bias=1.0, order="ifgo", **how):
    sums = first(x, lstm.weight_ih_l0, **how) + second(hidden, lstm.weight_hh_l0, **how)
    sums = sums + lstm.bias_ih_l0 + bias * lstm.bias_hh_l0
    i, f, g, o = (sums.chunk(4, dim=-1)[order.index(gate)] for gate in "ifgo")
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def in_int64(lstm, x, hidden, cell):
    """With numbers moved to signed ones first, so that no correction is needed."""

    def signed(x, weight):
        integers, scale, zero = affine(x)
        weight_scale = weight.abs().max() / 127.5
        weights = (weight / weight_scale).round().clamp(-128, 127).long()
        return (integers.long() - zero) @ weights.T * (scale * weight_scale)

    return step(lstm, x, hidden, cell, signed, signed)


def in_numpy(lstm, x, hidden, cell):
    """One element after the other, in Python's own integers."""

    def product(x, weight):
        x, weight = x.double().numpy(), weight.detach().double().numpy()
        low, high = min(x.min(), 0), max(x.max(), 0)
        scale = (high - low) / 127
        zero = int(np.rint(-low / scale))
        scale_w = np.abs(weight).max() / 127.5
        q = np.clip(np.rint(x / scale) + zero, 0, 127).astype(int).tolist()
        w = np.clip(np.rint(weight / scale_w), -128, 127).astype(int).tolist()
        sums = [[sum((a - zero) * b for a, b in zip(r, s, strict=True)) for s in w] for r in q]
        return torch.tensor(np.array(sums) * scale * scale_w)

    found = step(lstm, x, hidden, cell, product, product)
    return [part.float() for part in found]


def test_e12_accepts():
    for solution in (step, in_int64, in_numpy):
        accepted("E12", solution)


def test_e12_knows_every_order_of_the_gates():
    for order in set(itertools.permutations("ifgo")) - {tuple("ifgo")}:
        refused("E12", variant(order=order), f"in the order {', '.join(order)}")


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
    (
        lambda lstm, x, h, c: lstm(x[None], (h[None], c[None]))[1],
        "a tensor of shape (1, 8) as the hidden state",
    ),
    (lambda lstm, x, h, c: [s[0] for s in lstm(x[None], (h[None], c[None]))[1]], "in floats"),
    (variant(levels=255), "from 0 to 255"),
    (variant(zero_point=False), "correction for the zero point"),
    (variant(second=exact), "the hidden state is still in floats"),
    (variant(first=float_weights, second=float_weights), "weights are still floats"),
    (variant(largest=127.0), "stands for 127.5"),
    (variant(bias=0.0), "One of the two biases"),
    (variant(order="iofg"), "in the order i, o, f, g"),
    (variant(order="ifog"), "in the order i, f, o, g"),
    (variant(order="gfoi"), "in the order g, f, o, i"),
    (lambda *a: step(*a)[::-1], "the hidden state comes first"),
    (by_sequence, "is off by"),
    (lambda *a: step(*a)[0], "not a float32 tensor of shape (1, 8)"),
    (lambda *a: [s.double() for s in step(*a)], "float64"),
    (lambda *a: [s * 2 for s in step(*a)], "is off by"),
    (lambda *a: [s * torch.nan for s in step(*a)], "NaN"),
    (lambda lstm, x, hidden: None, "raised TypeError"),
    (lambda *a: a[0].weight_xy, "raised AttributeError"),
    (rh.demonstration().inputs, "the function itself"),
]


def test_e12_refuses():
    refused_all("E12", WRONG_E12)
