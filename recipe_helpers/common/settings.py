"""Change one of PyTorch's process-wide settings for a while, and put it back whatever happens."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# The two warnings that torch.ao's dynamic quantization raises: Python's and C++'s.
DEPRECATIONS = (
    (DeprecationWarning, r"torch\.ao\.quantization is deprecated"),
    (UserWarning, r"torch\.quantize_per_tensor.* are deprecated"),
)

BUDGET = "RECIPE_BUDGET"  # a variable of the environment


def silence_deprecations() -> None:
    """Silence exactly the two deprecation warnings of torch.ao, until the process ends.

    For a notebook that has told its reader once. Inside this package the context manager
    `deprecations_silenced` is used instead, which leaves the caller's filters alone.
    """
    for category, message in DEPRECATIONS:
        warnings.filterwarnings("ignore", message=message, category=category)


def time_to_measure(budget_s: float) -> float:
    """A time for a measurement, in seconds, or the share of it that RECIPE_BUDGET leaves of it.

    For whoever runs what is measured and does not look at the times, as the tests run notebooks.
    """
    return budget_s * float(os.environ.get(BUDGET) or 1)


@contextmanager
def deprecations_silenced() -> Iterator[None]:
    """Silence exactly the two deprecation warnings of torch.ao inside a `with` block."""
    with warnings.catch_warnings():
        silence_deprecations()
        yield


@contextmanager
def threads_set(threads: int | None) -> Iterator[int]:
    """Run a `with` block on so many intra-op threads (None: as many as now); yields the number."""
    before = torch.get_num_threads()
    try:
        if threads is not None and threads != before:
            torch.set_num_threads(threads)
        yield torch.get_num_threads()
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


@contextmanager
def engine_set(engine: str) -> Iterator[None]:
    """Run a `with` block with this quantized engine; quantized modules keep the one they got."""
    before = torch.backends.quantized.engine
    try:
        if engine != before:
            torch.backends.quantized.engine = engine
        yield
    finally:
        if torch.backends.quantized.engine != before:
            torch.backends.quantized.engine = before


@contextmanager
def without_onednn() -> Iterator[None]:
    """Run a `with` block without oneDNN, with PyTorch's own kernels for float32 instead."""
    before = torch._C._get_mkldnn_enabled()
    try:
        torch.backends.mkldnn.set_flags(False)
        yield
    finally:
        torch.backends.mkldnn.set_flags(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from PyTorch's generator as after `manual_seed(seed)`; its state is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        yield


@contextmanager
def default_dtype_set(dtype: torch.dtype) -> Iterator[None]:
    """Create tensors without a stated dtype in this one inside a `with` block."""
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)
        yield
    finally:
        torch.set_default_dtype(before)
