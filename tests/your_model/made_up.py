"""Results that nobody measured: filled with numbers that are all different, or with chosen ones."""

import dataclasses
import itertools
import types
import typing
from dataclasses import replace

from recipe_helpers.recipe.inspection import Converted
from recipe_helpers.recipe.timing import Ratio, judge
from recipe_helpers.your_model.candidates import Candidate, Measured
from recipe_helpers.your_model.findings import Findings
from recipe_helpers.your_model.promises import Limits, judge_costs, judge_error


def filled(kind, numbers):
    """An instance of a type, every number in it another one, every text as well."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return filled(next(one for one in arguments if one is not type(None)), numbers)
    if origin is tuple:
        return tuple(filled(arguments[0], numbers) for _ in range(3))
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{f.name: filled(hints[f.name], numbers) for f in dataclasses.fields(kind)})
    number = next(numbers)
    return {int: number, float: number + 0.5, str: f"text {number}", bool: True}[kind]


def filled_findings():
    return filled(Findings, itertools.count(1))


def measured(relative, low, high, size_ratio=3.0, limits=None, names=("lstm",), control=None):
    """One int8 model of these figures, judged by the real judges."""
    limits = limits or Limits()
    made = filled(Measured, itertools.count(1))
    speedup, control = Ratio((low + high) / 2, low, high), control or Ratio(1.0, 1.0, 1.0)
    latency = replace(
        made.latencies[0], speedup=speedup, control=control, verdict=judge(speedup, control)
    )
    converted = tuple(Converted(name, "LSTM", "Int8LSTM") for name in names)
    promises = judge_costs(size_ratio, latency, limits)
    promises.append(judge_error(relative, "output", limits.error_limit(None)))
    return replace(
        made,
        conversion=replace(made.conversion, converted=converted, left_alone=()),
        latencies=(latency,),
        relative=relative,
        promises=tuple(promises),
    )


def candidate(name, whole, partly=None, left=()):
    sensitivity = replace(filled(Candidate, itertools.count(1)).sensitivity, not_measured=0)
    return Candidate(name, None, whole, sensitivity, left, partly)
