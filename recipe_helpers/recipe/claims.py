"""The claims made for dynamic quantization, what a finding on one says, and who judges it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..common.language import N_, Text, _
from ..common.tables import Shown, Table

HOLDS, IN_PART, FAILS = N_("holds"), N_("in part"), N_("fails")
INCONCLUSIVE, ELSEWHERE, OPEN = N_("inconclusive"), N_("elsewhere"), N_("not measured")

CLAIMS = {
    "C1": N_("quantizing is scaling and rounding"),
    "C2": N_("the model gets smaller"),
    "C3": N_("integer arithmetic has higher throughput"),
    "C4": N_("methods differ in how the scale is found"),
    "C5": N_("dynamic: the activation scale comes from the range seen at run time"),
    "C6": N_("so each data set keeps its signal"),
    "C7": N_("weights are converted ahead of time and stored as INT8"),
    "C8": N_("the arithmetic is vectorized INT8"),
    "C9": N_("accumulating in wider integers avoids overflow"),
    "C10": N_("results are rescaled to INT8 for a quantized next layer, to FP32 for output"),
    "C11": N_("there are few parameters to tune"),
    "C12": N_("outputs stay in the same ballpark"),
    "C13": N_("about 75 % less data, less so for a tiny model, close to 4x by width 80"),
    "C14": N_("faster because fewer bytes move"),
    "C15": N_("faster because integer operations are faster"),
    "C16": N_("even this very simple network runs faster"),
    "C17": N_("how much depends on structure and hardware"),
    "C18": N_("a trained LSTM keeps its accuracy"),
    "C19": N_("it takes less memory, loaded and during a call"),
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
        measured = str(self.measured)
        if self.reason:
            measured = _("{measured}: {reason}", measured=measured, reason=self.reason)
        return self.claim, _(CLAIMS[self.claim]), measured, _(self.verdict)

    def table(self) -> Table:
        """A ledger of one row."""
        return Table(headers(), [self.row()])


def headers() -> tuple[str, ...]:
    """What stands over the rows of a ledger."""
    return _("claim"), _("claimed"), _("measured here"), _("verdict")


Judge = Callable[..., Finding]
JUDGES: dict[str, Judge] = {}


def judges(claim: str) -> Callable[[Judge], Judge]:
    """Register a function as the judge of a claim: measured results in, a Finding out."""

    def register(function: Judge) -> Judge:
        JUDGES[claim] = function
        return function

    return register


def holds_if(claim: str, holds: bool, measured: Text, otherwise: Text) -> Finding:
    """HOLDS, or FAILS with the reason why otherwise."""
    return Finding(claim, measured, HOLDS if holds else FAILS, "" if holds else otherwise)
