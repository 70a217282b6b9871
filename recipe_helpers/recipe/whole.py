"""The whole ledger at once: what the notebook measures cell by cell, for a class and a terminal."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ..common import settings
from ..common.checks import renamed
from ..common.language import N_
from .accuracy import compare_outputs
from .costs import BUDGET_S as COSTS_BUDGET_S, step_costs
from .inspection import converted_modules, stored_weights
from .latency import (
    BUDGET_S,
    SWEEP_BUDGET_S,
    WIDTHS,
    compare_latency,
    latency_sweep,
)
from .ledger import Ledger
from .memory import memory_sweep
from .model import SEED, demonstration
from .operators import count_operators
from .quantize import quantize_dynamic
from .rounding import activation_step, compare_scales, round_to_grid
from .size import compare_size, size_sweep


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
    ledger, share = Ledger(), 0.1 if quickly else 1.0
    with settings.threads_set(1):
        _grids(ledger)
        _model(ledger, share)
        sweep = latency_sweep(widths, budget_s=share * SWEEP_BUDGET_S)
        for claim in ("C17", "C3", "C8"):
            ledger.judge(claim, sweep)
        single, batch = (
            step_costs(batch_size=size, budget_s=share * COSTS_BUDGET_S) for size in (1, 16)
        )
        for claim in ("C14", "C15"):
            ledger.judge(claim, single, batch)
    ledger.judge("C18")
    return ledger


def _grids(ledger: Ledger) -> None:
    """The claims on numbers alone: C1, C4, C5, C6, C9."""
    ledger.judge("C1", round_to_grid(torch.tensor([0.31, -1.27, 0.006, 0.84, -0.558])))
    time = torch.arange(60) / 6
    batches = {N_("loud"): torch.sin(time), N_("quiet"): 0.01 * torch.cos(time)}
    for claim in ("C4", "C6"):
        ledger.judge(claim, compare_scales(batches["loud"], batches))
    ledger.judge("C5", *(activation_step(batch.repeat(8)) for batch in batches.values()))
    products = torch.full((8,), 100 * 90, dtype=torch.int16)
    in_int16, in_int32 = (
        int(products.sum(dtype=kind).item()) for kind in (torch.int16, torch.int32)
    )
    ledger.judge("C9", in_int16, in_int32, 8 * 100 * 90)


def _model(ledger: Ledger, share: float) -> None:
    """The claims on the recipe's model: C2, C7, C10 to C13, C16, C19."""
    demo = demonstration()
    quantized = quantize_dynamic(demo.model)
    conversion = converted_modules(demo.model, quantized)
    ledger.judge("C7", conversion, stored_weights(quantized))
    with settings.seeded(SEED):
        stack = quantize_dynamic(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)).eval())
    between = stack[0](demo.inputs)
    ledger.judge("C10", stack[1](between).dtype, between.dtype)
    ledger.judge("C11", torch.ao.quantization.quantize_dynamic)
    ledger.judge("C2", compare_size(demo.model, quantized))
    ledger.judge("C13", size_sweep())
    ledger.judge("C19", memory_sweep())
    latency = compare_latency(demo.model, quantized, *demo.arguments, budget_s=share * BUDGET_S)
    ledger.judge("C16", latency, count_operators(demo.model, quantized, *demo.arguments))
    ledger.judge("C12", compare_outputs(demo.model, quantized, *demo.arguments))
