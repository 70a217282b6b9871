"""Section 5, accuracy: how far the quantized outputs are from the float ones."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from ..common import checks, settings
from ..common.errors import InputError
from ..common.language import _
from ..common.tables import Shown, Table
from .pair import make_pair

SEEDS = range(300)


@dataclass(frozen=True)
class WorstElement:
    """The element of an output tensor at which two models differ most."""

    index: tuple[int, ...]
    reference: float
    candidate: float

    @property
    def difference(self) -> float:
        """Candidate less reference."""
        return self.candidate - self.reference


@dataclass(frozen=True)
class TensorComparison:
    """Two versions of one output tensor; all figures are computed in float64."""

    name: str  # where it stands in what the model returns: "output[0]"
    reference_mean: float  # mean |x| of the reference
    candidate_mean: float  # mean |x| of the candidate
    difference_mean: float  # mean |candidate - reference|
    sqnr_db: float  # signal to quantization-noise ratio; infinite where nothing differs
    cosine: float  # of the angle between the two, as vectors
    worst: WorstElement | None  # None where the tensor has no elements

    @property
    def relative(self) -> float:
        """Mean |difference| / mean |reference|."""
        if self.difference_mean == 0:
            return 0.0
        return self.difference_mean / self.reference_mean if self.reference_mean else math.inf


@dataclass(frozen=True)
class OutputComparison(TensorComparison, Shown):
    """Two models' outputs for the same inputs: the first tensor's figures, and every tensor's."""

    tensors: tuple[TensorComparison, ...]

    def table(self) -> Table:
        """One row per returned tensor."""
        rows = [
            (
                t.name,
                f"{t.reference_mean:.5f}",
                f"{t.candidate_mean:.5f}",
                f"{t.difference_mean:.5f}",
                f"{t.relative:.2%}",
                f"{t.sqnr_db:.1f} dB",
                f"{t.cosine:.5f}",
                f"{abs(t.worst.difference):.5f}" if t.worst else "",
            )
            for t in self.tensors
        ]
        means = (_("mean |FP32|"), _("mean |INT8|"), _("mean |difference|"), _("relative"))
        return Table(("", *means, "SQNR", _("cosine"), _("worst")), rows)


def compare_outputs(reference: nn.Module, candidate: nn.Module, *inputs: Any) -> OutputComparison:
    """Run two models on the same inputs and compare every tensor that they return.

    Args:
        reference: the model to compare with, in eval mode.
        candidate: the model in question, in eval mode.
        *inputs: what both are called with. Models may return tensors, and tuples, lists, dicts
            and `PackedSequence`s of them.

    Raises:
        ModelError: a model is in training mode, on another device, or holds NaN.
        InputError: the inputs do not fit a model, or the two return different structures, or
            no tensor at all.
    """
    return compare_recorded(*_recorded(reference, candidate, inputs))


def compare_recorded(reference: Any, candidate: Any) -> OutputComparison:
    """Compare what two models have returned: tensors in one structure that `named_tensors` knows.

    Raises InputError where the two differ in structure or in shapes, or hold no tensor.
    """
    tensors = tuple(compare_tensors(*pair) for pair in _paired(reference, candidate))
    return OutputComparison(**vars(tensors[0]), tensors=tensors)


@dataclass(frozen=True)
class PairedOutputs:
    """The first tensor that each of two models returned for the same inputs."""

    reference: torch.Tensor
    candidate: torch.Tensor


def paired_outputs(reference: nn.Module, candidate: nn.Module, *inputs: Any) -> PairedOutputs:
    """The first output tensor of two models, element by element; arguments and errors as above."""
    return PairedOutputs(*_paired(*_recorded(reference, candidate, inputs))[0][1:])


@dataclass(frozen=True)
class StepErrors(Shown):
    """The error at each time step of a sequence."""

    relatives: tuple[float, ...]  # mean |difference| / mean |reference|, at each step

    @property
    def first_half(self) -> float:
        """Mean relative error over the first half of the steps."""
        return float(np.mean(self.relatives[: len(self.relatives) // 2]))

    @property
    def second_half(self) -> float:
        """Mean relative error over the second half of the steps."""
        return float(np.mean(self.relatives[len(self.relatives) // 2 :]))

    def table(self) -> Table:
        """The two halves of the sequence side by side."""
        rows = [(f"{self.first_half:.2%}", f"{self.second_half:.2%}")]
        headers = (_("first half of the steps"), _("second half"))
        return Table(headers, rows, _("relative error"))


def error_over_steps(reference: nn.Module, candidate: nn.Module, *inputs: Any) -> StepErrors:
    """The relative error at each time step; the first output is (sequence, batch, width).

    Raises:
        ModelError: a model is in training mode, on another device, or holds NaN.
        InputError: the inputs do not fit a model, or the output has fewer than two steps.
    """
    pair = paired_outputs(reference, candidate, *inputs)
    if pair.reference.ndim < 2 or len(pair.reference) < 2:
        raise InputError(
            "inputs give a first output of shape {shape}; pass a sequence of at least two steps, "
            "with the steps first.",
            shape=tuple(pair.reference.shape),
        )
    steps = map(compare_tensors, repeat("step"), pair.reference, pair.candidate)
    return StepErrors(tuple(step.relative for step in steps))


@dataclass(frozen=True)
class SeedErrors(Shown):
    """The relative error of the recipe's model and inputs, drawn anew from each of many seeds."""

    seeds: tuple[int, ...]
    relatives: tuple[float, ...]

    def share_below(self, relative: float) -> float:
        """The share of the seeds whose error is smaller than this one."""
        return float(np.mean(np.asarray(self.relatives) < relative))

    def table(self) -> Table:
        """Smallest, quartiles, largest."""
        quartiles = (_("first quartile"), _("median"), _("third quartile"))
        names = (_("smallest"), *quartiles, _("largest"))
        values = np.percentile(self.relatives, [0, 25, 50, 75, 100])
        caption = _("relative error over {count} seeds", count=len(self.seeds))
        return Table(names, [[f"{value:.2%}" for value in values]], caption)


def error_over_seeds(
    seeds: Iterable[int] = SEEDS, *, backend: str = "torch.ao", engine: str | None = None
) -> SeedErrors:
    """Draw the recipe's model and inputs from each seed, quantize, and compare.

    Args:
        seeds: whole numbers.
        backend: what quantizes, see `quantize_dynamic`.
        engine: torch.ao's engine, see `quantize_dynamic`.

    Raises:
        ArgumentError: `seeds` is empty or holds something else than whole numbers.
    """
    chosen = checks.seeds("seeds", seeds)
    with settings.threads_set(1):  # so small a model only waits for a second thread
        pairs = (make_pair(seed=seed, backend=backend, engine=engine) for seed in chosen)
        return SeedErrors(chosen, tuple(compare_outputs(*pair.both).relative for pair in pairs))


def named_tensors(value: Any, name: str = "output") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor in what a model returned, with its place: `output[1][0]`, `output["logits"]`.

    Args:
        value: a tensor, or a tuple, list, dict, dataclass or `PackedSequence` of them; anything
            else is passed over.
        name: what to call the value itself.
    """
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, PackedSequence):
        yield f"{name}.data", value.data
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from named_tensors(part, f"{name}[{key!r}]")
    elif isinstance(value, tuple | list):
        for index, part in enumerate(value):
            yield from named_tensors(part, f"{name}[{index}]")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for entry in dataclasses.fields(value):
            yield from named_tensors(getattr(value, entry.name), f"{name}.{entry.name}")


def compare_tensors(name: str, before: torch.Tensor, after: torch.Tensor) -> TensorComparison:
    """Compare two real tensors of one shape, in float64; `name` is what to call them."""
    x, y = before.double().flatten(), after.double().flatten()
    difference = y - x
    noise, norms = difference.square().sum(), float(x.norm() * y.norm())
    worst = None
    if x.numel():
        place = int(difference.abs().argmax())
        index = tuple(map(int, np.unravel_index(place, before.shape)))
        worst = WorstElement(index, float(x[place]), float(y[place]))
    means = [float(values.abs().sum()) / max(len(values), 1) for values in (x, y, difference)]
    return TensorComparison(
        name,
        reference_mean=means[0],
        candidate_mean=means[1],
        difference_mean=means[2],
        sqnr_db=float(10 * torch.log10(x.square().sum() / noise)) if noise else math.inf,
        cosine=float(x @ y) / norms if norms else float(noise == 0),
        worst=worst,
    )


def _recorded(
    reference: nn.Module, candidate: nn.Module, inputs: tuple[Any, ...]
) -> tuple[Any, Any]:
    """What each of the two models returns."""
    checks.runnable_model("reference", reference)
    checks.runnable_model("candidate", candidate)
    return checks.runs("reference", reference, inputs), checks.runs("candidate", candidate, inputs)


def _paired(before: Any, after: Any) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    """Name and both versions of each output tensor; of complex numbers, as pairs of real ones."""
    first, second = list(named_tensors(before)), list(named_tensors(after))
    if not first:
        raise InputError(
            "reference returns no tensor for these inputs; there is nothing to compare."
        )
    shapes = [[(name, tuple(t.shape)) for name, t in tensors] for tensors in (first, second)]
    if shapes[0] != shapes[1]:
        raise InputError(
            "reference returns {reference} but candidate returns {candidate}; pass two versions "
            "of one model.",
            reference=shapes[0],
            candidate=shapes[1],
        )
    return [
        (name, _in_float64(x), _in_float64(y))
        for (name, x), (_same, y) in zip(first, second, strict=True)
    ]


def _in_float64(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach()
    return (torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor).double()
