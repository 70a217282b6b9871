"""Under the hood: models and inputs that one scale for everything cannot serve."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..common import checks, settings
from ..common.language import N_, _
from ..common.tables import Shown, Table
from ..recipe.accuracy import compare_outputs
from ..recipe.model import LSTMModel
from ..recipe.quantize import quantize_dynamic

CASES = (N_("ordinary"), N_("outlier rows"), N_("heavy-tailed inputs"))
WIDTH, STEPS, BATCH_SIZE = 64, 40, 2
_OUTLIER = 3000.0  # how much larger the outlier row is than the others
_QUIET, _LOUD = 2e-5, 1.0  # most entries of a power spectrum, and its few peaks


def draw_stress(case: str, seed: int, layers: int = 3) -> tuple[LSTMModel, Tensor]:
    """Draw a model of several layers and inputs (STEPS, BATCH_SIZE, WIDTH).

    The biases are zero: otherwise the bias alone would point the outputs in nearly the right
    direction, and hide what became of the rest.

    Args:
        case: "ordinary"; "outlier rows", one row of each weight matrix 3000 times as large; or
            "heavy-tailed inputs": in one step of eight, five entries up to 1, all others up to
            2e-5, like power spectra, and first-layer weights large enough for the small ones.
        seed: seed of the generator.
        layers: number of LSTM layers.

    Raises:
        ArgumentError: an unknown case, or `layers` below 1.
    """
    checks.one_of("case", case, CASES)
    checks.positive_int("layers", layers)
    with settings.seeded(seed), torch.no_grad():
        model = LSTMModel(WIDTH, WIDTH, layers).eval()
        inputs = torch.randn(STEPS, BATCH_SIZE, WIDTH)
        for name, parameter in model.lstm.named_parameters():
            if name.startswith("bias"):
                parameter.zero_()
            elif case == "outlier rows":
                parameter[3] *= _OUTLIER
        if case == "heavy-tailed inputs":
            inputs = torch.rand(STEPS, BATCH_SIZE, WIDTH) * _QUIET
            inputs[::8, :, :5] = torch.rand(5, BATCH_SIZE, 5) * _LOUD
            model.lstm.weight_ih_l0 *= _LOUD / (_QUIET / 2)
    return model, inputs


@dataclass(frozen=True)
class StressPoint:
    """The cosine of the angle between int8 and FP32 outputs, for each seed; 1 is perfect."""

    case: str
    torch_ao: tuple[float, ...]
    plain: tuple[float, ...]


@dataclass(frozen=True)
class StressTest(Shown):
    """Both int8 LSTMs on ordinary and on hard cases."""

    points: tuple[StressPoint, ...]
    layers: int

    def table(self) -> Table:
        """One row per case, the median and the worst seed of each side."""
        rows = [
            (_(p.case), *(f"{np.median(c):.4f} ({min(c):.4f})" for c in (p.torch_ao, p.plain)))
            for p in self.points
        ]
        seeds = len(self.points[0].plain)
        caption = _(
            "{layers} layers: cosine to the FP32 outputs, median (worst) of {seeds}",
            layers=self.layers,
            seeds=seeds,
        )
        return Table((_("case"), "torch.ao", "Int8LSTM"), rows, caption)


def stress_test(*, seeds: Iterable[int] = range(4), layers: int = 3) -> StressTest:
    """Quantize every case with torch.ao's default and with the plain backend, and compare.

    Args:
        seeds: whole numbers; each draws one model and its inputs for every case.
        layers: number of LSTM layers.

    Raises:
        ArgumentError: no seed, one that is no whole number, or `layers` below 1.
    """
    chosen = checks.seeds("seeds", seeds)
    points = []
    for case in CASES:
        drawn = [draw_stress(case, seed, layers) for seed in chosen]
        with settings.threads_set(1):  # so small a model only waits for a second thread
            sides = [
                tuple(_cosine(model, inputs, backend) for model, inputs in drawn)
                for backend in ("torch.ao", "plain")
            ]
        points.append(StressPoint(case, *sides))
    return StressTest(tuple(points), layers)


def _cosine(model: nn.Module, inputs: Tensor, backend: str) -> float:
    return compare_outputs(model, quantize_dynamic(model, backend=backend), inputs).cosine
