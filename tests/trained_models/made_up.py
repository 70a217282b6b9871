"""Classifiers whose answers are given, and studies of trainings that never were."""

from __future__ import annotations

import torch
from torch import nn

from recipe_helpers.trained_models.classification import DigitRun, DigitStudy
from recipe_helpers.trained_models.data import Sequences


class Says(nn.Module):
    """A classifier whose logits are given."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        assert inputs.shape[1] == len(self.logits)
        return self.logits


LABELS = Sequences(torch.arange(4 * 2 * 3.0).view(2, 4, 3), torch.tensor([0, 1, 2, 0]))
FIRST = Says([[5, 0, 0], [0, 1, 0.5], [9, 0, 0], [0, 0, 2]]).eval()  # right, right, wrong, wrong
SECOND = Says([[5, 0, 0], [0, 0, 1.0], [0, 0, 9], [0, 2, 0]]).eval()  # right, wrong, right, wrong


def study(differences: dict[int, list[float]]) -> DigitStudy:
    return DigitStudy(
        tuple(
            DigitRun(width, seed, 0.9, 0.9 + difference, 4000, 1000)
            for width, found in differences.items()
            for seed, difference in enumerate(found)
        )
    )


STUDY = study({4: [-0.02, 0.00, 0.01], 8: [0.00, 0.02, 0.03]})
SQUARES = Sequences(torch.rand(3, 4, 3, generator=torch.Generator().manual_seed(1)), LABELS.labels)
