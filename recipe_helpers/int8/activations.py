"""Quantize activations at every call, with scales found in the data."""

from __future__ import annotations

import torch
from torch import Tensor

from .scheme import DEFAULT, Scheme


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
