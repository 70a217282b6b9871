"""Many measurements at once: several widths, several seeds, here or on a Dask cluster.

Sizes and errors are computed, and come out the same wherever and in whatever order that is done.
Times are measured: a worker makes one measurement at a time, and a machine has no more workers
than cores, so that no two measurements share one.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..common import checks, settings
from ..common.errors import ArgumentError, SurveyError, extra
from ..common.language import _, plural
from ..common.progress import Progress, silent
from ..common.tables import Shown, Table, in_bytes
from ..recipe.compare import Comparison, compare
from ..recipe.model import machine, with_instructions
from ..recipe.pair import make_pair
from ..recipe.timing import FASTER, INCONCLUSIVE, SLOWER, check_budget

BUDGET_S = 0.3
_ONE_AT_A_TIME = threading.Lock()  # held by the measurement that a process is at


@dataclass(frozen=True)
class SurveyPoint:
    """The recipe's LSTM of one width, drawn from one seed, in FP32 and in INT8."""

    width: int
    seed: int
    comparison: Comparison  # size, latency and outputs
    machine: str  # the kind of machine, in English: its CPU and vector instructions


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
        checks.one_of("width", width, self.widths)
        return tuple(point for point in self.points if point.width == width)

    def table(self) -> Table:
        """One row per width: sizes, the median error and speedup over the seeds, the verdicts."""
        rows = []
        for width in self.widths:
            found = [point.comparison for point in self.of(width)]
            verdicts = Counter(one.latency.verdict for one in found)
            said = (
                _("{count} {verdict}", count=verdicts[verdict], verdict=_(verdict))
                for verdict in (FASTER, SLOWER, INCONCLUSIVE)
                if verdicts[verdict]
            )
            rows.append(
                (
                    str(width),
                    in_bytes(found[0].size.reference_bytes),
                    in_bytes(found[0].size.candidate_bytes),
                    _spread([one.outputs.relative for one in found], "{:.2%}"),
                    _spread([one.latency.speedup.median for one in found], "{:.2f}"),
                    ", ".join(said),
                )
            )
        headers = (_("width"), _("FP32 file"), _("INT8 file"), _("relative error"))
        caption = plural(
            "one seed, one thread",
            "median (range) over {count} seeds, one thread",
            len({point.seed for point in self.points}),
        )
        kinds = map(with_instructions, sorted({point.machine for point in self.points}))
        note = _("Measured on: {machines}.", machines="; ".join(kinds))
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
    makes one at a time, whatever number of threads it has. A worker that is lost costs the
    measurement that it was at, which another one makes; what was finished is kept.

    Every worker must have the client's versions of PyTorch and of this package, and a machine may
    not have more workers than cores. Containers do not see each other: give each cores of its own.

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
    drawn = checks.seeds("seeds", seeds)
    if len(set(drawn)) < len(drawn):
        raise ArgumentError("seeds is {seeds}; pass none twice.", seeds=list(drawn))
    wanted = list(itertools.product(checks.positive_ints("widths", widths), drawn))
    check_budget(budget_s)
    points: Iterable[SurveyPoint]
    if client is None:
        points = (measure_point(w, s, budget_s) for w, s in progress(wanted, _("survey")))
    else:
        check_client(client)
        points = _on_workers(client, wanted, budget_s, progress)
    found = {(point.width, point.seed): point for point in points}
    return Survey(tuple(found[at] for at in wanted))


def measure_point(width: int, seed: int, budget_s: float) -> SurveyPoint:
    """One measurement of a survey, on one thread, while this process makes no other."""
    with _ONE_AT_A_TIME, settings.threads_set(1):
        found = compare(*make_pair(width=width, seed=seed).both, budget_s=budget_s)
        here = machine()
    return SurveyPoint(width, seed, found, ", ".join([here.cpu, here.vector_instructions]))


@dataclass(frozen=True)
class Worker:
    """What has to be known of one worker: its machine, and the versions that it measures with."""

    host: str
    cores: int  # of the machine, as far as this process may use them
    versions: tuple[str, str]  # PyTorch, recipe_helpers


def describe_worker() -> Worker:
    """The process that this runs in."""
    import platform

    import psutil

    from recipe_helpers import __version__

    allowed = getattr(os, "sched_getaffinity", lambda pid: range(os.cpu_count() or 1))(0)
    cores = min(psutil.cpu_count(logical=False) or len(allowed), len(allowed))
    return Worker(platform.node(), cores, (torch.__version__, __version__))


def check_client(client: Any) -> None:
    """ArgumentError unless this is a client whose workers measure as `survey` promises."""
    with extra("dask"):
        from distributed import Client
    if not isinstance(client, Client):
        raise ArgumentError(
            "client is of type {kind}; pass a dask.distributed.Client (the extra `dask` brings "
            "it), or None to measure in this process.",
            kind=type(client).__name__,
        )
    if client.asynchronous:
        raise ArgumentError("client is an asynchronous one; make it without asynchronous=True.")
    try:
        workers: dict[str, Worker] = client.run(describe_worker)
    except (ImportError, AttributeError) as error:
        raise ArgumentError(
            "client has a worker without this package ({what}); install the same recipe_helpers "
            "for all of them.",
            what=checks.first_line(error),
        ) from error
    if not workers:
        raise ArgumentError("client has no workers; start at least one.")
    here = describe_worker().versions
    count = Counter(worker.host for worker in workers.values())
    for address, worker in workers.items():
        if worker.versions != here:
            raise ArgumentError(
                "client has a worker at {address} with {there}; here is {here}: install the same.",
                address=address,
                there="PyTorch {}, recipe_helpers {}".format(*worker.versions),
                here="PyTorch {}, recipe_helpers {}".format(*here),
            )
        if count[worker.host] > worker.cores:
            raise ArgumentError(
                "client has {workers} workers on a machine of {cores} cores, so that two might "
                "measure on one; start at most one for each core.",
                workers=count[worker.host],
                cores=worker.cores,
            )


def _on_workers(
    client: Any, wanted: list[tuple[int, int]], budget_s: float, progress: Progress
) -> Iterator[SurveyPoint]:
    """Each point when it is finished; what is not, when it is left, is cancelled."""
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
                    "The measurement of width {width}, seed {seed} did not come back from the "
                    "workers: {kind}, {what}.",
                    width=width,
                    seed=seed,
                    kind=type(error).__name__,
                    what=checks.first_line(error),
                ) from error
            # Given back at once: what a lost worker still held is not computed again.
            future.release()
    finally:
        client.cancel([future for future in futures if not future.done()])


def _spread(values: list[float], form: str) -> str:
    """The median, and the range where there is more than one value."""
    middle, low, high = (form.format(f(values)) for f in (np.median, min, max))
    said = _("{mean} ({low} to {high})", mean=middle, low=low, high=high)
    return middle if len(values) == 1 else said
