"""Your own model: everything that a report says, as a text and as plain data."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from ..common import checks
from ..common.language import ENGLISH, Text, _, speaking
from ..common.tables import Ready, Shown, Table
from ..recipe.accuracy import OutputComparison, TensorComparison
from ..recipe.latency import LatencyComparison
from ..recipe.memory import MemoryComparison
from ..recipe.model import Machine
from ..recipe.size import SizeComparison
from ..recipe.timing import Timing
from .candidates import Candidate
from .promises import Limits
from .task_error import TaskError
from .verdict import KEEP, Step, Verdict

FORMAT, VERSION = "recipe_helpers report", 2

# What stands in JSON beside a result's fields, and what stands there instead of them.
_ALSO: dict[type, tuple[str, ...]] = {
    LatencyComparison: ("rounds",),
    MemoryComparison: ("loaded", "peak"),
    SizeComparison: ("reference_bytes", "candidate_bytes", "ratio"),
    TaskError: ("share",),
    TensorComparison: ("relative",),
}
_INSTEAD = {OutputComparison: ("tensors",), Timing: ("median_us", "quartiles_us")}


@dataclass(frozen=True)
class Findings(Shown):
    """What quantization does to one model on this machine, and what to do about it."""

    model: str  # its class
    parameters: int  # how many numbers it holds as parameters
    inputs: tuple[str, ...]  # shapes and dtypes of each input set, each as a Text
    limits: Limits
    reference_metric: float | None  # the caller's metric of the float model
    verdict: Verdict
    candidates: tuple[Candidate, ...]  # every conversion that was tried
    notes: tuple[str, ...]  # what else the reader should know, each a Text
    next_steps: tuple[Step, ...]  # what to do now, as code to copy
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
        return "" if best is None else f"{self.verdict.candidate}: {best.meaning}"

    def candidate(self, name: str) -> Candidate:
        """One of the conversions that were tried.

        Raises:
            ArgumentError: there is none of this name.
        """
        names = [candidate.name for candidate in self.candidates]
        return self.candidates[names.index(checks.one_of("name", name, names))]

    def table(self) -> Table:
        """One row per conversion."""
        rows = [row for candidate in self.candidates for row in candidate.rows()]
        ratios = _("FP32 / INT8 bytes"), _("memory, MB"), _("FP32 / INT8 time")
        headers = (_("conversion"), *ratios, _("relative error"), "")
        caption = _(
            "{model}, {parameters:,} parameters, called with {inputs}",
            model=self.model,
            parameters=self.parameters,
            inputs=self.inputs[0],
        )
        return Table(headers, rows, caption, self.meaning)

    def limits_table(self) -> Table:
        """What INT8 had to reach."""
        limits = vars(self.limits) | {"max_relative_error": self.error_limit}
        if self.reference_metric is None:
            del limits["max_metric_drop"]
        rows = [
            (_(one.metadata["meaning"]), f"{limits[one.name]:g}")
            for one in fields(Limits)
            if limits.get(one.name) is not None
        ]
        return Table((_("what INT8 had to reach"), _("limit")), rows)

    def __str__(self) -> str:
        blocks = [str(self.verdict), self.verdict.code, super().__str__(), *map(str, self.notes)]
        for candidate in self.candidates:
            # The others are in to_html() and to_dict(): a terminal is read from top to bottom.
            if candidate.name == self.verdict.candidate:
                blocks.append(_('--- the conversion "{name}" ---', name=candidate.name))
                blocks += [str(Ready(table)) for table in candidate.tables()]
        blocks += [f"--- {step.title} ---\n{step.code}" for step in self.next_steps]
        return "\n\n".join(block for block in blocks if block)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dicts, lists, strings and numbers; infinite or undefined is None.

        It speaks English whatever the language in force, and the keys keep their meaning within
        one `version`.
        """
        with speaking(ENGLISH):
            found = plain(self)
        return {"format": FORMAT, "version": VERSION, "passed": self.passed, **found}

    def to_json(self) -> str:
        """The same as JSON; what is infinite or undefined is null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)


def plain(value: Any) -> Any:
    """A result as dicts, lists, strings, numbers and None, each field under its own name."""
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    if is_dataclass(value):
        names = (*(one.name for one in fields(value)), *_ALSO.get(type(value), ()))
        names = _INSTEAD.get(type(value), names)
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Text):
        return value.english
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
