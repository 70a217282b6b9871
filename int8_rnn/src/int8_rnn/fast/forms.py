"""What is known of a kernel without compiling one: forms of activations, and for which CPU."""

from __future__ import annotations

import os

import llvmlite.binding as llvm

WIDE, BYTES, FLOATS, WEIGHTS = range(4)  # see `products.py`
ROWS, TILES, PLANES, ONE_PLANE = range(4)  # see `ways.py`


def host() -> tuple[str, str, str]:
    """Triple, name and features of the CPU that code is made for; numba's variables count."""
    name, features = (os.environ.get(f"NUMBA_CPU_{part}") for part in ("NAME", "FEATURES"))
    if features is None:
        try:
            features = llvm.get_host_cpu_features().flatten()
        except RuntimeError:  # a system that LLVM cannot ask
            features = ""
    return llvm.get_process_triple(), name or llvm.get_host_cpu_name(), features


def is_exact(instruction: str) -> bool:
    """Whether this byte product never saturates, whatever the weights are."""
    return instruction not in ("", "pmaddubsw")
