"""The ways into the compiled code. Importing this module compiles it, or loads it from disk."""

from .layer import prepare, run
from .linear import linear
from .products import product

__all__ = ["linear", "prepare", "product", "run"]
