"""Your own model: should it be quantized? Measure, judge, explain."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..common import checks, settings
from ..common.errors import ArgumentError, NothingQuantizedError
from ..common.language import Text, _
from ..common.progress import progress_line
from ..common.tables import Ready
from ..common.wording import as_text
from ..recipe.latency import BUDGET_S
from ..recipe.model import machine
from ..recipe.timing import check_budget
from . import preparation, tables
from .advice import decide
from .as_data import as_dict
from .candidates import EVERY_WAY, WAYS, Candidate
from .findings import Findings
from .input_sets import as_input_sets
from .measurement import Bench
from .page import fragment, page
from .promises import (
    MAX_METRIC_DROP,
    MIN_SIZE_RATIO,
    MIN_SPEEDUP,
    WORTH_SIZE_RATIO,
    WORTH_SPEEDUP,
    Limits,
)


@dataclass(frozen=True)
class Report(Findings):
    """What quantization does to one model on this machine, and what to do about it.

    It shows itself in a notebook and in a terminal, and writes itself as HTML and as JSON; its
    attributes are those of `Findings`.
    """

    def __str__(self) -> str:
        blocks = [str(self.verdict), self.verdict.code, super().__str__(), *map(str, self.notes)]
        for candidate, own in self.details():
            # The others are in to_html() and to_dict(): a terminal is read from top to bottom.
            if candidate.name == self.verdict.candidate:
                blocks.append(_('--- the conversion "{name}" ---', name=candidate.name))
                blocks += [str(Ready(table)) for table in own]
        blocks += [f"--- {step.title} ---\n{step.code}" for step in self.next_steps]
        return "\n\n".join(block for block in blocks if block)

    def _repr_html_(self) -> str:
        return fragment(self)

    def to_html(self) -> str:
        """The report as one self-contained HTML page, figure included."""
        return page(self)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dicts, lists, strings and numbers; see `as_data`."""
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
    memory: bool = True,
    max_relative_error: float | None = None,
    min_size_ratio: float = MIN_SIZE_RATIO,
    min_speedup: float = MIN_SPEEDUP,
    max_metric_drop: float = MAX_METRIC_DROP,
    worth_size_ratio: float = WORTH_SIZE_RATIO,
    worth_speedup: float = WORTH_SPEEDUP,
    progress: bool | None = None,
) -> Report:
    """Quantize a model in several ways, measure each, and say whether to ship it in INT8.

    The model and the inputs are copied and stay as they are; thread count, engine, grad mode
    and random states are put back, also after an interrupt.

    Args:
        model: an FP32 model in eval mode, on the CPU.
        *inputs: what its forward is called with.
        kwargs: keyword arguments of its forward.
        input_sets: several sets of inputs instead of `inputs`: tensors, tuples of positional
            arguments or dicts of keyword arguments, as `[x for x, _ in islice(loader, 8)]` takes
            them from a DataLoader with labels. Outputs are compared on all of them, times are
            taken on the first.
        backends: the conversions to try: "torch.ao" (one scale per weight matrix),
            "torch.ao-per-channel" (one per row), "plain" (`rh.Int8LSTM` and its kin). With the
            extra `onnx` also "onnxruntime", which leaves PyTorch (`rh.quantize_onnx`).
        modules: types or names of the modules to convert; unless given, every type that the
            backend can convert.
        metric: a function of a model that returns a number, the larger the better. It then
            judges "nearly the same output", and the relative error only if
            `max_relative_error` is given too.
        threads: intra-op threads; None for as many as PyTorch uses now. Times are taken with so
            many, which the verdict looks at, and with one.
        budget_s: about how long to time each conversion on each number of threads, in seconds.
        memory: measure memory, too, each model in a process of its own; two seconds for each.
        max_relative_error: the largest mean |difference| / mean |FP32| allowed in any output
            tensor of floats; `promises.MAX_RELATIVE_ERROR` unless given.
        min_size_ratio: FP32 bytes / INT8 bytes, at least.
        min_speedup: FP32 time / INT8 time, at least; a promise counts as broken only if the
            whole 95 % interval misses it. 0 where the time does not matter.
        max_metric_drop: how much the metric may fall, as a share of the FP32 model's.
        worth_size_ratio: INT8 is recommended only for a gain: at least so many times smaller,
        worth_speedup: or at least so many times faster over the whole interval. Not asked of a
            caller who set `min_size_ratio` or `min_speedup` above 1, and so named a gain.
        progress: False shows none; else it is shown where stdout is a notebook or a terminal.

    Raises:
        ModelError: the model is scripted, exported, compiled, in training mode, on another device,
            not float32, holds or returns NaN, changes its inputs, or gives different answers.
        AlreadyQuantizedError: it holds quantized modules.
        NothingQuantizedError: it holds nothing that any of the backends converts.
        InputError: the inputs do not fit the model.
        ArgumentError: another argument is out of range, or the metric fails.
    """
    ways = _ways(backends)
    limits = Limits(
        max_relative_error,
        min_size_ratio,
        min_speedup,
        max_metric_drop,
        worth_size_ratio,
        worth_speedup,
    )
    _check(threads, metric, budget_s)
    with _undisturbed(threads, progress) as (used, advance):
        bench = Bench(
            preparation.checked_copy(model),
            as_input_sets(inputs, kwargs, input_sets),
            limits,
            metric,
            tuple(dict.fromkeys((used, 1))),
            budget_s,
            advance,
            bool(memory),
            modules=_listed(modules),
        )
        candidates = _examined(bench, ways)
    return _reported(bench, candidates)


@contextmanager
def _undisturbed(
    threads: int | None, progress: bool | None
) -> Iterator[tuple[int, Callable[[str], None]]]:
    """What of the process must not change, or is put back; yields the threads and the progress."""
    with (
        preparation.random_states_kept(),
        settings.threads_set(threads) as used,
        progress_line(progress) as advance,
    ):
        yield used, advance


def _check(threads: object, metric: object, budget_s: object) -> None:
    if threads is not None:
        checks.positive_int("threads", threads)
    if metric is not None and not callable(metric):
        raise ArgumentError(
            Text("metric is {metric!r}; pass a function that takes a model.", metric=metric)
        )
    check_budget(budget_s)


def _reported(bench: Bench, candidates: tuple[Candidate, ...]) -> Report:
    return Report(
        model=type(bench.model).__name__,
        parameters=sum(p.numel() for p in bench.model.parameters()),
        inputs=tuple(one.describe() for one in bench.input_sets),
        limits=bench.limits,
        reference_metric=bench.reference_metric,
        verdict=decide(candidates, bench.model, by_name=bench.modules is not None),
        candidates=candidates,
        notes=tuple(tables.notes(bench, candidates)),
        machine=machine(),
    )


def _ways(backends: Iterable[str]) -> tuple[str, ...]:
    if isinstance(backends, str) or not isinstance(backends, Iterable):
        backends = (backends,)
    ways = tuple(dict.fromkeys(checks.one_of("backends", name, EVERY_WAY) for name in backends))
    if not ways:
        every = ", ".join(map(repr, EVERY_WAY))
        raise ArgumentError(Text("backends is empty; pass some of {every}.", every=every))
    return ways


def _listed(modules: object) -> tuple[Any, ...] | None:
    if modules is None:
        return None
    if isinstance(modules, str) or not isinstance(modules, Iterable):
        raise ArgumentError(
            Text(
                "modules is {modules!r}; pass a list of types or names of modules.", modules=modules
            )
        )
    return tuple(modules)


def _examined(bench: Bench, ways: tuple[str, ...]) -> tuple[Candidate, ...]:
    """Examine every way; what one of them cannot do is an error only if none can."""
    candidates, refused = [], []
    for way in ways:
        try:
            candidates.append(bench.examine(way))
        except (NothingQuantizedError, ArgumentError) as error:
            candidates.append(Candidate(way, as_text(error), None, None, (), None))
            refused.append(error)
    if len(refused) == len(ways):
        raise refused[-1]
    return tuple(candidates)
