"""Classifiers whose answers are given, studies of trainings that never were, and texts to read."""

import functools

import torch
from torch import nn

from recipe_helpers.common.settings import seeded
from recipe_helpers.trained_models.classification import DigitRun, DigitStudy
from recipe_helpers.trained_models.data import ReferenceText, Sequences, digits
from recipe_helpers.trained_models.training import LanguageModel, train_classifier


class Says(nn.Module):
    """A classifier whose logits are given."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.tensor(logits)
        self.eval()

    def forward(self, inputs):
        assert inputs.shape[1] == len(self.logits)
        return self.logits


LABELS = Sequences(torch.arange(4 * 2 * 3.0).view(2, 4, 3), torch.tensor([0, 1, 2, 0]))
FIRST = Says([[5, 0, 0], [0, 1, 0.5], [9, 0, 0], [0, 0, 2]])  # right, right, wrong, wrong
SECOND = Says([[5, 0, 0], [0, 0, 1.0], [0, 0, 9], [0, 2, 0]])  # right, wrong, right, wrong


def study(differences):
    """Trainings by width, with these differences of the accuracy, one for each seed."""
    return DigitStudy(
        tuple(
            DigitRun(width, seed, 0.9, 0.9 + difference, 4000, 1000)
            for width, found in differences.items()
            for seed, difference in enumerate(found)
        )
    )


STUDY = study({4: [-0.02, 0.00, 0.01], 8: [0.00, 0.02, 0.03]})
TEXT = ReferenceText(torch.zeros(1).long(), torch.zeros(1).long(), ("<unk>", "a", "b", "c"))

data = functools.cache(digits)


@functools.cache
def classifier():
    """A classifier of width 16 that has learned its digits."""
    return train_classifier(data(), 16, epochs=12)


def random_model(seed, words=12):
    with seeded(seed):
        return LanguageModel(words, 6, 10).eval()


def cycle(words=2100):
    """A text that goes a b c a b c; the held-out part holds numbers that no model knows."""
    return ReferenceText(torch.arange(words) % 3, torch.tensor([10**9]), ("a", "b", "c"))
