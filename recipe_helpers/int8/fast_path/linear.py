"""A linear layer, 64 rows of its input at a time."""

# The types of compiled functions stand in their decorators, where numba reads them.
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

import numba
import numpy as np
from numba import types

from .compiling import INT64, compiled
from .intrinsics import at_address
from .products import block_product, pad_rows
from .rows import quantize_rows, rescale
from .tiles import INTEGER, LANES


@compiled(types.void(*[INT64] * 14))
def linear(
    product_at,
    most,
    x_at,
    rows,
    inputs,
    w_at,
    s_at,
    columns_at,
    outputs,
    bias_at,
    y_at,
    padded_at,
    q_at,
    s_x_at,
):
    """Int8Linear: y = q_x q_wᵀ · (s_x · s_w) + bias, 64 rows of x at a time."""
    if inputs < LANES:
        pad_rows(INTEGER, w_at, outputs, inputs, padded_at)
        w_at = padded_at
    s_x = numba.carray(at_address(s_x_at), 64, np.float32)
    for begin in range(0, rows, 64):
        count, out_at = min(64, rows - begin), y_at + 4 * begin * outputs
        quantize_rows(
            INTEGER, most, x_at + 4 * begin * inputs, inputs, columns_at, count, q_at, s_x_at
        )
        block_product(
            product_at, INTEGER, w_at, inputs, outputs, 0, q_at, count, out_at, 4 * outputs, 0
        )
        for r in range(count):
            rescale(INTEGER, out_at + 4 * r * outputs, outputs, s_at, bias_at, s_x[r])
