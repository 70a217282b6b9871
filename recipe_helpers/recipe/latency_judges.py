"""The judges of the claims on speed, which section 4 measures; see `judges`."""

from __future__ import annotations

from ..common.language import Text
from .claims import FAILS, HOLDS, INCONCLUSIVE, Finding, holds_if, judges
from .costs import StepCosts
from .latency import LatencyComparison, LatencySweep
from .operators import OperatorCounts
from .timing import FASTER

# No core multiplies faster than this with scalar instructions: 6 GHz, two multipliers.
SCALAR_LIMIT_MACS = 12e9


@judges("C3")
def throughput(sweep: LatencySweep) -> Finding:
    """The most multiply-adds per second that each reached at any width."""
    before, after = peak_macs(sweep, "reference"), peak_macs(sweep, "candidate")
    return holds_if(
        "C3",
        after > before,
        Text(
            "at most {fp32:.1f} G multiply-adds per second in FP32, {int8:.1f} in INT8",
            fp32=before / 1e9,
            int8=after / 1e9,
        ),
        Text("no width was large enough, or the engine is slow here"),
    )


@judges("C8")
def vectorized(sweep: LatencySweep) -> Finding:
    """More multiply-adds per second than scalar instructions can do."""
    limit = SCALAR_LIMIT_MACS * sweep.threads
    rate = peak_macs(sweep, "candidate")
    measured = Text(
        "{rate:.1f} G multiply-adds per second, scalar code at most {limit:.0f}",
        rate=rate / 1e9,
        limit=limit / 1e9,
    )
    return holds_if("C8", rate > limit, measured, Text("not more than scalar code could do"))


@judges("C14")
def fewer_bytes(single: StepCosts, batch: StepCosts) -> Finding:
    """INT8 gains most where each weight is read for one sequence alone."""
    measured = _gains(single, batch)
    if single.step_speedup.low > max(1.0, batch.step_speedup.high):
        return Finding("C14", measured, HOLDS)
    if single.step_speedup.high < max(1.0, batch.step_speedup.low):
        reason = Text("no more is gained where fewer bytes should matter")
        return Finding("C14", measured, FAILS, reason)
    return Finding("C14", measured, INCONCLUSIVE, Text("the intervals overlap"))


@judges("C15")
def faster_arithmetic(single: StepCosts, batch: StepCosts) -> Finding:
    """A gain that is left where weights are reused and arithmetic is what takes the time."""
    measured, left = _gains(single, batch), batch.step_speedup
    if left.low <= 1 <= left.high:
        reason = Text("the interval holds 1, no gain at all")
        return Finding("C15", measured, INCONCLUSIVE, reason)
    return holds_if("C15", left.low > 1, measured, Text("no gain is left once weights are reused"))


@judges("C16")
def simple_network_faster(latency: LatencyComparison, operators: OperatorCounts) -> Finding:
    """The recipe's own model."""
    measured = Text(
        "FP32 / INT8 {ratio:.2f}, {verdict}",
        ratio=latency.speedup.median,
        verdict=Text(latency.verdict),
    )
    reason = Text(
        "one INT8 call runs {int8} operators, FP32 {fp32}, and at this width operators are the "
        "cost",
        int8=operators.candidate_total,
        fp32=operators.reference_total,
    )
    if latency.verdict == INCONCLUSIVE:
        return Finding("C16", measured, INCONCLUSIVE, Text("no difference beyond the noise"))
    return holds_if("C16", latency.verdict == FASTER, measured, reason)


@judges("C17")
def it_depends(sweep: LatencySweep) -> Finding:
    """The spread of the ratio over widths."""
    ratios = [point.comparison.speedup.median for point in sweep.points]
    least, most = min(ratios), max(ratios)
    measured = Text(
        "FP32 / INT8 from {least:.2f} to {most:.2f} over the widths", least=least, most=most
    )
    return holds_if("C17", most > 1.5 * least, measured, Text("it hardly depends on width"))


def peak_macs(sweep: LatencySweep, side: str) -> float:
    """The most multiply-adds per second that one side of a sweep reached, over all its widths."""
    return max(
        point.macs / (getattr(point.comparison, side).median_us * 1e-6) for point in sweep.points
    )


def _gains(single: StepCosts, batch: StepCosts) -> Text:
    return Text(
        "per step FP32 / INT8 {alone} at batch {one}, {together} at {many}",
        alone=single.step_speedup,
        one=single.batch_size,
        together=batch.step_speedup,
        many=batch.batch_size,
    )
