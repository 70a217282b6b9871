"""Your own model: choose between the candidates, say why, and what to do as code to copy."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..common.language import N_, _, named
from ..recipe.quantize import MODULES
from ..recipe.timing import SLOWER
from .candidates import ONNX, WAYS, Candidate, Measured
from .promises import BROKEN, CLOSE, GAIN, OPEN, QUICKER, SMALLER, Limits, Promise
from .task_error import COMPARABLE

SHIP = N_("ship INT8")
SHIP_PARTLY = N_("ship INT8 with some modules left FP32")
KEEP = N_("keep FP32")
_MUCH = 1 / 3  # of the bytes: with so much in FP32 no conversion reaches 2 to 1
_MOST_NAMES = 8  # in a line of code that somebody copies
_CONVERTED = {kind.__name__ for kind in MODULES}  # without being told so


@dataclass(frozen=True)
class Verdict:
    """What to do with this model on this machine, and why."""

    decision: str  # SHIP, SHIP_PARTLY or KEEP
    candidate: str | None  # the conversion it speaks of; None where no conversion worked
    left_float: tuple[str, ...]  # names of the modules to leave FP32
    broken: tuple[str, ...]  # the promises that this conversion does not keep
    reason: str  # the numbers behind the decision
    code: str  # the call that makes the model to ship; empty where none is to be shipped

    def __str__(self) -> str:
        return f"{self.headline}. {self.reason}"

    @property
    def headline(self) -> str:
        """The decision as a title, in the language in force."""
        said = _(self.decision)
        return said[0].upper() + said[1:]


def decide(
    candidates: Sequence[Candidate], onnx_call: str = "", *, by_name: bool = False
) -> Verdict:
    """The verdict over all candidates, in the language in force.

    A candidate that keeps its promises as a whole comes before one with exceptions, and one that is
    both smaller and faster before one that is only one of the two. Among equals the one with the
    smallest error is chosen, unless another is faster beyond doubt.

    Args:
        candidates: what was measured.
        onnx_call: the line of code that makes the model of ONNX Runtime.
        by_name: let the line of code name the modules even where none is left FP32.
    """
    wholes = [(one, one.whole) for one in candidates if one.whole and not one.whole.broken]
    parts = [(one, one.partly) for one in candidates if one.partly and not one.partly.broken]
    if sound := wholes or parts:
        chosen, found = _best(sound)
        left = () if wholes else chosen.left_float
        code = onnx_call
        if chosen.name != ONNX:
            code = conversion_code(chosen.name, found, exact=by_name or not wholes)
        reason = " ".join(_why_ship(chosen, found, left))
        return Verdict(SHIP if wholes else SHIP_PARTLY, chosen.name, left, (), reason, code)
    measured = [(one, one.best) for one in candidates if one.best is not None]
    if not measured:
        failures = "; ".join(f'"{one.name}": {_within(one.failure)}' for one in candidates)
        said = _("No conversion works: {failures}.", failures=failures)
        return Verdict(KEEP, None, (), (), said, "")
    nearest, best = min(measured, key=lambda pair: (len(pair[1].broken), pair[1].relative))
    broken = tuple(promise.name for promise in best.broken)
    reason = " ".join(_why_keep(nearest, best, candidates))
    return Verdict(KEEP, nearest.name, nearest.left_float, broken, reason, "")


def _best(sound: Iterable[tuple[Candidate, Measured]]) -> tuple[Candidate, Measured]:
    """Of those that gain most, the least error, unless another is faster beyond both intervals."""
    gains = [(_gains(found), (candidate, found)) for candidate, found in sound]
    most = max(gain for gain, _pair in gains)
    equals = [pair for gain, pair in gains if gain == most]
    best, *others = sorted(equals, key=lambda pair: pair[1].relative)
    for other in others:
        if other[1].latencies[0].speedup.low > best[1].latencies[0].speedup.high:
            best = other
    return best


def _gains(found: Measured) -> float:
    return sum(promise.measured for promise in found.promises if promise.name == GAIN)


def _why_ship(chosen: Candidate, found: Measured, left: Sequence[str]) -> Iterator[str]:
    name = _named(chosen, left)
    yield _("The conversion {name} is {findings}.", name=name, findings=_said(found.promises))
    if found.choices is not None and found.choices.same < 1:
        yield found.choices.sentence
    if unsure := [_(promise.name) for promise in found.promises if promise.state == OPEN]:
        yield _("Whether it is {promises} could not be settled.", promises=named(unsure))
    if chosen.failure:
        yield _("As a whole it fails: {failure}.", failure=_within(chosen.failure))
    elif left and chosen.whole is not None:
        yield _("As a whole it misses: {findings}.", findings=_said(chosen.whole.broken))


def _why_keep(
    nearest: Candidate, found: Measured, candidates: Sequence[Candidate]
) -> Iterator[str]:
    """Which promises the nearest conversion breaks, with the numbers, and what is in the way."""
    broken = dict.fromkeys(promise.name for promise in found.broken)
    said, *others = map(_, broken)
    for name in others:
        said = _("{names} and not {name}", names=said, name=name)
    yield _(
        "The nearest conversion, {name}, is not {broken}: {numbers}.",
        name=_named(nearest, nearest.left_float),
        broken=said,
        numbers=_said(found.broken),
    )
    sensitivity = nearest.sensitivity if nearest.partly is None else None
    if CLOSE in broken and sensitivity is not None and (worst := sensitivity.worst) is not None:
        yield _("The most sensitive module is {name}.", name=_module(worst.name))
    if rest := _said(promise for promise in found.promises if promise.state != BROKEN):
        yield _("Otherwise: {findings}.", findings=rest)
    if {GAIN, QUICKER, SMALLER} & broken.keys():
        yield from _in_the_way(nearest, found)
    yield from _for_the_task(candidates, nearest)


def _in_the_way(candidate: Candidate, found: Measured) -> Iterator[str]:
    """Why there is so little to gain, and what would change it."""
    sizes = found.modules
    stay = [module for module in sizes.modules if not module.converted]
    share = (sum(m.float_bytes for m in stay) + sizes.others_bytes) / max(sizes.total_bytes, 1)
    if stay and share > _MUCH:
        largest = max(stay, key=lambda module: module.float_bytes)
        reasons = {one.name: one.reason for one in found.conversion.left_alone}
        yield _(
            "What stands in the way: {share:.0%} of the bytes stay FP32, most of them in {name} "
            "({kind}; {reason}).",
            share=share,
            name=_module(largest.name),
            kind=largest.kind,
            reason=reasons.get(largest.name) or _("it is not converted"),
        )
    if candidate.left_float:
        yield _(
            "What would change it: a conversion that is closer to FP32 in {left}, or a larger "
            "max_relative_error if the task allows.",
            left=_modules(candidate.left_float),
        )
    elif found.latencies[0].verdict == SLOWER:
        yield _(
            "What would change it: wider layers or more sequences per call, for in a small call "
            "INT8 pays more for its overhead than it saves."
        )


def _for_the_task(candidates: Iterable[Candidate], nearest: Candidate) -> Iterator[str]:
    """A conversion that only misses an error limit, and might well be good enough for the task."""
    worthy = [
        (found.relative, candidate.name, found)
        for candidate in candidates
        if (found := candidate.whole) is not None
        and found.metric is None
        and {promise.name for promise in found.broken} == {CLOSE}
        and found.task.share is not None
        and found.task.share < COMPARABLE
    ]
    if worthy:
        _relative, name, found = min(worthy, key=lambda one: one[0])
        if found is not nearest.best:
            costs = _said(found.promise(cost) for cost in (SMALLER, QUICKER))
            yield _('As a whole "{name}" is {findings}.', name=name, findings=costs)
        yield _(
            'The error of "{name}" is {share:.1%} of how far the outputs of different inputs are '
            "apart: whether the task bears it, a metric= can tell.",
            name=name,
            share=found.task.share,
        )


def _said(promises: Iterable[Promise]) -> str:
    """What was measured of each, side by side."""
    return "; ".join(promise.sentence for promise in promises if promise.sentence)


def _named(candidate: Candidate, left: Sequence[str]) -> str:
    if not left:
        return f'"{candidate.name}"'
    return _('"{name}", with {left} left FP32,', name=candidate.name, left=_modules(left))


def _modules(names: Sequence[str]) -> str:
    """The names of modules as a sentence lists them; long lists are cut."""
    return named([_module(name) for name in names], most=_MOST_NAMES)


def _module(name: str) -> str:
    return name or _("the model itself")


def _within(sentence: str | None) -> str:
    """A whole sentence without its full stop, to stand within another one."""
    return (sentence or "").rstrip(".")


def conversion_code(way: str, found: Measured, *, exact: bool) -> str:
    """The call that makes this very model; `exact` names the modules rather than their types."""
    arguments = [f'{name}="{value}"' for name, value in WAYS[way].items()]
    names = [done.name for done in found.made.converted]
    kinds = {done.before for done in found.made.converted}
    types = ", ".join(sorted(f"torch.nn.{kind}" for kind in kinds))
    torch_ao = way != "plain"  # the plain backend needs to be told nothing
    if exact and len(names) > _MOST_NAMES and torch_ao:
        left = sorted(one.name for one in found.made.left_alone if one.name and one.kind in kinds)
        kept = f"type(m) in {{{types}}} and n not in {left}".replace("'", '"')
        arguments.append(f"modules=[n for n, m in model.named_modules() if {kept}]")
    elif exact:
        arguments.append(f"modules={names}".replace("'", '"'))
    elif torch_ao and not kinds <= _CONVERTED:
        arguments.append(f"modules=[{types}]")
    return f"rh.quantize_dynamic(model, {', '.join(arguments)})"


@dataclass(frozen=True)
class Step:
    """A title, and the lines to copy."""

    title: str
    code: str


def watch_step(candidate: str | None, limits: Limits, metric: float | None) -> Step:
    """The same limits in continuous integration; `candidate` is the conversion to ship, if any."""
    words = ["python", "-m", "recipe_helpers", "report", "PACKAGE.MODULE:FACTORY"]
    words += ["--backend", candidate] if candidate else []
    lines = [shlex.join([*words, *limits.flags()])]
    if metric is not None:
        lines.append(_("# The factory returns three things: model, inputs, metric."))
    return Step(_("Watch it in continuous integration"), "\n".join(lines))


def make_step(candidate: str, code: str, inputs: str, limit: float | None) -> Step:
    """Make, check and save the model.

    Args:
        candidate: the conversion to ship.
        code: the call that makes it.
        inputs: the code of the positional inputs to check it with; the check is left out without.
        limit: what their error is checked against, likewise.
    """
    lines = [f"quantized = {code}"]
    if limit is not None and inputs:
        lines += [
            f"difference = rh.compare_outputs(model, quantized, *{inputs})",
            f"assert max(t.relative for t in difference.tensors) <= {limit}",
        ]
    if candidate == "plain":
        lines += [
            'rh.save_int8(quantized, "model.safetensors")',
            _("# Load it into the FP32 model, or into the same model built anew:"),
            'loaded = rh.load_int8("model.safetensors", model)',
        ]
    elif candidate == ONNX:
        lines += [
            'quantized.save("model.onnx")',
            _("# This needs no PyTorch any more:"),
            'session = onnxruntime.InferenceSession("model.onnx")',
        ]
    else:
        lines += [
            _(
                "# torch.ao packs weights into objects that weights_only=True refuses to load:\n"
                "# keep the FP32 weights, and quantize again after loading them."
            ),
            'torch.save(model.state_dict(), "model.pt")',
        ]
    return Step(_("Make, check and save it"), "\n".join(lines))
