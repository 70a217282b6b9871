"""Your own model: choose between the candidates, and say why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import cast

from torch import nn

from ..common.language import Text
from ..common.wording import in_turn, named, sentences, within
from ..recipe.quantize import MODULES
from ..recipe.timing import SLOWER
from .candidates import ONNX, WAYS, Candidate, Measured
from .promises import (
    BROKEN,
    CLOSE,
    GAIN,
    KEEP,
    OPEN,
    QUICKER,
    SHIP,
    SHIP_PARTLY,
    SMALLER,
    WORTH_SIZE_RATIO,
    WORTH_SPEEDUP,
    Verdict,
)
from .task_error import COMPARABLE

_MUCH = 1 / 3  # of the bytes: with so much in FP32 no conversion reaches 2 to 1
_MOST_NAMES = 8  # in a line of code that somebody copies


def decide(candidates: Sequence[Candidate], model: nn.Module, *, by_name: bool = False) -> Verdict:
    """The verdict over all candidates.

    A candidate that keeps its promises as a whole comes before one with exceptions, and one that is
    both smaller and faster before one that is only one of the two. Among equals the one with the
    smallest error is chosen, unless another is faster beyond doubt.

    Args:
        candidates: what was measured, at least one.
        model: the float model, for the names and types in the line of code.
        by_name: whether that line has to name the modules even where none is left FP32.
    """
    for decision, pick in ((SHIP, attrgetter("whole")), (SHIP_PARTLY, attrgetter("partly"))):
        tried = ((candidate, pick(candidate)) for candidate in candidates)
        sound = [(one, found) for one, found in tried if found is not None and not found.broken]
        if sound:
            chosen, found = _best(sound)
            exact = by_name or decision == SHIP_PARTLY
            return _shipped(decision, chosen, found, _code(chosen.name, found, model, exact))
    return _kept_float(candidates)


def _best(sound: Iterable[tuple[Candidate, Measured]]) -> tuple[Candidate, Measured]:
    """Of those that gain most, the least error, unless another is faster beyond both intervals."""
    gains = [(_gains(found), (candidate, found)) for candidate, found in sound]
    most = max(gain for gain, _ in gains)
    equals = [pair for gain, pair in gains if gain == most]
    best, *others = sorted(equals, key=lambda pair: pair[1].relative)
    for other in others:
        if other[1].latencies[0].speedup.low > best[1].latencies[0].speedup.high:
            best = other
    return best


def _gains(found: Measured) -> int:
    """How many of the two gains that matter to the caller are large enough to be worth having."""
    reached = {
        SMALLER: found.promise(SMALLER).measured >= WORTH_SIZE_RATIO,
        QUICKER: found.latencies[0].speedup.low >= WORTH_SPEEDUP,
    }
    asked = (name for name in reached if found.promise(name).limit > 0)
    return sum(reached[name] for name in asked)


def _shipped(decision: str, chosen: Candidate, found: Measured, code: str) -> Verdict:
    left = () if decision == SHIP else chosen.left_float
    findings = in_turn(promise.sentence for promise in found.promises if promise.sentence)
    if left:
        said = Text(
            'The conversion "{name}", with {left} left FP32, is {findings}.',
            name=chosen.name,
            left=_modules(left),
            findings=findings,
        )
    else:
        said = Text('The conversion "{name}" is {findings}.', name=chosen.name, findings=findings)
    more = []
    if found.task.choice is not None and found.task.same_choice < 1:
        where = found.task.place
        more.append(Text("In {place} {choice}.", place=where, choice=found.task.choice))
    if unsure := [Text(promise.name) for promise in found.promises if promise.state == OPEN]:
        more.append(Text("Whether it is {promises} could not be settled.", promises=named(unsure)))
    if chosen.failure:
        more.append(Text("As a whole it fails: {failure}.", failure=within(chosen.failure)))
    elif left and chosen.whole is not None:
        missed = in_turn(promise.sentence for promise in chosen.whole.broken)
        more.append(Text("As a whole it misses: {findings}.", findings=missed))
    return Verdict(decision, chosen.name, left, (), sentences([said, *more]), code)


def _kept_float(candidates: Sequence[Candidate]) -> Verdict:
    measured = [candidate for candidate in candidates if candidate.best is not None]
    if not measured:
        failures = in_turn(
            Text('"{name}": {failure}', name=one.name, failure=within(one.failure or ""))
            for one in candidates
        )
        said = Text("No conversion works: {failures}.", failures=failures)
        return Verdict(KEEP, None, (), (), said, "")
    nearest = min(measured, key=lambda c: (len(c.best.broken), c.best.relative))
    found = cast(Measured, nearest.best)
    broken = tuple(promise.name for promise in found.broken)
    reason = [_missed(nearest, found, several=len(candidates) > 1)]
    sensitivity = nearest.sensitivity if nearest.partly is None else None
    if CLOSE in broken and sensitivity is not None and sensitivity.worst is not None:
        worst = _module(sensitivity.worst.name)
        reason.append(Text("The most sensitive module is {name}.", name=worst))
    if rest := [p.sentence for p in found.promises if p.state != BROKEN and p.sentence]:
        reason.append(Text("Otherwise: {findings}.", findings=in_turn(rest)))
    if GAIN in broken or QUICKER in broken or SMALLER in broken:
        reason += _in_the_way(nearest, found)
    reason += _for_the_task(measured, nearest)
    return Verdict(KEEP, nearest.name, nearest.left_float, broken, sentences(reason), "")


def _missed(nearest: Candidate, found: Measured, *, several: bool) -> Text:
    """Which promises the nearest conversion breaks, with the numbers."""
    names = iter(dict.fromkeys(promise.name for promise in found.broken))
    broken = Text(next(names))
    for name in names:
        broken = Text("{names} and not {name}", names=broken, name=Text(name))
    numbers = in_turn(p.sentence for p in found.promises if p.state == BROKEN)
    values = {"name": nearest.name, "broken": broken, "numbers": numbers}
    if not nearest.partly:
        if not several:
            return Text("INT8 is not {broken}: {numbers}.", **values)
        return Text('The nearest conversion, "{name}", is not {broken}: {numbers}.', **values)
    values["left"] = _modules(nearest.left_float)
    if not several:
        return Text("INT8 (with {left} left FP32) is not {broken}: {numbers}.", **values)
    return Text(
        'The nearest conversion, "{name}", (with {left} left FP32) is not {broken}: {numbers}.',
        **values,
    )


def _in_the_way(candidate: Candidate, found: Measured) -> Iterator[Text]:
    """Why there is so little to gain, and what would change it."""
    sizes = found.modules
    stay = [module for module in sizes.modules if not module.converted]
    stay_bytes = sum(module.float_bytes for module in stay) + sizes.others_bytes
    all_bytes = sizes.others_bytes + sum(module.float_bytes for module in sizes.modules)
    if stay and stay_bytes > _MUCH * all_bytes:
        largest = max(stay, key=lambda module: module.float_bytes)
        reasons = {one.name: one.reason for one in found.conversion.left_alone}
        yield Text(
            "What stands in the way: {share:.0%} of the bytes stay FP32, most of them in {name} "
            "({kind}; {reason}).",
            share=stay_bytes / all_bytes,
            name=_module(largest.name),
            kind=largest.kind,
            reason=reasons.get(largest.name, Text("it is not converted")),
        )
    if candidate.left_float and found is candidate.partly:
        yield Text(
            "What would change it: a conversion that is closer to FP32 in {left}, or a larger "
            "max_relative_error if the task allows.",
            left=_modules(candidate.left_float),
        )
    elif found.latencies[0].verdict == SLOWER:
        yield Text(
            "What would change it: wider layers or more sequences per call, for in a small call "
            "INT8 pays more for its overhead than it saves."
        )


def _for_the_task(candidates: Sequence[Candidate], nearest: Candidate) -> Iterator[Text]:
    """A conversion that only misses an error limit, and might well be good enough for the task."""
    worthy = [
        (candidate, candidate.whole)
        for candidate in candidates
        if candidate.whole is not None
        and candidate.whole.metric is None
        and {promise.name for promise in candidate.whole.broken} == {CLOSE}
        and candidate.whole.task.share is not None
        and candidate.whole.task.share < COMPARABLE
    ]
    if not worthy:
        return
    candidate, found = min(worthy, key=lambda pair: pair[1].relative)
    if found is not nearest.best:
        costs = in_turn(
            promise.sentence for name in (SMALLER, QUICKER) if (promise := found.promise(name))
        )
        yield Text('As a whole "{name}" is {findings}.', name=candidate.name, findings=costs)
    yield Text(
        'The error of "{name}" is {share:.1%} of how far the outputs of different inputs are '
        "apart: whether the task bears it, a metric= can tell.",
        name=candidate.name,
        share=found.task.share,
    )


def _code(way: str, found: Measured, model: nn.Module, exact: bool) -> str:
    """The call that makes this very model; `exact` names the modules rather than their types."""
    if way == ONNX:
        return "rh.quantize_onnx(model, *inputs)"
    arguments = [f'{name}="{value}"' for name, value in WAYS[way].items()]
    names = [done.name for done in found.conversion.converted]
    kinds = {type(model.get_submodule(name)) for name in names}
    types = ", ".join(sorted(f"torch.nn.{kind.__name__}" for kind in kinds))
    torch_ao = way != "plain"  # the plain backend needs to be told nothing
    if exact and len(names) > _MOST_NAMES and torch_ao:
        every = model.named_modules(remove_duplicate=False)
        left = sorted(n for n, m in every if n and type(m) in kinds and n not in names)
        kept = f"type(m) in {{{types}}} and n not in {left}".replace("'", '"')
        arguments.append(f"modules=[n for n, m in model.named_modules() if {kept}]")
    elif exact:
        arguments.append(f"modules={names}".replace("'", '"'))
    elif torch_ao and not kinds <= MODULES:
        arguments.append(f"modules=[{types}]")
    return f"rh.quantize_dynamic(model, {', '.join(arguments)})"


def _modules(names: Sequence[str]) -> Text:
    """The names of modules as a sentence lists them; long lists are cut."""
    return named([_module(name) for name in names], most=_MOST_NAMES)


def _module(name: str) -> str:
    return name or Text("the model itself")
