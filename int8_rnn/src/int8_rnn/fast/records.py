"""What Python and compiled code tell each other: forms of activations, and two records.

Nothing is compiled or loaded for these names. A form says what activations are when they meet a
weight (`quantizing.py` makes them, `dots.py` multiplies them):

    PLANES   integers of 16 bits in two bytes: all high ones of q + 32768, then all low ones
    BYTES    8 bits with a zero point z: one byte u = q + z
    WORDS    integers as they are, in 16 bits, for CPUs without an exact byte product
    FLOATS   the floats themselves, for float32 weights; WEIGHTS, for int8 weights
    ROWS     as WORDS, for weights as PyTorch stores them; `ways.py` alone
"""

from __future__ import annotations

import numpy as np

PLANES, BYTES, WORDS, FLOATS, WEIGHTS, ROWS = range(6)
X_BYTES = {PLANES: 2, BYTES: 1, WORDS: 2, FLOATS: 4, WEIGHTS: 4}  # of an activation
MARK = 16  # bytes before each row of activations: its scale (float32) and its offset (int32)

# A weight, and the form of what meets it. `more_at` is the record of its residual and `rows_at`
# which rows that has, 0 without one; `units` is 0 for a matrix without gates.
WEIGHT = np.dtype([(name, np.int64) for name in (
    "tiles_at", "terms_at", "columns_at", "more_at", "rows_at", "tile_bytes", "tiles", "steps",
    "q_bytes", "form", "vectors", "symmetric", "most", "inputs", "outputs", "units",
)])  # fmt: skip
TASK = np.dtype([(name, np.int64) for name in (
    # What a call passes. Addresses are 0 where there is nothing.
    "ih_at", "hh_at", "hr_at", "reverse", "y_step",  # of the layer
    "x_at", "y_at", "h0_at", "c0_at", "h_at", "c_at", "first_at", "steps", "batch",
    "sync_at", "threads",
    # What follows from it, and the working buffers.
    "chunk", "blocks", "base_at", "state_step", "pre_step", "spare_step",
    "cell_at", "unit_at", "state_at", "pre_at", "q_x_at", "q_h_at", "spare_at",
)])  # fmt: skip
NUMBERS = TASK.names.index("chunk")  # that a call passes
CALL_BYTES, TASK_BYTES = 8 * NUMBERS, TASK.itemsize
# What threads share: on cache lines of their own the published phase (from 1 on) and the blocks
# that are done, with how many phases and blocks there are and where the task is; then the claims,
# one for each block, of which there are no more than tiles.
DONE, PHASES, BLOCKS, WHERE, CLAIMS = 64, 72, 80, 88, 128


def is_exact(instruction: str) -> bool:
    """Whether this byte product (`dots.py`) never saturates, whatever the weights are."""
    return instruction not in ("", "pmaddubsw")
