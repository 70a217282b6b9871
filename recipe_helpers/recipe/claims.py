"""The claims made for dynamic quantization, and what a finding on one of them says."""

from __future__ import annotations

from dataclasses import dataclass

from ..common.tables import Shown, Table

HOLDS, IN_PART, FAILS = "holds", "in part", "fails"
INCONCLUSIVE, ELSEWHERE, OPEN = "inconclusive", "elsewhere", "not measured"

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
    "C19": "it takes less memory, loaded and during a call",
}


@dataclass(frozen=True)
class Finding(Shown):
    """One claim, what was measured, and whether it holds here."""

    claim: str  # "C1" ... "C19"
    measured: str
    verdict: str  # HOLDS, IN_PART, FAILS, INCONCLUSIVE, ELSEWHERE or OPEN
    reason: str = ""  # said where the claim does not simply hold

    def row(self) -> tuple[str, ...]:
        """This finding as a row of the ledger."""
        measured = f"{self.measured}: {self.reason}" if self.reason else self.measured
        return self.claim, CLAIMS[self.claim], measured, self.verdict

    def table(self) -> Table:
        """A ledger of one row."""
        return Table(HEADERS, [self.row()])


HEADERS = ("claim", "claimed", "measured here", "verdict")
