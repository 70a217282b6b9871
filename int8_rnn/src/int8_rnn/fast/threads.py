"""Helpers: threads that take part in a layer, and that nobody waits for."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

# Below this many multiply-adds in a layer, and in one step, a second thread costs more than it
# brings: handing the work over takes some 80 µs, and meeting after each step 1 µs.
WORTH_A_THREAD = 64_000_000
WORTH_A_SHARE = 1_000_000
OVER = 2**62  # a phase that no call has


def threads_for(allowed: int, work: int, steps: int) -> int:
    """How many threads share so many multiply-adds, in so many steps."""
    if allowed == 1 or work < WORTH_A_THREAD:
        return 1
    return max(1, min(allowed, work // steps // WORTH_A_SHARE))


@functools.cache
def _helpers() -> ThreadPoolExecutor:
    """The threads that wait for work."""
    count = max(1, (os.cpu_count() or 2) - 1)
    return ThreadPoolExecutor(count, thread_name_prefix="int8-rnn")


if hasattr(os, "register_at_fork"):
    # A child process has none of its parent's threads: it makes its own.
    os.register_at_fork(after_in_child=_helpers.cache_clear)


def run_with(
    run: Callable[[bytes, int], int], call: bytes, threads: int, sync: np.ndarray, keep: Any
) -> int:
    """Run a call with helpers; one that comes late, or waits for what never began, goes home."""
    try:
        for helper in range(1, threads):
            with contextlib.suppress(RuntimeError):  # the interpreter is shutting down
                _helpers().submit(_help, run, call, helper, (sync, keep))
        return run(call, 0)
    finally:
        sync[0] = OVER


def _help(run: Callable[[bytes, int], int], call: bytes, helper: int, keep: Any) -> None:
    run(call, helper)
