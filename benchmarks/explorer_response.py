"""How long the explorer takes from a changed control to the updated picture, in the kernel.

Run it on a quiet machine: `python benchmarks/explorer_response.py`. Widths up to 512 are chosen in
random order, each one anew, with the other controls at the recipe's values; the front end adds a
few hundredths of a second to draw the page.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time

import numpy as np

import recipe_helpers as rh
from recipe_helpers.explorer.panel import Explorer

WIDTHS = (16, 32, 64, 80, 128, 192, 256, 384, 512)


async def response_s(explorer: Explorer, width: int) -> float:
    """Seconds from setting the width to the new picture."""
    shown = asyncio.Event()
    explorer.numbers.observe(lambda _: shown.set(), "value")
    start = time.perf_counter()
    explorer.controls["width"].value = width
    await shown.wait()
    elapsed_s = time.perf_counter() - start
    explorer.numbers.unobserve_all()
    return elapsed_s


async def measure(repeats: int, seed: int = 0) -> dict[int, list[float]]:
    """The response times at each width, in seconds."""
    times_s: dict[int, list[float]] = {width: [] for width in WIDTHS}
    explorer = rh.explore()
    order = [width for width in WIDTHS for _ in range(repeats)]
    random.Random(seed).shuffle(order)
    for width in order:
        explorer.controls["width"].value = 8
        explorer.wait()
        explorer.forget()
        times_s[width].append(await response_s(explorer, width))
    return times_s


def main() -> None:
    """Print the median and the 95th percentile at each width, and over all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=10)
    times_s = asyncio.run(measure(parser.parse_args().repeats))
    for width, times in times_s.items():
        print(f"width {width:4}: {np.median(times):.3f} s, p95 {np.percentile(times, 95):.3f} s")
    every = [time_s for times in times_s.values() for time_s in times]
    print(f"all: {np.median(every):.3f} s, p95 {np.percentile(every, 95):.3f} s")


if __name__ == "__main__":
    main()
