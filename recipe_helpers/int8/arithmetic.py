"""Dynamic quantization in plain tensors: the arithmetic under `Int8LSTM` and `Int8Linear`.

One product of a float32 activation `x` (rows, K) with a float32 weight `W` (N, K) becomes

    q_w = round(W / s_w)              int8, once, when the model is converted
    q_x = round(x / s_x)              int16, at every call, with a scale found in the data
    x Wᵀ ≈ (q_x q_wᵀ) · s_x · s_w     an exact integer product, rescaled to float32

Order of operations under the default scheme, for whoever writes the same in faster code (float32,
each operation rounded by itself, `fma` once; `round` is to the nearest integer, ties to even):

    peak    = max |x[r, :]|                       of row r
    s_x     = max(peak / most, smallest_scale)    most = 2^(bits-1) - 1
    q_x     = round(x[r, k] * (1 / s_x))          0 where peak is not finite
    acc     = Σ_k q_x[r, k] · q_w[n, k]           fits int32, see `most_activation_bits`
    y[r, n] = fma(float(acc), s_x * s_w[n], bias[n])

A row that holds NaN or infinity has no scale: its results are NaN, the other rows do not notice.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..common.checks import one_of, positive_int
from ..common.errors import ArgumentError, ModelError

State = tuple[Tensor, Tensor]
INT32_MAX = 2**31 - 1
SMALLEST_NORMAL = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Scheme:
    """Where the scales come from. The defaults are those of `Int8LSTM`.

    Attributes:
        weights: one scale per output "channel" (a row of W), or one per "tensor".
        activations: one scale per "row" (per step and batch element), per "step" (over the
            batch), or per "sequence": the whole input of `W_ih`; the recurrent product only ever
            knows one step, so that "sequence" and "step" are the same there. A linear layer knows
            no steps: both mean one scale for its whole input.
        activation_bits: 4 to 16; None takes as many as an int32 accumulator can carry.
        symmetric: integers from -most to most and no zero point; False: integers from 0 to
            2^bits - 1 spread over [min, max] with a zero point (affine).
        weight_limit: the integer that stands for max |W|. 127.5 uses -128 as well.
        weight_candidates: how many scales are tried for each row of W, max |W| standing for 127,
            126, 125 ...; the one with the least squared error is kept: a slightly coarser grid
            often meets the other weights of a short row better. 1 takes the first.
        smallest_scale: scales of activations are not allowed to fall below it.
    """

    weights: str = "channel"
    activations: str = "row"
    activation_bits: int | None = None
    symmetric: bool = True
    weight_limit: float = 127.0
    weight_candidates: int = 8
    smallest_scale: float = SMALLEST_NORMAL

    def __post_init__(self) -> None:
        one_of("weights", self.weights, ("channel", "tensor"))
        one_of("activations", self.activations, ("row", "step", "sequence"))
        widest = 16 if self.symmetric else 15
        if self.activation_bits is not None:
            positive_int("activation_bits", self.activation_bits, most=widest)
            if self.activation_bits < 4:
                raise ArgumentError(
                    f"activation_bits is {self.activation_bits}; pass a number from 4 to {widest}."
                )
        one_of("weight_limit", self.weight_limit, (127.0, 127.5))
        positive_int("weight_candidates", self.weight_candidates, most=64)

    def largest_integer(self, bits: int) -> int:
        """The largest magnitude of a quantized activation, its zero point taken off."""
        return 2 ** (bits - 1) - 1 if self.symmetric else 2**bits - 1


DEFAULT = Scheme()
# What torch.ao's quantize_dynamic does on the engines x86 and fbgemm. It leaves the eighth bit of
# the activations unused, so that pairs of products cannot saturate 16 bits, and cuts scales off
# where half precision becomes subnormal.
TORCH_AO = Scheme("tensor", "sequence", 7, False, 127.5, 1, smallest_scale=6.1e-5)
SCHEMES = {"default": DEFAULT, "torch.ao": TORCH_AO}


def as_scheme(scheme: Scheme | str) -> Scheme:
    """A scheme by its name in `SCHEMES`, or as it is; ArgumentError otherwise."""
    return scheme if isinstance(scheme, Scheme) else SCHEMES[one_of("scheme", scheme, SCHEMES)]


class Int8Weight(NamedTuple):
    """A quantized weight matrix: `values` int8 (N, K); `scale` float32, (N,) or (1,)."""

    values: Tensor
    scale: Tensor


def most_activation_bits(columns: int, scheme: Scheme = DEFAULT) -> int:
    """How many bits activations may have so that no sum of `columns` products overflows int32.

    Every partial sum is at most columns · 128 (127 if symmetric) · the largest activation, in
    whatever order it is taken: 16 bits up to 516 columns, 15 up to 1032, 12 up to 8260.

    Returns:
        `scheme.activation_bits` if it is given.

    Raises:
        ArgumentError: The given bits, or even 4 bits, are too many for so many columns.
    """
    budget = INT32_MAX // (positive_int("columns", columns) * -int(-scheme.weight_limit // 1))
    widest = 16 if scheme.symmetric else 15
    fitting = [bits for bits in range(4, widest + 1) if scheme.largest_integer(bits) <= budget]
    asked = scheme.activation_bits
    if not fitting or (asked or 0) > fitting[-1]:
        raise ArgumentError(
            f"activation_bits is {asked}; sums of {columns} products with int8 weights "
            f"stay within int32 up to {fitting[-1] if fitting else 'fewer than 4'} bits: "
            "pass fewer bits or leave this layer in FP32."
        )
    return asked or fitting[-1]


def quantize_weight(name: str, weight: Tensor, scheme: Scheme = DEFAULT) -> Int8Weight:
    """Quantize a float32 weight (N, K) to int8 with one scale per row, or one for all of it.

    Raises:
        ModelError: It is not float32, is empty, or holds NaN or infinity.
    """
    if weight.dtype != torch.float32:
        raise ModelError(
            f"{name} is of {weight.dtype}; quantization starts from torch.float32: call .float()."
        )
    if not weight.numel() or not bool(weight.isfinite().all()):
        fault = "NaN or infinity" if weight.numel() else "no element"
        raise ModelError(f"{name} has {fault}; such a tensor has no scale: repair it first.")
    rows = weight.detach() if scheme.weights == "channel" else weight.detach().reshape(1, -1)
    # In blocks of 4 MiB, so that converting a model takes little memory beside it.
    blocks = [_quantize_rows(block, scheme) for block in rows.split(-(-(2**20) // rows.shape[1]))]
    values, scale = (torch.cat(parts) for parts in zip(*blocks, strict=True))
    return Int8Weight(values.view(weight.shape), scale)


def _quantize_rows(rows: Tensor, scheme: Scheme) -> tuple[Tensor, Tensor]:
    peak = rows.abs().amax(dim=1)
    scale, least = peak, torch.full_like(peak, torch.inf)
    for lower in range(scheme.weight_candidates):
        limit = scheme.weight_limit - lower
        candidate = (peak / limit).clamp(min=SMALLEST_NORMAL)
        # In units of the peak, which can neither underflow nor overflow.
        exact = rows * (1 / candidate)[:, None]
        error = torch.linalg.vector_norm(exact - exact.round().clamp(-128, 127), dim=1) / limit
        scale = torch.where(error < least, candidate, scale)
        least = torch.minimum(error, least)
    return (rows * (1 / scale)[:, None]).round().clamp(-128, 127).to(torch.int8), scale


def dequantize_weight(weight: Int8Weight) -> Tensor:
    """The float32 matrix (N, K) that the integers stand for."""
    return weight.values.float() * weight.scale[:, None]


def quantize_activations(x: Tensor, bits: int, scheme: Scheme = DEFAULT) -> tuple[Tensor, Tensor]:
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
    integers = (x.double() * (1 / scale) + zero_point).float().round()
    if not scheme.symmetric:
        integers = integers.clamp(0, most)
    # Without a finite peak: integers 0 and a scale of NaN or infinity, whose product is NaN.
    return (integers - zero_point).nan_to_num(nan=0.0).to(torch.int16), scale


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
    integers, scale = quantize_activations(data, bits, scheme)
    accumulator = widen(integers) @ (widen(weight.values) if wide is None else wide).T
    # Still in float64, hence rounded once, like the fused multiply-add of the engines.
    rescaled = accumulator * (scale * weight.scale)
    return (rescaled if bias is None else rescaled + bias).float()


class LayerWeights(NamedTuple):
    """One layer in one direction; all tensors contiguous, gates stacked in the order i, f, g, o.

    Attributes:
        ih: (4·hidden, inputs), applied to the input of the layer.
        hh: (4·hidden, outputs), applied to the hidden state; outputs = proj_size or hidden.
        bias_ih, bias_hh: float32 (4·hidden,), or both None.
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
    linear = functools.partial(run_linear, bits=bits, scheme=scheme)
    hidden, cell = (part.clone() for part in state)
    # The whole input at once, which is what one scale per sequence means; step by step otherwise.
    blocks = data.split(list(batch_sizes)) if scheme.activations == "step" else [data]
    projected = torch.cat([linear(block, weights.ih, weights.bias_ih) for block in blocks])
    wide_hh = widen(weights.hh.values)
    wide_hr = None if weights.hr is None else widen(weights.hr.values)
    sigmoid = _sigmoid if scheme.activations == "row" else torch.sigmoid

    outputs: list[Tensor] = []
    steps = projected.split(list(batch_sizes))
    for step in reversed(steps) if reverse else steps:
        rows = len(step)  # the rows beyond have ended, or have not begun if reverse
        gates = step + linear(hidden[:rows], weights.hh, weights.bias_hh, wide=wide_hh)
        i, f, g, o = gates.chunk(4, dim=1)
        cell[:rows] = sigmoid(f) * cell[:rows] + sigmoid(i) * torch.tanh(g)
        output = sigmoid(o) * torch.tanh(cell[:rows])
        if weights.hr is not None:
            output = linear(output, weights.hr, None, wide=wide_hr)
        hidden[:rows] = output
        outputs.append(output)
    return torch.cat(outputs[::-1] if reverse else outputs), (hidden, cell)


def _sigmoid(x: Tensor) -> Tensor:
    # torch.sigmoid rounds differently in the last few elements that a thread is given, so that a
    # row's bits would depend on the batch around it and on the threads; torch.tanh does not.
    return 0.5 * torch.tanh(0.5 * x) + 0.5
