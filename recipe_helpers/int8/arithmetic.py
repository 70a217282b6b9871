"""Dynamic quantization in plain tensors: the arithmetic under the int8 modules.

One product of a float32 activation `x` (rows, K) with a float32 weight `W` (N, K) becomes

    q_w = round(W / c / s_w)          int8, once, when the model is converted (`weights.py`)
    q_x = round(x · c / s_x)          int16, at every call, by the data (`activations.py`)
    x Wᵀ ≈ (q_x q_wᵀ) · s_x · s_w     an exact integer product, rescaled to float32

with a scale `s_w` for each row of W, a power of two `c` for each of its columns, and a scale `s_x`
for each row of x. Order of operations, for whoever writes the same in faster code (float32, each
operation rounded by itself; `round` is to the nearest integer, ties to even):

    v[r, k]  = x[r, k] * c[k]                     exact; left out where W has no column scales

  16 bits and fewer, symmetric, the default:
    peak     = max |v[r, :]|                      of row r
    s_x      = max(peak / most, smallest_scale)   most = 2^(bits-1) - 1
    q_x      = round(v[r, k] * (1 / s_x))         0 where peak is not finite

  8 bits with a zero point, `activation_bits=8` (all but s_x and 1 / s_x in float64):
    low, high = min(v[r, :], 0), max(v[r, :], 0)  so that 0 stays exactly 0
    exact    = max((high - low) / 255, smallest_scale)
    z        = round(-low / exact)                0 to 255
    s_x      = float(exact)
    q_x      = clamp(round(float(v[r, k] * (1 / s_x) + z)), 0, 255) - z

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

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .activations import quantize_activations
from .scheme import (
    DEFAULT,
    INT32_MAX,
    SCHEMES,
    SMALLEST_NORMAL,
    TORCH_AO,
    Scheme,
    as_scheme,
    chosen_scheme,
    eight_bit,
    most_activation_bits,
)
from .weights import Int8Weight, column_scales, dequantize_weight, in_pairs, quantize_weight

__all__ = [
    "DEFAULT",
    "INT32_MAX",
    "SCHEMES",
    "SMALLEST_NORMAL",
    "TORCH_AO",
    "Int8Weight",
    "LayerWeights",
    "Scheme",
    "State",
    "as_scheme",
    "chosen_scheme",
    "column_scales",
    "dequantize_weight",
    "eight_bit",
    "in_pairs",
    "most_activation_bits",
    "quantize_activations",
    "quantize_weight",
    "run_gru_layer",
    "run_layer",
    "run_linear",
    "widen",
]

State = tuple[Tensor, Tensor]


def widen(values: Tensor) -> Tensor:
    """Integers as float64, whose products and sums are exact below 2^53, in any order.

    PyTorch's integer matmul is a plain loop; this one is the processor's fastest exact one.
    """
    return values.to(torch.float64)


def run_linear(
    data: Tensor,
    weight: Int8Weight,
    bias: Tensor | None,
    bits: int,
    scheme: Scheme = DEFAULT,
    wide: Tensor | None = None,
) -> Tensor:
    """`data` float32 (rows, K) times `weight` (N, K), plus `bias` (N,): float32 (rows, N).

    `wide` is `widen(weight.values)` where the caller keeps it for several calls.
    """
    if not len(data):
        return data.new_zeros(0, len(weight.values))
    if weight.columns is not None:
        data = data * weight.columns
    integers, scale = quantize_activations(data, bits, scheme)
    integers = widen(integers)

    def rescaled(values: Tensor, of_rows: Tensor) -> Tensor:
        accumulator = integers @ values.T
        if scheme.activations == "row":
            accumulator = accumulator.float()
        # Else still in float64, hence rounded once, like the fused multiply-add of the engines.
        return accumulator * (scale * of_rows)

    output = rescaled(widen(weight.values) if wide is None else wide, weight.scale)
    output = (output if bias is None else output + bias).float()
    if weight.residual is None:
        return output
    rows, values, of_rows = weight.residual
    return output.index_add(1, rows, rescaled(widen(values), of_rows).float())


class LayerWeights(NamedTuple):
    """One layer in one direction; all tensors contiguous, gates stacked: i, f, g, o or r, z, n.

    Attributes:
        ih: (gates·hidden, inputs), applied to the input of the layer.
        hh: (gates·hidden, outputs), applied to the hidden state; outputs = proj_size or hidden.
        bias_ih, bias_hh: float32 (gates·hidden,), or both None.
        hr: (proj_size, hidden), the projection of the hidden state, or None.
    """

    ih: Int8Weight
    hh: Int8Weight
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    hr: Int8Weight | None


def run_layer(
    data: Tensor,
    batch_sizes: Sequence[int],
    state: State,
    weights: LayerWeights,
    bits: int,
    scheme: Scheme = DEFAULT,
    reverse: bool = False,
) -> tuple[Tensor, State]:
    """Run one layer in one direction over all steps; the reference for every faster way.

    Args:
        data: The input of every step below that of the step before, float32
            (sum(batch_sizes), inputs), as in a PackedSequence.
        batch_sizes: How many rows each step has; never rising. A row keeps its place in the batch.
        state: Initial hidden state (batch, outputs) and cell state (batch, hidden); left as is.
        weights: The layer's weights.
        bits: Bits of every quantized activation.
        scheme: Where the scales come from.
        reverse: Whether to take the steps from the last to the first.

    Returns:
        The hidden state of every step, float32 (sum(batch_sizes), outputs), in the order of
        `data`, and the final state of every row: after its own last step, or its first if reverse.
    """
    run = _Layer(data, batch_sizes, weights, bits, scheme)
    hidden, cell = (part.clone() for part in state)
    outputs: list[Tensor] = []
    for step in run.steps[::-1] if reverse else run.steps:
        rows = len(step)  # the rows beyond have ended, or have not begun if reverse
        i, f, g, o = (step + run.recurrent(hidden[:rows])).chunk(4, dim=1)
        cell[:rows] = run.sigmoid(f) * cell[:rows] + run.sigmoid(i) * torch.tanh(g)
        output = run.sigmoid(o) * torch.tanh(cell[:rows])
        hidden[:rows] = output if weights.hr is None else run.project(output)
        outputs.append(hidden[:rows].clone())
    return torch.cat(outputs[::-1] if reverse else outputs), (hidden, cell)


def run_gru_layer(
    data: Tensor,
    batch_sizes: Sequence[int],
    hidden: Tensor,
    weights: LayerWeights,
    bits: int,
    scheme: Scheme = DEFAULT,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Run one layer of a GRU in one direction, as `run_layer` does of an LSTM.

    The gates are stacked in the order r, z, n (reset, update, new), the weights (3·hidden, ...):

        r = σ(W_ir x + b_ir + W_hr h + b_hr)
        z = σ(W_iz x + b_iz + W_hz h + b_hz)
        n = tanh(W_in x + b_in + r · (W_hn h + b_hn))
        h = n + z · (h - n)                           the same as (1 - z) · n + z · h

    Args:
        data: The input of every step, as in `run_layer`.
        batch_sizes: How many rows each step has.
        hidden: Initial hidden state (batch, hidden); left as is.
        weights: The layer's weights, without a projection.
        bits: Bits of every quantized activation.
        scheme: Where the scales come from.
        reverse: Whether to take the steps from the last to the first.

    Returns:
        The hidden state of every step, float32 (sum(batch_sizes), hidden), and the final one.
    """
    run = _Layer(data, batch_sizes, weights, bits, scheme)
    hidden = hidden.clone()
    outputs: list[Tensor] = []
    for step in run.steps[::-1] if reverse else run.steps:
        before = hidden[: len(step)]
        from_input, from_hidden = step.chunk(3, dim=1), run.recurrent(before).chunk(3, dim=1)
        r, z = (run.sigmoid(from_input[k] + from_hidden[k]) for k in range(2))
        n = torch.tanh(from_input[2] + r * from_hidden[2])
        outputs.append(n + z * (before - n))
        hidden[: len(step)] = outputs[-1]
    return torch.cat(outputs[::-1] if reverse else outputs), hidden


class _Layer:
    """What a layer computes alike for every kind of gates: its three matrix products.

    `steps` holds W_ih x + b_ih for each step, (rows of that step, gates · hidden).
    """

    def __init__(
        self,
        data: Tensor,
        batch_sizes: Sequence[int],
        weights: LayerWeights,
        bits: int,
        scheme: Scheme,
    ) -> None:
        linear = functools.partial(run_linear, bits=bits, scheme=scheme)
        # The whole input at once, which is what one scale per sequence means; else step by step.
        by_step = scheme.activations == "step"
        blocks = data.split(list(batch_sizes)) if by_step else [data]
        projected = torch.cat([linear(block, weights.ih, weights.bias_ih) for block in blocks])
        self.steps = projected.split(list(batch_sizes))
        self.recurrent: Callable[[Tensor], Tensor] = functools.partial(
            linear, weight=weights.hh, bias=weights.bias_hh, wide=widen(weights.hh.values)
        )
        if weights.hr is not None:
            self.project: Callable[[Tensor], Tensor] = functools.partial(
                linear, weight=weights.hr, bias=None, wide=widen(weights.hr.values)
            )
        self.sigmoid = _sigmoid if scheme.activations == "row" else torch.sigmoid


def _sigmoid(x: Tensor) -> Tensor:
    # torch.sigmoid rounds differently in the last few elements that a thread is given, so that a
    # row's bits would depend on the batch around it and on the threads; torch.tanh does not.
    return 0.5 * torch.tanh(0.5 * x) + 0.5
