"""The ledger: each claim made for dynamic quantization, and what this machine says of it."""

from __future__ import annotations

import json
import math
import platform
from dataclasses import asdict
from typing import Any

import numpy as np

from ..common.errors import ArgumentError
from ..common.language import Text, _
from ..common.tables import Shown, Table
from .claims import CLAIMS, ELSEWHERE, FAILS, HOLDS, IN_PART, INCONCLUSIVE, OPEN, Finding, headers
from .judges import JUDGES
from .model import machine
from .numbers import numbers

FORMAT = "recipe_helpers ledger"
VERSION = 1  # of the file's layout; its keys keep their meaning within one


def judge(claim: str, *results: Any) -> Finding:
    """Judge one claim from measured results.

    Args:
        claim: "C1" to "C19".
        *results: what the claim's judge in `judges.py` or `latency_judges.py` takes.

    Raises:
        ArgumentError: there is no such claim.
    """
    if not isinstance(claim, str) or claim not in JUDGES:
        raise ArgumentError(
            Text(
                "{name} is {value}; pass one of {choices}.",
                name="claim",
                value=repr(claim),
                choices=", ".join(CLAIMS),
            )
        )
    return JUDGES[claim](*results)


class Ledger(Shown):
    """The findings so far; shows every claim, those that were not measured included."""

    def __init__(self) -> None:
        self.findings: dict[str, Finding] = {}
        self._results: dict[str, tuple[Any, ...]] = {}

    def judge(self, claim: str, *results: Any) -> Finding:
        """Judge one claim as `judge` does, write it down, and return the finding."""
        finding = judge(claim, *results)
        self.findings[claim] = finding
        self._results[claim] = results
        return finding

    def count(self, verdict: str) -> int:
        """How many claims got this verdict."""
        return sum(finding.verdict == verdict for finding in self.findings.values())

    def table(self) -> Table:
        """All claims in their order."""
        rows = [self.findings.get(claim, Finding(claim, "", OPEN)).row() for claim in CLAIMS]
        verdicts = (HOLDS, IN_PART, FAILS, INCONCLUSIVE, ELSEWHERE)
        counted = ((self.count(verdict), _(verdict)) for verdict in verdicts)
        said = [_("{count} {verdict}", count=n, verdict=word) for n, word in counted if n]
        note = _("Of {count} claims: {counts}.", count=len(CLAIMS), counts=", ".join(said))
        return Table(headers(), rows, _("The claims ledger"), note)

    def as_dict(self) -> dict[str, Any]:
        """Machine, versions, and each finding with the numbers it rests on, as plain data.

        It says what kind of machine this is, but not which: no name of host or user, no path.
        What is infinite or undefined is None.
        """
        here = asdict(machine())
        versions = {
            "torch": here.pop("torch_version"),
            "python": platform.python_version(),
            "numpy": np.__version__,
        }
        del here["python_version"]
        found = {
            claim: {
                "verdict": self.findings[claim].verdict,
                "measured": self.findings[claim].measured,
                "reason": self.findings[claim].reason,
                "numbers": _finite(numbers(claim, *self._results[claim])),
            }
            for claim in CLAIMS
            if claim in self.findings
        }
        return {
            "format": FORMAT,
            "version": VERSION,
            "machine": here,
            "versions": versions,
            "findings": found,
        }

    def to_json(self) -> str:
        """`as_dict` as JSON text, for a file that `rh.compare_ledgers` reads."""
        return json.dumps(self.as_dict(), indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """The same, with None for the numbers that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
