"""The ledger: each claim made for dynamic quantization, and what this machine says of it."""

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, get_type_hints, overload

import numpy as np
import torch
from torch import nn

from ..common import checks, settings
from ..common.checks import renamed
from ..common.errors import ArgumentError
from ..common.language import ENGLISH, N_, _, speaking
from ..common.tables import Shown, Table, plain_data
from . import costs, latency as timed
from .accuracy import compare_outputs
from .claims import CLAIMS, ELSEWHERE, FAILS, HOLDS, IN_PART, INCONCLUSIVE, OPEN, Finding, headers
from .costs import count_operators, step_costs
from .inspection import converted_modules, stored_weights
from .judges import JUDGES
from .latency import WIDTHS, LatencySweep, compare_latency, latency_sweep
from .memory import memory_sweep
from .model import SEED, demonstration, machine
from .quantize import quantize_dynamic
from .rounding import activation_step, compare_scales, round_to_grid
from .size import compare_size, size_sweep

FORMAT = "recipe_helpers ledger"
VERSION = 1  # of the file's layout; its keys keep their meaning within one
_HOOD = N_("see under_the_hood.ipynb")
_WHERE = {"C3": _HOOD, "C14": _HOOD, "C15": _HOOD, "C18": N_("see trained_models.ipynb")}
_MANY = {HOLDS: N_("hold"), FAILS: N_("fail")}
_ANYWHERE = N_("rh.measure_ledger() measures it")


class Ledger(Shown):
    """The findings so far; shows every claim, those that were not measured included."""

    def __init__(self, findings: Mapping[str, Finding] | None = None) -> None:
        self.findings: dict[str, Finding] = dict(findings or {})

    def judge(self, claim: str, *results: Any) -> Finding:
        """Judge one claim as `rh.judge` does, write it down, and return the finding."""
        finding = judge(claim, *results)
        self.findings[claim] = finding
        return finding

    def count(self, verdict: str) -> int:
        """How many claims got this verdict."""
        return sum(finding.verdict == verdict for finding in self.findings.values())

    def table(self) -> Table:
        """All claims in their order."""
        rows = [self.findings.get(claim, Finding(claim, OPEN)).row() for claim in CLAIMS]
        said = []
        for verdict in (HOLDS, IN_PART, FAILS, INCONCLUSIVE, ELSEWHERE):
            if count := self.count(verdict):
                several = _MANY.get(verdict, verdict)  # 1 holds, 2 hold
                word = _(verdict if count == 1 else several)
                said.append(_("{count} {verdict}", count=count, verdict=word))
        note = _("Of {count} claims: {counts}.", count=len(CLAIMS), counts=", ".join(said))
        return Table(headers(), rows, _("The claims ledger"), note)

    def as_dict(self) -> dict[str, Any]:
        """Machine, versions, and what was measured: each finding with its numbers, as plain data.

        It speaks English, and says what kind of machine this is, but not which: no name of host
        or user, no path. What is infinite or undefined is None.
        """
        with speaking(ENGLISH):
            here = plain_data(asdict(machine()))
            versions = {"torch": here.pop("torch_version"), "python": here.pop("python_version")}
            found = {
                claim: {
                    "verdict": finding.verdict,
                    "measured": finding.measured,
                    "reason": finding.reason,
                    "numbers": plain_data(finding.numbers),
                }
                for claim in CLAIMS
                if (finding := self.findings.get(claim)) and finding.verdict != ELSEWHERE
            }
        return {
            "format": FORMAT,
            "version": VERSION,
            "machine": here,
            "versions": {**versions, "numpy": np.__version__},
            "findings": found,
        }

    def to_json(self) -> str:
        """`as_dict` as JSON text, for a file that `rh.compare_ledgers` reads."""
        return json.dumps(self.as_dict(), indent=1, ensure_ascii=True, allow_nan=False) + "\n"


@overload
def judge(claim: str, /, *results: Any) -> Finding: ...
@overload
def judge(**results: Any) -> Ledger: ...
def judge(*named: Any, **results: Any) -> Finding | Ledger:
    """Judge what was measured: the whole ledger from results by name, or one claim.

    `rh.judge(size=rh.compare_size(model, quantized), latency=..., operators=...)` judges every
    claim whose results were handed over, and says of the others where they are measured.
    `rh.judge("C2", size)` judges one claim alone.

    Args:
        *named: nothing for the whole ledger; or "C1" to "C19" and what the judge of that claim in
            `judges.py` takes.
        **results: by name, as many as there are:
            rounding (C1): a `Rounding`.
            scales (C4, C6): what `compare_scales` returned.
            steps (C5): a list of what `activation_step` returned for batches of unlike range.
            in_int16, in_int32, exact (C9): a sum of products of int8 in 16 bits, in 32, and true.
            conversion, weights (C7): from `converted_modules` and `stored_weights`.
            output_dtype, between_dtype (C10): of a quantized layer, the last and another.
            call (C11): the function that quantizes.
            size (C2), size_sweep (C13), memory (C19): from `compare_size`, `size_sweep` and
            `memory_sweep`.
            latency, operators (C16): from `compare_latency` and `count_operators`.
            latency_sweep (C8, C17): from `latency_sweep`.
            single, batch (C3, C14, C15): from `step_costs` with a batch of one, and of many.
            outputs (C12): from `compare_outputs`.
            study, perplexity (C18): from `digit_study` and `compare_perplexity`.

    Returns:
        A `Ledger` of all claims; or the `Finding` on the one that was named.

    Raises:
        ArgumentError: there is no such claim or result, or one is of another type.
    """
    if named:
        claim, *measured = named
        return _finding(checks.one_of("claim", claim, CLAIMS), measured)
    known = {name for one in CLAIMS for name in _parameters(one)}
    for name in results:
        checks.one_of("result", name, sorted(known))
    return Ledger({one: _finding(one, _chosen(one, results)) for one in CLAIMS})


def _parameters(claim: str) -> Mapping[str, inspect.Parameter]:
    """The results from which a claim is judged, by name."""
    return inspect.signature(JUDGES[claim]).parameters


def _chosen(claim: str, results: Mapping[str, Any]) -> list[Any]:
    """Those of the results from which a claim is judged; none where one of them is missing."""
    chosen: list[Any] = []
    for name, parameter in _parameters(claim).items():
        if results.get(name) is None:
            return []
        several = parameter.kind is parameter.VAR_POSITIONAL
        chosen += results[name] if several else [results[name]]
    return chosen


def _finding(claim: str, results: Sequence[Any]) -> Finding:
    """What the judge of a claim says of its results, or where it is measured if there are none."""
    if not results or (isinstance(results[0], LatencySweep) and claim == "C3"):  # its judge in 2.0
        return Finding(claim, ELSEWHERE, _WHERE.get(claim, _ANYWHERE))
    try:
        given = inspect.signature(JUDGES[claim]).bind(*results).arguments
    except TypeError:
        names = ", ".join(_parameters(claim))
        raise ArgumentError(
            "{claim} is judged from {names}; pass these.", claim=claim, names=names
        ) from None
    types = get_type_hints(JUDGES[claim])
    for name, value in given.items():
        expected = types[name]
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(expected, type) and not isinstance(one, expected):
                raise ArgumentError(
                    "{name} is of type {kind}; pass one of type {expected}.",
                    name=name,
                    kind=type(one).__name__,
                    expected=expected.__name__,
                )
    return JUDGES[claim](*results)


@renamed(dimensions="widths")
def measure_ledger(widths: Iterable[int] = WIDTHS, *, quickly: bool = False) -> Ledger:
    """Measure every claim of the recipe on this machine, as its notebook does, on one thread.

    It takes about twenty seconds. C18, which needs trained models, is measured elsewhere.

    Args:
        widths: of the LSTM in the sweep of latencies, rising.
        quickly: a tenth of the time for each timing, for a first look; more is inconclusive then.

    Raises:
        ArgumentError: a width is not a whole number of at least 1.
        EngineError: no quantized engine works on this machine.
    """
    chosen, share = checks.positive_ints("widths", widths), 0.1 if quickly else 1.0
    with settings.threads_set(1):
        single, batch = (
            step_costs(batch_size=size, budget_s=share * costs.BUDGET_S) for size in (1, 16)
        )
        return judge(
            **_grids(),
            **_model(share * timed.BUDGET_S),
            latency_sweep=latency_sweep(chosen, budget_s=share * timed.SWEEP_BUDGET_S),
            single=single,
            batch=batch,
        )


def _grids() -> dict[str, Any]:
    """What is measured of numbers alone."""
    time = torch.arange(60) / 6
    batches = {N_("loud"): torch.sin(time), N_("quiet"): 0.01 * torch.cos(time)}
    products = torch.full((8,), 100 * 90, dtype=torch.int16)
    return {
        "rounding": round_to_grid(torch.tensor([0.31, -1.27, 0.006, 0.84, -0.558])),
        "scales": compare_scales(batches["loud"], batches),
        "steps": [activation_step(batch.repeat(8)) for batch in batches.values()],
        "in_int16": int(products.sum(dtype=torch.int16).item()),
        "in_int32": int(products.sum(dtype=torch.int32).item()),
        "exact": 8 * 100 * 90,
    }


def _model(budget_s: float) -> dict[str, Any]:
    """What is measured of the recipe's model, and of its like."""
    demo = demonstration()
    quantized = quantize_dynamic(demo.model)
    both = demo.model, quantized, *demo.arguments
    with settings.seeded(SEED):
        stack = quantize_dynamic(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)).eval())
    between = stack[0](demo.inputs)
    return {
        "conversion": converted_modules(demo.model, quantized),
        "weights": stored_weights(quantized),
        "output_dtype": stack[1](between).dtype,
        "between_dtype": between.dtype,
        "call": torch.ao.quantization.quantize_dynamic,
        "size": compare_size(demo.model, quantized),
        "size_sweep": size_sweep(),
        "memory": memory_sweep(),
        "latency": compare_latency(*both, budget_s=budget_s),
        "operators": count_operators(*both),
        "outputs": compare_outputs(*both),
    }
