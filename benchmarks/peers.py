"""Int8LSTM beside PyTorch and ONNX Runtime: time, error and file size, measured in one run.

    pip install -e ".[fast,onnx]"
    python benchmarks/peers.py            # some minutes; --quick for a smoke test in seconds

All contenders of a row run the same LSTM on the same inputs and threads, in interleaved rounds of
random order. Our own model runs twice in each round: the second time is the control that tells
what a difference of nothing looks like. Prints a table, and writes build/peers.csv and
build/peers.png.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
import sys
import timeit
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from contenders import ONNX, OURS, TORCH, Case, Contender, make
from limits import Limits, measure

from recipe_helpers.common.settings import threads_set
from recipe_helpers.common.tables import Shown, Table, in_bytes, microseconds
from recipe_helpers.recipe.timing import FASTER, SLOWER, Ratio, judge, ratio_of_rounds

BUILD = Path(__file__).parents[1] / "build"
WIDTHS = (8, 32, 80, 128, 256, 512, 1024, 2048)
_BLOCK_S = 2e-3
_FEWEST_ROUNDS = 7
_MOST_ROUNDS = 150


def cases(quick: bool) -> list[Case]:
    """The rows: widths at batch 1 on one and two threads, larger batches, a deeper model."""
    if quick:
        return [Case(8), Case(32, batch=2), Case(32, threads=2)]
    single = [Case(width, threads=threads) for threads in (1, 2) for width in WIDTHS]
    batches = [Case(width, batch) for batch in (8, 64) for width in (80, 256, 1024)]
    return [*single, *batches, Case(256, layers=3, steps=160)]


@dataclass(frozen=True)
class Entry:
    """One contender in one row."""

    name: str
    times_us: tuple[float, ...]
    error: float  # mean |difference to torch FP32| / mean |torch FP32|
    file_bytes: int

    @property
    def median_us(self) -> float:
        """The median over the rounds."""
        return float(np.median(self.times_us))


@dataclass(frozen=True)
class Row:
    """All contenders on one case, with what the machine could do at best."""

    case: Case
    entries: tuple[Entry, ...]
    control_us: tuple[float, ...]  # Int8LSTM once more
    limits: Limits

    def entry(self, name: str) -> Entry:
        """The contender of this name."""
        return next(entry for entry in self.entries if entry.name == name)

    @property
    def ours(self) -> Entry:
        """Int8LSTM."""
        return self.entry(OURS)

    def best(self, names: Iterable[str]) -> Entry | None:
        """The fastest of these contenders, of those that took part."""
        found = [entry for entry in self.entries if entry.name in names]
        return min(found, key=lambda entry: entry.median_us, default=None)

    def lead(self, names: Iterable[str]) -> Ratio:
        """How many times faster than the best of these we are."""
        return ratio_of_rounds(self.best(names).times_us, self.ours.times_us)

    @property
    def verdict(self) -> str:
        """Whether we lead in time against every peer; "level" where the noise forbids to say."""
        control = ratio_of_rounds(self.control_us, self.ours.times_us)
        found = judge(self.lead((*TORCH, *ONNX)), control)
        return {FASTER: "yes", SLOWER: "no"}.get(found, "level")

    @property
    def most_exact(self) -> bool:
        """Whether our error is the smallest of all that quantize."""
        return all(self.ours.error < entry.error for entry in self.entries if "INT8" in entry.name)


def measure_row(case: Case, limits: Limits, *, with_onnx: bool, budget_s: float) -> Row:
    """Make the contenders and time them; thread count and grad mode are put back."""
    with threads_set(case.threads), torch.inference_mode():
        contenders = make(case, with_onnx=with_onnx)
        exact = next(c.output for c in contenders if c.name == TORCH[0])
        times = rounds([*(c.call for c in contenders), contenders[0].call], budget_s)
    assert contenders[0].name == OURS
    entries = tuple(as_entry(c, exact, us) for c, us in zip(contenders, times, strict=False))
    return Row(case, entries, tuple(times[-1]), limits)


def as_entry(contender: Contender, exact: np.ndarray, times_us: Sequence[float]) -> Entry:
    """What is kept of a contender once it is measured."""
    error = float(np.abs(contender.output - exact).mean() / np.abs(exact).mean())
    return Entry(contender.name, tuple(times_us), error, contender.file_bytes)


def rounds(calls: Sequence[Callable[[], object]], budget_s: float) -> list[list[float]]:
    """Microseconds per call of each in every round; each is timed in blocks of some 2 ms."""
    once_s = [min(timeit.repeat(call, number=1, repeat=3)) for call in calls]
    numbers = [max(1, math.ceil(_BLOCK_S / once)) for once in once_s]
    round_s = sum((number + 1) * once for number, once in zip(numbers, once_s, strict=True))
    count = min(_MOST_ROUNDS, max(_FEWEST_ROUNDS, int(budget_s / round_s)))
    order, shuffle = list(range(len(calls))), random.Random(0).shuffle
    times_us: list[list[float]] = [[] for _ in calls]
    for _ in range(count):
        shuffle(order)
        for index in order:
            calls[index]()  # bring the weights back into the caches
            elapsed_s = timeit.timeit(calls[index], number=numbers[index])
            times_us[index].append(elapsed_s / numbers[index] * 1e6)
    return times_us


_COLUMNS = (
    "width", "batch", "threads", "layers", "steps", "runtime", "median_us", "error", "file_bytes",
    "ratio_to_ours", "ratio_low", "ratio_high", "arithmetic_limit_us", "memory_limit_us", "lead",
)  # fmt: skip


@dataclass(frozen=True)
class Details(Shown):
    """A table that is ready."""

    content: Table

    def table(self) -> Table:
        """The table."""
        return self.content


@dataclass(frozen=True)
class Peers(Shown):
    """The whole comparison."""

    rows: tuple[Row, ...]

    def table(self) -> Table:
        """A line per case: ours, the best peer, and whether we lead."""
        headers = (
            "case", "Int8LSTM", "best peer", "best peer / ours", "best of torch / ours", "error",
            "least INT8 error of peers", "limit of arithmetic", "limit of memory", "we lead in",
        )  # fmt: skip
        return Table(headers, [self.line(row) for row in self.rows], note=self.sentence)

    def line(self, row: Row) -> list[str]:
        """One line of the table."""
        case, best = row.case, row.best((*TORCH, *ONNX))
        ratios = [row.lead((*TORCH, *ONNX)), row.lead(TORCH)]
        errors = [e.error for e in row.entries if "INT8" in e.name]
        leads = {"yes": "time", "no": "-", "level": "(level in time)"}[row.verdict]
        return [
            case.title, microseconds(row.ours.median_us),
            f"{best.name}, {microseconds(best.median_us)}",
            *(f"{x.median:.2f} [{x.low:.2f}, {x.high:.2f}]" for x in ratios),
            f"{row.ours.error:.2%}", f"{min(errors):.2%}",
            microseconds(row.limits.arithmetic_us(case.macs)),
            microseconds(row.limits.memory_us(case.bytes_per_call)),
            f"{leads}, error" if row.most_exact else leads,
        ]  # fmt: skip

    def details(self) -> Table:
        """A line per case and contender: time, time against ours, error, file size."""
        rows = []
        for row in self.rows:
            for e in row.entries:
                ratio = row.lead([e.name])
                rows.append((
                    row.case.title, e.name, microseconds(e.median_us),
                    f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]", f"{e.error:.2%}",
                    in_bytes(e.file_bytes),
                ))  # fmt: skip
        headers = ("case", "runtime", "time of one call", "times ours", "error", "file")
        return Table(headers, rows)

    @property
    def sentence(self) -> str:
        """In how many rows we lead, and the machine's limits."""
        verdicts = [row.verdict for row in self.rows]
        exact = sum(row.most_exact for row in self.rows)
        limits = {row.case.threads: row.limits for row in self.rows}.values()
        rates = "; ".join(
            f"{x.threads} thread{'s' * (x.threads > 1)}: {x.memory_gb_per_s:.1f} GB/s from memory, "
            f"{x.integer_gmac_per_s:.0f} GMAC/s of int8 with int16"
            for x in limits
        )
        return (
            f"Fastest in {verdicts.count('yes')} of {len(verdicts)} rows, level in "
            f"{verdicts.count('level')}, behind in {verdicts.count('no')}; "
            f"smallest INT8 error in {exact}. Measured limits: {rates}."
        )

    def write_csv(self, path: Path) -> None:
        """One line per case and contender."""
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            for row in self.rows:
                case = row.case
                limits = (
                    row.limits.arithmetic_us(case.macs), row.limits.memory_us(case.bytes_per_call)
                )  # fmt: skip
                for e in row.entries:
                    ratio = row.lead([e.name])
                    writer.writerow([
                        case.width, case.batch, case.threads, case.layers, case.steps, e.name,
                        e.median_us, e.error, e.file_bytes, ratio.median, ratio.low, ratio.high,
                        *limits, row.verdict,
                    ])  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few small rows, in seconds")
    parser.add_argument("--without-onnx", action="store_true", help="leave ONNX Runtime out")
    parser.add_argument("--budget", type=float, default=6.0, help="seconds of timing per row")
    options = parser.parse_args(arguments)
    rows_to_run = cases(options.quick)
    limits = {threads: measure(threads) for threads in {case.threads for case in rows_to_run}}
    budget_s = min(options.budget, 0.3) if options.quick else options.budget
    found = []
    for case in rows_to_run:
        with_onnx = not options.without_onnx
        found.append(
            measure_row(case, limits[case.threads], with_onnx=with_onnx, budget_s=budget_s)
        )
        print(f"{len(found)}/{len(rows_to_run)} {case}", file=sys.stderr)
    peers = Peers(tuple(found))
    BUILD.mkdir(exist_ok=True)
    peers.write_csv(BUILD / "peers.csv")
    from figure import draw

    draw(peers.rows).savefig(BUILD / "peers.png", dpi=150, bbox_inches="tight")
    print(Details(peers.details()), peers, sep="\n\n")


if __name__ == "__main__":
    main()
