"""The compiled path of the int8 modules: kernels that are made for this CPU when first needed."""

from .ready import FastPath, FastPathWarning, fast_path

__all__ = ["FastPath", "FastPathWarning", "fast_path"]
