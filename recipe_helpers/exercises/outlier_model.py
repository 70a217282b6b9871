"""The model of E8, with a fault to find."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..common import checks, settings
from ..recipe.model import SEED, LSTMModel

WIDTH, LAYERS, STEPS, BATCH_SIZE = 24, 3, 12, 4
_OUTLIER = 1000.0  # how much larger one row is than its neighbours
_UNITS = 4096.0  # by how much one whole matrix is larger, and what it reads smaller


@dataclass(frozen=True)
class OutlierModel:
    """A model with one bad row in one weight matrix, and inputs (steps, batch, width) for it."""

    model: LSTMModel
    inputs: Tensor


def outlier_model(seed: int = SEED) -> OutlierModel:
    """An LSTM of three layers that dynamic quantization ruins: one row of one matrix is to blame.

    The matrix with the largest weights is another one, which does no harm: all its weights are
    large, and its inputs small.

    Args:
        seed: of the model, of the inputs, and of the place of the row.

    Raises:
        ArgumentError: `seed` is not a whole number of at most 64 bits.
    """
    checks.seed("seed", seed)
    with settings.seeded(seed), torch.no_grad():
        inputs = torch.randn(STEPS, BATCH_SIZE, WIDTH)
        model = LSTMModel(WIDTH, WIDTH, LAYERS).eval()
        harmless, *others = [p for p in model.lstm.parameters() if p.ndim == 2]
        for bias in (p for p in model.lstm.parameters() if p.ndim == 1):
            bias.zero_()  # it would hide what becomes of the products
        harmless.mul_(_UNITS)
        chosen = others[int(torch.randint(len(others), ()))]
        chosen[int(torch.randint(len(chosen), ()))] *= _OUTLIER
    return OutlierModel(model, inputs / _UNITS)
