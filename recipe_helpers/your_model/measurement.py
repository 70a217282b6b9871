"""Your own model: the bench on which it is converted in one of several ways, and measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from ..common.errors import (
    ArgumentError,
    ConversionError,
    NothingQuantizedError,
    RecipeError,
)
from ..common.language import Text, _, plural
from ..common.wording import as_text
from ..int8.onnx_runtime import OnnxModel, quantize_onnx
from ..recipe.inspection import Conversion, converted_modules
from ..recipe.quantize import MODULES, TORCH_AO_MODULES, quantize_dynamic, torch_ao_available
from ..recipe.size import SizeComparison, compare_size
from . import onnx_way
from .candidates import ONNX, WAYS, Candidate, Measured
from .module_bytes import ModuleBytes, bytes_by_module
from .promises import (
    OPEN,
    judge_costs,
    judge_distance,
    judge_error,
    judge_latency,
)
from .reference import Reference
from .sensitivity import Sensitivity, leave_out, measure_sensitivity, with_parts

LONGER = 4  # times the budget, for a time that the first measurement left open


@dataclass(frozen=True)
class Bench(Reference):
    """The float model on the bench, and the conversions that are measured beside it."""

    modules: tuple[type[nn.Module] | str, ...] | None = None

    def examine(self, way: str) -> Candidate:
        """Convert in one way and measure; a failure is part of the result.

        Raises:
            NothingQuantizedError: there is nothing to convert.
            ArgumentError: this way cannot convert what `modules` names.
        """
        self.advance(_("{way}: convert", way=way))
        quantized = failure = whole = None
        try:
            quantized = self._convert(way)
            self.differences(quantized)
        except (NothingQuantizedError, ArgumentError):
            raise
        except RecipeError as problem:
            quantized, failure = None, as_text(problem)
        if quantized is not None:
            whole = self._measured(way, quantized)
        if way == ONNX:  # a graph has no modules that could be taken out again
            return Candidate(way, failure, whole, None, (), None)
        if whole is not None and quantized is not None:
            names = self._names_of(whole.conversion)
        else:
            names = self._convertible(way)
        sensitivity = self._sensitivity(way, quantized, names)
        if whole is not None and whole.close:
            return Candidate(way, None, whole, sensitivity, (), None)
        left, partly = self._mended(way, quantized, names, sensitivity)
        return Candidate(way, failure, whole, sensitivity, left, partly)

    def _convert(self, way: str, names: Iterable[str] | None = None) -> nn.Module:
        if way == ONNX:
            return self._exported()
        if way.startswith("torch.ao") and not torch_ao_available():
            raise ConversionError(Text("this PyTorch has no working torch.ao.quantization."))
        every = TORCH_AO_MODULES if way.startswith("torch.ao") else MODULES
        chosen = self.modules if names is None else tuple(names)
        options = cast(dict[str, Any], WAYS[way])
        return quantize_dynamic(self.model, modules=every if chosen is None else chosen, **options)

    def _exported(self) -> nn.Module:
        if self.modules is not None:
            raise ArgumentError(
                Text(
                    "modules is given, but {name!r} converts a model as a whole; leave one of the "
                    "two out.",
                    name=ONNX,
                )
            )
        first, *others = self.input_sets
        sets = [(other.args, other.kwargs) for other in others]
        return quantize_onnx(self.model, *first.args, kwargs=first.kwargs, others=sets)

    def _described(self, quantized: nn.Module) -> tuple[Conversion, SizeComparison, ModuleBytes]:
        if isinstance(quantized, OnnxModel):
            return onnx_way.described(self.model, quantized)
        conversion = converted_modules(self.model, quantized)
        size = compare_size(self.model, quantized)
        return conversion, size, bytes_by_module(self.model, quantized, conversion)

    def _measured(self, way: str, quantized: nn.Module) -> Measured:
        self.advance(_("{way}: size and outputs", way=way))
        conversion, size, modules = self._described(quantized)
        outputs = self.differences(quantized)
        relative, place = self.largest_error(outputs)
        latencies = []
        for threads in self.threads:
            self.advance(
                plural(
                    "{way}: time on {count} thread",
                    "{way}: time on {count} threads",
                    threads,
                    way=way,
                )
            )
            latencies.append(self.timed(quantized, threads, self.budget_s))
        if judge_latency(latencies[0], self.limits).state == OPEN:
            self.advance(_("{way}: time once more, for longer", way=way))
            latencies[0] = self.timed(quantized, self.threads[0], LONGER * self.budget_s)
        self.advance(_("{way}: memory", way=way))
        memory = self.memory(quantized)
        metric = None
        if self.metric is not None:
            self.advance(_("{way}: metric", way=way))
            metric = self.metric_of(quantized)
        promises = judge_costs(size.ratio, latencies[0], self.limits)
        task = self.task_error(quantized)
        if self.error_limit is not None:
            promises.append(judge_error(relative, place, self.error_limit))
            promises += judge_distance(task)
        if metric is not None:
            promises.append(self.judged_metric(metric))
        return Measured(
            conversion=conversion,
            size=size,
            modules=modules,
            memory=memory,
            latencies=tuple(latencies),
            outputs=outputs,
            relative=relative,
            place=place,
            task=task,
            metric=metric,
            promises=tuple(promises),
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
            self.advance(_("{way}: {name} alone", way=way, name=name or Text("the model")))

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
            self.advance(_("{way}: {count} left FP32", way=way, count=len(left)))
            try:
                return self._excess(build(left))
            except RecipeError:
                return math.inf

        left = leave_out(sensitivity, names, excess, 0.0)
        if left is None:
            return (), None
        kept = self._with_aliases(name for name in names if name not in left)
        partly = self._measured(way, self._convert(way, kept))
        reasons = {m.name: m.left_float for m in sensitivity.modules if m.name in left}
        return left, replace(partly, conversion=_explained(partly.conversion, reasons))

    def _excess(self, model: nn.Module) -> float:
        """By how much a model's output misses the limits; 0 or less where it keeps them."""
        error = self.error(model)
        misses = []
        if self.error_limit is not None:
            apart = judge_distance(self.task_error(model))
            misses = [error - self.error_limit, *(p.measured - p.limit for p in apart)]
        if self.metric is not None:
            promise = self.judged_metric(self.metric_of(model))
            misses.append(promise.measured - promise.limit)
        return max(misses)


def _explained(conversion: Conversion, reasons: Mapping[str, str]) -> Conversion:
    """The same, with the true reason for modules that were left FP32 on purpose."""
    left_alone = [replace(x, reason=reasons.get(x.name, x.reason)) for x in conversion.left_alone]
    return replace(conversion, left_alone=tuple(left_alone))
