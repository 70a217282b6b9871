"""Dynamic quantization in plain tensors: the arithmetic of the modules, which kernels are held to.

One product of a float32 activation `x` (rows, K) with a float32 weight `W` (N, K) becomes

    q_w = round(W / c / s_w)          int8, once, when the model is converted (`weights.py`)
    q_x = round(x · c / s_x)          int16, at every call, by the data
    x Wᵀ ≈ (q_x q_wᵀ) · s_x · s_w     an exact integer product, rescaled to float32

with a scale `s_w` for each row of W, a power of two `c` for each of its columns, and a scale `s_x`
for each row of x. Order of operations, for whoever writes the same in faster code (float32, each
operation rounded by itself; `round` is to the nearest integer, ties to even):

    v[r, k]  = x[r, k] * c[k]                     exact; left out where W has no column scales

  symmetric, the input by default:
    peak     = max |v[r, :]|                      of row r
    s_x      = max(peak / most, smallest_scale)   most = 2^(bits-1) - 1
    q_x      = round(v[r, k] * (1 / s_x))         0 where peak is not finite

  with a zero point, the hidden state by default (all but s_x and 1 / s_x in float64):
    low, high = min(v[r, :], 0), max(v[r, :], 0)  so that 0 stays exactly 0
    exact    = max((high - low) / most, smallest_scale)    most = 2^bits - 1
    z        = round(-low / exact)                0 to most
    s_x      = float(exact)
    q_x      = clamp(round(float(v[r, k] * (1 / s_x) + z)), 0, most) - z

  and both:
    acc      = Σ_k q_x[r, k] · q_w[n, k]          fits int32, see `most_activation_bits`
    y[r, n]  = float(acc) * (s_x * s_w[n]) + bias[n]

  and in a row n that has a residual (q_n, s_n), in the end:
    y[r, n] += float(Σ_k q_x[r, k] · q_n[k]) * (s_x * s_n)

Schemes with one scale for several rows stand for the engines of PyTorch, which take a fused
multiply-add: there the last line is computed in float64 and rounded once.

A row that holds NaN or infinity has no scale: its results are NaN, the other rows do not notice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .scheme import EXACT, Scheme
from .weights import Int8Weight

# Since 2.14 the engines of PyTorch round a number of steps before they add the zero point, so that
# ties fall otherwise where it is odd.
_ENGINES_ROUND_FIRST = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 14)

States = tuple[Tensor, ...]
# (W_ih x + b_ih, W_hh h + b_hh, the states before, sigmoid) -> the states after
Cell = Callable[[Tensor, Tensor, States, Callable[[Tensor], Tensor]], States]


def quantize_activations(x: Tensor, bits: int, scheme: Scheme = EXACT) -> tuple[Tensor, Tensor]:
    """Quantize float32 activations (rows, K) with scales found in the data.

    Returns:
        Integers, int16 (rows, K), their zero point already taken off, and the scale, float32,
        (rows, 1) per row, or (1, 1).
    """
    extent = {"dim": 1} if scheme.activations == "row" else {"dim": (0, 1)}
    most = scheme.largest_integer(bits)
    if scheme.symmetric:
        scale = x.abs().amax(**extent, keepdim=True) / most
        zero_point = torch.zeros_like(scale)
    else:
        # In float64, as the engines do. The interval holds 0, so that 0 stays exactly 0.
        low = x.amin(**extent, keepdim=True).clamp(max=0).double()
        high = x.amax(**extent, keepdim=True).clamp(min=0).double()
        scale = ((high - low) / most).clamp(min=scheme.smallest_scale)
        zero_point = (-low / scale).round().float()
        scale = scale.float()
    scale = scale.clamp(min=scheme.smallest_scale)
    # In float64, so that product and sum are rounded once, before the integer is: the engines
    # take a fused multiply-add, and a tie must fall as theirs does.
    steps = x.double() * (1 / scale)
    if _ENGINES_ROUND_FIRST and scheme.activations != "row":
        integers = steps.float().round() + zero_point
    else:
        integers = (steps + zero_point).float().round()
    if not scheme.symmetric:
        integers = integers.clamp(0, most)
    # Without a finite peak: integers 0 and a scale of NaN or infinity, whose product is NaN.
    return (integers - zero_point).nan_to_num(nan=0.0).to(torch.int16), scale


class Product(NamedTuple):
    """A weight, and how the activations are quantized that it multiplies.

    Attributes:
        weight: (N, K); its integers may be float64, which spares each call the conversion.
        bits: Of the quantized activations.
        scheme: Where their scales come from.
    """

    weight: Int8Weight
    bits: int
    scheme: Scheme = EXACT


def run_linear(data: Tensor, weight: Int8Weight, bits: int, scheme: Scheme = EXACT) -> Tensor:
    """A `Product` with float32 activations (rows, K): float32 (rows, N)."""
    if data.shape[0] == 0:
        return data.new_zeros(0, len(weight.values))
    if weight.columns is not None:
        data = data * weight.columns
    integers, scale = quantize_activations(data, bits, scheme)
    integers = integers.double()

    def rescaled(values: Tensor, of_rows: Tensor) -> Tensor:
        # Exact below 2^53, in any order of the sums; PyTorch's integer matmul is a plain loop.
        accumulator = integers @ values.double().T
        if scheme.activations == "row":
            accumulator = accumulator.float()
        # Else still in float64, hence rounded once, like the fused multiply-add of the engines.
        return accumulator * (scale * of_rows)

    output = rescaled(weight.values, weight.scale)
    output = (output if weight.bias is None else output + weight.bias).float()
    if weight.residual is None:
        return output
    rows, values, of_rows = weight.residual
    return output.index_add(1, rows, rescaled(values, of_rows).float())


def lstm_cell(
    from_input: Tensor, from_hidden: Tensor, states: States, sigmoid: Callable[[Tensor], Tensor]
) -> States:
    """The gates of an LSTM, stacked i, f, g, o: the new hidden and cell state, not projected."""
    i, f, g, o = (from_input + from_hidden).chunk(4, dim=1)
    cell = sigmoid(f) * states[1] + sigmoid(i) * torch.tanh(g)
    return sigmoid(o) * torch.tanh(cell), cell


def gru_cell(
    from_input: Tensor, from_hidden: Tensor, states: States, sigmoid: Callable[[Tensor], Tensor]
) -> States:
    """The gates of a GRU, stacked r, z, n (reset, update, new): the new hidden state.

    r = σ(W_ir x + b_ir + W_hr h + b_hr)
    z = σ(W_iz x + b_iz + W_hz h + b_hz)
    n = tanh(W_in x + b_in + r · (W_hn h + b_hn))
    h = n + z · (h - n)                           the same as (1 - z) · n + z · h
    """
    r_x, z_x, n_x = from_input.chunk(3, dim=1)
    r_h, z_h, n_h = from_hidden.chunk(3, dim=1)
    n = torch.tanh(n_x + sigmoid(r_x + r_h) * n_h)
    return (n + sigmoid(z_x + z_h) * (states[0] - n),)


class Layer(NamedTuple):
    """One layer in one direction; gates stacked: i, f, g, o or r, z, n.

    Attributes:
        cell: `lstm_cell` or `gru_cell`.
        ih: (gates·hidden, inputs), applied to the input of the layer.
        hh: (gates·hidden, outputs), applied to the hidden state; outputs = proj_size or hidden.
        hr: (proj_size, hidden), the projection of the hidden state, or None.
        reverse: Whether it takes the steps from the last to the first.
    """

    cell: Cell
    ih: Product
    hh: Product
    hr: Product | None
    reverse: bool

    def step(self, from_input: Tensor, states: States) -> States:
        """The states after one step, from W_ih x + b_ih of that step and the states before."""
        # Rows decide for themselves, except in the schemes that stand for PyTorch's engines.
        sigmoid = stable_sigmoid if self.ih.scheme.activations == "row" else torch.sigmoid
        output, *others = self.cell(from_input, run_linear(states[0], *self.hh), states, sigmoid)
        return (output if self.hr is None else run_linear(output, *self.hr), *others)


def run_layer(
    layer: Layer, data: Tensor, states: States, batch_sizes: list[int] | None
) -> tuple[Tensor, States]:
    """Run one layer in one direction over all steps; the reference for every faster way.

    Args:
        layer: Its weights.
        data: float32 (steps, batch, inputs), or packed: (sum(batch_sizes), inputs), the input of
            every step below that of the step before, as in a PackedSequence.
        states: Initial hidden state (batch, outputs), and cell state (batch, hidden) of an LSTM;
            left as they are.
        batch_sizes: How many packed rows each step has; never rising. A row keeps its place in
            the batch.

    Returns:
        The hidden state of every step, in the form of `data`, and the final states of every row:
        after its own last step, or its first if reverse.
    """
    rows, sizes = data.flatten(0, -2), batch_sizes or [data.shape[1]] * len(data)
    # The whole input at once, which is what one scale per sequence means; else step by step.
    blocks = rows.split(sizes) if layer.ih.scheme.activations == "step" else [rows]
    steps = torch.cat([run_linear(block, *layer.ih) for block in blocks]).split(sizes)
    states = tuple(part.clone() for part in states)
    outputs: list[Tensor] = []
    for step in steps[::-1] if layer.reverse else steps:
        # The rows beyond have ended, or have not begun if reverse.
        after = layer.step(step, tuple(part[: len(step)] for part in states))
        for part, now in zip(states, after, strict=True):
            part[: len(step)] = now
        outputs.append(after[0])
    output = torch.cat(outputs[::-1] if layer.reverse else outputs)
    return output.view(*data.shape[:-1], output.shape[1]), states


def stable_sigmoid(x: Tensor) -> Tensor:
    """The logistic function, the same bits wherever in a tensor a number stands."""
    # torch.sigmoid rounds differently in the last few elements that a thread is given, so that a
    # row's bits would depend on the batch around it and on the threads; torch.tanh does not.
    return 0.5 * torch.tanh(0.5 * x) + 0.5
