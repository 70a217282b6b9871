"""Your own model: the float model, and how anything made from it is compared with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import torch
from torch import nn

from ..common import checks
from ..common.errors import ArgumentError, ConversionError, InputError, RecipeError
from ..common.language import Text, _
from ..common.wording import as_text
from ..recipe.accuracy import OutputComparison, compare_outputs, named_tensors
from ..recipe.latency import LatencyComparison, compare_latency
from ..recipe.memory import MemoryComparison, MemoryUse, memory_use
from .input_sets import InputSet, Recorded
from .preparation import steady_outputs
from .promises import Limits, Promise, judge_metric
from .sensitivity import with_parts
from .task_error import TaskError, named_scores, task_error


@dataclass(frozen=True)
class Reference:
    """The float model and how it is measured; nothing here belongs to the caller."""

    model: nn.Module
    input_sets: tuple[InputSet, ...]
    limits: Limits
    metric: Callable[[nn.Module], float] | None
    threads: tuple[int, ...]  # the caller's number first
    budget_s: float
    advance: Callable[[str], None]
    with_memory: bool
    problems: list[Text] = field(default_factory=list)  # why something was not measured

    def __post_init__(self) -> None:
        self.advance(_("run the float model"))
        # What is wrong with the float model must not look like a fault of a conversion.
        self.recorded, self.reference_metric  # noqa: B018  (computed, and kept)

    @cached_property
    def recorded(self) -> tuple[Any, ...]:
        """The float model's outputs for each input set."""
        return tuple(steady_outputs(self.model, inputs) for inputs in self.input_sets)

    def differences(self, candidate: nn.Module) -> tuple[OutputComparison, ...]:
        """Compare the outputs for every input set.

        Raises:
            ConversionError: the candidate cannot run, or returns something else.
        """
        found = []
        for inputs, outputs in zip(self.input_sets, self.recorded, strict=True):
            try:
                run = inputs.bound(candidate)
                found.append(compare_outputs(Recorded(outputs), run, *inputs.args))
            except InputError as error:
                cause = error.__cause__ or error
                reason = (str(cause).splitlines() or [""])[0]
                raise ConversionError(
                    Text(
                        "the converted model cannot run on inputs that the float model takes: "
                        "{error}: {reason}",
                        error=type(cause).__name__,
                        reason=reason,
                    )
                ) from error
        return tuple(found)

    def largest_error(self, outputs: tuple[OutputComparison, ...]) -> tuple[float, Text]:
        """The largest relative error of a tensor of floats, and its place."""
        several = len(outputs) > 1
        errors = [
            (tensor.relative, _place(tensor.name, index if several else None))
            for index, (judged, comparison) in enumerate(zip(self._judged, outputs, strict=True), 1)
            for tensor in comparison.tensors
            if tensor.name in judged
        ]
        return max(errors, key=lambda error: math.inf if math.isnan(error[0]) else error[0])

    def error(self, candidate: nn.Module) -> float:
        """The largest relative error of a model's outputs."""
        return self.largest_error(self.differences(candidate))[0]

    @cached_property
    def reference_metric(self) -> float | None:
        """The caller's metric of the float model."""
        return self.metric_of(with_parts(self.model, {}))

    @property
    def error_limit(self) -> float | None:
        """The limit of the relative error; None where the metric alone decides."""
        return self.limits.error_limit(self.metric)

    @cached_property
    def _judged(self) -> tuple[set[str], ...]:
        """Names of the output tensors that count: those of floats, or all if there are none."""
        named = [dict(named_tensors(outputs)) for outputs in self.recorded]
        return tuple(
            {n for n, t in one.items() if t.is_floating_point() or t.is_complex()} or set(one)
            for one in named
        )

    def metric_of(self, model: nn.Module) -> float | None:
        """The caller's metric of a model, or None where there is none."""
        if self.metric is None:
            return None
        try:
            with torch.inference_mode():
                value = float(self.metric(model))
        except Exception as error:  # the caller's function
            raise ArgumentError(
                Text(
                    "metric raised {kind}: {error}; pass a function that takes a model and returns "
                    "a number, the larger the better.",
                    kind=type(error).__name__,
                    error=as_text(error),
                )
            ) from error
        if not math.isfinite(value):
            raise ArgumentError(
                Text("metric returned {value}; pass a function that returns a number.", value=value)
            )
        return value

    def judged_metric(self, metric: float | None) -> Promise:
        """The promise about the caller's metric, where there is one."""
        return judge_metric(cast(float, self.reference_metric), cast(float, metric), self.limits)

    def timed(self, quantized: nn.Module, threads: int, budget_s: float) -> LatencyComparison:
        """The times of both on the first input set."""
        first = self.input_sets[0]
        return compare_latency(
            first.bound(self.model),
            first.bound(quantized),
            *first.args,
            threads=threads,
            budget_s=budget_s,
        )

    def task_error(self, candidate: nn.Module) -> TaskError:
        """What the error of the first output that counts means for the task."""
        name = next(n for n in dict(named_tensors(self.recorded[0])) if n in self._judged[0])
        found: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
        for inputs, outputs in zip(self.input_sets, self.recorded, strict=True):
            made = checks.runs(Text("the converted model"), inputs.bound(candidate), inputs.args)
            for kept, value in zip(found, (outputs, made), strict=True):
                tensor = dict(named_tensors(value)).get(name)
                if tensor is not None:
                    kept.append(torch.view_as_real(tensor) if tensor.is_complex() else tensor)
        return task_error(name, *found, scores=name in self._scores)

    @cached_property
    def _scores(self) -> set[str]:
        """The outputs that hold scores, of which the highest counts."""
        first = self.input_sets[0]
        return set(named_scores(self.model, first.bound(self.model), first.args))

    def memory(self, candidate: nn.Module) -> MemoryComparison | None:
        """The memory of both, each in a process of its own; None where that cannot be done."""
        if not self.with_memory:
            return None
        try:
            return MemoryComparison(
                self._memory, self._memory_of(Text("the converted model"), candidate)
            )
        except RecipeError as problem:
            said = Text("Memory was not measured: {problem}", problem=as_text(problem))
            self.problems.append(said)
            return None

    @cached_property
    def _memory(self) -> MemoryUse:
        return self._memory_of(Text("the model"), self.model)

    def _memory_of(self, name: str, model: nn.Module) -> MemoryUse:
        first = self.input_sets[0]
        return memory_use(name, first.bound(model), *first.args)


def _place(name: str, index: int | None) -> Text:
    """Which output this is, and of which input set where there are several."""
    if index is None:
        return as_text(name)
    return Text("{name} of input set {index}", name=name, index=index)
