"""Int8LSTM beside PyTorch and ONNX Runtime: time, error and file size, measured in one run.

    pip install -e ".[fast,onnx]"
    python benchmarks/peers.py                               # some minutes
    python benchmarks/peers.py --widths 8 256 --batches 1    # a few rows; --quick: in seconds
    python benchmarks/peers.py --before ../an/older/checkout # and its Int8LSTM beside today's
    python benchmarks/peers.py --cpu-time                    # on a machine that others use, too

All contenders of a row run the same LSTM on the same inputs and threads, in interleaved rounds of
random order, each after a pause in which whatever the one before has left spinning falls asleep.
Our own model runs twice in each round: the second time is the control that tells what a difference
of nothing looks like. Prints every row, which of them we lead in time, in error, in both, and which
targets are met on this kind of CPU; writes build/peers.csv and build/peers.png.

To see the code for CPUs without VNNI on one that has it, set NUMBA_CPU_NAME=znver3,
NUMBA_CPU_FEATURES= (to nothing), ATEN_CPU_CAPABILITY=avx2, ONEDNN_MAX_CPU_ISA=AVX2 and
FBGEMM_ENABLE_INSTRUCTIONS=AVX2. ONNX Runtime has no such switch and goes on using all there is.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
import sys
import time
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from conclusions import Kind, Start, lead_table, sentence, shown, target_table
from contenders import OURS, PEERS, TORCH, Case, Contender, make
from limits import Limits, measure
from rows import Entry, Row
from start import measure_start

from recipe_helpers.common.settings import threads_set
from recipe_helpers.common.tables import Ready, Shown, Table, in_bytes, in_threads, microseconds
from recipe_helpers.int8.cpu import has_u8s8_dot
from recipe_helpers.recipe.model import machine

BUILD = Path(__file__).parents[1] / "build"
WIDTHS = (8, 32, 80, 128, 256, 512, 1024, 2048)
BATCHES = (1, 8, 64)
WIDEST_BATCHED = 1024  # beyond, one round of a batch of 64 takes a minute
PAUSE_S = 5e-3  # threads that wait for work give up spinning after a millisecond or two
_BLOCK_S = 2e-3
_FEWEST_ROUNDS = 7
_MOST_ROUNDS = 150


def cases(widths: Sequence[int], batches: Sequence[int], threads: Sequence[int]) -> list[Case]:
    """The rows: each width at batch 1, and those that are not too wide in larger batches."""
    return [
        Case(width, batch, count)
        for count in threads
        for batch in batches
        for width in widths
        if batch == 1 or width <= WIDEST_BATCHED
    ]


def measure_row(
    case: Case,
    limits: Limits,
    *,
    with_onnx: bool,
    budget_s: float,
    before: Path | None = None,
    timer: Callable[[], float] = time.perf_counter,
) -> Row:
    """Make the contenders and time them; thread count and grad mode are put back.

    With `time.process_time` as the timer only those take part that run on the case's own threads.
    """
    with threads_set(case.threads), torch.inference_mode():
        contenders = make(case, with_onnx=with_onnx, before=before)
        exact = next(c.output for c in contenders if c.name == TORCH[0])
        if timer is time.process_time:
            contenders = [one for one in contenders if one.threads == case.threads]
        times = rounds([*contenders, contenders[0]], budget_s, timer)
    assert contenders[0].name == OURS
    entries = tuple(as_entry(c, exact, us) for c, us in zip(contenders, times, strict=False))
    return Row(case, entries, tuple(times[-1]), limits)


def as_entry(contender: Contender, exact: np.ndarray, times_us: Sequence[float]) -> Entry:
    """What is kept of a contender once it is measured."""
    error = float(np.abs(contender.output - exact).mean() / np.abs(exact).mean())
    return Entry(contender.name, tuple(times_us), error, contender.file_bytes)


def rounds(
    contenders: Sequence[Contender],
    budget_s: float,
    timer: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Microseconds per call of each in every round; each is timed in blocks of some 2 ms."""
    once_s = []
    for contender in contenders:
        torch.set_num_threads(contender.threads)
        once_s.append(min(timeit.repeat(contender.call, timer=timer, number=1, repeat=3)))
    numbers = [max(1, math.ceil(_BLOCK_S / once)) for once in once_s]
    round_s = sum(
        PAUSE_S + (number + 1) * once for number, once in zip(numbers, once_s, strict=True)
    )
    count = min(_MOST_ROUNDS, max(_FEWEST_ROUNDS, int(budget_s / round_s)))
    order, shuffle = list(range(len(contenders))), random.Random(0).shuffle
    times_us: list[list[float]] = [[] for _ in contenders]
    for _ in range(count):
        shuffle(order)
        for index in order:
            time.sleep(PAUSE_S)
            torch.set_num_threads(contenders[index].threads)
            contenders[index].call()  # bring the weights back into the caches
            elapsed_s = timeit.timeit(contenders[index].call, timer=timer, number=numbers[index])
            times_us[index].append(elapsed_s / numbers[index] * 1e6)
    return times_us


_COLUMNS = (
    "width", "batch", "threads", "layers", "steps", "runtime", "median_us", "error", "file_bytes",
    "ratio_to_ours", "ratio_low", "ratio_high", "arithmetic_limit_us", "memory_limit_us", "lead",
)  # fmt: skip


@dataclass(frozen=True)
class Peers(Shown):
    """The whole comparison."""

    rows: tuple[Row, ...]
    kind: Kind
    start: Start | None = None

    def table(self) -> Table:
        """A line per case: ours, the best peer, and whether we lead."""
        headers = (
            "case", "Int8LSTM", "best peer", "best peer / ours", "best of torch / ours", "error",
            "least INT8 error of peers", "limit of arithmetic", "limit of memory", "we lead in",
        )  # fmt: skip
        lines = [self.line(row) for row in self.rows]
        return Table(headers, lines, caption=f"On {self.kind}", note=self.summary)

    def line(self, row: Row) -> list[str]:
        """One line of the table."""
        case, best = row.case, row.best(PEERS)
        leads = {"yes": "time", "no": "-", "level": "(level in time)"}[row.verdict()]
        return [
            case.title, microseconds(row.ours.median_us),
            f"{best.name}, {microseconds(best.median_us)}",
            *(shown(row.lead(names)) for names in (PEERS, TORCH)),
            f"{row.ours.error:.2%}", f"{row.least_error():.2%}",
            microseconds(row.limits.arithmetic_us(case.macs)),
            microseconds(row.limits.memory_us(case.bytes_per_call)),
            f"{leads}, error" if row.most_exact() else leads,
        ]  # fmt: skip

    def details(self) -> Table:
        """A line per case and contender: time, time against ours, error, file size."""
        lines = [
            (
                row.case.title, e.name, microseconds(e.median_us), shown(row.lead([e.name])),
                f"{e.error:.2%}", in_bytes(e.file_bytes),
            )
            for row in self.rows for e in row.entries
        ]  # fmt: skip
        headers = ("case", "runtime", "time of one call", "times ours", "error", "file")
        return Table(headers, lines, caption=f"On {self.kind}")

    @property
    def summary(self) -> str:
        """In how many rows we lead, and the machine's limits."""
        verdicts = [row.verdict() for row in self.rows]
        exact = sum(row.most_exact() for row in self.rows)
        limits = {row.case.threads: row.limits for row in self.rows}.values()
        rates = "; ".join(
            f"{in_threads(x.threads)}: {x.memory_gb_per_s:.1f} GB/s from memory, "
            f"{x.integer_gmac_per_s:.0f} GMAC/s of int8 with int16"
            for x in limits
        )
        return (
            f"Fastest in {verdicts.count('yes')} of {len(verdicts)} rows, level in "
            f"{verdicts.count('level')}, behind in {verdicts.count('no')}; "
            f"smallest INT8 error in {exact}. Measured limits: {rates}."
        )

    def __str__(self) -> str:
        tables = (
            self.details(), self.table(), lead_table(self.rows, self.kind),
            target_table(self.rows, self.kind, self.start),
        )  # fmt: skip
        made = [str(Ready(table)) for table in tables]
        return "\n\n".join([*made, "For the README:\n" + sentence(self.rows, self.kind)])

    def write_csv(self, path: Path) -> None:
        """One line per case and contender."""
        with path.open("w", newline="", encoding="utf-8") as file:
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
                        *limits, row.verdict(),
                    ])  # fmt: skip


def kind_of_cpu() -> Kind:
    """What this process runs on, and how our kernels take it."""
    here = machine()
    return Kind(here.cpu, here.vector_instructions, has_u8s8_dot())


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line; `--quick` is a choice of the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few small rows, in seconds")
    parser.add_argument("--widths", type=int, nargs="+", help="only these widths")
    parser.add_argument("--batches", type=int, nargs="+", help="only these batch sizes")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="as many threads")
    parser.add_argument("--without-onnx", action="store_true", help="leave ONNX Runtime out")
    parser.add_argument("--without-start", action="store_true", help="do not time compiling")
    parser.add_argument("--budget", type=float, help="seconds of timing per row, 6 unless told")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="count the processor's time, not the clock's: where others use the machine, too",
    )
    parser.add_argument("--before", type=Path, help="an earlier checkout that takes part, too")
    options = parser.parse_args(arguments)
    options.widths = options.widths or ((8, 32) if options.quick else WIDTHS)
    options.batches = options.batches or ((1, 2) if options.quick else BATCHES)
    options.budget = options.budget or (0.3 if options.quick else 6.0)
    options.without_start |= options.quick
    if options.cpu_time and options.threads != [1]:
        parser.error("--cpu-time adds up the time of all threads: leave out --threads")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was found."""
    options = options_of(arguments)
    rows_to_run = cases(options.widths, options.batches, options.threads)
    start = None if options.without_start else measure_start()
    limits = {threads: measure(threads) for threads in options.threads}
    found = []
    for case in rows_to_run:
        print(f"{len(found) + 1}/{len(rows_to_run)} {case.title}", file=sys.stderr)
        found.append(
            measure_row(
                case,
                limits[case.threads],
                with_onnx=not options.without_onnx,
                budget_s=options.budget,
                before=options.before,
                timer=time.process_time if options.cpu_time else time.perf_counter,
            )
        )
    peers = Peers(tuple(found), kind_of_cpu(), start)
    BUILD.mkdir(exist_ok=True)
    peers.write_csv(BUILD / "peers.csv")
    from figure import draw

    draw(peers.rows).savefig(BUILD / "peers.png", dpi=150, bbox_inches="tight")
    print(peers)


if __name__ == "__main__":
    main()
