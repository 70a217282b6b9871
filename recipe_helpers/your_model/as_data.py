"""Your own model: the report as plain data, for JSON and for programs."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from ..common.language import ENGLISH, Text, speaking
from ..recipe.accuracy import TensorComparison
from ..recipe.latency import LatencyComparison
from ..recipe.memory import MemoryComparison
from .candidates import Candidate, Measured
from .findings import Findings

FORMAT = "recipe_helpers report"
VERSION = 1


def as_dict(report: Findings) -> dict[str, Any]:
    """Dicts, lists, strings, numbers and None; what is infinite or undefined is None.

    It speaks English whatever the language in force, and the keys keep their meaning within one
    `version`.
    """
    with speaking(ENGLISH):
        return _plain(_as_dict(report))


def _as_dict(report: Findings) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": report.model,
        "parameters": report.parameters,
        "inputs": report.inputs,
        "machine": asdict(report.machine),
        "limits": asdict(report.limits),
        "reference_metric": report.reference_metric,
        "passed": report.passed,
        "verdict": asdict(report.verdict),
        "notes": report.notes,
        "next_steps": [asdict(step) for step in report.next_steps],
        "candidates": [_candidate(candidate) for candidate in report.candidates],
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "name": candidate.name,
        "failure": candidate.failure,
        "whole": candidate.whole and _measured(candidate.whole),
        "sensitivity": candidate.sensitivity and asdict(candidate.sensitivity),
        "left_float": candidate.left_float,
        "partly": candidate.partly and _measured(candidate.partly),
    }


def _measured(found: Measured) -> dict[str, Any]:
    return {
        "promises": [asdict(promise) for promise in found.promises],
        "conversion": asdict(found.conversion),
        "size": {
            "reference_bytes": found.size.reference_bytes,
            "candidate_bytes": found.size.candidate_bytes,
            "ratio": found.size.ratio,
            "reference": asdict(found.size.reference),
            "candidate": asdict(found.size.candidate),
            "by_module": asdict(found.modules),
        },
        "memory": found.memory and _memory(found.memory),
        "latencies": [_latency(latency) for latency in found.latencies],
        "relative": found.relative,
        "place": found.place,
        "outputs": [[_tensor(t) for t in comparison.tensors] for comparison in found.outputs],
        "task": {**asdict(found.task), "share": found.task.share},
        "metric": found.metric,
    }


def _memory(memory: MemoryComparison) -> dict[str, Any]:
    return {**asdict(memory), "loaded": memory.loaded, "peak": memory.peak}


def _latency(latency: LatencyComparison) -> dict[str, Any]:
    return {
        "threads": latency.threads,
        "rounds": latency.rounds,
        "reference_median_us": latency.reference.median_us,
        "reference_quartiles_us": latency.reference.quartiles_us,
        "candidate_median_us": latency.candidate.median_us,
        "candidate_quartiles_us": latency.candidate.quartiles_us,
        "speedup": asdict(latency.speedup),
        "control": asdict(latency.control),
        "verdict": latency.verdict,
    }


def _tensor(tensor: TensorComparison) -> dict[str, Any]:
    names = ("name", "reference_mean", "candidate_mean", "difference_mean", "relative")
    found = {name: getattr(tensor, name) for name in (*names, "sqnr_db", "cosine")}
    return {**found, "worst": tensor.worst and asdict(tensor.worst)}


def _plain(value: Any) -> Any:
    """The same with lists for tuples, English for texts, None for numbers that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, Text):
        return value.english
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
