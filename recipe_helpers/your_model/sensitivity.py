"""Your own model: which module's conversion costs the accuracy.

Each converted module is put alone into the float model; the error that its quantization causes at
the model's output, all others being exact, is its sensitivity. Source of the method: the
sensitivity analysis and partial quantization of Wu et al., "Integer Quantization for Deep
Learning Inference: Principles and Empirical Evaluation", 2020, arXiv:2004.09602.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from ..common.errors import RecipeError
from ..common.language import Text, _
from ..common.tables import Shown, Table
from ..common.wording import as_text

MOST_MODULES = 24
LONGEST_S = 5.0  # for all modules of one conversion


@dataclass(frozen=True)
class ModuleError:
    """What converting one module, and no other, does to the model's output."""

    name: str
    kind: str
    relative: float  # the largest relative error of an output tensor; NaN where it cannot run
    failure: str | None  # why it cannot run, as a Text, or None

    @property
    def left_float(self) -> Text:
        """Why it is left FP32: what its conversion costs."""
        if self.failure:
            return Text("left FP32: fails when converted: {failure}", failure=self.failure)
        return Text(
            "left FP32: alone it costs a relative error of {relative:.2%}", relative=self.relative
        )


@dataclass(frozen=True)
class Sensitivity(Shown):
    """The modules measured alone, the worst first; `not_measured` counts those left out."""

    modules: tuple[ModuleError, ...]
    not_measured: int

    @property
    def worst(self) -> ModuleError | None:
        """The module whose conversion costs most."""
        return self.modules[0] if self.modules else None

    @property
    def failing(self) -> tuple[str, ...]:
        """The modules that cannot run once they are converted."""
        return tuple(module.name for module in self.modules if module.failure)

    def table(self) -> Table:
        """One row per module, and how many were left out."""
        rows = [
            (m.name or _("(the model)"), m.kind, str(m.failure or f"{m.relative:.3%}"))
            for m in self.modules
        ]
        note = ""
        if self.not_measured:
            note = _(
                "{count:,} smaller modules were not measured alone: at most {most} are, for at "
                "most {seconds:g} seconds.",
                count=self.not_measured,
                most=MOST_MODULES,
                seconds=LONGEST_S,
            )
        headers = (_("converted alone"), _("type"), _("relative error of the output"))
        return Table(headers, rows, "", note)


def with_parts(model: nn.Module, parts: Mapping[str, nn.Module]) -> nn.Module:
    """The float model with some modules replaced; it shares all others with `model`.

    Args:
        model: the float model, which is left as it is.
        parts: the replacements, by the names of the modules that they replace.
    """
    replaced = {id(model.get_submodule(name)): part for name, part in parts.items()}
    every = dict(model.named_modules(remove_duplicate=False))
    above = {id(model)}
    for name in [name for name, part in every.items() if id(part) in replaced]:
        parents = itertools.accumulate(name.split(".")[:-1], lambda a, b: f"{a}.{b}")
        above |= {id(every[parent]) for parent in parents}
    # deepcopy takes what its memo holds for the copy already made, wherever it is referred to: so
    # it makes anew just the modules that lead to a replaced one.
    memo: dict[int, object] = {id(p): p for p in model.parameters()}
    memo |= {id(part): part for part in every.values() if id(part) not in above}
    return copy.deepcopy(model, memo | replaced)


def measure_sensitivity(
    names: tuple[str, ...],
    model: nn.Module,
    convert_alone: Callable[[str], nn.Module],
    error: Callable[[nn.Module], float],
    advance: Callable[[str], None],
) -> Sensitivity:
    """Measure the error of each module by itself, the largest modules first.

    Args:
        names: the modules in question.
        model: the float model that they belong to.
        convert_alone: gives the model with this one module converted.
        error: the relative error of a model; may raise RecipeError where the model cannot run.
        advance: is told which module is next.
    """

    def parameters(name: str) -> int:
        return sum(p.numel() for p in model.get_submodule(name).parameters())

    largest = sorted(names, key=parameters, reverse=True)[:MOST_MODULES]
    measured: list[ModuleError] = []
    until = time.monotonic() + LONGEST_S
    for name in largest:
        if measured and time.monotonic() > until:
            break
        advance(name)
        kind = type(model.get_submodule(name)).__name__
        try:
            relative, failure = error(convert_alone(name)), None
        except RecipeError as problem:
            relative, failure = math.nan, as_text(problem)
        measured.append(ModuleError(name, kind, relative, failure))
    # A module that cannot run is worse than any that can; NaN as an error likewise.
    measured.sort(key=lambda m: -math.inf if math.isnan(m.relative) else -m.relative)
    return Sensitivity(tuple(measured), len(names) - len(measured))


def leave_out(
    sensitivity: Sensitivity,
    names: tuple[str, ...],
    error: Callable[[tuple[str, ...]], float],
    limit: float,
) -> tuple[str, ...] | None:
    """How many of the most sensitive modules have to stay FP32 for the error to be in the limit.

    Every try is a model that is built and run, since errors do not simply add up.

    Args:
        sensitivity: the modules measured alone.
        names: all modules in question.
        error: the relative error with these modules left FP32 and the others converted; infinite
            where that model cannot run.
        limit: the largest relative error.

    Returns:
        Their names, or None if at least one has to be converted and that is one too many.
    """
    worst_first = [module.name for module in sensitivity.modules]
    count = max(1, len(sensitivity.failing))
    while count < len(names) and count <= len(worst_first):
        left = tuple(worst_first[:count])
        if error(left) <= limit:
            return left
        count += 1 if count < 8 else count // 2
    return None
