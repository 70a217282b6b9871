"""Your own model: everything that a report says, as a text, as a page and as plain data."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import jinja2

from ..common import checks
from ..common.language import ENGLISH, _, language, named, speaking, told
from ..common.tables import Ready, Shown, Table, in_threads, plain_data
from ..recipe.accuracy import OutputComparison, TensorComparison
from ..recipe.latency import LatencyComparison
from ..recipe.memory import MemoryComparison
from ..recipe.model import Machine
from ..recipe.quantize import LeftAlone
from ..recipe.size import SizeComparison
from ..recipe.timing import Timing
from .candidates import ONNX, Candidate, Measured, ModuleError
from .promises import Limits
from .task_error import TaskError
from .verdict import KEEP, Step, Verdict, decide, make_step, watch_step

FORMAT, VERSION = "recipe_helpers report", 2
WAITING = 1.5  # how much slower several threads may make the float model before we say so


@dataclass(frozen=True)
class Report(Shown):
    """What quantization does to one model on this machine, and what to do about it.

    It shows itself in a notebook and in a terminal, and writes itself as HTML and as JSON. What it
    says is made of the numbers when it is asked, in the language then in force.
    """

    model: str  # its class
    parameters: int  # how many numbers it holds as parameters
    given: tuple[tuple[tuple[str, checks.Description], ...], ...]  # in each input set, by names
    limits: Limits
    reference_metric: float | None  # the caller's metric of the float model
    candidates: tuple[Candidate, ...]  # every conversion that was tried
    machine: Machine
    by_name: bool  # whether the caller chose the modules
    inputs_code: str  # by which the caller gives the positional inputs; empty with keywords
    onnx_call: str
    parametrized: tuple[str, ...]  # modules that compute their weights at each call
    tied: tuple[tuple[str, ...], ...]  # names of one tensor, of which a module was converted

    @property
    def inputs(self) -> tuple[str, ...]:
        """Shapes and dtypes of each input set: `float32 tensor of shape (9, 2), mask: ...`."""
        return tuple(
            ", ".join(f"{name}: {what}" if name else str(what) for name, what in one)
            for one in self.given
        )

    @property
    def verdict(self) -> Verdict:
        """What to do with this model on this machine, and why."""
        return decide(self.candidates, self.onnx_call, by_name=self.by_name)

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
        name = self.verdict.candidate or ""
        best = {candidate.name: candidate.best for candidate in self.candidates}.get(name)
        return "" if best is None else f"{name}: {best.meaning}"

    @property
    def next_steps(self) -> tuple[Step, ...]:
        """What to do now, as code to copy."""
        verdict = self.verdict
        if not verdict.code:
            return (watch_step(None, self.limits, self.reference_metric),)
        made = str(verdict.candidate), verdict.code, self.inputs_code, self.error_limit
        watched = watch_step(verdict.candidate, self.limits, self.reference_metric)
        return make_step(*made), watched

    @property
    def notes(self) -> tuple[str, ...]:
        """What else the reader should know."""
        return tuple(dict.fromkeys(_notes(self)))

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
        verdict = self.verdict
        blocks = [str(verdict), verdict.code, super().__str__(), *self.notes]
        for candidate in self.candidates:
            # The others are in to_html() and to_dict(): a terminal is read from top to bottom.
            if candidate.name == verdict.candidate:
                blocks.append(_('--- the conversion "{name}" ---', name=candidate.name))
                blocks += [str(Ready(table)) for table in candidate.tables()]
        blocks += [f"--- {step.title} ---\n{step.code}" for step in self.next_steps]
        return "\n\n".join(block for block in blocks if block)

    def _repr_html_(self) -> str:
        return self._rendered(whole=False)

    def to_html(self) -> str:
        """The report as one self-contained HTML page, figure included."""
        return self._rendered(whole=True)

    def _rendered(self, *, whole: bool) -> str:
        figure = None
        if any(candidate.best for candidate in self.candidates):
            from .plots import plot_candidates  # Matplotlib only where it is used

            figure = plot_candidates(self.candidates, self.limits, self.error_limit)
        return _template().render(
            report=self,
            figure=figure,
            picture=figure and base64.b64encode(figure.png()).decode("ascii"),
            size=figure and [round(100 * float(inches)) for inches in figure.get_size_inches()],
            shown=lambda table: Ready(table)._repr_html_(),
            language=language(),
            whole=whole,
            title=_("Quantization report: {model}", model=self.model),
            details=lambda candidate: _("{name}: the details", name=candidate.name),
            headings=(_("Limits"), _("Machine")),
        )

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dicts, lists, strings and numbers; infinite or undefined is None.

        It speaks English whatever the language in force, and the keys keep their meaning within
        one `version`.
        """
        with speaking(ENGLISH):
            return {"format": FORMAT, "version": VERSION, **plain_data(self, _IN_JSON)}

    def to_json(self) -> str:
        """The same as JSON; what is infinite or undefined is null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)


def _in_json(kind: type, *more: str, without: Sequence[str] = ()) -> list[str]:
    """What stands in JSON for such a result: its fields but these, and more of its attributes."""
    return [*(one.name for one in fields(kind) if one.name not in without), *more]


_MADE_OF = ("made", "left", "memory_error", "reference_metric", "limits", "worst_set")
_IN_JSON = {
    Candidate: _in_json(Candidate, "failure", "left_float", without=["error"]),
    LatencyComparison: _in_json(LatencyComparison, "rounds"),
    Measured: _in_json(Measured, "place", "conversion", "promises", without=_MADE_OF),
    LeftAlone: ["name", "kind", "parameters", "reason"],
    MemoryComparison: _in_json(MemoryComparison, "loaded", "peak"),
    ModuleError: _in_json(ModuleError, "failure", without=["error"]),
    OutputComparison: ["tensors"],
    SizeComparison: _in_json(SizeComparison, "reference_bytes", "candidate_bytes", "ratio"),
    TaskError: _in_json(TaskError, "share"),
    TensorComparison: _in_json(TensorComparison, "relative"),
    Report: _in_json(
        Report,
        *("passed", "inputs", "verdict", "notes", "next_steps"),
        without=("given", "by_name", "inputs_code", "onnx_call", "parametrized", "tied"),
    ),
    Timing: ["median_us", "quartiles_us"],
}


@cache
def _template() -> jinja2.Template:
    return jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."), autoescape=True, trim_blocks=True
    ).get_template("report.html.j2")


def _notes(report: Report) -> Iterator[str]:
    """Several input sets, threads that wait for each other, weights that are no longer tied."""
    if len(report.given) > 1:
        yield _(
            "Outputs were compared on {count} sets of inputs, times were taken on the first.",
            count=len(report.given),
        )
    if report.parametrized:
        yield _(
            "{modules}: a parametrization (such as weight norm) computes the weights at each call, "
            "so that they stay FP32. rh.without_parametrizations(model) makes a copy with plain "
            "weights: report on that.",
            modules=", ".join(name or _("the model") for name in report.parametrized),
        )
    best = {one.name: one.best for one in report.candidates if one.best is not None}
    if ONNX in best:
        yield _(
            "{name} runs a traced graph: it does what the model did with these inputs, and takes "
            "no sizes but those that were measured.",
            name=ONNX,
        )
    for found in best.values():
        if found.memory_error is not None:
            yield _("Memory was not measured: {problem}", problem=told(found.memory_error))
    for several, *single in (found.latencies for found in best.values()):
        slowdown = several.reference.median_us / single[0].reference.median_us if single else 0
        if slowdown > WAITING:
            yield _(
                "The float model was {slowdown:.1f} times slower on {threads} than on 1: threads "
                "that wait for each other, or other work on this machine. Look at the times on 1 "
                "thread, or measure again with threads=1.",
                threads=in_threads(several.threads),
                slowdown=slowdown,
            )
            break
    for names in report.tied:
        yield _(
            "{names} are one tensor. Converted modules store integers of their own, so that "
            "this tie is lost, and with it some of the saving.",
            names=named(names),
        )
