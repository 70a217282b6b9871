"""What quantizing costs classifiers that were trained (trained models, section 1).

Every cost is a paired difference: both models see the same images, and the interval is that of
the differences, which vary far less than the accuracies themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from ..common import checks
from ..common.errors import ArgumentError
from ..common.intervals import Interval, mean_interval
from ..common.language import Text, _
from ..common.progress import Progress, silent
from ..common.tables import Shown, Table, in_bytes
from ..recipe.quantize import quantize_dynamic
from ..recipe.size import state_dict_bytes
from .data import Sequences, digits
from .training import DigitClassifier, train_classifier

HIDDEN_SIZES = (4, 8, 16, 32, 64)
SEEDS = range(5)


def classification_accuracy(model: nn.Module, sequences: Sequences) -> float:
    """The fraction of the sequences that a classifier names right."""
    return float((predictions(model, sequences) == sequences.labels).float().mean())


def predictions(model: nn.Module, sequences: Sequences) -> torch.Tensor:
    """The class (sequences) with the largest logit."""
    return checks.runs("model", model, (sequences.inputs,)).argmax(-1)


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
        fp32 = sum(a == b for a, b in zip(self.reference, self.labels, strict=True))
        int8 = sum(a == b for a, b in zip(self.candidate, self.labels, strict=True))
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
    first, second = logits.softmax(-1).topk(2).values.unbind(-1)
    margins = first - second
    before, after = logits.argmax(-1), predictions(candidate, sequences)
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

    hidden_size: int
    seed: int
    fp32_accuracy: float
    int8_accuracy: float
    fp32_bytes: int
    int8_bytes: int

    @property
    def difference(self) -> float:
        """INT8 less FP32: below 0 quantizing cost accuracy."""
        return self.int8_accuracy - self.fp32_accuracy


@dataclass(frozen=True)
class DigitStudy(Shown):
    """Accuracy and size of classifiers of several widths, each trained from several seeds."""

    runs: tuple[DigitRun, ...]

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """The widths, rising."""
        return tuple(sorted({run.hidden_size for run in self.runs}))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, rising."""
        return tuple(sorted({run.seed for run in self.runs}))

    def of(self, hidden_size: int) -> tuple[DigitRun, ...]:
        """The runs of one width.

        Raises:
            ArgumentError: the study has no such width.
        """
        found = tuple(run for run in self.runs if run.hidden_size == hidden_size)
        if not found:
            raise ArgumentError(
                Text(
                    "hidden_size is {size!r}; the study has {sizes}.",
                    size=hidden_size,
                    sizes=list(self.hidden_sizes),
                )
            )
        return found

    def difference(self, hidden_size: int | None = None) -> Interval:
        """INT8 less FP32 accuracy with its interval over the seeds.

        Runs of one seed share their images and are no independent evidence: over all widths
        (None) the seeds' means are compared, not the runs.
        """
        runs = self.runs if hidden_size is None else self.of(hidden_size)
        by_seed = [[r.difference for r in runs if r.seed == seed] for seed in self.seeds]
        return mean_interval([float(np.mean(differences)) for differences in by_seed])

    def table(self) -> Table:
        """One row per width, then all of them."""
        rows = []
        for size in self.hidden_sizes:
            runs = self.of(size)
            fp32, int8 = (
                np.mean([getattr(r, f"{kind}_accuracy") for r in runs]) for kind in ("fp32", "int8")
            )
            change = self.difference(size).percent()
            files = (in_bytes(runs[0].fp32_bytes), in_bytes(runs[0].int8_bytes))
            rows.append((str(size), f"{fp32:.2%}", f"{int8:.2%}", change, *files))
        rows.append((_("all"), "", "", self.difference().percent(), "", ""))
        files = (_("FP32 file"), _("INT8 file"))
        headers = (_("width"), "FP32", "INT8", _("INT8 - FP32, points (95 %)"), *files)
        caption = _("Test accuracy, mean of {count} seeds", count=len(self.seeds))
        return Table(headers, rows, caption)


def digit_study(
    hidden_sizes: Iterable[int] = HIDDEN_SIZES,
    seeds: Iterable[int] = SEEDS,
    *,
    epochs: int = 30,
    progress: Progress = silent,
) -> DigitStudy:
    """Train, quantize and test classifiers of several widths from several seeds.

    A seed draws the split of the images, the first weights and the order of the training.

    Args:
        hidden_sizes: rising widths of the LSTM.
        seeds: at least two rising whole numbers.
        epochs: see `train_classifier`.
        progress: wraps the loop over the trainings, for example `rh.progress_bar`.

    Raises:
        ArgumentError: an argument is out of range.
    """
    sizes = checks.positive_ints("hidden_sizes", hidden_sizes)
    chosen = [checks.whole_number("seeds", seed) for seed in seeds]
    if len(set(chosen)) < 2:
        raise ArgumentError(
            Text("seeds is {seeds}; an interval needs at least two different seeds.", seeds=chosen)
        )
    runs = []
    for size, seed in progress([(h, s) for h in sizes for s in dict.fromkeys(chosen)], _("digits")):
        data = digits(seed)
        model = train_classifier(data, size, seed, epochs)
        runs.append(_run(model, data.test, size, seed))
    return DigitStudy(tuple(runs))


def _run(model: DigitClassifier, test: Sequences, hidden_size: int, seed: int) -> DigitRun:
    quantized = quantize_dynamic(model)
    return DigitRun(
        hidden_size=hidden_size,
        seed=seed,
        fp32_accuracy=classification_accuracy(model, test),
        int8_accuracy=classification_accuracy(quantized, test),
        fp32_bytes=state_dict_bytes(model),
        int8_bytes=state_dict_bytes(quantized),
    )
