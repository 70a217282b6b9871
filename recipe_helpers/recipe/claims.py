"""The claims made for dynamic quantization, what a finding on one says, and who judges it."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from ..common.language import N_, _
from ..common.tables import Shown, Table

HOLDS, IN_PART, FAILS = N_("holds"), N_("in part"), N_("fails")
INCONCLUSIVE, ELSEWHERE, OPEN = N_("inconclusive"), N_("elsewhere"), N_("not measured")

_SAID = {  # what is claimed, what was measured, and why where it does not hold
    "C1": (
        N_("quantizing is scaling and rounding"),
        N_("largest error {largest_error:.4f}, half a step {half_step:.4f}"),
        N_("a number lies beyond the grid"),
    ),
    "C2": (
        N_("the model gets smaller"),
        N_("{fp32_bytes:,} bytes -> {int8_bytes:,} bytes"),
        N_("the container outweighs the weights"),
    ),
    "C3": (
        N_("integer arithmetic has higher throughput"),
        N_(
            "{fp32:.1f} G multiply-adds per second in FP32, {int8:.1f} in INT8, in the steps of "
            "width {width}, batch of {batch_size}; it holds if FP32 / INT8 {step_speedup} "
            "lies above 1"
        ),
        N_("INT8 does not get more done per second here"),
    ),
    "C4": (
        N_("methods differ in how the scale is found"),
        N_("{batch}: fixed {fixed_scale:.3g}, at run time {own_scale:.3g}"),
        N_("both methods found the same scale"),
    ),
    "C5": (
        N_("dynamic: the activation scale comes from the range seen at run time"),
        N_(
            "range {first[range]:.3g}: step {first[step]:.3g}, range {last[range]:.3g}: step "
            "{last[step]:.3g}"
        ),
        N_("the step did not follow the range"),
    ),
    "C6": (
        N_("so each data set keeps its signal"),
        N_("worst error {own:.1%} with a scale of its own, {fixed:.0%} with the fixed one"),
        N_("a scale at run time made no difference here"),
    ),
    "C7": (
        N_("weights are converted ahead of time and stored as INT8"),
        N_("{int8_weights} weights as int8, converted modules: {converted_modules}"),
        N_("nothing was converted"),
    ),
    "C8": (
        N_("the arithmetic is vectorized INT8"),
        N_("{rate:.1f} G multiply-adds per second, scalar code at most {limit:.0f}"),
        N_("not more than scalar code could do"),
    ),
    "C9": (
        N_("accumulating in wider integers avoids overflow"),
        N_("true sum {exact}: int16 gives {in_int16}, int32 {in_int32}"),
        N_("no overflow was seen"),
    ),
    "C10": (
        N_("results are rescaled to INT8 for a quantized next layer, to FP32 for output"),
        N_("output {output}, between two quantized layers {between}"),
        N_("the output is not FP32"),
    ),
    "C11": (
        N_("there are few parameters to tune"),
        N_("{arguments} arguments besides the model, all optional, and no data"),
        N_("some of them must be chosen"),
    ),
    "C12": (
        N_("outputs stay in the same ballpark"),
        N_("mean difference {relative_difference:.2%} of the mean output"),
        N_("the outputs are ruined"),
    ),
    "C13": (
        N_("about 75 % less data, less so for a tiny model, close to 4x by width 80"),
        N_("{tiny:.0%} less at width 8, {close:.0%} ({ratio:.1f}x) at 80, {most:.0%} at {widest}"),
        N_("the ratio does not approach 4"),
    ),
    "C14": (
        N_("faster because fewer bytes move"),
        N_(
            "per step FP32 / INT8 {single[step_speedup]} at batch {single[batch_size]}, "
            "{batch[step_speedup]} at {batch[batch_size]}; it holds if the first lies above the "
            "second and above 1"
        ),
        N_("no more is gained where fewer bytes should matter"),
    ),
    "C15": (
        N_("faster because integer operations are faster"),
        N_(
            "per step FP32 / INT8 {batch[step_speedup]} at batch {batch[batch_size]}, where a "
            "weight once read serves them all; it holds if that lies above 1"
        ),
        N_("no gain is left once weights are reused"),
    ),
    "C16": (
        N_("even this very simple network runs faster"),
        N_("FP32 / INT8 {speedup.median:.2f}, {verdict}"),
        N_(
            "one INT8 call runs {int8_operators} operators, FP32 {fp32_operators}, and at this "
            "width operators are the cost"
        ),
    ),
    "C17": (
        N_("how much depends on structure and hardware"),
        N_("FP32 / INT8 from {least:.2f} to {most:.2f} over the widths"),
        N_("it hardly depends on width"),
    ),
    "C18": (
        N_("a trained LSTM keeps its accuracy"),
        N_("digits: accuracy {accuracy:.2%} points; text: perplexity {perplexity:.2%} %"),
        N_("a loss of {loss:.0%} or more is not excluded for {lost}"),
    ),
    "C19": (
        N_("it takes less memory, loaded and during a call"),
        N_("at width {width} {held} -> {holds} loaded, {most} -> {takes} during a call"),
        N_("no less in either"),
    ),
}
CLAIMS = {claim: said[0] for claim, said in _SAID.items()}


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
        return _(self.message, **self._words())

    @property
    def reason(self) -> str:
        """Why the claim does not simply hold, or nothing."""
        return _(self.why, **self._words())

    def _words(self) -> dict[str, Any]:
        known = {**self.numbers, **self.values}
        return {name: _(one) if isinstance(one, str) else one for name, one in known.items()}

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


class Found(NamedTuple):
    """What a judge says: a verdict (True for HOLDS, False for FAILS), and what it rests on."""

    verdict: bool | str
    numbers: Mapping[str, Any]
    values: Mapping[str, Any] = MappingProxyType({})
    why: str = ""  # a reason of its own, instead of the claim's


JUDGES: dict[str, Callable[..., Finding]] = {}


def judges(claim: str) -> Callable[[Callable[..., Found]], Callable[..., Finding]]:
    """Register a function as the judge of a claim: measured results in, a `Finding` out."""
    _claimed, message, otherwise = _SAID[claim]

    def register(function: Callable[..., Found]) -> Callable[..., Finding]:
        @functools.wraps(function)
        def judge(*results: Any) -> Finding:
            verdict, numbers, values, why = function(*results)
            if isinstance(verdict, bool):
                verdict = HOLDS if verdict else FAILS
            why = "" if verdict == HOLDS else why or otherwise
            return Finding(claim, verdict, message, numbers, why, values)

        JUDGES[claim] = judge
        return judge

    return register
