"""Names that kernels and their callers share; nothing is compiled or loaded for them."""

from __future__ import annotations

WIDE, BYTES, FLOATS, WEIGHTS = range(4)  # see `quantizing.py`
ROWS, TILES, PLANES, ONE_PLANE = range(4)  # see `ways.py`


def is_exact(instruction: str) -> bool:
    """Whether this byte product never saturates, whatever the weights are."""
    return instruction not in ("", "pmaddubsw")
