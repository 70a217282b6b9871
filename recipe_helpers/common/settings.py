"""Change one of PyTorch's process-wide settings for a while, and put it back whatever happens."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

# The two warnings that torch.ao's dynamic quantization raises: Python's and C++'s.
DEPRECATIONS = (
    (DeprecationWarning, r"torch\.ao\.quantization is deprecated"),
    (UserWarning, r"torch\.quantize_per_tensor.* are deprecated"),
)
BUDGET = "RECIPE_BUDGET"  # a variable of the environment


def time_to_measure(budget_s: float) -> float:
    """A time for a measurement, in seconds, or the share of it that RECIPE_BUDGET leaves of it.

    For whoever runs what is measured and does not look at the times, as the tests run notebooks.
    """
    return budget_s * float(os.environ.get(BUDGET) or 1)


def silence_deprecations() -> None:
    """Silence exactly the two deprecation warnings of torch.ao, until the process ends.

    For a notebook that has told its reader once. Inside this package the context manager
    `deprecations_silenced` is used instead, which leaves the caller's filters alone.
    """
    for category, message in DEPRECATIONS:
        warnings.filterwarnings("ignore", message=message, category=category)


@contextmanager
def deprecations_silenced() -> Iterator[None]:
    """Silence exactly the two deprecation warnings of torch.ao inside a `with` block."""
    with warnings.catch_warnings():
        silence_deprecations()
        yield


@contextmanager
def _changed(get: Callable[[], Any], change: Callable[[Any], object], value: Any) -> Iterator[Any]:
    """Run a `with` block with another value of a setting, and yield what it is there."""
    before = get()
    try:
        # Setting the number of threads to what it is would start them.
        if value is not None and value != before:
            change(value)
        yield get()
    finally:
        if get() != before:
            change(before)


def threads_set(threads: int | None) -> Any:
    """A `with` block on so many intra-op threads (None: as many as now); yields the number."""
    return _changed(torch.get_num_threads, torch.set_num_threads, threads)


def engine_set(engine: str) -> Any:
    """A `with` block with this quantized engine; quantized modules keep the one they got."""
    engines = torch.backends.quantized
    return _changed(lambda: engines.engine, lambda name: setattr(engines, "engine", name), engine)


def default_dtype_set(dtype: torch.dtype) -> Any:
    """A `with` block in which tensors without a stated dtype get this one."""
    return _changed(torch.get_default_dtype, torch.set_default_dtype, dtype)


@contextmanager
def without_onednn() -> Iterator[None]:
    """A `with` block without oneDNN, with PyTorch's own kernels for float32 instead.

    Not by `mkldnn.flags`, which sets other flags as well, and warns of them.
    """
    before, *_ = torch.backends.mkldnn.set_flags(False)
    try:
        yield
    finally:
        torch.backends.mkldnn.set_flags(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from PyTorch's generator as after `manual_seed(seed)`; its state is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        yield
