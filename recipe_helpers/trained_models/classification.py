"""What quantizing costs classifiers that were trained (trained models, section 1).

Every cost is a paired difference: both models see the same images, and the interval is that of
the differences, which vary far less than the accuracies themselves.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import eq

import numpy as np
import torch
from torch import nn

from ..common import checks
from ..common.errors import ArgumentError
from ..common.intervals import Interval, mean_interval
from ..common.language import _
from ..common.progress import Progress, silent
from ..common.tables import Shown, Table, in_bytes
from ..recipe.quantize import quantize_dynamic
from ..recipe.size import state_dict_bytes
from .data import Sequences, digits
from .training import train_classifier

WIDTHS = (4, 8, 16, 32, 64)
SEEDS = range(5)


def classification_accuracy(model: nn.Module, sequences: Sequences) -> float:
    """The fraction of the sequences that a classifier names right."""
    return sequences.share_right(checks.runs("model", model, (sequences.inputs,)))


@dataclass(frozen=True)
class Disagreements(Shown):
    """The test images that two models name differently."""

    images: torch.Tensor = field(repr=False)  # (disagreements, rows, columns)
    labels: tuple[int, ...]
    reference: tuple[int, ...]
    candidate: tuple[int, ...]
    margins: tuple[float, ...]  # probability of the reference's first choice less its second
    typical_margin: float  # the median of that over all images
    sequences: int

    def __len__(self) -> int:
        return len(self.labels)

    def table(self) -> Table:
        """Who is right where the two differ."""
        fp32, int8 = (sum(map(eq, said, self.labels)) for said in (self.reference, self.candidate))
        counts = (fp32, int8, len(self) - fp32 - int8)
        differ = _("{count} of {all}", count=len(self), all=self.sequences)
        headers = (_("answers differ"), _("FP32 is right"), _("INT8 is right"), _("neither"))
        return Table(headers, [(differ, *map(str, counts))])


def disagreements(
    reference: nn.Module, candidate: nn.Module, sequences: Sequences
) -> Disagreements:
    """The images that two classifiers name differently, the surest first.

    Raises:
        InputError: the sequences do not fit one of the models.
    """
    logits = checks.runs("reference", reference, (sequences.inputs,))
    other = checks.runs("candidate", candidate, (sequences.inputs,))
    first, second = logits.softmax(-1).topk(2).values.unbind(-1)
    margins = first - second
    before, after = logits.argmax(-1), other.argmax(-1)
    differ = torch.nonzero(before != after).flatten()
    differ = differ[margins[differ].argsort(descending=True)]
    return Disagreements(
        images=sequences.inputs[:, differ].transpose(0, 1),
        labels=tuple(sequences.labels[differ].tolist()),
        reference=tuple(before[differ].tolist()),
        candidate=tuple(after[differ].tolist()),
        margins=tuple(margins[differ].tolist()),
        typical_margin=float(margins.median()),
        sequences=len(sequences),
    )


@dataclass(frozen=True)
class DigitRun:
    """One training: the test accuracy of the model and of its quantized copy, and their files."""

    width: int
    seed: int
    fp32_accuracy: float
    int8_accuracy: float
    fp32_bytes: int
    int8_bytes: int

    @property
    def hidden_size(self) -> int:
        """The width, by its name in version 2.0."""
        return self.width

    @property
    def difference(self) -> float:
        """INT8 less FP32: below 0 quantizing cost accuracy."""
        return self.int8_accuracy - self.fp32_accuracy


@dataclass(frozen=True)
class DigitStudy(Shown):
    """Accuracy and size of classifiers of several widths, each trained from several seeds."""

    runs: tuple[DigitRun, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths, rising."""
        return tuple(sorted({run.width for run in self.runs}))

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """The widths, by their name in version 2.0."""
        return self.widths

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, rising."""
        return tuple(sorted({run.seed for run in self.runs}))

    def of(self, width: int) -> tuple[DigitRun, ...]:
        """The runs of one width.

        Raises:
            ArgumentError: the study has no such width.
        """
        checks.one_of("width", width, self.widths)
        return tuple(run for run in self.runs if run.width == width)

    def difference(self, width: int | None = None) -> Interval:
        """INT8 less FP32 accuracy with its interval over the seeds.

        Runs of one seed share their images and are no independent evidence: over all widths
        (None) the seeds' means are compared, not the runs.
        """
        runs = self.runs if width is None else self.of(width)
        by_seed = [[r.difference for r in runs if r.seed == seed] for seed in self.seeds]
        return mean_interval([float(np.mean(differences)) for differences in by_seed])

    def table(self) -> Table:
        """One row per width, then all of them."""
        rows = []
        for width in self.widths:
            runs = self.of(width)
            accuracies = np.mean([(r.fp32_accuracy, r.int8_accuracy) for r in runs], axis=0)
            change = self.difference(width).percent()
            files = (in_bytes(runs[0].fp32_bytes), in_bytes(runs[0].int8_bytes))
            rows.append((str(width), *(f"{mean:.2%}" for mean in accuracies), change, *files))
        rows.append((_("all"), "", "", self.difference().percent(), "", ""))
        files = (_("FP32 file"), _("INT8 file"))
        headers = (_("width"), "FP32", "INT8", _("INT8 - FP32, points (95 %)"), *files)
        caption = _("Test accuracy, mean of {count} seeds", count=len(self.seeds))
        return Table(headers, rows, caption)


@checks.renamed(hidden_sizes="widths")
def digit_study(
    widths: Iterable[int] = WIDTHS,
    seeds: Iterable[int] = SEEDS,
    *,
    epochs: int = 30,
    progress: Progress = silent,
) -> DigitStudy:
    """Train, quantize and test classifiers of several widths from several seeds.

    A seed draws the split of the images, the first weights and the order of the training.

    Args:
        widths: rising widths of the LSTM (`hidden_sizes` in version 2.0).
        seeds: at least two different whole numbers.
        epochs: see `train_classifier`.
        progress: wraps the loop over the trainings, for example `rh.progress_bar`.

    Raises:
        ArgumentError: an argument is out of range.
    """
    chosen = checks.positive_ints("widths", widths), dict.fromkeys(checks.seeds("seeds", seeds))
    if len(chosen[1]) < 2:
        raise ArgumentError(
            "seeds is {seeds}; an interval needs at least two different seeds.",
            seeds=list(chosen[1]),
        )
    trainings = progress(list(itertools.product(*chosen)), _("digits"))
    return DigitStudy(tuple(_run(width, seed, epochs) for width, seed in trainings))


def _run(width: int, seed: int, epochs: int) -> DigitRun:
    data = digits(seed)
    model = train_classifier(data, width, seed, epochs)
    pair = model, quantize_dynamic(model)
    fp32, int8 = (classification_accuracy(version, data.test) for version in pair)
    return DigitRun(width, seed, fp32, int8, *map(state_dict_bytes, pair))
