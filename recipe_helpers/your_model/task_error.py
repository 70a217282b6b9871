"""Your own model: what the error of the outputs means for the task, as far as outputs can tell.

A relative error has no meaning of its own. Two things that every output can be asked give it one:
how far apart the outputs of different inputs are (an error of that size is no longer small), and,
where the output holds scores, how often the highest of them is still the same one. The caller's
metric, if there is one, says more than either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..common.language import Text, _
from ..common.wording import in_turn
from ..recipe.accuracy import compare_tensors, named_tensors

COMPARABLE = 0.5  # of the distance between outputs: from here on an error can be taken for it
SMALL = 0.1  # and up to here it is small
_MOST_ROWS = 500  # whose distances are taken; more change the mean by little
_SUMS_TO_ONE = 1e-3


@dataclass(frozen=True)
class TaskError:
    """One output tensor of the float model and of a converted one, over all input sets.

    Attributes:
        place: which output this is.
        sqnr_db: signal to quantization-noise ratio, in dB.
        cosine: of the angle between the two, as vectors.
        difference: mean |INT8 - FP32|.
        distance: mean |difference| of the float model's outputs for different inputs; None where
            there is one output alone, or all are equal.
        apart: what these different inputs are: "input sets", or "rows" of one output.
        same_choice: the share of rows whose highest score is the same one; None without scores.
        rows: how many rows were looked at for that.
        lead: in the rows where it is another one, the largest lead that the highest score had over
            the second, as a share of the median row's lead; None where it is always the same.
    """

    place: str
    sqnr_db: float
    cosine: float
    difference: float
    distance: float | None
    apart: str
    same_choice: float | None
    rows: int
    lead: float | None = None

    @property
    def share(self) -> float | None:
        """The error as a share of the distance between outputs of different inputs."""
        return None if self.distance is None else self.difference / self.distance

    @property
    def sentence(self) -> str:
        """What the error means."""
        said = [
            _(
                "SQNR {sqnr_db:.1f} dB, cosine {cosine:.5f}",
                sqnr_db=self.sqnr_db,
                cosine=self.cosine,
            )
        ]
        if self.share is not None:
            said.append(self._comparison)
        if self.choice is not None:
            said.append(str(self.choice))
        return _("In {place}: {findings}.", place=self.place, findings=in_turn(said))

    @property
    def _comparison(self) -> str:
        """The error beside the distance between outputs of different inputs."""
        share = self.share or 0.0
        if share >= COMPARABLE:
            size = _("comparable")
        else:
            size = _("small") if share < SMALL else _("not small")
        if self.apart == SETS:
            return _(
                "the error is {share:.1%} of how far the outputs of different input sets are "
                "apart: {size}",
                share=share,
                size=size,
            )
        return _(
            "the error is {share:.1%} of how far the rows of the output (its steps and sequences) "
            "are apart: {size}",
            share=share,
            size=size,
        )

    @property
    def choice(self) -> Text | None:
        """How often the highest score is the same one; None without scores."""
        if self.same_choice is None:
            return None
        if self.lead is None:
            return Text(
                "the highest score is the same in {same:.2%} of {rows} rows",
                same=self.same_choice,
                rows=self.rows,
            )
        return Text(
            "the highest score is the same in {same:.2%} of {rows} rows (the others led by at most "
            "{lead:.1%} of the usual)",
            same=self.same_choice,
            rows=self.rows,
            lead=self.lead,
        )


SETS, ROWS = "input sets", "rows"


def task_error(
    place: str,
    reference: Sequence[torch.Tensor],
    candidate: Sequence[torch.Tensor],
    *,
    scores: bool,
) -> TaskError:
    """Put the error of an output into terms of the task.

    Args:
        place: which output this is.
        reference: that output of the float model, (..., features), one for each input set.
        candidate: the same of the converted model.
        scores: whether the features are scores, of which the highest counts.
    """
    compared = compare_tensors(
        place, *(torch.cat([t.flatten() for t in x]) for x in (reference, candidate))
    )
    distance, apart = _distance(reference)
    same, rows, lead = _choices(reference, candidate) if scores else (None, 0, None)
    return TaskError(
        place=place,
        sqnr_db=compared.sqnr_db,
        cosine=compared.cosine,
        difference=compared.difference_mean,
        distance=distance,
        apart=apart,
        same_choice=same,
        rows=rows,
        lead=lead,
    )


def named_scores(model: nn.Module, run: nn.Module, inputs: Sequence[Any]) -> Iterator[str]:
    """The outputs that are a distribution, its logarithm, or were made by a Linear row by row.

    Args:
        model: the float model, whose Linear modules are watched.
        run: what is called, `model` or a wrapper of it.
        inputs: what it is called with.
    """
    made: list[torch.Tensor] = []
    hooks = [
        part.register_forward_hook(lambda _module, _inputs, output: made.append(output))
        for part in model.modules()
        if isinstance(part, nn.Linear)
    ]
    try:
        with torch.inference_mode():
            outputs = run(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    for name, tensor in named_tensors(outputs):
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        if tensor.ndim == 0 or tensor.shape[-1] < 2:
            continue
        if _rows_of(made, tensor) or _distribution(tensor) or _distribution(tensor.exp()):
            yield name


def _rows_of(made: Sequence[torch.Tensor], tensor: torch.Tensor) -> bool:
    """Whether every row is one that a Linear returned, in whatever order they were put together."""
    width = tensor.shape[-1]
    rows = [output.reshape(-1, width) for output in made if output.shape[-1] == width]
    known = {row.numpy().tobytes() for output in rows for row in output.contiguous()}
    return all(row.numpy().tobytes() in known for row in tensor.reshape(-1, width).contiguous())


def _distribution(shares: torch.Tensor) -> bool:
    """Whether every row holds shares of one."""
    sums = shares.sum(dim=-1)
    return bool((shares >= 0).all()) and bool(((sums - 1).abs() < _SUMS_TO_ONE).all())


def _choices(
    reference: Sequence[torch.Tensor], candidate: Sequence[torch.Tensor]
) -> tuple[float, int, float | None]:
    """The share of rows with the same highest score, the rows, and the lead where it is not."""
    before, after = (
        torch.cat([tensor.double().reshape(-1, tensor.shape[-1]) for tensor in tensors])
        for tensors in (reference, candidate)
    )
    changed = before.argmax(dim=-1) != after.argmax(dim=-1)
    first, second = before.topk(2, dim=-1).values.unbind(dim=-1)
    leads = first - second
    same, usual = float((~changed).double().mean()), float(leads.median())
    if not bool(changed.any()) or not usual:
        return same, len(before), None
    return same, len(before), float(leads[changed].max()) / usual


def _distance(tensors: Sequence[torch.Tensor]) -> tuple[float | None, str]:
    """The mean |difference| between different outputs, and what makes them different."""
    shape = tensors[0].shape
    if len(tensors) > 1 and all(tensor.shape == shape for tensor in tensors):
        rows, apart = torch.stack([tensor.double().flatten() for tensor in tensors]), SETS
    else:
        if tensors[0].ndim < 2:
            return None, ROWS
        features = {tensor.shape[-1] for tensor in tensors}
        alike = tensors if len(features) == 1 else tensors[:1]
        rows = torch.cat([tensor.double().reshape(-1, shape[-1]) for tensor in alike])
        apart = ROWS
    step = max(1, len(rows) // _MOST_ROWS)
    rows = rows[::step]
    if len(rows) < 2 or not rows.shape[1]:
        return None, apart
    # The sum over all pairs; the diagonal adds nothing.
    total = float(torch.cdist(rows, rows, p=1).sum())
    mean = total / (len(rows) * (len(rows) - 1) * rows.shape[1])
    return (mean or None), apart
