"""The claims made for dynamic quantization, what a finding on one says, and who judges it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from ..common.language import N_, _
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
    """One claim, what was measured, and whether it holds here.

    It keeps the numbers and the sentences about them apart, and says them when it is shown.
    """

    claim: str  # "C1" ... "C19"
    verdict: str  # HOLDS, IN_PART, FAILS, INCONCLUSIVE, ELSEWHERE or OPEN
    message: str = ""  # what was measured, with the names of values in braces
    numbers: Mapping[str, Any] = field(default_factory=dict)  # for a program, units in the names
    why: str = ""  # said where the claim does not simply hold
    values: Mapping[str, Any] = field(default_factory=dict)  # what the sentences name beside them

    @property
    def measured(self) -> str:
        """What was measured, in words."""
        return self._said(self.message)

    @property
    def reason(self) -> str:
        """Why the claim does not simply hold, or nothing."""
        return self._said(self.why)

    def _said(self, message: str) -> str:
        known = {**self.numbers, **self.values}
        words = {name: _(one) for name, one in known.items() if isinstance(one, str)}
        return _(message, **{**known, **words})

    def row(self) -> tuple[str, ...]:
        """This finding as a row of the ledger."""
        measured = self.measured
        if self.why:
            measured = _("{measured}: {reason}", measured=measured, reason=self.reason)
        return self.claim, _(self.verdict), _(CLAIMS[self.claim]), measured

    def table(self) -> Table:
        """A ledger of one row."""
        return Table(headers(), [self.row()])


def headers() -> tuple[str, ...]:
    """What stands over the rows of a ledger."""
    return _("claim"), _("verdict"), _("claimed"), _("measured here")


EMPTY: Mapping[str, Any] = MappingProxyType({})


class Found(NamedTuple):
    """What a judge says: a verdict (True for HOLDS, False for FAILS), and what it rests on."""

    verdict: bool | str
    numbers: Mapping[str, Any]
    values: Mapping[str, Any] = EMPTY
    why: str = ""  # a reason of its own, instead of the claim's


Judge = Callable[..., Finding]
JUDGES: dict[str, Judge] = {}


def judges(claim: str, message: str, otherwise: str) -> Callable[[Callable[..., Found]], Judge]:
    """Register a function as the judge of a claim: measured results in, a `Finding` out.

    Args:
        claim: which one.
        message: what was measured, with the names of numbers and values in braces.
        otherwise: the reason where the claim does not hold.
    """

    def register(function: Callable[..., Found]) -> Judge:
        @functools.wraps(function)
        def judge(*results: Any) -> Finding:
            found = function(*results)
            verdict = found.verdict
            if isinstance(verdict, bool):
                verdict = HOLDS if verdict else FAILS
            why = "" if verdict == HOLDS else found.why or otherwise
            return Finding(claim, verdict, message, found.numbers, why, found.values)

        JUDGES[claim] = judge
        return judge

    return register
