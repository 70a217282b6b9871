"""Your own model: should it be quantized? Measure, judge, explain."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from int8_rnn.obstacles import parametrized
from torch import nn

from ..common import checks, settings
from ..common.errors import ArgumentError, NothingQuantizedError
from ..common.language import _
from ..common.progress import progress_line
from ..recipe.latency import BUDGET_S
from ..recipe.model import machine
from ..recipe.timing import check_budget
from . import preparation
from .candidates import EVERY_WAY, WAYS, Candidate
from .findings import Report as Report
from .measurement import Bench, kept
from .promises import Limits
from .task_error import Recorded


def report(
    model: nn.Module,
    *inputs: Any,
    kwargs: Mapping[str, Any] | None = None,
    input_sets: Iterable[Any] | None = None,
    backends: Iterable[str] = tuple(WAYS),
    modules: Iterable[type[nn.Module] | str] | None = None,
    metric: Callable[[nn.Module], float] | None = None,
    scores: str | None = None,
    threads: int | None = None,
    budget_s: float = BUDGET_S,
    memory: bool = True,
    progress: bool | None = None,
    **limits: Any,
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
        scores: the name of an output whose highest number in each row is the model's choice, as
            "output" or "output['logits']"; the report then counts the rows where the choice is
            another one. None where no output holds scores.
        threads: intra-op threads; None for as many as PyTorch uses now. Times are taken with so
            many, which the verdict looks at, and with one.
        budget_s: about how long to time each conversion on each number of threads, in seconds.
        memory: measure memory, too, each model in a process of its own; two seconds for each.
        progress: False shows none; else it is shown where stdout is a notebook or a terminal.
        **limits: what INT8 has to reach to be recommended, the fields of `promises.Limits`:
            `max_relative_error` (0.05 unless there is a metric), the largest mean |difference| /
            mean |FP32| of any output tensor of floats; `min_size_ratio` (1) and `min_speedup` (1),
            the least FP32 / INT8 of bytes and of time, which counts as missed only if the whole
            95 % interval misses it, or 0 where it does not matter; `max_metric_drop` (0.01), how
            much the metric may fall, as a share; and a gain, for which either is enough:
            `worth_size_ratio` (1.5) times smaller or `worth_speedup` (1.1) times faster. A `min_`
            above 1 is itself the gain.

    Raises:
        ModelError: the model is in training mode, on another device, not float32, holds or returns
            NaN, changes its inputs, gives different answers, or cannot be copied.
        AlreadyQuantizedError: it holds quantized modules.
        NothingQuantizedError: it holds nothing that any of the backends converts.
        InputError: the inputs do not fit the model.
        ArgumentError: another argument is out of range, or the metric fails.
    """
    ways = _ways(backends)
    for name in limits:
        checks.one_of("limit", name, [one.name for one in fields(Limits)])
    asked = Limits(**limits)
    if threads is not None:
        checks.positive_int("threads", threads)
    if metric is not None and not callable(metric):
        raise ArgumentError(
            "metric is {metric!r}; pass a function that takes a model.", metric=metric
        )
    if modules is not None and (isinstance(modules, str) or not isinstance(modules, Iterable)):
        raise ArgumentError(
            "modules is {modules!r}; pass a list of types or names of modules.", modules=modules
        )
    check_budget(budget_s)
    with (
        preparation.random_states_kept(),
        settings.threads_set(threads) as used,
        progress_line(progress) as advance,
    ):
        own = preparation.checked_copy(model)
        sets = preparation.as_input_sets(inputs, kwargs, input_sets)
        advance(_("run the float model"))
        # What is wrong with the float model must not look like a fault of a conversion.
        recorded = Recorded([preparation.steady_outputs(own, one) for one in sets], scores)
        bench = Bench(
            model=own,
            input_sets=sets,
            recorded=recorded,
            limits=asked,
            metric=metric,
            reference_metric=preparation.metric_of(metric, copy.deepcopy(own)),
            threads=tuple(dict.fromkeys((used, 1))),
            budget_s=budget_s,
            with_memory=bool(memory),
            modules=None if modules is None else tuple(modules),
            advance=advance,
        )
        return _reported(bench, _examined(bench, ways))


def _ways(backends: Iterable[str]) -> tuple[str, ...]:
    if isinstance(backends, str) or not isinstance(backends, Iterable):
        backends = (backends,)
    ways = tuple(dict.fromkeys(checks.one_of("backends", name, EVERY_WAY) for name in backends))
    if not ways:
        every = ", ".join(map(repr, EVERY_WAY))
        raise ArgumentError("backends is empty; pass some of {every}.", every=every)
    return ways


def _examined(bench: Bench, ways: tuple[str, ...]) -> tuple[Candidate, ...]:
    """Examine every way; what one of them cannot do is an error only if none can."""
    candidates, refused = [], []
    for way in ways:
        try:
            candidates.append(bench.examine(way))
        except (NothingQuantizedError, ArgumentError) as error:
            candidates.append(Candidate(way, kept(error)))
            refused.append(error)
    if len(refused) == len(ways):
        raise refused[-1]
    return tuple(candidates)


def _reported(bench: Bench, candidates: tuple[Candidate, ...]) -> Report:
    first = bench.input_sets[0]
    measured = [one.best for one in candidates if one.best is not None]
    converted = {done.name for found in measured for done in found.made.converted}
    return Report(
        model=type(bench.model).__name__,
        parameters=sum(p.numel() for p in bench.model.parameters()),
        given=tuple(one.describe() for one in bench.input_sets),
        limits=bench.limits,
        reference_metric=bench.reference_metric,
        candidates=candidates,
        machine=machine(),
        by_name=bench.modules is not None,
        inputs_code="" if first.kwargs else first.args_code,
        onnx_call=preparation.onnx_call(bench.input_sets),
        parametrized=parametrized(bench.model),
        tied=tuple(_untied(bench.model, converted)),
    )


def _untied(model: nn.Module, converted: set[str]) -> Iterator[tuple[str, ...]]:
    """The names of each tensor that several modules hold and of which one was converted."""
    holders: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        holders.setdefault(id(parameter), []).append(name)
    for names in holders.values():
        owners = {name.rpartition(".")[0] for name in names}
        if len({model.get_submodule(o) for o in owners}) > 1 and owners & converted:
            yield tuple(names)
