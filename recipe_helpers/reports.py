"""Your own model: should it be quantized? Measure, judge, explain."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from . import checks, guards, settings
from .bench import Bench
from .candidates import WAYS, Candidate
from .errors import ArgumentError, NothingQuantizedError
from .judgement import KEEP, MAX_METRIC_DROP, MIN_SIZE_RATIO, MIN_SPEEDUP, Limits, Verdict
from .latency import BUDGET_S
from .model import Machine, machine
from .progress import progress as shown_progress
from .show import Ready, Shown, Table
from .timing import check_budget
from .verdict import decide


@dataclass(frozen=True)
class Report(Shown):
    """What quantization does to one model on this machine, and what to do about it.

    Attributes:
        model: the class of the model.
        parameters: how many numbers it holds as parameters.
        inputs: shapes and dtypes of each input set.
        limits: what INT8 had to reach.
        reference_metric: the caller's metric of the float model, or None.
        verdict: ship INT8, ship it with some modules left FP32, or keep FP32.
        candidates: every conversion that was tried.
        notes: what else the reader should know.
        machine: where this was measured.
    """

    model: str
    parameters: int
    inputs: tuple[str, ...]
    limits: Limits
    reference_metric: float | None
    verdict: Verdict
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]
    machine: Machine

    @property
    def passed(self) -> bool:
        """Whether a conversion was found that keeps its promises."""
        return self.verdict.decision != KEEP

    @property
    def error_limit(self) -> float | None:
        """The limit of the relative error, or None where the metric alone decides."""
        return self.limits.error_limit(self.reference_metric)

    def candidate(self, name: str) -> Candidate:
        """One of the conversions that were tried.

        Raises:
            ArgumentError: there is none of this name.
        """
        names = [candidate.name for candidate in self.candidates]
        return self.candidates[names.index(checks.one_of("name", name, names))]

    def table(self) -> Table:
        """One row per conversion."""
        rows = [row for candidate in self.candidates for row in _rows(candidate)]
        headers = ("conversion", "FP32 / INT8 bytes", "FP32 / INT8 time", "relative error", "")
        caption = f"{self.model}, {self.parameters:,} parameters, called with {self.inputs[0]}"
        return Table(headers, rows, caption)

    def details(self) -> Iterator[tuple[Candidate, list[Table]]]:
        """Each conversion with its tables: modules, bytes, times, outputs, sensitivity."""
        for candidate in self.candidates:
            yield candidate, _tables(candidate)

    def __str__(self) -> str:
        blocks = [str(self.verdict), self.verdict.code, super().__str__(), *self.notes]
        for candidate, tables in self.details():
            # The others are in to_html() and to_dict(): a terminal is read from top to bottom.
            if candidate.name == self.verdict.candidate:
                blocks += [f'--- the conversion "{candidate.name}" ---']
                blocks += [str(Ready(table)) for table in tables]
        return "\n\n".join(block for block in blocks if block)

    def _repr_html_(self) -> str:
        from .report_page import fragment

        return fragment(self)

    def to_html(self) -> str:
        """The report as one self-contained HTML page, figure included."""
        from .report_page import page

        return page(self)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dicts, lists, strings and numbers; see `report_data`."""
        from .report_data import as_dict

        return as_dict(self)

    def to_json(self) -> str:
        """The same as JSON; what is infinite or undefined is null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)


def report(
    model: nn.Module,
    *inputs: Any,
    kwargs: Mapping[str, Any] | None = None,
    input_sets: Iterable[Any] | None = None,
    backends: Iterable[str] = tuple(WAYS),
    modules: Iterable[type[nn.Module] | str] | None = None,
    metric: Callable[[nn.Module], float] | None = None,
    threads: int | None = None,
    budget_s: float = BUDGET_S,
    max_relative_error: float | None = None,
    min_size_ratio: float = MIN_SIZE_RATIO,
    min_speedup: float = MIN_SPEEDUP,
    max_metric_drop: float = MAX_METRIC_DROP,
    progress: bool | None = None,
) -> Report:
    """Quantize a model in several ways, measure each, and say whether to ship it in INT8.

    The model and the inputs are copied and stay as they are; thread count, engine, grad mode
    and random states are put back, also after an interrupt.

    Args:
        model: an FP32 model in eval mode, on the CPU.
        *inputs: what its forward is called with.
        kwargs: keyword arguments of its forward.
        input_sets: several sets of inputs instead of `inputs`: tuples of positional arguments or
            dicts of keyword arguments. Outputs are compared on all of them, times are taken on
            the first.
        backends: the conversions to try: "torch.ao" (one scale per weight matrix),
            "torch.ao-per-channel" (one per row), "plain" (`rh.Int8LSTM` and `rh.Int8Linear`).
        modules: types or names of the modules to convert; unless given, every type that the
            backend can convert.
        metric: a function of a model that returns a number, the larger the better. It then
            judges "nearly the same output", and the relative error only if
            `max_relative_error` is given too.
        threads: intra-op threads; None for as many as PyTorch uses now. Times are taken with so
            many, which the verdict looks at, and with one.
        budget_s: about how long to time each conversion on each number of threads, in seconds.
        max_relative_error: the largest mean |difference| / mean |FP32| allowed in any output
            tensor of floats; `judgement.MAX_RELATIVE_ERROR` unless given.
        min_size_ratio: FP32 bytes / INT8 bytes, at least.
        min_speedup: FP32 time / INT8 time, at least; a promise counts as broken only if the
            whole 95 % interval misses it. 0 where the time does not matter.
        max_metric_drop: how much the metric may fall, as a share of the FP32 model's.
        progress: False shows none; else it is shown where stdout is a notebook or a terminal.

    Raises:
        ModelError: the model cannot be measured: it is scripted, exported, compiled, in training
            mode, on another device, not float32, holds or returns NaN, changes its inputs, or
            does not give the same answer twice.
        AlreadyQuantizedError: it holds quantized modules.
        NothingQuantizedError: it holds nothing that any of the backends converts.
        InputError: the inputs do not fit the model.
        ArgumentError: another argument is out of range, or the metric fails.
    """
    ways = _ways(backends)
    limits = Limits(max_relative_error, min_size_ratio, min_speedup, max_metric_drop)
    if threads is not None:
        checks.positive_int("threads", threads)
    if metric is not None and not callable(metric):
        raise ArgumentError(f"metric is {metric!r}; pass a function that takes a model.")
    check_budget(budget_s)
    with (
        guards.random_states_kept(),
        settings.threads_set(threads) as used,
        shown_progress(progress) as advance,
    ):
        copied = guards.checked_copy(model)
        sets = guards.as_input_sets(inputs, kwargs, input_sets)
        advance("run the float model")
        bench = Bench(
            model=copied,
            input_sets=sets,
            recorded=tuple(guards.steady_outputs(copied, one) for one in sets),
            limits=limits,
            modules=None if modules is None else tuple(_listed(modules)),
            metric=metric,
            threads=tuple(dict.fromkeys((used, 1))),
            budget_s=budget_s,
            advance=advance,
        )
        reference_metric = bench.reference_metric
        candidates = _examined(bench, ways)
    return Report(
        model=type(model).__name__,
        parameters=sum(p.numel() for p in model.parameters()),
        inputs=tuple(one.describe() for one in sets),
        limits=limits,
        reference_metric=reference_metric,
        verdict=decide(candidates, copied, by_name=modules is not None),
        candidates=candidates,
        notes=tuple(_notes(bench, candidates)),
        machine=machine(),
    )


def _ways(backends: Iterable[str]) -> tuple[str, ...]:
    if isinstance(backends, str) or not isinstance(backends, Iterable):
        backends = (backends,)
    ways = tuple(dict.fromkeys(checks.one_of("backends", name, WAYS) for name in backends))
    if not ways:
        raise ArgumentError(f"backends is empty; pass some of {', '.join(map(repr, WAYS))}.")
    return ways


def _listed(modules: object) -> Iterable[Any]:
    if isinstance(modules, str) or not isinstance(modules, Iterable):
        raise ArgumentError(f"modules is {modules!r}; pass a list of types or names of modules.")
    return modules


def _examined(bench: Bench, ways: tuple[str, ...]) -> tuple[Candidate, ...]:
    """Examine every way; what one of them cannot do is an error only if none can."""
    candidates, refused = [], []
    for way in ways:
        try:
            candidates.append(bench.examine(way))
        except (NothingQuantizedError, ArgumentError) as error:
            candidates.append(Candidate(way, str(error), None, None, (), None))
            refused.append(error)
    if len(refused) == len(ways):
        raise refused[-1]
    return tuple(candidates)


def _notes(bench: Bench, candidates: tuple[Candidate, ...]) -> Iterator[str]:
    if len(bench.input_sets) > 1:
        yield (
            f"Outputs were compared on {len(bench.input_sets)} sets of inputs, times were taken "
            "on the first."
        )
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
            yield (
                f"{' and '.join(names)} are one tensor. Converted modules store integers of their "
                "own, so that this tie is lost, and with it some of the saving."
            )


def _rows(candidate: Candidate) -> Iterator[tuple[str, ...]]:
    if candidate.failure is not None:
        yield candidate.name, "", "", "", f"fails: {candidate.failure}"
    left = f"{candidate.name}, {len(candidate.left_float)} left FP32"
    for name, found in ((candidate.name, candidate.whole), (left, candidate.partly)):
        if found is not None:
            broken = ", ".join(dict.fromkeys(promise.name for promise in found.broken))
            yield (
                name,
                f"{found.size.ratio:.2f}",
                str(found.latencies[0].speedup),
                f"{found.relative:.2%}",
                f"not {broken}" if broken else "within the limits",
            )


def _tables(candidate: Candidate) -> list[Table]:
    found, tables = candidate.best, []
    if found is not None:
        promises = [(p.name, p.state, p.sentence) for p in found.promises]
        tables.append(Table(("promise", "", "measured"), promises))
        tables += [found.conversion.table(), found.size.table(), found.modules.table()]
        tables += [latency.table() for latency in found.latencies]
        for index, outputs in enumerate(found.outputs, 1):
            table = outputs.table()
            name = "outputs" if len(found.outputs) == 1 else f"outputs, input set {index}"
            tables.append(Table(table.headers, table.rows, name, table.note))
    if candidate.sensitivity is not None and candidate.sensitivity.modules:
        tables.append(candidate.sensitivity.table())
    return tables
