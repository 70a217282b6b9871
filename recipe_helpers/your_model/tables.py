"""Your own model: the tables of a report, and what else its reader should know."""

from __future__ import annotations

from collections.abc import Iterator

from ..common.language import Text, _
from ..common.tables import Table
from ..common.wording import as_text, joined, named
from ..int8.parametrizations import parametrized
from ..recipe.memory import in_short
from .candidates import ONNX, Candidate
from .measurement import Bench

WAITING = 1.5  # how much slower several threads may make the float model before we say so


def notes(bench: Bench, candidates: tuple[Candidate, ...]) -> Iterator[Text]:
    """Several input sets, threads that wait for each other, weights that are no longer tied."""
    if len(bench.input_sets) > 1:
        yield Text(
            "Outputs were compared on {count} sets of inputs, times were taken on the first.",
            count=len(bench.input_sets),
        )
    computed = parametrized(bench.model)
    if computed:
        yield Text(
            "{modules}: a parametrization (such as weight norm) computes the weights at each call, "
            "so that they stay FP32. rh.without_parametrizations(model) makes a copy with plain "
            "weights: report on that.",
            modules=joined([name or Text("the model") for name in computed], ", "),
        )
    if any(candidate.name == ONNX and candidate.best for candidate in candidates):
        yield Text(
            "{name} runs a traced graph: it does what the model did with these inputs, and takes "
            "no sizes but those that were measured.",
            name=ONNX,
        )
    yield from dict.fromkeys(bench.problems)
    yield from _contention(candidates)
    converted = {
        done.name
        for candidate in candidates
        if candidate.best is not None
        for done in candidate.best.conversion.converted
    }
    holders: dict[int, list[str]] = {}
    for name, parameter in bench.model.named_parameters(remove_duplicate=False):
        holders.setdefault(id(parameter), []).append(name)
    for names in holders.values():
        owners = {name.rpartition(".")[0] for name in names}
        if len({bench.model.get_submodule(o) for o in owners}) > 1 and owners & converted:
            yield Text(
                "{names} are one tensor. Converted modules store integers of their own, so that "
                "this tie is lost, and with it some of the saving.",
                names=_and(names),
            )


def _and(names: list[str]) -> Text:
    """`a and b and c`."""
    said = as_text(names[0])
    for name in names[1:]:
        said = named([said, name])
    return said


def _contention(candidates: tuple[Candidate, ...]) -> Iterator[Text]:
    """Threads that wait for each other make any comparison of times a poor one."""
    for candidate in candidates:
        several, *single = candidate.best.latencies if candidate.best else (None,)
        if not single:
            continue
        slowdown = several.reference.median_us / single[0].reference.median_us
        if slowdown > WAITING:
            yield Text.plural(
                "The float model was {slowdown:.1f} times slower on {count} thread than on 1: "
                "threads that wait for each other, or other work on this machine. Look at the "
                "times on 1 thread, or measure again with threads=1.",
                "The float model was {slowdown:.1f} times slower on {count} threads than on 1: "
                "threads that wait for each other, or other work on this machine. Look at the "
                "times on 1 thread, or measure again with threads=1.",
                several.threads,
                slowdown=slowdown,
            )
            return


def rows(candidate: Candidate) -> Iterator[tuple[str, ...]]:
    """A candidate's rows in the table of all: the failure, the whole, the mended one."""
    if candidate.failure is not None:
        failure = _("fails: {failure}", failure=candidate.failure)
        yield candidate.name, "", "", "", "", failure
    left = _("{name}, {count} left FP32", name=candidate.name, count=len(candidate.left_float))
    for name, found in ((candidate.name, candidate.whole), (left, candidate.partly)):
        if found is not None:
            broken = ", ".join(_(name) for name in dict.fromkeys(p.name for p in found.broken))
            yield (
                name,
                f"{found.size.ratio:.2f}",
                in_short(found.memory) if found.memory is not None else "",
                str(found.latencies[0].speedup),
                f"{found.relative:.2%}",
                _("not {broken}", broken=broken) if broken else _("within the limits"),
            )


def tables(candidate: Candidate) -> list[Table]:
    """A candidate's own tables: promises, modules, bytes, times, outputs, sensitivity."""
    found, made = candidate.best, []
    if found is not None:
        promises = [(_(p.name), _(p.state), str(p.sentence)) for p in found.promises]
        headers = (_("promise"), "", _("measured"))
        made.append(Table(headers, promises, "", found.task.sentence))
        made += [found.conversion.table(), found.size.table(), found.modules.table()]
        made += [found.memory.table()] if found.memory is not None else []
        made += [latency.table() for latency in found.latencies]
        several = len(found.outputs) > 1
        for index, outputs in enumerate(found.outputs, 1):
            table = outputs.table()
            name = _("outputs, input set {index}", index=index) if several else _("outputs")
            made.append(Table(table.headers, table.rows, name, table.note))
    if candidate.sensitivity is not None and candidate.sensitivity.modules:
        made.append(candidate.sensitivity.table())
    return made
