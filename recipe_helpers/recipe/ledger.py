"""The ledger: each claim made for dynamic quantization, and what this machine says of it."""

from __future__ import annotations

from typing import Any

from ..common.errors import ArgumentError
from ..common.tables import Shown, Table
from .claims import CLAIMS, ELSEWHERE, FAILS, HEADERS, HOLDS, IN_PART, INCONCLUSIVE, OPEN, Finding
from .judges import JUDGES


def judge(claim: str, *results: Any) -> Finding:
    """Judge one claim from measured results.

    Args:
        claim: "C1" to "C18".
        *results: what the claim's judge in `judges.py` takes.

    Raises:
        ArgumentError: there is no such claim.
    """
    if not isinstance(claim, str) or claim not in JUDGES:
        raise ArgumentError(f"claim is {claim!r}; pass one of {', '.join(CLAIMS)}.")
    return JUDGES[claim](*results)


class Ledger(Shown):
    """The findings so far; shows every claim, those that were not measured included."""

    def __init__(self) -> None:
        self.findings: dict[str, Finding] = {}

    def judge(self, claim: str, *results: Any) -> Finding:
        """Judge one claim as `judge` does, write it down, and return the finding."""
        finding = judge(claim, *results)
        self.findings[claim] = finding
        return finding

    def count(self, verdict: str) -> int:
        """How many claims got this verdict."""
        return sum(finding.verdict == verdict for finding in self.findings.values())

    def table(self) -> Table:
        """All claims in their order."""
        rows = [self.findings.get(claim, Finding(claim, "", OPEN)).row() for claim in CLAIMS]
        verdicts = (HOLDS, IN_PART, FAILS, INCONCLUSIVE, ELSEWHERE)
        note = ", ".join(f"{self.count(v)} {v}" for v in verdicts if self.count(v))
        return Table(HEADERS, rows, "The claims ledger", f"Of {len(CLAIMS)} claims: {note}.")
