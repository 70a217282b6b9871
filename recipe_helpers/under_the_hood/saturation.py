"""Under the hood: int8 products that are added in pairs in 16 bits, and what saturates there.

x86 processors without VNNI multiply 8-bit integers with `vpmaddubsw`: unsigned times signed bytes,
each two neighbouring products added to one 16-bit integer *with saturation*: what does not fit is
cut off at the ends, -32768 and 32767. `vpmaddwd` then adds the pairs in 32 bits.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, PMADDUBSW.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..common import settings
from ..common.checks import describe
from ..common.errors import InputError
from ..recipe.model import working_engine

INT16_MIN, INT16_MAX = -(2**15), 2**15 - 1


def pair_sums(activations: Tensor, weights: Tensor) -> Tensor:
    """The exact sums of neighbouring products, before anything is cut off.

    Args:
        activations: uint8 (..., K).
        weights: int8 (N, K).

    Returns:
        int32 (..., N, K / 2, rounded up); an odd K gets a zero.

    Raises:
        InputError: types or shapes do not fit.
    """
    check_operands("activations", activations, torch.uint8, weights)
    products = activations.int().unsqueeze(-2) * weights.int()
    return pad(products, (0, products.shape[-1] % 2)).unflatten(-1, (-1, 2)).sum(-1).int()


def saturating_product(activations: Tensor, weights: Tensor) -> Tensor:
    """`activations @ weights.T` as `vpmaddubsw` and `vpmaddwd` compute it, in plain tensors.

    Args:
        activations: uint8 (..., K).
        weights: int8 (N, K).

    Returns:
        int32 (..., N).

    Raises:
        InputError: types or shapes do not fit.
    """
    saturated = pair_sums(activations, weights).clamp(INT16_MIN, INT16_MAX)
    return saturated.sum(-1, dtype=torch.int32)


def saturated_share(activations: Tensor, weights: Tensor) -> float:
    """The share of the pairs that do not fit into 16 bits; arguments and errors as above."""
    pairs = pair_sums(activations, weights)
    return float(((pairs < INT16_MIN) | (pairs > INT16_MAX)).double().mean())


def engine_product(activations: Tensor, weights: Tensor, *, engine: str | None = None) -> Tensor:
    """`activations @ weights.T` as PyTorch's quantized engine computes it with the full range.

    The engine takes floats and finds the scale itself. Integers that reach from 0 to 255 get the
    scale 1 and the zero point 0, so that they come out of it as they went in.

    Args:
        activations: uint8 (..., K) with 0 and 255 among them.
        weights: int8 (N, K).
        engine: "x86", "fbgemm", "qnnpack" or "onednn"; None for the current one, or one that works.

    Returns:
        int32 (..., N).

    Raises:
        InputError: types or shapes do not fit, or the activations do not reach from 0 to 255.
    """
    check_operands("activations", activations, torch.uint8, weights)
    if not activations.numel() or activations.min() != 0 or activations.max() != 255:
        raise InputError(
            "activations is a {what} that does not reach from 0 to 255; put both in, or the "
            "engine will choose another scale than 1.",
            what=describe(activations),
        )
    with settings.deprecations_silenced(), settings.engine_set(working_engine(engine)):
        quantized = torch.quantize_per_tensor(weights.float(), 1.0, 0, torch.qint8)
        packed = torch.ops.quantized.linear_prepack(quantized, None)
        result = torch.ops.quantized.linear_dynamic(activations.float(), packed, False)
    return result.round().int()


def integers(name: str, value: Any, dtype: torch.dtype, shape: str = "(..., K)") -> Tensor:
    """`value` if it is a tensor of this type and shape, (..., K) or (N, K); InputError if not."""
    fits = isinstance(value, Tensor) and value.dtype == dtype and value.dim()
    if fits and (shape == "(..., K)" or value.dim() == 2):
        return value
    raise InputError(
        "{name} is a {what}; pass a tensor {shape} of {kind}.",
        name=name,
        what=describe(value),
        shape=shape,
        kind=str(dtype).removeprefix("torch."),
    )


def check_operands(name: str, activations: Tensor, dtype: torch.dtype, weights: Tensor) -> None:
    """InputError unless these are activations (..., K) of this type and int8 weights (N, K)."""
    integers(name, activations, dtype)
    integers("weights", weights, torch.int8, "(N, K)")
    if activations.shape[-1] != weights.shape[1]:
        raise InputError(
            "{name} is a {activations} and weights a {weights}; pass rows of K numbers each, "
            "(..., K) and (N, K).",
            name=name,
            activations=describe(activations),
            weights=describe(weights),
        )
