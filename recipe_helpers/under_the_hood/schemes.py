"""Under the hood: what each choice of design costs, and inputs that one scale cannot serve.

`compare_schemes` sets one choice against another, `stress_test` torch.ao against the plain backend.
Every scheme is measured on the same models and inputs, drawn from the same seeds, against the
float64 outputs. There are two kinds of them, since a choice may matter for one and not the other:

- even: PyTorch's own random weights, all rows of a matrix alike, and inputs of equal loudness;
- uneven: rows whose sizes differ, and steps whose loudness differs, as both do in use. The
  factors are log-normal: the largest of many is tens of times the smallest.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from int8_rnn import Int8LSTM, Scheme

from ..common import checks, settings
from ..common.errors import ArgumentError
from ..common.language import N_, _
from ..common.tables import Shown, Table
from ..recipe.accuracy import compare_outputs
from ..recipe.model import LSTMModel
from ..recipe.quantize import quantize_dynamic
from .by_hand import relative_error

CASES = (N_("even"), N_("uneven"))
# What the notebook calls its questions and answers; a label of a reader's own stays as it is.
_NOTEBOOKS_OWN = (
    *(N_("weights"), N_("per tensor"), N_("per channel")),
    *(N_("activation scales"), N_("per sequence"), N_("per step"), N_("per row")),
    *(N_("activation bits"), N_("zero point"), N_("with, 7 bits"), N_("none, 7 bits")),
    *(N_("with, 12 bits"), N_("none, 12 bits")),
    *(N_("weights, again"), N_("least squares"), N_("and per column")),
    *(N_("and residuals"), N_("bits of each"), N_("16, 16 bits"), N_("16, 8 bits")),
    *(N_("8, 16 bits"), N_("8, 8 bits")),
)
SEEDS = range(8)
WIDTH, STEPS, BATCH_SIZE = 32, 20, 4
_ROW_SPREAD, _LOUDNESS_SPREAD = 1.0, 1.5  # standard deviations of the factors' logarithms
_ROW_SIZE = 0.6  # keeps the gates of the uneven models out of their flat ends


class Case(NamedTuple):
    """A model and its input."""

    lstm: nn.LSTM
    inputs: Tensor  # (STEPS, BATCH_SIZE, WIDTH)


def draw_case(kind: str, seed: int) -> Case:
    """Draw a one-layer LSTM and a batch of sequences; `kind` is one of `CASES`.

    Raises:
        ArgumentError: an unknown kind.
    """
    checks.one_of("kind", kind, CASES)
    with settings.seeded(seed), torch.no_grad():
        lstm = nn.LSTM(WIDTH, WIDTH).eval()
        inputs = torch.randn(STEPS, BATCH_SIZE, WIDTH)
        if kind == "uneven":
            for weight in (lstm.weight_ih_l0, lstm.weight_hh_l0):
                weight *= _ROW_SIZE * torch.exp(_ROW_SPREAD * torch.randn(4 * WIDTH, 1))
            inputs *= torch.exp(_LOUDNESS_SPREAD * torch.randn(STEPS, BATCH_SIZE, 1))
    return Case(lstm, inputs)


@dataclass(frozen=True)
class SchemeErrors:
    """One scheme: mean |int8 - exact| / mean |exact| of the outputs, for each seed."""

    label: str
    even: tuple[float, ...]
    uneven: tuple[float, ...]

    def median(self, kind: str) -> float:
        """The median over the seeds; `kind` is one of `CASES`."""
        return float(np.median(getattr(self, kind)))


@dataclass(frozen=True)
class ChoiceErrors(Shown):
    """The answers to one question of design, side by side."""

    question: str
    options: tuple[SchemeErrors, ...]
    seeds: tuple[int, ...]

    def table(self) -> Table:
        """One row per option: the median over the seeds, and the smallest and largest error."""
        rows = [
            (_(o.label), *(f"{o.median(k):.2%} ({_range(getattr(o, k))})" for k in CASES))
            for o in self.options
        ]
        caption = _("relative error, median (range) over {count} seeds", count=len(self.seeds))
        return Table((_(self.question), _("even model"), _("uneven model")), rows, caption)


def compare_schemes(
    question: str, schemes: Mapping[str, Scheme], *, seeds: Iterable[int] = SEEDS
) -> ChoiceErrors:
    """Measure the error of `Int8LSTM` under each scheme, on the even and the uneven models.

    Args:
        question: what the schemes differ in; heads the table.
        schemes: a label for each scheme, and the scheme.
        seeds: whole numbers; each draws one model of either kind.

    Raises:
        ArgumentError: no scheme, no seed, or a seed that is no whole number.
    """
    chosen = checks.seeds("seeds", seeds)
    if not schemes:
        raise ArgumentError("schemes is empty; pass at least one scheme.")
    with settings.threads_set(1):  # so small a model only waits for a second thread
        drawn = {kind: [draw_case(kind, seed) for seed in chosen] for kind in CASES}
        exact = {kind: [*map(_exact, cases)] for kind, cases in drawn.items()}
        options = []
        for label, scheme in schemes.items():
            relative = partial(_relative, scheme)
            errors = (tuple(map(relative, drawn[kind], exact[kind])) for kind in CASES)
            options.append(SchemeErrors(label, *errors))
    return ChoiceErrors(question, tuple(options), chosen)


def _exact(case: Case) -> Tensor:
    """The outputs in float64."""
    with torch.inference_mode():
        return copy.deepcopy(case.lstm).double()(case.inputs.double())[0]


def _relative(scheme: Scheme, case: Case, exact: Tensor) -> float:
    """The mean error of the int8 outputs, relative to the mean magnitude of the exact ones."""
    int8 = Int8LSTM.from_float(case.lstm, scheme=scheme, fast=False)
    return relative_error(int8(case.inputs)[0], exact)


def _range(values: tuple[float, ...]) -> str:
    return _("{low:.2%} to {high:.2%}", low=min(values), high=max(values))


# --- models and inputs that one scale for everything cannot serve ---------------------------------

STRESS_CASES = (N_("ordinary"), N_("outlier rows"), N_("heavy-tailed inputs"))
_STRESS_SHAPE = 40, 2, 64  # steps, sequences, width
_OUTLIER = 3000.0  # how much larger the outlier row is than the others
_QUIET, _LOUD = 2e-5, 1.0  # most entries of a power spectrum, and its few peaks


def draw_stress(case: str, seed: int, layers: int = 3) -> tuple[LSTMModel, Tensor]:
    """Draw a model of several layers and inputs (40, 2, 64).

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
    checks.one_of("case", case, STRESS_CASES)
    checks.positive_int("layers", layers)
    batch_size, width = _STRESS_SHAPE[1:]
    with settings.seeded(seed), torch.no_grad():
        model = LSTMModel(width, width, layers).eval()
        inputs = torch.randn(_STRESS_SHAPE)
        for name, parameter in model.lstm.named_parameters():
            if name.startswith("bias"):
                parameter.zero_()
            elif case == "outlier rows":
                parameter[3] *= _OUTLIER
        if case == "heavy-tailed inputs":
            inputs = torch.rand(_STRESS_SHAPE) * _QUIET
            inputs[::8, :, :5] = torch.rand(5, batch_size, 5) * _LOUD
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
    for case in STRESS_CASES:
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
