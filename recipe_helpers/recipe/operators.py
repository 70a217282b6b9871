"""Section 4, latency: what one call does, counted in operators."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..common import checks
from ..common.language import _
from ..common.tables import Shown, Table

_ROWS = 10


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
        rows = [_row(name, self.reference, self.candidate) for name in names[:_ROWS]]
        if rest := names[_ROWS:]:
            sums = [sum(count.get(name, 0) for name in rest) for count in self._counts()]
            others = _("{count} others", count=len(rest))
            rows.append((others, *(str(total) for total in sums)))
        rows.append((_("all"), str(self.reference_total), str(self.candidate_total)))
        return Table((_("operator"), "FP32", "INT8"), rows, _("operators in one call"))

    def _counts(self) -> tuple[dict[str, int], dict[str, int]]:
        return self.reference, self.candidate


def count_operators(reference: nn.Module, candidate: nn.Module, *inputs: Any) -> OperatorCounts:
    """Count the operators that one call of each model runs, nested ones included.

    Source: PyTorch's own profiler, `torch.autograd.profiler.profile`.

    Raises:
        ModelError: a model is in training mode, on another device, or holds NaN.
        InputError: the inputs do not fit one of the models.
    """
    models = {"reference": reference, "candidate": candidate}
    counts = []
    for name, model in models.items():
        checks.runnable_model(name, model)
        checks.runs(name, model, inputs)
        with _quiet_profiler(), torch.inference_mode():
            with torch.autograd.profiler.profile() as profile:
                model(*inputs)
            names = Counter(event.name for event in profile.function_events)
        counts.append(dict(names))
    return OperatorCounts(*counts)


def _row(name: str, *counts: dict[str, int]) -> tuple[str, ...]:
    return (name, *(str(count.get(name, 0)) for count in counts))


@contextmanager
def _quiet_profiler() -> Iterator[None]:
    """Keep the profiler's library from writing its own log to stderr when it first starts."""
    name = "KINETO_LOG_LEVEL"
    before = os.environ.get(name)
    os.environ[name] = "99"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
