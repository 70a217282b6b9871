"""Results that nobody measured, and reports that time nothing."""

import dataclasses
import functools
import itertools
import types
import typing
from dataclasses import replace
from typing import Any

import pytest
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common.checks import Description
from recipe_helpers.recipe.inspection import Conversion, Converted
from recipe_helpers.recipe.latency import LatencyComparison
from recipe_helpers.recipe.size import SizeBreakdown, SizeComparison
from recipe_helpers.recipe.timing import FASTER, Ratio, Timing, judge
from recipe_helpers.your_model import measurement
from recipe_helpers.your_model.candidates import Candidate, Measured, ModuleError, Sensitivity
from recipe_helpers.your_model.promises import Limits
from recipe_helpers.your_model.task_error import ROWS, SETS, TaskError

from .models import weak


def filled(kind, numbers=None):
    """An instance of a type, every number in it another one, every text as well."""
    numbers = itertools.count(1) if numbers is None else numbers
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return filled(next(one for one in arguments if one is not type(None)), numbers)
    if origin is tuple:
        kinds = arguments[:1] * 3 if ... in arguments else arguments
        return tuple(filled(one, numbers) for one in kinds)
    if kind is Description:
        return Description(f"text {next(numbers)}")
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        made = {f.name: filled(hints[f.name], numbers) for f in dataclasses.fields(kind)}
        known = {LatencyComparison: {"verdict": FASTER}, TaskError: {"apart": SETS}}
        return kind(**made | known.get(kind, {}))
    number = next(numbers)
    if issubclass(kind, Exception):
        return kind(f"error {number}")
    return {int: number, float: number + 0.5, str: f"text {number}", bool: True}[kind]


@functools.cache
def filled_report():
    return filled(rh.Report)


_filled = functools.cache(filled)


def speed(low, high, noise=1.0, threads=2):
    """Times that were taken, with this interval of the speed-up."""
    speedup, control = Ratio((low + high) / 2, low, high), Ratio(1.0, 1 / noise, noise)
    timing = Timing((100.0,) * 8)
    return LatencyComparison(timing, timing, speedup, control, judge(speedup, control), threads)


def measured(relative, low, high, size_ratio=3.0, limits=None, **fields):
    """One int8 model of these figures."""
    before, after = (SizeBreakdown(0, round(1e5 * n), 0, 0) for n in (size_ratio, 1))
    task = TaskError("output", 30.0, 0.99, relative, None, ROWS)
    made = {
        "made": Conversion((Converted("lstm", "LSTM", "Int8LSTM"),), ()),
        "left": (),
        "size": SizeComparison(before, after),
        "latencies": (speed(low, high),),
        "relative": relative,
        "outputs": _filled(Measured).outputs[:1],
        "tasks": (task,),
        "choices": None,
        "metric": None,
        "reference_metric": None,
        "memory_error": None,
        "limits": limits or Limits(),
    }
    return replace(_filled(Measured), **made | fields)


def candidate(name, whole=None, partly=None, left=()):
    """A conversion; with `left`, these modules are left FP32 in `partly`."""
    if left:
        partly = replace(partly, left=tuple(ModuleError(one, "LSTM", 0.9) for one in left))
    return Candidate(name, None, whole, replace(_filled(Sensitivity), not_measured=0), partly)


def made_up_latency(reference: nn.Module, candidate: nn.Module, *inputs: Any, **options: Any):
    """Stands for a measured time where the test is about something else."""
    return speed(1.0, 1.0, threads=options["threads"])


def quickly(model: nn.Module, *inputs: Any, **options: Any) -> rh.Report:
    """A report that times nothing, and in which times do not count; without memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measurement, "compare_latency", made_up_latency)
        return rh.report(
            model, *inputs, **{"threads": 1, "min_speedup": 0, "memory": False, **options}
        )


@functools.cache
def weak_report():
    """Two of three conversions of the weak model keep within 2 %, one is mended."""
    model, x = weak()
    return quickly(model, x, max_relative_error=0.02)
