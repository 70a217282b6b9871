"""Your own model: how far the outputs are off, and what that means for the task.

A relative error has no meaning of its own. Two things that every output can be asked give it one:
how far apart the outputs of different inputs are (an error of that size is no longer small), and,
where the output holds scores, how often the highest of them is still the same one. The caller's
metric, if there is one, says more than either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..common.errors import ArgumentError
from ..common.language import N_, _
from ..recipe.accuracy import OutputComparison, compare_recorded, compare_tensors, named_tensors

COMPARABLE = 0.5  # of the distance between outputs: from here on an error can be taken for it
SMALL = 0.1  # and up to here it is small
SETS, ROWS = "input sets", "rows"
_MOST_ROWS = 500  # whose distances are taken; more change the mean by little
_BESIDE = {
    SETS: N_(
        "the error is {share:.1%} of how far the outputs of different input sets are apart: {size}"
    ),
    ROWS: N_(
        "the error is {share:.1%} of how far the rows of the output (its steps and sequences) are "
        "apart: {size}"
    ),
}


@dataclass(frozen=True)
class TaskError:
    """One output tensor of the float model and of a converted one, over all input sets."""

    place: str  # which output this is
    sqnr_db: float  # signal to quantization-noise ratio
    cosine: float  # of the angle between the two, as vectors
    difference: float  # mean |INT8 - FP32|
    # Mean |difference| of the float model's outputs for different inputs: `apart` says whether
    # these are SETS or ROWS of one output. None where there is one alone, or all are equal.
    distance: float | None
    apart: str

    @property
    def share(self) -> float | None:
        """The error as a share of the distance between outputs of different inputs."""
        return None if self.distance is None else self.difference / self.distance

    @property
    def sentence(self) -> str:
        """What the error means."""
        said = _(
            "SQNR {sqnr_db:.1f} dB, cosine {cosine:.5f}", sqnr_db=self.sqnr_db, cosine=self.cosine
        )
        if self.share is not None:
            size = _("comparable") if self.share >= COMPARABLE else _("not small")
            size = _("small") if self.share < SMALL else size
            said = f"{said}; {_(_BESIDE[self.apart], share=self.share, size=size)}"
        return _("In {place}: {findings}.", place=self.place, findings=said)


@dataclass(frozen=True)
class Choices:
    """How often the highest score of a row is still the same one."""

    place: str  # which output holds the scores
    same: float  # the share of rows whose highest score is the same one
    rows: int  # how many were looked at
    # In the rows where it is another one, the largest lead that the highest score had over the
    # second, as a share of the median row's lead; None where it is always the same.
    lead: float | None

    @property
    def sentence(self) -> str:
        """How often it is the same one, and how clear the others were."""
        if self.lead is None:
            return _(
                "In {place} the highest score is the same in {same:.2%} of {rows} rows.",
                **vars(self),
            )
        return _(
            "In {place} the highest score is the same in {same:.2%} of {rows} rows (the others led "
            "by at most {lead:.1%} of the usual).",
            **vars(self),
        )


@dataclass(frozen=True)
class OutputErrors:
    """How far a converted model's outputs are from the float model's."""

    outputs: tuple[OutputComparison, ...]  # one comparison for each input set
    relative: float  # the largest relative error of an output tensor of floats
    worst_set: int  # the input set in which that is, counted from 1
    tasks: tuple[TaskError, ...]  # of each such output, the one with the largest error first
    choices: Choices | None  # where an output was named that holds scores

    @property
    def task(self) -> TaskError:
        """What the largest error means."""
        return self.tasks[0]

    @property
    def place(self) -> str:
        """Where the largest error is, and in which input set where there are several."""
        name = self.task.place
        if len(self.outputs) == 1:
            return name
        return _("{name} of input set {index}", name=name, index=self.worst_set)

    @property
    def meaning(self) -> str:
        """What the largest error means, and how often the choice is the same one."""
        return " ".join(one.sentence for one in (self.task, self.choices) if one is not None)


class Recorded:
    """The float model's outputs for each input set, to hold others against.

    Args:
        outputs: what it returned for each set.
        scores: the name of the output whose highest number in each row counts, or None.
    """

    def __init__(self, outputs: Sequence[Any], scores: str | None = None) -> None:
        self.outputs, self._scores = tuple(outputs), scores
        self._tensors = _by_name(outputs)
        # Those of floats are judged; others only where a set holds none.
        sets = [dict(named_tensors(one)) for one in outputs]
        floats = [[n for n, t in one.items() if _inexact(t)] or [*one] for one in sets]
        judged = dict.fromkeys(name for names in floats for name in names)
        self._distances = {name: _distance(self._tensors[name]) for name in judged}
        wide = [name for name in judged if all(map(_has_rows, self._tensors[name]))]
        if scores is not None and scores not in wide:
            raise ArgumentError(
                "scores is {scores!r}; pass the name of an output that has several numbers in a "
                "row: {names}.",
                scores=scores,
                names=", ".join(wide) or N_("this model has none"),
            )

    def errors(self, outputs: Sequence[Any]) -> OutputErrors:
        """Hold what a converted model returned for each input set against these."""
        compared = tuple(map(compare_recorded, self.outputs, outputs))
        found = [
            (one.relative, index, one.name)
            for index, comparison in enumerate(compared, 1)
            for one in comparison.tensors
            if one.name in self._distances
        ]
        # NaN is the largest error of all.
        found.sort(key=lambda one: -math.inf if math.isnan(one[0]) else -one[0])
        tensors = _by_name(outputs)
        worst_first = dict.fromkeys(name for _relative, _index, name in found)
        tasks = tuple(self._task(name, tensors[name]) for name in worst_first)
        choices = None
        if self._scores is not None:
            before, after = (one[self._scores] for one in (self._tensors, tensors))
            choices = compare_choices(self._scores, before, after)
        return OutputErrors(compared, *found[0][:2], tasks, choices)

    def _task(self, name: str, after: Sequence[Tensor]) -> TaskError:
        both = (torch.cat([t.flatten() for t in one]) for one in (self._tensors[name], after))
        whole = compare_tensors(name, *both)
        return TaskError(
            name, whole.sqnr_db, whole.cosine, whole.difference_mean, *self._distances[name]
        )


def compare_choices(place: str, before: Sequence[Tensor], after: Sequence[Tensor]) -> Choices:
    """Count the rows, the last dimension of the tensors, whose highest number is the same one."""
    reference, candidate = (
        torch.cat([tensor.double().reshape(-1, tensor.shape[-1]) for tensor in tensors])
        for tensors in (before, after)
    )
    changed = reference.argmax(dim=-1) != candidate.argmax(dim=-1)
    first, second = reference.topk(2, dim=-1).values.unbind(dim=-1)
    leads, lead = first - second, None
    if bool(changed.any()) and (usual := float(leads.median())):
        lead = float(leads[changed].max()) / usual
    return Choices(place, float((~changed).double().mean()), len(reference), lead)


def _distance(tensors: Sequence[Tensor]) -> tuple[float | None, str]:
    """The mean |difference| between different outputs, and what makes them different."""
    shape = tensors[0].shape
    if len(tensors) > 1 and all(tensor.shape == shape for tensor in tensors):
        rows, apart = torch.stack([tensor.double().flatten() for tensor in tensors]), SETS
    elif tensors[0].ndim < 2:
        return None, ROWS
    else:
        alike = [tensor for tensor in tensors if tensor.shape[-1:] == shape[-1:]]
        rows, apart = torch.cat([t.double().reshape(-1, shape[-1]) for t in alike]), ROWS
    rows = rows[:: max(1, len(rows) // _MOST_ROWS)]
    if len(rows) < 2 or not rows.shape[1]:
        return None, apart
    # The sum over all pairs; the diagonal adds nothing.
    total = float(torch.cdist(rows, rows, p=1).sum())
    return total / (len(rows) * (len(rows) - 1) * rows.shape[1]) or None, apart


def _by_name(outputs: Sequence[Any]) -> dict[str, list[Tensor]]:
    """Each output in every set that has it, complex numbers as pairs of real ones."""
    found: dict[str, list[Tensor]] = {}
    for name, tensor in (pair for one in outputs for pair in named_tensors(one)):
        real = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
        found.setdefault(name, []).append(real)
    return found


def _inexact(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _has_rows(tensor: Tensor) -> bool:
    return tensor.ndim > 0 and tensor.shape[-1] > 1 and tensor.numel() > 0
