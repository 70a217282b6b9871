"""Quantize a weight matrix, once: a scale for each row, and a power of two for each column.

Rows alone lose the weights of a column that is small throughout, as a feature measured in small
units makes it: beside its neighbours they are rounded to zero. Hence each column is divided by
its size first, and the activation that meets it multiplied by the same,

    x[k] · W[n, k]  =  (x[k] · c[k]) · (W[n, k] / c[k]),

with `c[k]` a power of two near the size of column k, relative to the largest (`column_scales`).
Multiplying by a power of two is exact. Where all columns are alike, c is 1 and nothing changes.

A row of large weights has large steps. All rows of a layer feed gates of the same range, so a few
rows that are far coarser than the others can make nearly all of its error. What the integers of
such a row leave over is quantized once more, by steps of its own: its residual (`residual_of`),

    W[n]  ≈  s[n] · q[n]  +  s'[r] · q'[r]      for the rows n = rows[r], and s[n] · q[n] elsewhere.

Source of the idea: residual quantization, Y. Chen, T. Guan, C. Wang, "Approximate nearest neighbor
search by residual vector quantization", Sensors 10 (2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .checks import describe, fits
from .errors import ModelError
from .scheme import DEFAULT, SMALLEST_NORMAL, Scheme

COARSE = 4.0  # times the step of the median row, from which a row has a residual
_ROUNDS = 4  # of balancing rows and columns; where they have settled, more change nothing


class Residual(NamedTuple):
    """What the integers of some rows of a weight matrix leave over, quantized as well.

    Attributes:
        rows: int64 (R,), which rows, in rising order.
        values: int8 (R, K).
        scale: float32 (R,).
    """

    rows: Tensor
    values: Tensor
    scale: Tensor


class Int8Weight(NamedTuple):
    """A quantized weight matrix.

    Attributes:
        values: int8 (N, K).
        scale: float32, (N,), or (1,) if the whole matrix shares it.
        columns: float32 (K,), powers of two, or None where columns have no scales.
        residual: Of the coarsest rows, or None where none is much coarser than the others.
        bias: What is added to its products, float32 (N,), or None.
    """

    values: Tensor
    scale: Tensor
    columns: Tensor | None = None
    residual: Residual | None = None
    bias: Tensor | None = None


def quantize_weight(
    name: str, weight: Tensor, scheme: Scheme = DEFAULT, *, residual: bool = False
) -> Int8Weight:
    """Quantize a float32 weight (N, K) to int8 by the rules of a scheme.

    Args:
        name: What to call it in an error.
        weight: The weight.
        scheme: The rules.
        residual: Whether its coarsest rows may have a residual, if the scheme has any.

    Raises:
        ModelError: It is not float32, is empty, or holds NaN or infinity.
    """
    if weight.dtype != torch.float32:
        raise ModelError(
            "{name} is of {dtype}; quantization starts from torch.float32: call .float().",
            name=name,
            dtype=str(weight.dtype),
        )
    if not weight.numel() or not bool(weight.isfinite().all()):
        raise ModelError(
            "{name} has {fault}; such a tensor has no scale: repair it first.",
            name=name,
            fault="NaN or infinity" if weight.numel() else "no element",
        )
    weight = weight.detach()
    columns = column_scales(weight) if scheme.columns else None
    one_scale = scheme.weights == "tensor"
    found = []
    for block in [weight] if one_scale else _blocks(weight):
        block = block if columns is None else block / columns
        found.append(_quantize_rows(block.reshape(1, -1) if one_scale else block, scheme))
    values, scale = (torch.cat(parts) for parts in zip(*found, strict=True))
    made = Int8Weight(values.view(weight.shape), scale, columns)
    if residual and scheme.residual and not one_scale:
        made = made._replace(residual=_residual(weight, made, scheme))
    return made


def _blocks(weight: Tensor) -> Sequence[Tensor]:
    """Its rows in blocks of 4 MiB, so that converting a model takes little memory beside it."""
    return weight.split(-(-(2**20) // weight.shape[1]))


def _residual(weight: Tensor, made: Int8Weight, scheme: Scheme) -> Residual | None:
    """The residual of those rows of a finite matrix (N, K) whose steps are far coarser than usual.

    That is more than `COARSE` times the median, rows of zeros left aside. A row that its integers
    hit anyway, as the only weight of a row always is, leaves nothing to quantize.
    """
    used = made.values.any(dim=1)
    if not bool(used.any()):
        return None
    rows = torch.nonzero(made.scale > COARSE * made.scale[used].median()).flatten()
    left, scale = weight[rows], made.scale[rows][:, None]
    if made.columns is not None:
        left = left / made.columns
    left = left - made.values[rows].float() * scale
    missed = (left.abs() > scale / 128).any(dim=1)
    if not bool(missed.any()):
        return None
    return Residual(rows[missed], *_quantize_rows(left[missed], scheme))


def checked_residual(name: str, shape: Sequence[int], parts: Sequence[Any]) -> Residual:
    """These as the residual of a weight of this shape, which everything else relies on."""
    (count, columns), (rows, values, scale) = shape, parts
    many = len(rows) if fits(rows, torch.int64, -1) else 0
    sound = many and fits(values, torch.int8, many, columns) and fits(scale, torch.float32, many)
    if sound and not rows.is_meta:
        rising = bool((rows.diff() > 0).all())
        sound = rising and int(rows[0]) >= 0 and int(rows[-1]) < count
    if not sound:
        raise ModelError(
            "the residual of {name} is {what}; for a weight of shape {shape} it is rising "
            "int64 row numbers below {count}, and int8 values and float32 scales for each.",
            name=name,
            what=", ".join(map(describe, parts)),
            shape=tuple(shape),
            count=count,
        )
    return Residual(rows, values, scale)


def column_scales(weight: Tensor) -> Tensor:
    """For each column of a finite matrix (N, K) its size as a power of two, float32 (K,).

    Rows and columns are balanced in turn: a column's size is the root mean square of its weights,
    each relative to the largest of its row, and that row is measured again with the columns
    divided by their sizes. Thus neither an outlying row spoils the columns nor the other way.

    The largest column has 1, as have columns of zeros; so the activations never overflow.
    """
    size = torch.ones(weight.shape[1], dtype=torch.float64)
    for _ in range(_ROUNDS):
        squares = torch.zeros_like(size)
        for block in _blocks(weight):
            relative = block.double().abs() / size
            largest = relative.amax(dim=1, keepdim=True).clamp(min=1e-300)
            squares += (relative / largest).square().sum(0)
        size = size * torch.where(squares > 0, squares.sqrt(), size.new_ones(()))
        size = size / size[squares > 0].amax() if bool((squares > 0).any()) else size
    # The power of two just above; columns within a factor of two of the largest have 1. By frexp
    # rather than a logarithm: the same bits on every machine.
    mantissa, exponent = torch.frexp(size)
    exponent = torch.where(mantissa == 0.5, exponent - 1, exponent)
    exponent = torch.where(squares > 0, exponent, 0).clamp(-126, 0)
    return torch.ldexp(torch.ones_like(size), exponent).float()


def _quantize_rows(rows: Tensor, scheme: Scheme) -> tuple[Tensor, Tensor]:
    peak, limit = rows.abs().amax(dim=1), scheme.weight_limit
    candidates = scheme.weight_candidates
    if scheme.pairs:
        # In units where the largest sum of two neighbours may be 128, and one of them 127.
        peak, limit = torch.maximum(_largest_pair(rows), peak * (128 / 127)), 128.0
        candidates = max(candidates, 2)  # rounding may lift 128 to 129, but not 127
    scale, least = peak, torch.full_like(peak, torch.inf)
    for lower in range(candidates):
        candidate = (peak / (limit - lower)).clamp(min=SMALLEST_NORMAL)
        # In units of the peak, which can neither underflow nor overflow.
        exact = rows * (1 / candidate)[:, None]
        integers = exact.round().clamp(-128, 127)
        error = torch.linalg.vector_norm(exact - integers, dim=1) / (limit - lower)
        better = error < least
        if scheme.pairs:
            better &= _largest_pair(integers) <= 128
        scale = torch.where(better, candidate, scale)
        least = torch.where(better, error, least)
    return (rows * (1 / scale)[:, None]).round().clamp(-128, 127).to(torch.int8), scale


def _largest_pair(rows: Tensor) -> Tensor:
    """The largest |w[2i]| + |w[2i+1]| of each row; an odd one out stands alone."""
    sizes = rows.abs()
    sums = sizes[:, ::2].clone()
    sums[:, : rows.shape[1] // 2] += sizes[:, 1::2]
    return sums.amax(dim=1)


def dequantize_weight(weight: Int8Weight) -> Tensor:
    """The float32 matrix (N, K) that the integers stand for."""
    rows = weight.values.float() * weight.scale[:, None]
    if weight.residual is not None:
        more = weight.residual.values.float() * weight.residual.scale[:, None]
        rows = rows.index_add(0, weight.residual.rows, more)
    return rows if weight.columns is None else rows * weight.columns
