"""The residual of a weight matrix: a second line of integers for its coarsest rows.

    W[n]  ≈  s[n] · q[n]  +  s'[r] · q'[r]      for the rows n = rows[r], and s[n] · q[n] elsewhere

`weights.py` says which rows and why. A module keeps it as three buffers beside those of the
weight, and none where the weight has none.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..common.checks import describe
from ..common.errors import ModelError
from ..common.language import Text
from ..common.wording import joined


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


@functools.lru_cache(256)  # a linear layer asks at every call
def residual_names(weight: str) -> tuple[str, str, str]:
    """The names of the buffers of a weight's residual, in the order of `Residual`."""
    return f"{weight}_residual_rows", f"{weight}_residual", f"{weight}_residual_scale"


def has_residual(tensors: Mapping[str, Any], weight: str) -> bool:
    """Whether a weight among these has a residual, or a part of one."""
    return any(tensors.get(name) is not None for name in residual_names(weight))


def checked_residual(name: str, weight: Tensor, parts: Sequence[Any]) -> Residual:
    """These as the residual of a weight (N, K), which they can be, as everything else relies on.

    Raises:
        ModelError: One is missing, or its dtype, shape or content does not fit.
    """
    count, columns = weight.shape
    rows, values, scale = parts
    fits = all(isinstance(part, Tensor) for part in parts)
    fits = fits and [part.dtype for part in parts] == [torch.int64, torch.int8, torch.float32]
    fits = fits and [*map(len, map(Tensor.size, parts))] == [1, 2, 1]
    fits = fits and values.shape == (len(rows), columns) and scale.shape == rows.shape
    fits = fits and len(rows) > 0
    # What is traced, as torch.export does, has no content yet.
    if fits and rows.device.type != "meta" and not torch.compiler.is_compiling():
        first, last = int(rows[0]), int(rows[-1])
        fits = first >= 0 and last < count and bool((rows[1:] > rows[:-1]).all())
    if not fits:
        raise ModelError(
            Text(
                "the residual of {name} is {what}; for a weight of shape {shape} it is rising "
                "int64 row numbers below {count}, and int8 values and float32 scales for each.",
                name=name,
                what=joined([describe(part) for part in parts], ", "),
                shape=tuple(weight.shape),
                count=count,
            )
        )
    return Residual(rows, values, scale)
