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
from dataclasses import dataclass, field, replace
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
from ..common.language import Text, _
from ..common.onnx_runtime import OnnxModel, quantize_onnx
from ..common.tables import in_threads
from ..common.wording import as_text
from ..recipe.inspection import Conversion, converted_modules
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
from .promises import (
    BROKEN,
    OPEN,
    Limits,
    Promise,
    judge_costs,
    judge_latency,
    judge_outputs,
)
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
    problems: list[Text] = field(default_factory=list)  # why something was not measured

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
        quantized = failure = whole = None
        try:
            made = self._convert(way)
            errors = self._errors(made)
            quantized = made
        except (NothingQuantizedError, ArgumentError):
            raise
        except RecipeError as problem:
            failure = as_text(problem)
        if quantized is not None:
            whole = self._measured(way, quantized, errors)
        if way == ONNX:  # a graph has no modules that could be taken out again
            return Candidate(way, failure, whole)
        names = self._convertible(way) if whole is None else self._names_of(whole.conversion)

        def build(names: Iterable[str]) -> nn.Module:
            """The float model with these modules converted, and no other."""
            if quantized is None:
                return self._convert(way, names)
            return with_parts(self.model, {name: quantized.get_submodule(name) for name in names})

        sensitivity = self._sensitivity(way, names, build)
        if whole is not None and whole.close:
            return Candidate(way, None, whole, sensitivity)
        left, partly = self._mended(way, names, sensitivity, build)
        return Candidate(way, failure, whole, sensitivity, left, partly)

    def _convert(self, way: str, names: Iterable[str] | None = None) -> nn.Module:
        """The model converted as a whole, or these modules of it under all of their names."""
        if way == ONNX:
            first, *others = self.input_sets
            sets = [(other.args, other.kwargs) for other in others]
            return quantize_onnx(self.model, *first.args, kwargs=first.kwargs, others=sets)
        if way.startswith("torch.ao") and not torch_ao_available():
            raise ConversionError("this PyTorch has no torch.ao.quantization.")
        chosen = self.modules
        if names is not None:
            parts = {self.model.get_submodule(name) for name in names}
            every = self.model.named_modules(remove_duplicate=False)
            chosen = tuple(name for name, part in every if part in parts)
        options: dict[str, Any] = {**WAYS[way]}
        if chosen is None and way != "plain":
            chosen = TORCH_AO_MODULES
        return quantize_dynamic(self.model, modules=chosen, **options)

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

    def _measured(self, way: str, quantized: nn.Module, errors: OutputErrors) -> Measured:
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
        if judge_latency(latencies[0], self.limits).state == OPEN:
            self.advance(_("{way}: time once more, for longer", way=way))
            latencies[0] = self._timed(quantized, self.threads[0], LONGER * self.budget_s)
        self.advance(_("{way}: memory", way=way))
        metric, outputs = self._judged(quantized, errors)
        return Measured(
            **vars(errors),
            conversion=conversion,
            size=size,
            modules=modules,
            memory=self._memory(quantized),
            latencies=tuple(latencies),
            metric=metric,
            promises=(*judge_costs(size.ratio, latencies[0], self.limits), *outputs),
        )

    def _timed(self, quantized: nn.Module, threads: int, budget_s: float) -> LatencyComparison:
        """The times of both on the first input set."""
        first = self.input_sets[0]
        both = first.bound(self.model), first.bound(quantized)
        return compare_latency(*both, *first.args, threads=threads, budget_s=budget_s)

    def _judged(
        self, candidate: nn.Module, errors: OutputErrors
    ) -> tuple[float | None, list[Promise]]:
        """The caller's metric, and what the outputs keep."""
        metric = metric_of(self.metric, candidate)
        return metric, judge_outputs(errors, self.reference_metric, metric, self.limits)

    def _memory(self, candidate: nn.Module) -> MemoryComparison | None:
        """The memory of both, each in a process of its own; None where that cannot be done."""
        if not self.with_memory:
            return None
        try:
            name = Text("the converted model")
            return MemoryComparison(self._float_memory, self._memory_of(name, candidate))
        except RecipeError as problem:
            said = Text("Memory was not measured: {problem}", problem=as_text(problem))
            self.problems.append(said)
            return None

    @cached_property
    def _float_memory(self) -> MemoryUse:
        return self._memory_of(Text("the model"), self.model)

    def _memory_of(self, name: str, model: nn.Module) -> MemoryUse:
        first = self.input_sets[0]
        return memory_use(name, first.bound(model), *first.args)

    def _names_of(self, conversion: Conversion) -> tuple[str, ...]:
        """The converted modules, each once, however many names it has."""
        first = {self.model.get_submodule(c.name): c.name for c in reversed(conversion.converted)}
        return tuple(reversed(first.values()))

    def _convertible(self, way: str) -> tuple[str, ...]:
        """The modules that this way is asked to convert, each once."""
        chosen = self.modules or (MODULES if way == "plain" else TORCH_AO_MODULES)
        return tuple(
            name
            for name, part in self.model.named_modules()
            if name and {name, type_before_parametrizations(part)} & {*chosen}
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
            self.advance(_("{way}: {name} alone", way=way, name=name or Text("the model")))
            relative, failure = math.nan, None
            try:
                relative = self._errors(build([name])).relative
            except RecipeError as problem:
                failure = as_text(problem)
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
    ) -> tuple[tuple[str, ...], Measured | None]:
        """Leave out what costs most until the output is close enough, and measure the rest."""
        for left in sensitivity.left_out(len(names)):
            self.advance(_("{way}: {count} left FP32", way=way, count=len(left)))
            kept = [name for name in names if name not in left]
            try:
                made = build(kept)
                promises = self._judged(made, self._errors(made))[1]
            except RecipeError:
                continue
            if all(promise.state != BROKEN for promise in promises):
                break
        else:
            return (), None
        made = self._convert(way, kept)
        partly = self._measured(way, made, self._errors(made))
        reasons = {m.name: m.left_float for m in sensitivity.modules if m.name in left}
        alone = [
            replace(x, reason=reasons.get(x.name, x.reason)) for x in partly.conversion.left_alone
        ]
        conversion = replace(partly.conversion, left_alone=tuple(alone))
        return left, replace(partly, conversion=conversion)
