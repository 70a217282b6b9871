"""Your own model: choose between the candidates, say why, and what to do as code to copy."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from torch import nn

from ..common.language import N_, Text, _
from ..common.wording import in_turn, joined, named, sentences, within
from ..recipe.quantize import MODULES
from ..recipe.timing import SLOWER
from .candidates import ONNX, WAYS, Candidate, Measured
from .preparation import InputSet
from .promises import BROKEN, CLOSE, GAIN, OPEN, QUICKER, SMALLER, Limits
from .task_error import COMPARABLE

SHIP = N_("ship INT8")
SHIP_PARTLY = N_("ship INT8 with some modules left FP32")
KEEP = N_("keep FP32")
_MUCH = 1 / 3  # of the bytes: with so much in FP32 no conversion reaches 2 to 1
_MOST_NAMES = 8  # in a line of code that somebody copies


@dataclass(frozen=True)
class Verdict:
    """What to do with this model on this machine, and why."""

    decision: str  # SHIP, SHIP_PARTLY or KEEP
    candidate: str | None  # the conversion it speaks of; None where no conversion worked
    left_float: tuple[str, ...]  # names of the modules to leave FP32
    broken: tuple[str, ...]  # the promises that this conversion does not keep, in words
    reason: str  # the numbers behind the decision, as a Text
    code: str  # the call that makes the model to ship; empty where none is to be shipped

    def __str__(self) -> str:
        return f"{self.headline}. {self.reason}"

    @property
    def headline(self) -> str:
        """The decision as a title, in the language in force."""
        said = _(self.decision)
        return said[0].upper() + said[1:]


def decide(
    candidates: Sequence[Candidate],
    model: nn.Module,
    input_sets: Sequence[InputSet] = (),
    *,
    by_name: bool = False,
) -> Verdict:
    """The verdict over all candidates.

    A candidate that keeps its promises as a whole comes before one with exceptions, and one that is
    both smaller and faster before one that is only one of the two. Among equals the one with the
    smallest error is chosen, unless another is faster beyond doubt. `by_name` lets the line of code
    name the modules even where none is left FP32.
    """
    for decision, pick in ((SHIP, attrgetter("whole")), (SHIP_PARTLY, attrgetter("partly"))):
        tried = ((candidate, pick(candidate)) for candidate in candidates)
        sound = [(one, found) for one, found in tried if found is not None and not found.broken]
        if sound:
            chosen, found = _best(sound)
            exact = by_name or decision == SHIP_PARTLY
            code = conversion_code(chosen.name, found, model, input_sets, exact=exact)
            left = chosen.left_float if decision == SHIP_PARTLY else ()
            return Verdict(decision, chosen.name, left, (), _why_ship(chosen, found, left), code)
    measured = [(one, one.best) for one in candidates if one.best is not None]
    if not measured:
        failures = in_turn(
            Text('"{name}": {failure}', name=one.name, failure=within(one.failure or ""))
            for one in candidates
        )
        said = Text("No conversion works: {failures}.", failures=failures)
        return Verdict(KEEP, None, (), (), said, "")
    nearest, best = min(measured, key=lambda pair: (len(pair[1].broken), pair[1].relative))
    broken = tuple(promise.name for promise in best.broken)
    reason = sentences(_why_keep(nearest, best, candidates))
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


def _why_ship(chosen: Candidate, found: Measured, left: Sequence[str]) -> Text:
    findings = in_turn(promise.sentence for promise in found.promises if promise.sentence)
    said = [
        Text("The conversion {name} is {findings}.", name=_named(chosen, left), findings=findings)
    ]
    if found.choices is not None and found.choices.same < 1:
        said.append(found.choices.sentence)
    if unsure := [Text(promise.name) for promise in found.promises if promise.state == OPEN]:
        said.append(Text("Whether it is {promises} could not be settled.", promises=named(unsure)))
    if chosen.failure:
        said.append(Text("As a whole it fails: {failure}.", failure=within(chosen.failure)))
    elif left and chosen.whole is not None:
        missed = in_turn(promise.sentence for promise in chosen.whole.broken)
        said.append(Text("As a whole it misses: {findings}.", findings=missed))
    return sentences(said)


def _why_keep(
    nearest: Candidate, found: Measured, candidates: Sequence[Candidate]
) -> Iterator[Text]:
    """Which promises the nearest conversion breaks, with the numbers, and what is in the way."""
    broken = dict.fromkeys(promise.name for promise in found.broken)
    said, *others = map(Text, broken)
    for name in others:
        said = Text("{names} and not {name}", names=said, name=name)
    yield Text(
        "The nearest conversion, {name}, is not {broken}: {numbers}.",
        name=_named(nearest, nearest.left_float if nearest.partly else ()),
        broken=said,
        numbers=in_turn(promise.sentence for promise in found.broken),
    )
    sensitivity = nearest.sensitivity if nearest.partly is None else None
    if CLOSE in broken and sensitivity is not None and (worst := sensitivity.worst) is not None:
        yield Text("The most sensitive module is {name}.", name=_module(worst.name))
    if rest := [p.sentence for p in found.promises if p.state != BROKEN and p.sentence]:
        yield Text("Otherwise: {findings}.", findings=in_turn(rest))
    if {GAIN, QUICKER, SMALLER} & broken.keys():
        yield from _in_the_way(nearest, found)
    yield from _for_the_task(candidates, nearest)


def _in_the_way(candidate: Candidate, found: Measured) -> Iterator[Text]:
    """Why there is so little to gain, and what would change it."""
    sizes = found.modules
    stay = [module for module in sizes.modules if not module.converted]
    share = (sum(m.float_bytes for m in stay) + sizes.others_bytes) / max(sizes.total_bytes, 1)
    if stay and share > _MUCH:
        largest = max(stay, key=lambda module: module.float_bytes)
        reasons = {one.name: one.reason for one in found.conversion.left_alone}
        yield Text(
            "What stands in the way: {share:.0%} of the bytes stay FP32, most of them in {name} "
            "({kind}; {reason}).",
            share=share,
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


def _for_the_task(candidates: Iterable[Candidate], nearest: Candidate) -> Iterator[Text]:
    """A conversion that only misses an error limit, and might well be good enough for the task."""
    worthy = [
        (candidate, found)
        for candidate in candidates
        if (found := candidate.whole) is not None
        and found.metric is None
        and {promise.name for promise in found.broken} == {CLOSE}
        and found.task.share is not None
        and found.task.share < COMPARABLE
    ]
    if not worthy:
        return
    candidate, found = min(worthy, key=lambda pair: pair[1].relative)
    if found is not nearest.best:
        costs = in_turn(found.promise(name).sentence for name in (SMALLER, QUICKER))
        yield Text('As a whole "{name}" is {findings}.', name=candidate.name, findings=costs)
    yield Text(
        'The error of "{name}" is {share:.1%} of how far the outputs of different inputs are '
        "apart: whether the task bears it, a metric= can tell.",
        name=candidate.name,
        share=found.task.share,
    )


def _named(candidate: Candidate, left: Sequence[str]) -> Text:
    if not left:
        return Text('"{name}"', name=candidate.name)
    return Text('"{name}", with {left} left FP32,', name=candidate.name, left=_modules(left))


def _modules(names: Sequence[str]) -> Text:
    """The names of modules as a sentence lists them; long lists are cut."""
    return named([_module(name) for name in names], most=_MOST_NAMES)


def _module(name: str) -> str:
    return name or Text("the model itself")


def conversion_code(
    way: str, found: Measured, model: nn.Module, input_sets: Sequence[InputSet], *, exact: bool
) -> str:
    """The call that makes this very model; `exact` names the modules rather than their types."""
    if way == ONNX:
        return _onnx_code(input_sets)
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


def _onnx_code(input_sets: Sequence[InputSet]) -> str:
    """The call that exports with the caller's own inputs, and with the sizes that were free."""
    first, *others = input_sets
    arguments = ["model"]
    if first.args_code:
        arguments.append(f"*{first.args_code}")
    if first.kwargs_code:
        arguments.append(f"kwargs={first.kwargs_code}")
    free: set[tuple[str, int]] = set()
    pairs = []
    for other in others:
        if sizes := first.other_sizes(other) - free:  # the first to have another size there
            free |= sizes
            pairs.append(f"({other.args_code or '()'}, {other.kwargs_code or '{}'})")
    if pairs:
        arguments.append(f"others=[{', '.join(pairs)}]")
    return f"rh.quantize_onnx({', '.join(arguments)})"


@dataclass(frozen=True)
class Step:
    """A title, and the lines to copy, both Texts."""

    title: str
    code: str


def watch_step(candidate: str | None, limits: Limits, metric: float | None) -> Step:
    """The same limits in continuous integration; `candidate` is the conversion to ship, if any."""
    words = ["python", "-m", "recipe_helpers", "report", "PACKAGE.MODULE:FACTORY"]
    words += ["--backend", candidate] if candidate else []
    lines = [shlex.join([*words, *limits.flags()])]
    if metric is not None:
        lines.append(Text("# The factory returns three things: model, inputs, metric."))
    return Step(Text("Watch it in continuous integration"), joined(lines, "\n"))


def make_step(candidate: str, code: str, first: InputSet, limit: float | None) -> Step:
    """Make, check and save the model; the check is left out with keywords, or without a limit."""
    lines = [f"quantized = {code}"]
    if limit is not None and not first.kwargs:
        lines += [
            f"difference = rh.compare_outputs(model, quantized, *{first.args_code})",
            f"assert max(t.relative for t in difference.tensors) <= {limit}",
        ]
    if candidate == "plain":
        lines += [
            'rh.save_int8(quantized, "model.safetensors")',
            Text("# Load it into the FP32 model, or into the same model built anew:"),
            'loaded = rh.load_int8("model.safetensors", model)',
        ]
    elif candidate == ONNX:
        lines += [
            'quantized.save("model.onnx")',
            Text("# This needs no PyTorch any more:"),
            'session = onnxruntime.InferenceSession("model.onnx")',
        ]
    else:
        lines += [
            Text(
                "# torch.ao packs weights into objects that weights_only=True refuses to load:\n"
                "# keep the FP32 weights, and quantize again after loading them."
            ),
            'torch.save(model.state_dict(), "model.pt")',
        ]
    return Step(Text("Make, check and save it"), joined(lines, "\n"))
