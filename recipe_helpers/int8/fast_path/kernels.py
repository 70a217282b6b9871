"""The ways into the compiled code. Each is compiled, or loaded from disk, when it is first used.

Importing this module makes ready what every module needs; `product`, `prepare` and `run`, of the
kernel that works row by row, come when they are asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

from .dots import host_instruction, is_exact
from .packed_calls import packed_module, run_packed_linear
from .packed_layer import run_packed

__all__ = [
    "host_instruction",
    "is_exact",
    "packed_module",
    "run_packed",
    "run_packed_linear",
]

_LATER = {"product": "products", "prepare": "layer", "run": "layer", "run_linear": "packed_linear"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f".{_LATER[name]}", __package__), name)
    globals()[name] = found
    return found
