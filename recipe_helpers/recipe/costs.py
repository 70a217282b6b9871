"""Section 4, latency: where the time of a call goes: overhead, price per step, operators."""

import os
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

from ..common import checks, settings
from ..common.checks import renamed
from ..common.errors import ArgumentError
from ..common.language import _
from ..common.tables import Shown, Table, in_threads, microseconds
from .pair import make_pair
from .timing import Ratio, check_budget, interleave, ratio_of_medians

WIDTH = 512
LENGTHS = (10, 40)
BUDGET_S = 1.0
_ROWS = 10  # of a table of operators


@dataclass(frozen=True)
class Cost:
    """The straight line through the times of two sequence lengths."""

    overhead_us: float  # per call, whatever the length
    step_us: float  # per time step


@dataclass(frozen=True)
class StepCosts(Shown):
    """Overhead and price per step of FP32 and of INT8, at one width and batch size."""

    width: int
    batch_size: int
    reference: Cost
    candidate: Cost
    step_speedup: Ratio  # FP32 / INT8 in the price per step: the overhead left out
    threads: int

    # The name of `width` in versions 1.0 and 2.0.
    dimension = property(lambda self: self.width)

    def macs_per_s(self, cost: Cost) -> float:
        """Multiply-adds per second within the time steps of one of the two models."""
        return 8 * self.width**2 * self.batch_size / (cost.step_us * 1e-6)

    def table(self) -> Table:
        """A row for the overhead, a row for the price per step."""
        sides, ratio = (self.reference, self.candidate), str(self.step_speedup)
        rows = [
            (_("overhead per call"), *(microseconds(side.overhead_us) for side in sides), ""),
            (_("each time step"), *(microseconds(side.step_us) for side in sides), ratio),
        ]
        caption = _(
            "width {width}, batch of {batch}, {threads}",
            width=self.width,
            batch=self.batch_size,
            threads=in_threads(self.threads),
        )
        return Table(("", "FP32", "INT8", "FP32 / INT8"), rows, caption)


@renamed(dimension="width")
def step_costs(
    width: int = WIDTH,
    *,
    batch_size: int = 1,
    lengths: tuple[int, int] = LENGTHS,
    threads: int | None = None,
    budget_s: float = BUDGET_S,
) -> StepCosts:
    """Time the recipe's LSTM at two sequence lengths and split the time of a call.

    Both models at both lengths are timed in the same interleaved rounds.

    Args:
        width: of the LSTM (`dimension` in versions 1.0 and 2.0).
        batch_size: sequences per call; a weight that is read once serves them all.
        lengths: a short and a long sequence, in time steps.
        threads: intra-op threads; None for as many as PyTorch uses now.
        budget_s: about how long to measure, in seconds.

    Raises:
        ArgumentError: an argument is out of range.
    """
    ends = checks.positive_ints("lengths", lengths)
    if len(ends) != 2:
        raise ArgumentError("lengths is {value}; pass a short and a long length.", value=list(ends))
    short, long = ends
    check_budget(budget_s)
    if threads is not None:
        checks.positive_int("threads", threads)
    pair = make_pair(width=width, batch_size=batch_size, sequence_length=long)
    inputs, hidden = pair.arguments
    calls = [
        partial(model, inputs[:length], hidden)
        for model in (pair.model, pair.quantized)
        for length in (short, long)
    ]
    with settings.threads_set(threads) as used, torch.inference_mode():
        times = [np.array(timing.times_us) for timing in interleave(calls, budget_s)]
    steps_us = [(times[side + 1] - times[side]) / (long - short) for side in (0, 2)]
    prices_us = [float(np.median(step_us)) for step_us in steps_us]
    before, after = (
        Cost(float(np.median(short_us)) - short * price_us, price_us)
        for short_us, price_us in zip(times[::2], prices_us, strict=True)
    )
    return StepCosts(width, batch_size, before, after, ratio_of_medians(*steps_us), used)


@dataclass(frozen=True)
class OperatorCounts(Shown):
    """How often one call of each model runs each of PyTorch's operators."""

    reference: dict[str, int]
    candidate: dict[str, int]

    @property
    def reference_total(self) -> int:
        """Operators in one call of the reference."""
        return sum(self.reference.values())

    @property
    def candidate_total(self) -> int:
        """Operators in one call of the candidate."""
        return sum(self.candidate.values())

    def table(self) -> Table:
        """The most frequent operators of the two, and the totals."""
        both = Counter(self.reference) + Counter(self.candidate)
        names = sorted(both, key=lambda name: (-both[name], name))
        groups = {name: [name] for name in names[:_ROWS]}
        if rest := names[_ROWS:]:
            groups[_("{count} others", count=len(rest))] = rest
        groups[_("all")] = names
        counts = self.reference, self.candidate
        rows = [
            (label, *(str(sum(count.get(name, 0) for name in group)) for count in counts))
            for label, group in groups.items()
        ]
        return Table((_("operator"), "FP32", "INT8"), rows, _("operators in one call"))


def count_operators(reference: nn.Module, candidate: nn.Module, *inputs: Any) -> OperatorCounts:
    """Count the operators that one call of each model runs, nested ones included.

    Source: PyTorch's own profiler, `torch.autograd.profiler.profile`.

    Raises:
        ModelError: a model is in training mode, on another device, or holds NaN.
        InputError: the inputs do not fit one of the models.
    """
    counts = []
    for name, model in (("reference", reference), ("candidate", candidate)):
        checks.runs(name, checks.runnable_model(name, model), inputs)
        # Its library would write a log of its own to stderr when it first starts.
        with mock.patch.dict(os.environ, KINETO_LOG_LEVEL="99"), torch.inference_mode():
            with torch.autograd.profiler.profile() as profile:
                model(*inputs)
            counts.append(dict(Counter(event.name for event in profile.function_events)))
    return OperatorCounts(*counts)
