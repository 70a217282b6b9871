"""Your own model: the bench on which it is converted in one of several ways, and measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from ..common.errors import (
    ArgumentError,
    ConversionError,
    InputError,
    NothingQuantizedError,
    RecipeError,
)
from ..common.tables import in_threads
from ..recipe.accuracy import OutputComparison, compare_outputs, named_tensors
from ..recipe.inspection import Conversion, converted_modules
from ..recipe.latency import LatencyComparison, compare_latency
from ..recipe.quantize import MODULES, TORCH_AO_MODULES, quantize_dynamic, torch_ao_available
from ..recipe.size import compare_size
from .candidates import WAYS, Candidate, Measured
from .module_bytes import bytes_by_module
from .preparation import InputSet, Recorded, steady_outputs
from .promises import (
    OPEN,
    Limits,
    Promise,
    judge_costs,
    judge_error,
    judge_latency,
    judge_metric,
)
from .sensitivity import Sensitivity, leave_out, measure_sensitivity, with_parts

LONGER = 4  # times the budget, for a time that the first measurement left open


@dataclass(frozen=True)
class Bench:
    """The float model on the bench, and how it is measured; nothing here belongs to the caller."""

    model: nn.Module
    input_sets: tuple[InputSet, ...]
    limits: Limits
    modules: tuple[type[nn.Module] | str, ...] | None
    metric: Callable[[nn.Module], float] | None
    threads: tuple[int, ...]  # the caller's number first
    budget_s: float
    advance: Callable[[str], None]

    def __post_init__(self) -> None:
        self.advance("run the float model")
        # What is wrong with the float model must not look like a fault of a conversion.
        _ = self.recorded, self.reference_metric

    @cached_property
    def recorded(self) -> tuple[Any, ...]:
        """The float model's outputs for each input set."""
        return tuple(steady_outputs(self.model, inputs) for inputs in self.input_sets)

    def examine(self, way: str) -> Candidate:
        """Convert in one way and measure; a failure is part of the result.

        Raises:
            NothingQuantizedError: there is nothing to convert.
            ArgumentError: this way cannot convert what `modules` names.
        """
        self.advance(f"{way}: convert")
        quantized = failure = whole = None
        try:
            quantized = self._convert(way)
            self.differences(quantized)
        except (NothingQuantizedError, ArgumentError):
            raise
        except RecipeError as problem:
            quantized, failure = None, str(problem)
        if quantized is not None:
            whole = self._measured(way, quantized)
            names = self._names_of(whole.conversion)
        else:
            names = self._convertible(way)
        sensitivity = self._sensitivity(way, quantized, names)
        if whole is not None and whole.close:
            return Candidate(way, None, whole, sensitivity, (), None)
        left, partly = self._mended(way, quantized, names, sensitivity)
        return Candidate(way, failure, whole, sensitivity, left, partly)

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
                    "the converted model cannot run on inputs that the float model takes: "
                    f"{type(cause).__name__}: {reason}"
                ) from error
        return tuple(found)

    def largest_error(self, outputs: tuple[OutputComparison, ...]) -> tuple[float, str]:
        """The largest relative error of a tensor of floats, and its place."""
        several = len(outputs) > 1
        errors = [
            (tensor.relative, f"{tensor.name} of input set {index}" if several else tensor.name)
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
        return self._metric_of(with_parts(self.model, {}))

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

    def _metric_of(self, model: nn.Module) -> float | None:
        if self.metric is None:
            return None
        try:
            with torch.inference_mode():
                value = float(self.metric(model))
        except Exception as error:  # the caller's function
            raise ArgumentError(
                f"metric raised {type(error).__name__}: {error}; pass a function that takes a "
                "model and returns a number, the larger the better."
            ) from error
        if not math.isfinite(value):
            raise ArgumentError(f"metric returned {value}; pass a function that returns a number.")
        return value

    def _judged_metric(self, metric: float | None) -> Promise:
        """The promise about the caller's metric, where there is one."""
        return judge_metric(cast(float, self.reference_metric), cast(float, metric), self.limits)

    def _convert(self, way: str, names: Iterable[str] | None = None) -> nn.Module:
        if way.startswith("torch.ao") and not torch_ao_available():
            raise ConversionError("this PyTorch has no working torch.ao.quantization.")
        every = TORCH_AO_MODULES if way.startswith("torch.ao") else MODULES
        chosen = self.modules if names is None else tuple(names)
        options = cast(dict[str, Any], WAYS[way])
        return quantize_dynamic(self.model, modules=every if chosen is None else chosen, **options)

    def _measured(self, way: str, quantized: nn.Module) -> Measured:
        conversion = converted_modules(self.model, quantized)
        self.advance(f"{way}: size and outputs")
        size = compare_size(self.model, quantized)
        outputs = self.differences(quantized)
        relative, place = self.largest_error(outputs)
        latencies = []
        for threads in self.threads:
            self.advance(f"{way}: time on {in_threads(threads)}")
            latencies.append(self._timed(quantized, threads, self.budget_s))
        if judge_latency(latencies[0], self.limits).state == OPEN:
            self.advance(f"{way}: time once more, for longer")
            latencies[0] = self._timed(quantized, self.threads[0], LONGER * self.budget_s)
        metric = None
        if self.metric is not None:
            self.advance(f"{way}: metric")
            metric = self._metric_of(quantized)
        promises = judge_costs(size.ratio, latencies[0], self.limits)
        if self.error_limit is not None:
            promises.append(judge_error(relative, place, self.error_limit))
        if metric is not None:
            promises.append(self._judged_metric(metric))
        return Measured(
            conversion=conversion,
            size=size,
            modules=bytes_by_module(self.model, quantized, conversion),
            latencies=tuple(latencies),
            outputs=outputs,
            relative=relative,
            place=place,
            metric=metric,
            promises=tuple(promises),
        )

    def _timed(self, quantized: nn.Module, threads: int, budget_s: float) -> LatencyComparison:
        first = self.input_sets[0]
        return compare_latency(
            first.bound(self.model),
            first.bound(quantized),
            *first.args,
            threads=threads,
            budget_s=budget_s,
        )

    def _names_of(self, conversion: Conversion) -> tuple[str, ...]:
        """The converted modules, each once, however many names it has."""
        first = {self.model.get_submodule(c.name): c.name for c in reversed(conversion.converted)}
        return tuple(reversed(first.values()))

    def _convertible(self, way: str) -> tuple[str, ...]:
        """The modules that this way is asked to convert, each once."""
        chosen = self.modules or (TORCH_AO_MODULES if way.startswith("torch.ao") else MODULES)
        return tuple(
            name
            for name, part in self.model.named_modules()
            if name and {name, type_before_parametrizations(part)} & {*chosen}
        )

    def _with_aliases(self, names: Iterable[str]) -> list[str]:
        """These modules under all of their names."""
        parts = {self.model.get_submodule(name) for name in names}
        every = self.model.named_modules(remove_duplicate=False)
        return [name for name, part in every if part in parts]

    def _sensitivity(
        self, way: str, quantized: nn.Module | None, names: tuple[str, ...]
    ) -> Sensitivity:
        def alone(name: str) -> nn.Module:
            if quantized is None:
                return self._convert(way, self._with_aliases([name]))
            return with_parts(self.model, {name: quantized.get_submodule(name)})

        def advance(name: str) -> None:
            self.advance(f"{way}: {name or 'the model'} alone")

        return measure_sensitivity(names, self.model, alone, self.error, advance)

    def _mended(
        self,
        way: str,
        quantized: nn.Module | None,
        names: tuple[str, ...],
        sensitivity: Sensitivity,
    ) -> tuple[tuple[str, ...], Measured | None]:
        """Leave out what costs most until the output is close enough, and measure the rest."""

        def build(left: tuple[str, ...]) -> nn.Module:
            kept = [name for name in names if name not in left]
            if quantized is None:
                return self._convert(way, self._with_aliases(kept))
            return with_parts(self.model, {name: quantized.get_submodule(name) for name in kept})

        def excess(left: tuple[str, ...]) -> float:
            self.advance(f"{way}: {len(left)} left FP32")
            try:
                return self._excess(build(left))
            except RecipeError:
                return math.inf

        left = leave_out(sensitivity, names, excess, 0.0)
        if left is None:
            return (), None
        kept = self._with_aliases(name for name in names if name not in left)
        partly = self._measured(way, self._convert(way, kept))
        reasons = {m.name: f"left FP32: {m.cost}" for m in sensitivity.modules if m.name in left}
        return left, replace(partly, conversion=_explained(partly.conversion, reasons))

    def _excess(self, model: nn.Module) -> float:
        """By how much a model's output misses the limits; 0 or less where it keeps them."""
        error = self.error(model)
        misses = [] if self.error_limit is None else [error - self.error_limit]
        if self.metric is not None:
            promise = self._judged_metric(self._metric_of(model))
            misses.append(promise.measured - promise.limit)
        return max(misses)


def _explained(conversion: Conversion, reasons: Mapping[str, str]) -> Conversion:
    """The same, with the true reason for modules that were left FP32 on purpose."""
    left_alone = [replace(x, reason=reasons.get(x.name, x.reason)) for x in conversion.left_alone]
    return replace(conversion, left_alone=tuple(left_alone))
