"""int8_rnn beside PyTorch, ONNX Runtime, ncnn and OpenVINO: time and error, measured in one run.

    pip install -e "int8_rnn[fast,onnx]" ncnn openvino nncf
    python benchmarks/peers.py                             # all rows, half an hour
    python benchmarks/peers.py LSTM-256 GRU-80-512-8       # kind, inputs, width, batch of some rows
    python benchmarks/peers.py --quick                     # two small rows, in seconds

All contenders of a row run the same layers on the same inputs and threads, in interleaved rounds of
random order, each after a pause in which whatever the one before has left spinning falls asleep.
Our default runs twice in each round: the second time is the control that tells what a difference of
nothing looks like. Prints a table for docs/benchmarks.md, with the CPU, the versions and the date,
and writes all times and errors to build/peers.csv. What is not installed is left out.

To see the code for CPUs without VNNI on one that has it, set NUMBA_CPU_NAME=znver3,
NUMBA_CPU_FEATURES= (to nothing), ATEN_CPU_CAPABILITY=avx2, ONEDNN_MAX_CPU_ISA=AVX2 and
FBGEMM_ENABLE_INSTRUCTIONS=AVX2. OpenVINO is left out then; ONNX Runtime and ncnn go on using all.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import math
import platform
import random
import re
import sys
import time
import timeit
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from contenders import FLOAT, OURS, Case, Contender, contenders

BUILD = Path(__file__).parents[1] / "build"
WIDTHS = (8, 32, 80, 128, 256, 512, 1024, 2048)
PACKAGES = ("int8-rnn", "torch", "numba", "onnxruntime", "ncnn", "openvino", "nncf")
PAUSE_S = 5e-3  # threads that wait for work give up spinning after a millisecond or two
BLOCK_S = 2e-3  # long beside the clock's resolution, short beside what disturbs a machine
FEWEST_ROUNDS, MOST_ROUNDS = 7, 150
HEADERS = (
    "case", "default (µs)", "best peer", "peer / default", "peer / 8 bits", "PyTorch / default",
    "control", "error: default", "16 bits", "8 bits", "least of peers",
)  # fmt: skip


def all_cases() -> Iterator[Case]:
    """The rows: square layers, a real shape, GRU, two threads."""
    for batch in (1, 8, 64):
        for width in WIDTHS if batch == 1 else WIDTHS[:-1]:
            yield Case("LSTM", width, width, batch)
    for kind in ("LSTM", "GRU"):
        yield Case(kind, 80, 512)
        for batch in (1, 8):
            yield Case(kind, 80, 512, batch, layers=2)
    for width in WIDTHS[:6]:
        yield Case("GRU", width, width)
    for width, batch in ((256, 8), (512, 8), (512, 64)):
        yield Case("GRU", width, width, batch)
    for kind in ("LSTM", "GRU"):
        for width, batch in ((256, 1), (512, 1), (256, 8), (512, 8), (512, 64)):
            yield Case(kind, width, width, batch, threads=2)


@dataclass(frozen=True)
class Row:
    """What was measured of a case: the times of each round and the error, by contender."""

    case: Case
    times_us: dict[str, list[float]]
    control_us: list[float]
    errors: dict[str, float]  # mean |difference to torch FP32| / mean |torch FP32|

    def lead(self, of: str, over: str) -> float:
        """How many times as fast `of` is as `over`: the median of the rounds' ratios."""
        pairs = zip(self.times_us[over], self.times_us[of], strict=True)
        return float(np.median([theirs / ours for theirs, ours in pairs]))

    def fastest(self, names: Sequence[str]) -> str:
        """The fastest of these contenders."""
        return min(names, key=lambda name: np.median(self.times_us[name]))

    @property
    def peers(self) -> list[str]:
        """All contenders but ours."""
        return [name for name in self.times_us if name not in OURS]

    def cells(self) -> list[str]:
        """The row of the table."""
        default, *_, eight = OURS
        best = self.fastest(self.peers)
        of_torch = self.fastest([name for name in self.peers if name.startswith("torch")])
        control = np.median(np.divide(self.control_us, self.times_us[default]))
        least = min(error for name, error in self.errors.items() if name not in (*OURS, *FLOAT))
        return [
            str(self.case), f"{np.median(self.times_us[default]):,.0f}", best,
            f"{self.lead(default, best):.2f}", f"{self.lead(eight, best):.2f}",
            f"{self.lead(default, of_torch):.2f}", f"{control:.2f}",
            *(f"{self.errors[name]:.2%}" for name in OURS), f"{least:.2%}",
        ]  # fmt: skip


def measure(case: Case, budget_s: float) -> Row:
    """Make the contenders and time them; the thread count is put back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(case.threads)
    try:
        with torch.inference_mode():
            found = contenders(case)
            *times, control = rounds([*found, found[0]], budget_s)
    finally:
        torch.set_num_threads(threads)
    exact = next(one.output for one in found if one.name == FLOAT[0])
    error = {
        one.name: float(np.abs(one.output - exact).mean() / np.abs(exact).mean()) for one in found
    }
    return Row(case, {one.name: us for one, us in zip(found, times, strict=True)}, control, error)


def rounds(some: Sequence[Contender], budget_s: float) -> list[list[float]]:
    """Microseconds per call of each in every round; each is timed in blocks of some 2 ms."""
    once_s = [min(timeit.repeat(one.call, number=1, repeat=3)) for one in some]
    numbers = [max(1, math.ceil(BLOCK_S / once)) for once in once_s]
    round_s = sum(PAUSE_S + (n + 1) * once for n, once in zip(numbers, once_s, strict=True))
    count = min(MOST_ROUNDS, max(FEWEST_ROUNDS, int(budget_s / round_s)))
    order, shuffle = list(range(len(some))), random.Random(0).shuffle
    times_us: list[list[float]] = [[] for _ in some]
    for _ in range(count):
        shuffle(order)
        for index in order:
            time.sleep(PAUSE_S)
            some[index].call()  # bring the weights back into the caches
            elapsed_s = timeit.timeit(some[index].call, number=numbers[index])
            times_us[index].append(elapsed_s / numbers[index] * 1e6)
    return times_us


def heading() -> str:
    """The CPU, the versions of what takes part, and the date."""
    from int8_rnn import fast_path

    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    cpu = found[1] if found else platform.processor() or platform.machine()
    versions = [f"{name} {version}" for name in PACKAGES if (version := version_of(name))]
    today = datetime.date.today().isoformat()
    return f"## {cpu}, {today}\n\n{fast_path()}\n\n{', '.join(versions)}\n"


def version_of(package: str) -> str | None:
    """Its version, or None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    lines = [HEADERS, ["---"] * len(HEADERS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """A line for each case and contender."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("case", "contender", "median_us", "error"))
        for row in rows:
            for name, times in row.times_us.items():
                writer.writerow((row.case, name, float(np.median(times)), row.errors[name]))


def named(case: Case) -> set[str]:
    """How a case may be called on the command line."""
    square = [f"{case.kind}-{case.width}", f"{case.kind}-{case.width}-{case.batch}"]
    names = [f"{case.kind}-{case.inputs}-{case.width}-{case.batch}"]
    return {*names, *(square if case.inputs == case.width else [])}


def main() -> None:
    """Measure, print, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help="only these, such as LSTM-256 or GRU-80-512-8")
    parser.add_argument("--quick", action="store_true", help="two small rows, in seconds")
    parser.add_argument("--budget", type=float, default=6.0, help="seconds of timing for each row")
    options = parser.parse_args()
    chosen = [case for case in all_cases() if not options.cases or named(case) & {*options.cases}]
    if options.quick:
        chosen = [Case("LSTM", 8, 8), Case("GRU", 8, 32, 2)]
    if not chosen:
        parser.error(f"no case is called {' or '.join(options.cases)}; see all_cases()")
    found = []
    for number, case in enumerate(chosen, 1):
        print(f"{number}/{len(chosen)} {case}", file=sys.stderr)
        found.append(measure(case, 0.3 if options.quick else options.budget))
    write_csv(found, BUILD / "peers.csv")
    print(f"{heading()}\n{table(found)}")


if __name__ == "__main__":
    main()
