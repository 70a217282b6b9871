"""The ledger: each claim made for dynamic quantization, and what this machine says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import ArgumentError
from .show import Shown, Table

HOLDS, IN_PART, FAILS, ELSEWHERE, OPEN = "holds", "in part", "fails", "elsewhere", "not measured"

CLAIMS = {
    "C1": "quantizing is scaling and rounding",
    "C2": "the model gets smaller",
    "C3": "integer arithmetic has higher throughput",
    "C4": "methods differ in how the scale is found",
    "C5": "dynamic: the activation scale comes from the range seen at run time",
    "C6": "so each data set keeps its signal",
    "C7": "weights are converted ahead of time and stored as INT8",
    "C8": "the arithmetic is vectorized INT8",
    "C9": "accumulating in wider integers avoids overflow",
    "C10": "results are rescaled to INT8 for a quantized next layer, to FP32 for output",
    "C11": "there are few parameters to tune",
    "C12": "outputs stay in the same ballpark",
    "C13": "about 75 % less data, less so for a tiny model, close to 4x by width 80",
    "C14": "faster because fewer bytes move",
    "C15": "faster because integer operations are faster",
    "C16": "even this very simple network runs faster",
    "C17": "how much depends on structure and hardware",
    "C18": "a trained LSTM keeps its accuracy",
}


@dataclass(frozen=True)
class Finding(Shown):
    """One claim, what was measured, and whether it holds here."""

    claim: str  # "C1" ... "C18"
    measured: str
    verdict: str  # HOLDS, IN_PART, FAILS, ELSEWHERE or OPEN
    reason: str = ""  # said where the claim does not simply hold

    def row(self) -> tuple[str, ...]:
        """This finding as a row of the ledger."""
        measured = f"{self.measured}: {self.reason}" if self.reason else self.measured
        return self.claim, CLAIMS[self.claim], measured, self.verdict

    def table(self) -> Table:
        """A ledger of one row."""
        return Table(HEADERS, [self.row()])


HEADERS = ("claim", "claimed", "measured here", "verdict")
Judge = Callable[..., Finding]
_JUDGES: dict[str, Judge] = {}


def judges(claim: str) -> Callable[[Judge], Judge]:
    """Register a function as the judge of a claim: measured results in, a Finding out."""

    def register(function: Judge) -> Judge:
        _JUDGES[claim] = function
        return function

    return register


def judge(claim: str, *results: Any) -> Finding:
    """Judge one claim from measured results.

    Args:
        claim: "C1" to "C18".
        *results: what the claim's judge in `recipe_helpers.judges` takes.

    Raises:
        ArgumentError: there is no such claim.
    """
    from . import judges as _  # noqa: F401  (registers them)

    if not isinstance(claim, str) or claim not in _JUDGES:
        raise ArgumentError(f"claim is {claim!r}; pass one of {', '.join(CLAIMS)}.")
    return _JUDGES[claim](*results)


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
        verdicts = (HOLDS, IN_PART, FAILS, ELSEWHERE)
        note = ", ".join(f"{self.count(v)} {v}" for v in verdicts if self.count(v))
        return Table(HEADERS, rows, "The claims ledger", f"Of {len(CLAIMS)} claims: {note}.")
