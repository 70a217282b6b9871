"""Section 4, latency: the time of a call taken apart into an overhead and a price per step."""

from __future__ import annotations

from dataclasses import dataclass

from . import checks
from .errors import ArgumentError
from .latency import LatencyComparison, compare_latency
from .model import demonstration
from .quantize import quantize_dynamic
from .show import Shown, Table, in_threads, microseconds

DIMENSION = 512
LENGTHS = (5, 20)
BUDGET_S = 0.3


@dataclass(frozen=True)
class Cost:
    """The straight line through the times of two sequence lengths."""

    overhead_us: float  # per call, whatever the length
    step_us: float  # per time step


@dataclass(frozen=True)
class StepCosts(Shown):
    """Overhead and price per step of FP32 and of INT8, at one width and batch size."""

    dimension: int
    batch_size: int
    reference: Cost
    candidate: Cost
    threads: int

    @property
    def step_speedup(self) -> float:
        """FP32 / INT8 in the price per step: the overhead left out."""
        return self.reference.step_us / self.candidate.step_us

    def table(self) -> Table:
        """A row for the overhead, a row for the price per step."""
        rows = [
            (name, microseconds(before), microseconds(after), f"{before / after:.2f}")
            for name, before, after in (
                ("overhead per call", self.reference.overhead_us, self.candidate.overhead_us),
                ("each time step", self.reference.step_us, self.candidate.step_us),
            )
        ]
        caption = f"width {self.dimension}, batch of {self.batch_size}, {in_threads(self.threads)}"
        return Table(("", "FP32", "INT8", "FP32 / INT8"), rows, caption)


def step_costs(
    dimension: int = DIMENSION,
    *,
    batch_size: int = 1,
    lengths: tuple[int, int] = LENGTHS,
    threads: int | None = None,
    budget_s: float = BUDGET_S,
) -> StepCosts:
    """Time the recipe's LSTM at two sequence lengths and split the time of a call.

    Args:
        dimension: width of the LSTM.
        batch_size: sequences per call; a weight that is read once serves them all.
        lengths: a short and a long sequence, in time steps.
        threads: intra-op threads; None for as many as PyTorch uses now.
        budget_s: about how long to measure at each length, in seconds.

    Raises:
        ArgumentError: an argument is out of range.
    """
    short, long = _two_lengths(lengths)

    def at(length: int) -> LatencyComparison:
        demo = demonstration(dimension=dimension, batch_size=batch_size, sequence_length=length)
        quantized = quantize_dynamic(demo.model)
        return compare_latency(
            demo.model, quantized, *demo.arguments, threads=threads, budget_s=budget_s
        )

    first, second = at(short), at(long)
    costs = []
    for side in ("reference", "candidate"):
        start_us, end_us = getattr(first, side).median_us, getattr(second, side).median_us
        step_us = (end_us - start_us) / (long - short)
        costs.append(Cost(start_us - short * step_us, step_us))
    return StepCosts(dimension, batch_size, *costs, threads=first.threads)


def _two_lengths(lengths: tuple[int, int]) -> tuple[int, int]:
    numbers = checks.positive_ints("lengths", lengths)
    if len(numbers) != 2:
        raise ArgumentError(f"lengths is {list(numbers)}; pass a short and a long length.")
    return numbers[0], numbers[1]
