"""Many measurements at once: several widths, several seeds, here or on a Dask cluster.

Sizes and errors are computed, and come out the same wherever and in whatever order that is done.
Times are measured: each measurement has a core to itself (`own_core`), so that on one machine no
two of them ever disturb each other, whoever started them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..common import checks, settings
from ..common.errors import ArgumentError, SurveyError
from ..common.language import Text, _, plural
from ..common.progress import Progress, silent
from ..common.tables import Shown, Table, in_bytes
from ..common.wording import joined
from ..recipe.accuracy import compare_outputs
from ..recipe.latency import compare_latency
from ..recipe.model import demonstration, machine
from ..recipe.quantize import quantize_dynamic
from ..recipe.size import compare_size
from ..recipe.timing import FASTER, INCONCLUSIVE, SLOWER, Ratio, check_budget
from .own_core import cores_can_be_held, own_core

BUDGET_S = 0.3


@dataclass(frozen=True)
class SurveyPoint:
    """The recipe's LSTM of one width, drawn from one seed, in FP32 and in INT8."""

    width: int
    seed: int
    reference_bytes: int
    candidate_bytes: int
    relative_error: float  # mean |difference| / mean |FP32 output|
    reference_us: float  # median time of one call
    candidate_us: float
    speedup: Ratio  # FP32 / INT8
    verdict: str  # "faster", "slower" or "inconclusive", said of INT8
    machine: str  # the kind of machine: its CPU and vector instructions

    @property
    def computed(self) -> tuple[int, int, int, int, float]:
        """What does not depend on time: width, seed, both sizes, the error."""
        sizes = (self.reference_bytes, self.candidate_bytes)
        return (self.width, self.seed, *sizes, self.relative_error)


@dataclass(frozen=True)
class Survey(Shown):
    """The points of a survey, in the order of widths and then of seeds."""

    points: tuple[SurveyPoint, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths, rising."""
        return tuple(sorted({point.width for point in self.points}))

    def of(self, width: int) -> tuple[SurveyPoint, ...]:
        """The points of one width.

        Raises:
            ArgumentError: the survey has no such width.
        """
        found = tuple(point for point in self.points if point.width == width)
        if not found:
            raise ArgumentError(
                Text(
                    "width is {width!r}; the survey has {known}.",
                    width=width,
                    known=list(self.widths),
                )
            )
        return found

    def table(self) -> Table:
        """One row per width: sizes, the median error and speedup over the seeds, the verdicts."""
        rows = []
        for width in self.widths:
            points = self.of(width)
            speedups = [point.speedup.median for point in points]
            verdicts = Counter(point.verdict for point in points)
            counts = [(verdicts[v], v) for v in (FASTER, SLOWER, INCONCLUSIVE) if verdicts[v]]
            said = (_("{count} {verdict}", count=n, verdict=_(v)) for n, v in counts)
            rows.append(
                (
                    str(width),
                    in_bytes(points[0].reference_bytes),
                    in_bytes(points[0].candidate_bytes),
                    _spread([p.relative_error for p in points], "{:.2%}"),
                    _spread(speedups, "{:.2f}"),
                    ", ".join(said),
                )
            )
        seeds, kinds = len({p.seed for p in self.points}), sorted({p.machine for p in self.points})
        headers = (_("width"), _("FP32 file"), _("INT8 file"), _("relative error"))
        caption = plural(
            "one seed, one thread", "median (range) over {count} seeds, one thread", seeds
        )
        note = _("Measured on: {machines}.", machines=joined(kinds, "; "))
        return Table((*headers, "FP32 / INT8", _("INT8 is")), rows, caption, note)


def survey(
    widths: Iterable[int],
    seeds: Iterable[int],
    client: Any = None,
    *,
    budget_s: float = BUDGET_S,
    progress: Progress = silent,
) -> Survey:
    """Measure size, error and latency for every width and seed.

    With a client of `dask.distributed` the measurements are spread over its workers. Each worker
    makes one at a time, whatever number of threads it has, and on one machine each has a core to
    itself: with more workers than cores some wait for their turn. A worker that is lost costs the
    measurement that it was at, which another one makes; what was finished is kept.

    Every worker must have the client's versions of PyTorch and of this package. Where a core
    cannot be reserved (that takes Linux), each machine may have one worker. Containers on one
    machine do not see each other's reservations: give each CPUs of its own.

    Args:
        widths: rising widths of the recipe's LSTM.
        seeds: of model and inputs, whole numbers, none twice.
        client: a `distributed.Client` (the extra `dask`), or None to measure in this process.
        budget_s: about how long to time each pair of models, in seconds.
        progress: wraps the loop over the measurements, for example `rh.progress_bar`.

    Raises:
        ArgumentError: an argument is out of range, or the client's workers do not fit.
        SurveyError: a measurement failed on a worker, or lost one worker after the other.
    """
    wanted = [(w, s) for w in checks.positive_ints("widths", widths) for s in _distinct(seeds)]
    check_budget(budget_s)
    if client is None:
        points = [measure_point(w, s, budget_s) for w, s in progress(wanted, _("survey"))]
    else:
        check_client(client)
        points = list(_on_workers(client, wanted, budget_s, progress))
    places = {at: number for number, at in enumerate(wanted)}
    return Survey(tuple(sorted(points, key=lambda point: places[point.width, point.seed])))


def measure_point(width: int, seed: int, budget_s: float) -> SurveyPoint:
    """One measurement of a survey, on one thread and on a core that no other one is using."""
    with own_core(), settings.threads_set(1):
        demo = demonstration(width=width, seed=seed)
        quantized = quantize_dynamic(demo.model)
        sizes = compare_size(demo.model, quantized)
        outputs = compare_outputs(demo.model, quantized, *demo.arguments)
        latency = compare_latency(demo.model, quantized, *demo.arguments, budget_s=budget_s)
        here = machine()
    return SurveyPoint(
        width=width,
        seed=seed,
        reference_bytes=sizes.reference_bytes,
        candidate_bytes=sizes.candidate_bytes,
        relative_error=outputs.relative,
        reference_us=latency.reference.median_us,
        candidate_us=latency.candidate.median_us,
        speedup=latency.speedup,
        verdict=latency.verdict,
        machine=joined([here.cpu, here.vector_instructions], ", "),
    )


def describe_worker() -> tuple[str, bool, tuple[str, str]]:
    """The machine of this process, whether cores can be held, and the versions that matter."""
    import platform

    from recipe_helpers import __version__

    return platform.node(), cores_can_be_held(), (torch.__version__, __version__)


def check_client(client: Any) -> None:
    """ArgumentError unless this is a client whose workers measure as `survey` promises."""
    # By name: without `distributed` nothing can be one of its clients.
    kinds = {
        f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type.mro(type(client))
    }
    if "distributed.Client" not in kinds:
        raise ArgumentError(
            Text(
                "client is of type {kind}; pass a dask.distributed.Client (the extra `dask` brings "
                "it), or None to measure in this process.",
                kind=type(client).__name__,
            )
        )
    if client.asynchronous:
        raise ArgumentError(
            Text("client is an asynchronous one; make it without asynchronous=True.")
        )
    try:
        described = client.run(describe_worker)
    except (ImportError, AttributeError) as error:
        raise ArgumentError(
            Text(
                "client has a worker without this package ({what}); install the same "
                "recipe_helpers for all of them.",
                what=checks.first_line(error),
            )
        ) from error
    if not described:
        raise ArgumentError(Text("client has no workers; start at least one."))
    _check_workers(described, describe_worker()[2])


def _check_workers(
    described: dict[str, tuple[str, bool, tuple[str, str]]], here: tuple[str, str]
) -> None:
    for address, (_host, _held, versions) in described.items():
        if versions != here:
            raise ArgumentError(
                Text(
                    "client has a worker at {address} with PyTorch {torch} and recipe_helpers "
                    "{package}; here they are {torch_here} and {package_here}: install the same.",
                    address=address,
                    torch=versions[0],
                    package=versions[1],
                    torch_here=here[0],
                    package_here=here[1],
                )
            )
    count = Counter(host for host, *_rest in described.values())
    for host, held, _versions in described.values():
        if count[host] > 1 and not held:
            raise ArgumentError(
                Text(
                    "client has {workers} workers on one machine, where this system cannot reserve "
                    "a core for each, so that two might measure on one; start one worker there.",
                    workers=count[host],
                )
            )


def _on_workers(
    client: Any, wanted: list[tuple[int, int]], budget_s: float, progress: Progress
) -> Iterable[SurveyPoint]:
    from distributed import as_completed

    # Not pure: the same measurement asked for twice is made twice.
    futures = {client.submit(measure_point, *at, budget_s, pure=False): at for at in wanted}
    finished = as_completed(futures)
    try:
        for _number in progress(wanted, _("survey")):
            future = next(finished)
            try:
                yield future.result()
            except Exception as error:
                width, seed = futures[future]
                raise SurveyError(
                    Text(
                        "The measurement of width {width}, seed {seed} did not come back from the "
                        "workers: {kind}, {what}.",
                        width=width,
                        seed=seed,
                        kind=type(error).__name__,
                        what=checks.first_line(error),
                    )
                ) from error
            # Given back at once: what a lost worker still held is not computed again.
            future.release()
    finally:
        client.cancel([future for future in futures if not future.done()])


def _distinct(seeds: Iterable[int]) -> tuple[int, ...]:
    if isinstance(seeds, str) or not isinstance(seeds, Iterable):
        raise ArgumentError(
            Text(
                "{name} is {value}; pass a list of whole numbers.", name="seeds", value=repr(seeds)
            )
        )
    chosen = tuple(checks.seed("seeds", seed) for seed in seeds)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ArgumentError(
            Text("seeds is {seeds}; pass at least one number, and none twice.", seeds=list(chosen))
        )
    return chosen


def _spread(values: list[float], form: str) -> str:
    """The median, and the range where there is more than one value."""
    middle, low, high = (form.format(f(values)) for f in (np.median, min, max))
    said = _("{mean} ({low} to {high})", mean=middle, low=low, high=high)
    return middle if len(values) == 1 else said
