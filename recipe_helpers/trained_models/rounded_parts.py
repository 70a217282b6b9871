"""Which rounding hurts: weights, inputs or hidden state, one at a time (trained models, 3 and 4).

The LSTM is computed step by step in float tensors. One of its parts is rounded to the grid that
torch.ao would use and brought back to float ("fake quantization"); the others stay exact.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..common import checks
from ..common.errors import InputError
from ..common.language import N_, _
from ..common.tables import Shown, Table
from ..recipe.accuracy import StepErrors, compare_recorded
from ..recipe.model import working_engine
from ..recipe.quantize import quantize_dynamic

PARTS = (N_("weights"), N_("inputs"), N_("hidden state"))
ALL, MEASURED = N_("all three"), N_("torch.ao itself")
_LSTMS_OF_THE_NOTEBOOK = (
    *(N_("recipe"), N_("digits"), N_("language model")),
    *(N_("random"), N_("random, forget gates held open"), N_("trained language model")),
)


def shown(name: str) -> str:
    """What an LSTM is called: the notebook's own in the language in force, a reader's as it is."""
    return _(name) if name in _LSTMS_OF_THE_NOTEBOOK else name


@dataclass(frozen=True)
class Sensitivity(Shown):
    """SQNR of an LSTM's output with one part rounded, with all three, and under torch.ao."""

    sqnr_db: Mapping[str, Mapping[str, float]]  # name of the LSTM -> what was rounded -> dB

    def table(self) -> Table:
        """One row per kind of rounding, one column per LSTM."""
        rows = [
            (_(kind), *(f"{found[kind]:.1f} dB" for found in self.sqnr_db.values()))
            for kind in (*PARTS, ALL, MEASURED)
        ]
        note = _("Signal to quantization-noise ratio of the output; a larger one is better.")
        return Table((_("rounded"), *map(shown, self.sqnr_db)), rows, "", note)


def sensitivity_by_part(lstms: Mapping[str, tuple[nn.LSTM, torch.Tensor]]) -> Sensitivity:
    """Round one part of each LSTM at a time, then all, and compare the outputs with FP32.

    Args:
        lstms: for each name an LSTM with what it reads, shape (steps, batch, width).

    Raises:
        InputError: the inputs do not fit an LSTM.
        ModelError: an LSTM is in training mode or holds NaN.
    """
    return Sensitivity({name: _sqnr_by_part(*pair) for name, pair in lstms.items()})


def fake_quantized(
    lstm: nn.LSTM, inputs: torch.Tensor, parts: Collection[str] = PARTS
) -> torch.Tensor:
    """The output (steps, batch, hidden) of an LSTM, some of whose numbers are rounded to int8.

    Weights are rounded per tensor. The inputs of a layer share one scale over all steps, the
    hidden state has a new one at every step, as in torch.ao.

    Args:
        lstm: of one direction, with biases and without projection.
        inputs: (steps, batch, width).
        parts: what is rounded, out of `PARTS`; nothing gives the FP32 output.

    Raises:
        ArgumentError: `parts` names something else.
        InputError: the inputs are not three-dimensional.
    """
    for part in parts:
        checks.one_of("parts", part, PARTS)
    if inputs.ndim != 3:
        what = checks.describe(inputs)
        raise InputError("inputs is a {what}; pass (steps, batch, width).", what=what)
    weight = _round_weight if "weights" in parts else _exact
    outer = _round_activation if "inputs" in parts else _exact
    inner = _round_activation if "hidden state" in parts else _exact
    output = inputs
    with torch.inference_mode():
        for w_ih, w_hh, *biases in lstm.all_weights:
            matrices = weight(w_ih), weight(w_hh)
            h = c = inputs.new_zeros(inputs.shape[1], lstm.hidden_size)
            states = []
            for step in outer(output):
                # The cell state is carried as it is; of the hidden one the products alone read.
                h, c = torch.lstm_cell(step, (inner(h), c), *matrices, *biases)
                states.append(h)
            output = torch.stack(states)
    return output


def error_by_position(errors: StepErrors, bins: int = 20) -> tuple[tuple[float, float], ...]:
    """Position and mean relative error in ranges of steps of equal length on a log scale.

    Args:
        errors: what `error_over_steps` found.
        bins: into how many ranges the steps are gathered; short ones are merged.
    """
    count = len(errors.relatives)
    edges = np.unique(np.geomspace(1, count, bins + 1).round())[1:-1].astype(int)
    parts = zip(*(np.split(a, edges) for a in (np.arange(count), errors.relatives)), strict=True)
    return tuple((float(steps.mean()) + 1, float(found.mean())) for steps, found in parts)


def _sqnr_by_part(lstm: nn.LSTM, inputs: torch.Tensor) -> dict[str, float]:
    checks.runnable_model("lstm", lstm)
    exact = checks.runs("lstm", lstm, (inputs,))[0]
    outputs = {part: fake_quantized(lstm, inputs, [part]) for part in PARTS}
    outputs[ALL] = fake_quantized(lstm, inputs)
    # torch.ao converts only what is inside a module.
    wrapped = quantize_dynamic(nn.Sequential(lstm).eval())
    outputs[MEASURED] = checks.runs("quantized lstm", wrapped, (inputs,))[0]
    return {name: compare_recorded(exact, output).sqnr_db for name, output in outputs.items()}


def _exact(values: torch.Tensor) -> torch.Tensor:
    return values


def _round_weight(weight: torch.Tensor) -> torch.Tensor:
    """Symmetric, one scale for the matrix: the largest magnitude becomes 127.5, cut to 127."""
    scale = max(float(weight.abs().max()) / 127.5, torch.finfo(torch.float32).eps)
    return torch.fake_quantize_per_tensor_affine(weight, scale, 0, -128, 127)


def _round_activation(values: torch.Tensor) -> torch.Tensor:
    """Affine, over the range seen and zero; seven bits where the engine reduces the range."""
    top = 255 if working_engine() == "qnnpack" else 127
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if low == high:
        return values
    scale = (high - low) / top
    return torch.fake_quantize_per_tensor_affine(values, scale, round(-low / scale), 0, top)
