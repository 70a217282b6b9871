"""What the machine could do at best: how fast it reads memory, how fast it multiplies integers."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from recipe_helpers.common.settings import threads_set

_BUFFER_BYTES = 1 << 28  # beyond every cache
_OUTPUTS, _WIDTH, _ROWS = 64, 128, 64  # one tile of weights: all in the L1 cache
_REPEATS = 7


@dataclass(frozen=True)
class Limits:
    """Measured rates of this machine on so many threads."""

    threads: int
    memory_gb_per_s: float
    integer_gmac_per_s: float

    def arithmetic_us(self, macs: int) -> float:
        """The least time for so many multiply-adds of int8 with int16."""
        return macs / self.integer_gmac_per_s / 1e3

    def memory_us(self, count: int) -> float:
        """The least time to read so many bytes from memory, if no cache holds any."""
        return count / self.memory_gb_per_s / 1e3


def measure(threads: int) -> Limits:
    """Measure both rates; the best of several repeats, for a limit."""
    with threads_set(threads):
        buffer = torch.zeros(_BUFFER_BYTES // 4)
        seconds = min(timeit.repeat(buffer.sum, number=1, repeat=_REPEATS))
    return Limits(threads, _BUFFER_BYTES / seconds / 1e9, integer_rate(threads))


def integer_rate(threads: int) -> float:
    """10⁹ multiply-adds a second of the product kernel on data in the L1 cache, on all threads."""
    calls = 100
    with ThreadPoolExecutor(threads) as pool:
        works = [one_product() for _ in range(threads)]

        def all_at_once() -> None:
            for done in [pool.submit(repeat, work, calls) for work in works]:
                done.result()

        seconds = min(timeit.repeat(all_at_once, number=1, repeat=_REPEATS))
    return threads * calls * _OUTPUTS * _WIDTH * _ROWS / seconds / 1e9


def repeat(work: Callable[[], None], calls: int) -> None:
    """Call it so often."""
    for _ in range(calls):
        work()


def one_product() -> Callable[[], None]:
    """A call of the kernel's product on buffers of its own: one tile times some rows of 16 bits."""
    from recipe_helpers.int8.fast_path import packed_weights
    from recipe_helpers.int8.fast_path.all_tiles import multiply_all

    kept = packed_weights.KeptMatrix(torch.ones(_OUTPUTS, _WIDTH, dtype=torch.int8), 4, True, False)
    row_bytes = kept.row_bytes(_WIDTH)
    activations = torch.ones(_ROWS, row_bytes, dtype=torch.uint8)
    out = torch.zeros(_ROWS, _OUTPUTS, dtype=torch.int32)
    arguments = (
        kept.packed.product_at, 1, 4, kept.packed.tiles.data_ptr(), kept.tile_bytes,
        kept.steps(_WIDTH), activations.data_ptr(), row_bytes, _ROWS, out.data_ptr(),
    )  # fmt: skip

    def work(keep: tuple[object, ...] = (kept, activations, out)) -> None:
        multiply_all(*arguments)

    return work
