"""Which rows of a sequence, packed or not, belong to which steps; `t` is a task of either layer."""

# The types of compiled functions stand in their decorators, where numba reads them.
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

import numba
import numpy as np

from .compiling import inner
from .intrinsics import at_address


@inner
def chunk_rows(t, begin):
    """First row and number of rows of the steps [begin, begin + chunk) in the order they run."""
    first = numba.carray(at_address(t.first_at), t.steps + 1, np.int64)
    end = min(begin + t.chunk, t.steps)
    low, high = (t.steps - end, t.steps - begin) if t.reverse else (begin, end)
    return first[low], first[high] - first[low]


@inner
def step_rows(t, step):
    """The first row of a step, its place within the chunk, and how many rows it has."""
    first = numba.carray(at_address(t.first_at), t.steps + 1, np.int64)
    base, _ = chunk_rows(t, step // t.chunk * t.chunk)
    s = t.steps - 1 - step if t.reverse else step
    return first[s], first[s] - base, first[s + 1] - first[s]
