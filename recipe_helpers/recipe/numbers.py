"""The numbers behind each finding of the ledger, as plain data with their units in the names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .accuracy import OutputComparison
from .costs import StepCosts
from .inspection import Conversion, StoredWeight
from .judges import peak_macs
from .latency import LatencyComparison, LatencySweep
from .memory import MemorySweep
from .operators import OperatorCounts
from .rounding import ActivationStep, Rounding, ScaleChoices
from .size import SizeComparison, SizeSweep
from .timing import Ratio

Numbers = dict[str, Any]


def numbers(claim: str, *results: Any) -> Numbers:
    """What was measured for a claim: dicts and lists of numbers and words.

    Args:
        claim: a claim of the ledger; one that rests on no numbers here gives an empty dict.
        *results: what its judge was given.
    """
    return _NUMBERS[claim](*results) if claim in _NUMBERS else {}


def _rounding(rounding: Rounding) -> Numbers:
    return {
        "largest_error": float(rounding.errors.abs().max()),
        "half_step": float(rounding.scale) / 2,
    }


def _size(size: SizeComparison) -> Numbers:
    return {"fp32_bytes": size.reference_bytes, "int8_bytes": size.candidate_bytes}


def _throughput(sweep: LatencySweep) -> Numbers:
    return {
        "fp32_macs_per_s": peak_macs(sweep, "reference"),
        "int8_macs_per_s": peak_macs(sweep, "candidate"),
        "threads": sweep.threads,
    }


def _scales(choices: ScaleChoices) -> Numbers:
    batches = [
        {
            "batch": batch.name,
            "fixed_scale": float(batch.fixed.scale),
            "own_scale": float(batch.dynamic.scale),
            "fixed_relative_error": float(batch.fixed.relative),
            "own_relative_error": float(batch.dynamic.relative),
        }
        for batch in choices.batches
    ]
    return {"batches": batches}


def _steps(*steps: ActivationStep) -> Numbers:
    return {"steps": [{"range": float(s.range), "step": float(s.step)} for s in steps]}


def _weights(conversion: Conversion, weights: Sequence[StoredWeight]) -> Numbers:
    count = sum(weight.integers.numel() for weight in weights)
    return {"int8_weights": count, "converted_modules": len(conversion.converted)}


def _sums(in_int16: int, in_int32: int, exact: int) -> Numbers:
    return {"in_int16": in_int16, "in_int32": in_int32, "exact": exact}


def _dtypes(output_dtype: object, between_dtype: object) -> Numbers:
    return {"output": str(output_dtype), "between": str(between_dtype)}


def _outputs(comparison: OutputComparison) -> Numbers:
    return {"relative_difference": float(comparison.relative)}


def _sizes(sweep: SizeSweep) -> Numbers:
    points = [
        {"width": point.width, "parameters": point.parameters, **_size(point.comparison)}
        for point in sweep.points
    ]
    return {"points": points}


def _costs(single: StepCosts, batch: StepCosts) -> Numbers:
    return {"single": _cost(single), "batch": _cost(batch)}


def _cost(costs: StepCosts) -> Numbers:
    return {
        "width": costs.width,
        "batch_size": costs.batch_size,
        "threads": costs.threads,
        "fp32_overhead_us": costs.reference.overhead_us,
        "fp32_step_us": costs.reference.step_us,
        "int8_overhead_us": costs.candidate.overhead_us,
        "int8_step_us": costs.candidate.step_us,
        "step_speedup": _ratio(costs.step_speedup),
    }


def _latency(latency: LatencyComparison) -> Numbers:
    return {
        "fp32_us": latency.reference.median_us,
        "int8_us": latency.candidate.median_us,
        "speedup": _ratio(latency.speedup),
        "control": _ratio(latency.control),
        "verdict": latency.verdict,
    }


def _simple(latency: LatencyComparison, operators: OperatorCounts) -> Numbers:
    counts = {
        "fp32_operators": operators.reference_total,
        "int8_operators": operators.candidate_total,
    }
    return {**_latency(latency), **counts, "threads": latency.threads}


def _sweep(sweep: LatencySweep) -> Numbers:
    points = [{"width": p.width, **_latency(p.comparison)} for p in sweep.points]
    return {
        "threads": sweep.threads,
        "batch_size": sweep.batch_size,
        "crossover_width": sweep.crossover,
        "points": points,
    }


def _memory(sweep: MemorySweep) -> Numbers:
    points = [
        {
            "width": point.width,
            "parameters": point.parameters,
            "fp32_loaded_bytes": point.comparison.reference.loaded_bytes,
            "int8_loaded_bytes": point.comparison.candidate.loaded_bytes,
            "fp32_peak_bytes": point.comparison.reference.peak_bytes,
            "int8_peak_bytes": point.comparison.candidate.peak_bytes,
        }
        for point in sweep.points
    ]
    return {"points": points}


def _ratio(ratio: Ratio) -> Numbers:
    return {"median": ratio.median, "low": ratio.low, "high": ratio.high}


_NUMBERS: dict[str, Callable[..., Numbers]] = {
    "C1": _rounding,
    "C2": _size,
    "C3": _throughput,
    "C4": _scales,
    "C5": _steps,
    "C6": _scales,
    "C7": _weights,
    "C8": _throughput,
    "C9": _sums,
    "C10": _dtypes,
    "C12": _outputs,
    "C13": _sizes,
    "C14": _costs,
    "C15": _costs,
    "C16": _simple,
    "C17": _sweep,
    "C19": _memory,
}
