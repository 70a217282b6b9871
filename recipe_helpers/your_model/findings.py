"""Your own model: everything that a report says, before it is put into words or pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..common import checks
from ..common.language import _
from ..common.tables import Shown, Table
from ..recipe.model import Machine
from . import tables
from .candidates import Candidate
from .next_steps import Step, next_steps
from .promises import KEEP, Limits, Verdict


@dataclass(frozen=True)
class Findings(Shown):
    """What quantization does to one model on this machine, and what to do about it.

    Attributes:
        model: the class of the model.
        parameters: how many numbers it holds as parameters.
        inputs: shapes and dtypes of each input set, each as a `Text`.
        limits: what INT8 had to reach.
        reference_metric: the caller's metric of the float model, or None.
        verdict: ship INT8, ship it with some modules left FP32, or keep FP32.
        candidates: every conversion that was tried.
        notes: what else the reader should know, each a `Text`.
        machine: where this was measured.
    """

    model: str
    parameters: int
    inputs: tuple[str, ...]
    limits: Limits
    reference_metric: float | None
    verdict: Verdict
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]
    machine: Machine

    @property
    def passed(self) -> bool:
        """Whether a conversion was found that keeps its promises."""
        return self.verdict.decision != KEEP

    @property
    def error_limit(self) -> float | None:
        """The limit of the relative error, or None where the metric alone decides."""
        return self.limits.error_limit(self.reference_metric)

    @property
    def meaning(self) -> str:
        """What the error of the conversion that the verdict speaks of means, or nothing."""
        best = {c.name: c.best for c in self.candidates}.get(self.verdict.candidate or "")
        return "" if best is None else f"{self.verdict.candidate}: {best.task.sentence}"

    @property
    def next_steps(self) -> tuple[Step, ...]:
        """What to do now, as code to copy."""
        keywords = ": " in self.inputs[0]
        return next_steps(self.verdict, self.limits, self.error_limit, with_keywords=keywords)

    def candidate(self, name: str) -> Candidate:
        """One of the conversions that were tried.

        Raises:
            ArgumentError: there is none of this name.
        """
        names = [candidate.name for candidate in self.candidates]
        return self.candidates[names.index(checks.one_of("name", name, names))]

    def table(self) -> Table:
        """One row per conversion."""
        rows = [row for candidate in self.candidates for row in tables.rows(candidate)]
        ratios = _("FP32 / INT8 bytes"), _("memory, MB"), _("FP32 / INT8 time")
        headers = (_("conversion"), *ratios, _("relative error"), "")
        caption = _(
            "{model}, {parameters:,} parameters, called with {inputs}",
            model=self.model,
            parameters=self.parameters,
            inputs=self.inputs[0],
        )
        return Table(headers, rows, caption, self.meaning)

    def details(self) -> Iterator[tuple[Candidate, list[Table]]]:
        """Each conversion with its tables: modules, bytes, times, outputs, sensitivity."""
        for candidate in self.candidates:
            yield candidate, tables.tables(candidate)
