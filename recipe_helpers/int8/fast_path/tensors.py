"""What a call asks of the tensors that it is given, before it takes their addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

# The name of what a module has packed, in its dictionary; copies and pickles leave it out.
KEPT = "_fast_packed"

_FLOAT = torch.float32


def is_plain(tensor: Any) -> bool:
    """Whether this is an ordinary float32 tensor in the CPU's memory."""
    return type(tensor) is Tensor and tensor.dtype is _FLOAT and tensor.is_cpu


def fit(states: Any, shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether these are contiguous initial states of these shapes, all plain; or None."""
    if states is None:
        return True
    if type(states) is not tuple or len(states) != len(shapes):
        return False
    for part, shape in zip(states, shapes, strict=False):  # is_plain in place: it costs a call
        if type(part) is not Tensor or part.dtype is not _FLOAT or not part.is_cpu:
            return False
        if part.shape != shape or not part.is_contiguous():
            return False
    return True
