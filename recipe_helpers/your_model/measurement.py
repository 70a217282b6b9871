"""Your own model: the float model on the bench, and every conversion measured beside it.

Each converted module is also put alone into the float model; the error that its quantization causes
at the model's output, all others being exact, is its sensitivity. Source of the method: the
sensitivity analysis and partial quantization of Wu et al., "Integer Quantization for Deep
Learning Inference: Principles and Empirical Evaluation", 2020, arXiv:2004.09602.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from ..common import checks
from ..common.errors import (
    ArgumentError,
    ConversionError,
    InputError,
    NothingQuantizedError,
    RecipeError,
)
from ..common.language import _
from ..common.onnx_runtime import OnnxModel, quantize_onnx
from ..common.tables import in_threads
from ..recipe.inspection import converted_modules
from ..recipe.latency import LatencyComparison, compare_latency
from ..recipe.memory import MemoryComparison, MemoryUse, memory_use
from ..recipe.quantize import MODULES, TORCH_AO_MODULES, quantize_dynamic, torch_ao_available
from ..recipe.size import compare_size
from .candidates import (
    LONGEST_S,
    MOST_MODULES,
    ONNX,
    WAYS,
    Candidate,
    Measured,
    ModuleError,
    Sensitivity,
    bytes_by_module,
    described_graph,
)
from .preparation import InputSet, metric_of, with_parts
from .promises import BROKEN, OPEN, Limits, judge_outputs, judge_speed
from .task_error import OutputErrors, Recorded

LONGER = 4  # times the budget, for a time that the first measurement left open


@dataclass(frozen=True)
class Bench:
    """The float model and how it is measured; nothing here belongs to the caller."""

    model: nn.Module
    input_sets: tuple[InputSet, ...]
    recorded: Recorded  # the float model's outputs for each set
    limits: Limits
    metric: Callable[[nn.Module], float] | None
    reference_metric: float | None
    threads: tuple[int, ...]  # the caller's number first
    budget_s: float
    with_memory: bool
    modules: tuple[type[nn.Module] | str, ...] | None
    advance: Callable[[str], None]

    def examine(self, way: str) -> Candidate:
        """Convert in one way and measure; a failure is part of the result.

        An error is raised only where the caller asked for what this way cannot do, or does not do.
        """
        if way == ONNX and self.modules is not None:
            raise ArgumentError(
                "modules is given, but {name!r} converts a model as a whole; leave one of the two "
                "out.",
                name=ONNX,
            )
        self.advance(_("{way}: convert", way=way))
        failure = whole = None
        try:
            made = self._convert(way)
            whole = self._measured(way, made)
        except (NothingQuantizedError, ArgumentError):
            raise
        except RecipeError as problem:
            failure = kept(problem)
        if way == ONNX:  # a graph has no modules that could be taken out again
            return Candidate(way, failure, whole)

        def build(names: Iterable[str]) -> nn.Module:
            """The float model with these modules converted, and no other."""
            if whole is None:
                return self._convert(way, names)
            return with_parts(self.model, {name: made.get_submodule(name) for name in names})

        names = self._names(way, whole)
        sensitivity = self._sensitivity(way, names, build)
        partly = None
        if whole is None or not whole.close:
            partly = self._mended(way, names, sensitivity, build)
        return Candidate(way, failure, whole, sensitivity, partly)

    def _convert(self, way: str, names: Iterable[str] | None = None) -> nn.Module:
        """The model converted as a whole, or these modules of it under all of their names."""
        if way == ONNX:
            first, *others = self.input_sets
            sets = [(other.args, other.kwargs) for other in others]
            return quantize_onnx(self.model, *first.args, kwargs=first.kwargs, others=sets)
        if way.startswith("torch.ao") and not torch_ao_available():
            raise ConversionError("this PyTorch has no torch.ao.quantization.")
        chosen = self._chosen(way)
        if names is not None:
            parts = {self.model.get_submodule(name) for name in names}
            every = self.model.named_modules(remove_duplicate=False)
            chosen = tuple(name for name, part in every if part in parts)
        options: dict[str, Any] = {**WAYS[way]}
        return quantize_dynamic(self.model, modules=chosen, **options)

    def _chosen(self, way: str) -> tuple[type[nn.Module] | str, ...]:
        return self.modules or tuple(MODULES if way == "plain" else TORCH_AO_MODULES)

    def _errors(self, candidate: nn.Module) -> OutputErrors:
        """How far the outputs for every input set are off; ConversionError if it cannot run."""
        try:
            outputs = [
                checks.runs("the converted model", one.bound(candidate), one.args)
                for one in self.input_sets
            ]
            return self.recorded.errors(outputs)
        except InputError as error:
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            raise ConversionError(
                "the converted model cannot run on inputs that the float model takes: {error}: "
                "{reason}",
                error=type(cause).__name__,
                reason=checks.first_line(cause),
            ) from error

    def _measured(
        self, way: str, quantized: nn.Module, left: tuple[ModuleError, ...] = ()
    ) -> Measured:
        errors = self._errors(quantized)
        self.advance(_("{way}: size and outputs", way=way))
        if isinstance(quantized, OnnxModel):
            conversion, size, modules = described_graph(self.model, quantized)
        else:
            conversion = converted_modules(self.model, quantized)
            size = compare_size(self.model, quantized)
            modules = bytes_by_module(self.model, quantized, conversion)
        latencies = []
        for threads in self.threads:
            self.advance(_("{way}: time on {threads}", way=way, threads=in_threads(threads)))
            latencies.append(self._timed(quantized, threads, self.budget_s))
        if judge_speed(latencies[0], self.limits.min_speedup) == OPEN:
            self.advance(_("{way}: time once more, for longer", way=way))
            latencies[0] = self._timed(quantized, self.threads[0], LONGER * self.budget_s)
        self.advance(_("{way}: memory", way=way))
        memory, memory_error = self._memory(quantized)
        return Measured(
            **vars(errors),
            made=conversion,
            left=left,
            size=size,
            modules=modules,
            memory=memory,
            memory_error=memory_error,
            latencies=tuple(latencies),
            metric=metric_of(self.metric, quantized),
            reference_metric=self.reference_metric,
            limits=self.limits,
        )

    def _timed(self, quantized: nn.Module, threads: int, budget_s: float) -> LatencyComparison:
        """The times of both on the first input set."""
        first = self.input_sets[0]
        both = first.bound(self.model), first.bound(quantized)
        return compare_latency(*both, *first.args, threads=threads, budget_s=budget_s)

    def _memory(self, candidate: nn.Module) -> tuple[MemoryComparison | None, RecipeError | None]:
        """The memory of both, each in a process of its own, or why that cannot be measured."""
        if not self.with_memory:
            return None, None
        try:
            return MemoryComparison(self._float_memory, self._memory_of(candidate)), None
        except RecipeError as problem:
            return None, kept(problem)

    @cached_property
    def _float_memory(self) -> MemoryUse:
        return self._memory_of(self.model)

    def _memory_of(self, model: nn.Module) -> MemoryUse:
        first = self.input_sets[0]
        return memory_use("model", first.bound(model), *first.args)

    def _names(self, way: str, whole: Measured | None) -> tuple[str, ...]:
        """What was converted, or is asked for where that failed: each module once."""
        if whole is not None:
            converted = reversed(whole.made.converted)
            first = {self.model.get_submodule(one.name): one.name for one in converted}
            return tuple(reversed(first.values()))
        chosen = {*self._chosen(way)}
        return tuple(
            name
            for name, part in self.model.named_modules()
            if name and {name, type_before_parametrizations(part)} & chosen
        )

    def _sensitivity(
        self, way: str, names: tuple[str, ...], build: Callable[[list[str]], nn.Module]
    ) -> Sensitivity:
        """The error of each module by itself, the largest modules first while there is time."""

        def parameters(name: str) -> int:
            return sum(p.numel() for p in self.model.get_submodule(name).parameters())

        measured: list[ModuleError] = []
        until = time.monotonic() + LONGEST_S
        for name in sorted(names, key=parameters, reverse=True)[:MOST_MODULES]:
            if measured and time.monotonic() > until:
                break
            self.advance(_("{way}: {name} alone", way=way, name=name or _("the model")))
            relative, failure = math.nan, None
            try:
                relative = self._errors(build([name])).relative
            except RecipeError as problem:
                failure = kept(problem)
            kind = type(self.model.get_submodule(name)).__name__
            measured.append(ModuleError(name, kind, relative, failure))
        # A module that cannot run is worse than any that can; NaN as an error likewise.
        measured.sort(key=lambda m: -math.inf if math.isnan(m.relative) else -m.relative)
        return Sensitivity(tuple(measured), len(names) - len(measured))

    def _mended(
        self,
        way: str,
        names: tuple[str, ...],
        sensitivity: Sensitivity,
        build: Callable[[list[str]], nn.Module],
    ) -> Measured | None:
        """Leave out what costs most until the output is close enough, and measure the rest."""
        for left in sensitivity.left_out(len(names)):
            self.advance(_("{way}: {count} left FP32", way=way, count=len(left)))
            rest = [name for name in names if name not in {module.name for module in left}]
            try:
                made = build(rest)
                found = self._errors(made), self.reference_metric, metric_of(self.metric, made)
            except RecipeError:
                continue
            if all(one.state != BROKEN for one in judge_outputs(*found, self.limits)):
                return self._measured(way, self._convert(way, rest), left)
        return None


def kept(problem: RecipeError) -> RecipeError:
    """The error to be told later, without the frames in which it was raised and their tensors."""
    return type(problem)(problem.message, **problem.values)
