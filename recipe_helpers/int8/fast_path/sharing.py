"""Helpers: threads that take part in a layer, and that nobody waits for."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


@functools.cache
def helpers() -> ThreadPoolExecutor:
    """The threads that wait for work."""
    return ThreadPoolExecutor(
        max_workers=max(1, (os.cpu_count() or 2) - 1), thread_name_prefix="int8-lstm"
    )


if hasattr(os, "register_at_fork"):
    # A child process has none of its parent's threads: it makes its own.
    os.register_at_fork(after_in_child=helpers.cache_clear)


def share(
    take_part: Callable[[Any, int, int], None], plan: Any, blocks: int, threads: int, keep: Any
) -> None:
    """Run a layer here and on helpers, each beginning with its own share of the blocks.

    A helper that comes late finds the layer done; until then it holds `keep`, the buffers.
    """
    own = -(-blocks // threads)
    for helper in range(1, threads):
        try:
            helpers().submit(_help, take_part, plan, helper * own % blocks, own, keep)
        except RuntimeError:  # the interpreter is shutting down
            break
    take_part(plan, 0, own)


def _help(take_part: Any, plan: Any, start: int, own: int, keep: Any) -> None:
    take_part(plan, start, own)
