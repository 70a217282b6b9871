"""The judges of what a call costs: time, rates, memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..common.language import N_
from .claims import EMPTY, FAILS, HOLDS, IN_PART, INCONCLUSIVE, JUDGES as JUDGES, Found, judges
from .costs import OperatorCounts, StepCosts
from .latency import LatencyComparison, LatencySweep
from .memory import LESS, UNKNOWN, MemorySweep, in_megabytes
from .timing import FASTER, Ratio

DEPENDS = 1.5  # largest over smallest ratio from which on it depends
# No core multiplies faster than this with scalar instructions: 6 GHz, two multipliers.
SCALAR_LIMIT_MACS = 12e9


@judges(
    "C3",
    N_(
        "{fp32:.1f} G multiply-adds per second in FP32, {int8:.1f} in INT8, in the steps of width "
        "{width}, batch of {batch_size}; it holds if FP32 / INT8 {step_speedup} lies above 1"
    ),
    N_("INT8 does not get more done per second here"),
)
def throughput(single: StepCosts, batch: StepCosts) -> Found:
    """Multiply-adds per second of the time steps, at the batch size where INT8 does most.

    The price per step leaves out what a call costs beside its arithmetic, such as packing weights.
    """
    costs = max(single, batch, key=lambda one: one.macs_per_s(one.candidate))
    fp32, int8 = costs.macs_per_s(costs.reference), costs.macs_per_s(costs.candidate)
    numbers = {
        "fp32_macs_per_s": fp32,
        "int8_macs_per_s": int8,
        "threads": costs.threads,
        "width": costs.width,
        "batch_size": costs.batch_size,
        "step_speedup": costs.step_speedup,
    }
    return _above_one(costs.step_speedup, numbers, {"fp32": fp32 / 1e9, "int8": int8 / 1e9})


@judges(
    "C8",
    N_("{rate:.1f} G multiply-adds per second, scalar code at most {limit:.0f}"),
    N_("not more than scalar code could do"),
)
def vectorized(latency_sweep: LatencySweep) -> Found:
    """More multiply-adds per second than scalar instructions can do: that much a rate can show."""
    limit = SCALAR_LIMIT_MACS * latency_sweep.threads
    fp32, int8 = (peak_macs(latency_sweep, side) for side in ("reference", "candidate"))
    numbers = {
        "fp32_macs_per_s": fp32,
        "int8_macs_per_s": int8,
        "threads": latency_sweep.threads,
    }
    values = {"rate": int8 / 1e9, "limit": limit / 1e9}
    if int8 <= limit:
        return Found(False, numbers, values)
    why = N_("a rate shows that vectors are multiplied, not that they hold INT8")
    return Found(IN_PART, numbers, values, why)


@judges(
    "C14",
    N_(
        "per step FP32 / INT8 {single[step_speedup]} at batch {single[batch_size]}, "
        "{batch[step_speedup]} at {batch[batch_size]}; it holds if the first lies above the second "
        "and above 1"
    ),
    N_("no more is gained where fewer bytes should matter"),
)
def fewer_bytes(single: StepCosts, batch: StepCosts) -> Found:
    """INT8 gains, and most where each weight is read for one sequence alone."""
    alone, together = single.step_speedup, batch.step_speedup
    if alone.low > max(1.0, together.high):
        return Found(True, _both_costs(single, batch))
    if alone.high < max(1.0, together.low):
        return Found(False, _both_costs(single, batch))
    return Found(INCONCLUSIVE, _both_costs(single, batch), why=N_("the intervals overlap"))


@judges(
    "C15",
    N_(
        "per step FP32 / INT8 {batch[step_speedup]} at batch {batch[batch_size]}, where a weight "
        "once read serves them all; it holds if that lies above 1"
    ),
    N_("no gain is left once weights are reused"),
)
def faster_arithmetic(single: StepCosts, batch: StepCosts) -> Found:
    """A gain that is left where weights are reused and arithmetic is what takes the time."""
    return _above_one(batch.step_speedup, _both_costs(single, batch))


@judges(
    "C16",
    N_("FP32 / INT8 {speedup.median:.2f}, {verdict}"),
    N_(
        "one INT8 call runs {int8_operators} operators, FP32 {fp32_operators}, and at this width "
        "operators are the cost"
    ),
)
def simple_network_faster(latency: LatencyComparison, operators: OperatorCounts) -> Found:
    """The recipe's own model."""
    numbers = {
        **_times(latency),
        "fp32_operators": operators.reference_total,
        "int8_operators": operators.candidate_total,
        "threads": latency.threads,
    }
    if latency.verdict == INCONCLUSIVE:
        return Found(INCONCLUSIVE, numbers, why=N_("no difference beyond the noise"))
    return Found(latency.verdict == FASTER, numbers)


@judges(
    "C17",
    N_("FP32 / INT8 from {least:.2f} to {most:.2f} over the widths"),
    N_("it hardly depends on width"),
)
def it_depends(latency_sweep: LatencySweep) -> Found:
    """The spread of the ratio over widths, which is one of the things it may depend on."""
    numbers = {
        "threads": latency_sweep.threads,
        "batch_size": latency_sweep.batch_size,
        "crossover_width": latency_sweep.crossover,
        "points": [{"width": p.width, **_times(p.comparison)} for p in latency_sweep.points],
    }
    ratios = [point.comparison.speedup.median for point in latency_sweep.points]
    values = {"least": min(ratios), "most": max(ratios)}
    if max(ratios) <= DEPENDS * min(ratios):
        return Found(False, numbers, values)
    why = N_("the width alone was varied, on one machine")
    return Found(IN_PART, numbers, values, why)


@judges(
    "C19",
    N_("at width {width} {held} -> {holds} loaded, {most} -> {takes} during a call"),
    N_("no less in either"),
)
def less_memory(memory: MemorySweep) -> Found:
    """The widest model, in a process of its own: once loaded, and at the peak of a call."""
    points = [
        {
            "width": point.width,
            "parameters": point.parameters,
            "fp32_loaded_bytes": point.comparison.reference.loaded_bytes,
            "int8_loaded_bytes": point.comparison.candidate.loaded_bytes,
            "fp32_peak_bytes": point.comparison.reference.peak_bytes,
            "int8_peak_bytes": point.comparison.candidate.peak_bytes,
        }
        for point in memory.points
    ]
    width, _parameters, *sizes = points[-1].values()
    said = (UNKNOWN if size is None else in_megabytes(size) for size in sizes)
    values = {"width": width, **dict(zip(("held", "holds", "most", "takes"), said, strict=True))}
    widest = memory.points[-1].comparison
    less = [told == LESS for told in (widest.loaded, widest.peak)]
    why = N_("not less in both") if any(less) else ""
    if widest.peak is None:
        why = N_("this system does not tell the peak of a call")
    verdict = HOLDS if all(less) else IN_PART if any(less) else FAILS
    return Found(verdict, {"points": points}, values, why)


def peak_macs(sweep: LatencySweep, side: str) -> float:
    """The most multiply-adds per second that one side of a sweep reached, over all its widths."""
    return max(
        point.macs / (getattr(point.comparison, side).median_us * 1e-6) for point in sweep.points
    )


def _above_one(
    ratio: Ratio, numbers: Mapping[str, Any], values: Mapping[str, Any] = EMPTY
) -> Found:
    """Whether a ratio lies above 1 with its whole interval."""
    if ratio.low <= 1 <= ratio.high:
        why = N_("the interval holds 1, no gain at all")
        return Found(INCONCLUSIVE, numbers, values, why)
    return Found(ratio.low > 1, numbers, values)


def _times(latency: LatencyComparison) -> dict[str, Any]:
    return {
        "fp32_us": latency.reference.median_us,
        "int8_us": latency.candidate.median_us,
        "speedup": latency.speedup,
        "control": latency.control,
        "verdict": latency.verdict,
    }


def _both_costs(single: StepCosts, batch: StepCosts) -> dict[str, Any]:
    return {
        name: {
            "width": costs.width,
            "batch_size": costs.batch_size,
            "threads": costs.threads,
            "fp32_overhead_us": costs.reference.overhead_us,
            "fp32_step_us": costs.reference.step_us,
            "int8_overhead_us": costs.candidate.overhead_us,
            "int8_step_us": costs.candidate.step_us,
            "step_speedup": costs.step_speedup,
        }
        for name, costs in (("single", single), ("batch", batch))
    }
