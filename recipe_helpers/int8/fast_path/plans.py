"""What of a call follows from its sizes alone: how it is split up, and its working buffers."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

# Below this many multiply-adds in a layer, and in one step, a second thread costs more than it
# brings: handing the work over takes some 80 µs, and meeting after each step 1 µs.
_WORTH_A_THREAD = 64_000_000
_WORTH_A_SHARE = 1_000_000
_BLOCKS_PER_THREAD = 4
CHUNK_ROWS = 64  # rows of input that one pass over W_ih serves
LANES, _COLUMNS = 16, 4  # as in tiles.py
# W_hh is widened to int16 where the copy, of two bytes a weight, stays in a core's second cache
# beside the rest, and where the steps repay it.
_WIDENED_WEIGHTS = 1 << 17
_WIDENED_STEPS = 4
_KEPT_BYTES = 1 << 20  # working buffers up to this size are kept for the next call
ARITHMETIC = ("float", "weights", "integer")  # the kinds of tiles.py


class Plan:
    """The part of a `Task` that follows from the sizes, and its working buffers.

    One call at a time uses a plan, and gives it back; helpers may come late, hence a plan for
    several threads serves once.
    """

    def __init__(
        self, kind: int, most: int, batch_sizes: tuple[int, ...], inputs: int, hidden: int,
        outputs: int, reverse: int, directions: int, allowed: int,
    ) -> None:  # fmt: skip
        from .products import product  # compiled where there is a use for it

        self.first = np.fromiter(itertools.accumulate(batch_sizes, initial=0), np.int64)
        steps, batch = len(batch_sizes), batch_sizes[0]
        chunk = min(steps, max(1, CHUNK_ROWS // batch))
        work = 4 * hidden * (inputs + outputs) * int(self.first[-1])
        self.threads = threads_for(allowed, work, work // steps)
        self.blocks = (
            1 if self.threads == 1 else min(self.threads * _BLOCKS_PER_THREAD, -(-hidden // 4))
        )
        widened = self.threads == 1 and _widened(kind, steps, batch, 4 * hidden * outputs)
        rows = chunk * batch
        ends = ends_of(_sizes(kind, inputs, outputs, hidden, rows, batch, self.blocks, widened))
        self.room = torch.empty(ends[-1] + 64, dtype=torch.int8, device="cpu").numpy()
        start = -(-self.room.ctypes.data // 64) * 64
        self.task = np.array(
            [0] * 17 + [
                kind, most, steps, batch, inputs, hidden, outputs, outputs != hidden, reverse,
                chunk, self.blocks, widened, directions * outputs, product.address,
                self.first.ctypes.data, *(start + end for end in ends[:-1]),
            ], np.int64,
        )  # fmt: skip
        self.task_at = self.task.ctypes.data
        self.small = ends[-1] < _KEPT_BYTES


@functools.lru_cache(maxsize=64)
def spare_plans(key: tuple[Any, ...]) -> list[Plan]:
    """Plans for these sizes that no call is using; popping and appending are atomic."""
    return []


def padded_depth(width: int) -> int:
    """A row length rounded up to LANES, as in rows.py."""
    return -(-width // LANES) * LANES


def _sizes(
    kind: int, inputs: int, outputs: int, hidden: int, rows: int, batch: int, blocks: int,
    widened: bool,
) -> tuple[int, ...]:  # fmt: skip
    """Bytes of the working buffers in the order of `Task`; `rows` of input share a product."""
    row = LANES * (4 if ARITHMETIC[kind] == "float" else 1)
    element = 2 if ARITHMETIC[kind] == "integer" else 4
    projected = outputs != hidden
    return (
        4 * hidden * row * (inputs < LANES),
        8 * hidden * max(outputs, LANES) if widened else 4 * hidden * row * (outputs < LANES),
        outputs * row * (projected and hidden < LANES),
        rows * padded_depth(inputs) * element,
        4 * rows,
        batch * padded_depth(outputs) * element,
        4 * batch,
        batch * padded_depth(hidden) * element * projected,
        4 * batch * projected,
        4 * batch * hidden * projected,
        16 * rows * hidden,
        16 * batch * hidden,
        8 * (16 + blocks),
    )


def _widened(kind: int, steps: int, batch: int, weights: int) -> bool:
    """Whether one thread widens a W_hh of so many weights first."""
    few = batch < _COLUMNS  # more rows of activations share the sign extension
    fits = weights <= _WIDENED_WEIGHTS and steps >= _WIDENED_STEPS
    return ARITHMETIC[kind] == "integer" and few and fits


def ends_of(sizes: Iterable[int]) -> tuple[int, ...]:
    """Where parts of these sizes begin if each lies on cache lines of its own."""
    return tuple(itertools.accumulate((-(-size // 64) * 64 for size in sizes), initial=0))


def aligned_room(size: int) -> tuple[Any, int]:
    """So many bytes, zeros, from the beginning of a cache line on; and their address."""
    raw = np.zeros(size + 64, np.int8)
    skipped = -raw.ctypes.data % 64
    room = raw[skipped : skipped + size]
    return room, room.ctypes.data


def threads_for(allowed: int, work: int, work_per_step: int) -> int:
    """How many threads share so many multiply-adds."""
    if allowed == 1 or work < _WORTH_A_THREAD:
        return 1
    return max(1, min(allowed, work_per_step // _WORTH_A_SHARE))
