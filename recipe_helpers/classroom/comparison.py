"""Many ledgers side by side: one table, the claims on which machines disagree, the crossovers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..common import checks
from ..common.errors import RecipeError
from ..common.language import N_, _
from ..common.tables import Ready, Shown, Table
from ..recipe.claims import CLAIMS, ELSEWHERE, OPEN
from ..recipe.model import with_instructions

NO_CROSSOVER = N_("none")


class NotALedgerError(RecipeError):
    """What is wrong with one file, to stand within a sentence."""


@dataclass(frozen=True)
class LeftOut:
    """A file that is no ledger; as a string, a sentence that says why."""

    name: str
    problem: NotALedgerError

    def __str__(self) -> str:
        problem = checks.first_line(self.problem)
        return _("{name} was left out: {problem}.", name=self.name, problem=problem)


@dataclass(frozen=True)
class MachineLedger:
    """What one file says: a kind of machine, and what was found on it."""

    name: str  # of the file, without its folder and ending
    cpu: str
    system: str
    vector_instructions: str  # in English, as it is written; shown by `with_instructions`
    torch_version: str
    verdicts: dict[str, str]  # by claim
    widths: tuple[int, ...] = ()  # of the sweep of C17, or none
    speedups: tuple[float, ...] = ()  # FP32 / INT8, median, at each width
    crossover_width: int | None = None  # INT8 is faster at it and at every wider one measured

    @classmethod
    def from_data(cls, name: str, data: dict[str, Any]) -> MachineLedger:
        """Take what a file holds that keeps to the schema."""
        machine, findings = data["machine"], data["findings"]
        sweep = findings.get("C17", {}).get("numbers", {})
        points = sweep.get("points", [])
        return cls(
            name=name,
            cpu=machine["cpu"],
            system=machine["system"],
            vector_instructions=machine["vector_instructions"],
            torch_version=data["versions"]["torch"],
            verdicts={claim: found["verdict"] for claim, found in findings.items()},
            widths=tuple(point["width"] for point in points),
            speedups=tuple(point["speedup"]["median"] for point in points),
            crossover_width=sweep.get("crossover_width"),
        )

    @property
    def crossover(self) -> str:
        """A width, "none" up to the widest, or "not measured"; shown by `_(crossover)`."""
        if not self.widths:
            return OPEN
        return NO_CROSSOVER if self.crossover_width is None else str(self.crossover_width)

    @property
    def bracket(self) -> slice:
        """Where the crossover stands among the widths, and the width before it, if there is one."""
        place = self.widths.index(self.crossover_width) if self.crossover_width else 0
        return slice(max(place - 1, 0), place + 1)

    @property
    def level_width(self) -> float | None:
        """Where both take about the same time, between two of the widths that were measured.

        The speedup is taken to rise evenly between the crossover and the width before it, both on
        logarithmic axes; None where there is no crossover.
        """
        if self.crossover_width is None:
            return None
        speedups, widths = (np.log2(side[self.bracket]) for side in (self.speedups, self.widths))
        return float(np.exp2(np.interp(0, speedups, widths)))


@dataclass(frozen=True)
class ClassComparison(Shown):
    """The ledgers of a class, one row per machine, and a sentence for each file that is none."""

    ledgers: tuple[MachineLedger, ...]
    refused: tuple[LeftOut, ...] = ()

    def disagreements(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """The claims that got more than one verdict: which machines said what.

        A machine on which a claim was not measured says nothing of it.
        """
        found = {}
        for claim in CLAIMS:
            said: dict[str, tuple[str, ...]] = {}
            for ledger in self.ledgers:
                verdict = ledger.verdicts.get(claim, OPEN)
                if verdict not in (OPEN, ELSEWHERE):
                    said[verdict] = (*said.get(verdict, ()), ledger.name)
            if len(said) > 1:
                found[claim] = said
        return found

    def table(self) -> Table:
        """A row for each machine; what was left out, and why, stands below."""
        rows = [
            (
                ledger.name,
                ledger.cpu,
                with_instructions(ledger.vector_instructions),
                ledger.torch_version,
                _(ledger.crossover),
                f"{at:.0f}" if (at := ledger.level_width) else "",
                f"{ledger.speedups[-1]:.1f}" if ledger.speedups else "",
            )
            for ledger in self.ledgers
        ]
        machine = (_("file"), "CPU", _("vector instructions"), "PyTorch")
        level, widest = _("both alike near width"), _("FP32 / INT8 at the widest")
        headers = (*machine, _("INT8 is faster from width"), level, widest)
        caption = _("{count} machines", count=len(rows))
        return Table(headers, rows, caption, " ".join(map(str, self.refused)))

    def disagreement_table(self) -> Ready:
        """A row for each claim on which the machines disagree, with who says what."""
        rows = [
            (claim, _(CLAIMS[claim]), "; ".join(f"{_(v)}: {', '.join(n)}" for v, n in said.items()))
            for claim, said in self.disagreements().items()
        ]
        agreed = "" if rows else _("The machines agree on every claim that two of them measured.")
        headers = (_("claim"), _("claimed"), _("who says what"))
        return Ready(Table(headers, rows, _("Where the machines disagree"), agreed))

    def ledger(self, name: str) -> MachineLedger:
        """The ledger that came from the file of this name.

        Raises:
            ArgumentError: no such file was taken in.
        """
        known = {ledger.name: ledger for ledger in self.ledgers}
        return known[checks.one_of("name", name, known)]
