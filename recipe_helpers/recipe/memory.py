"""Section 3, memory: what a model holds once it is loaded, and what a call needs on top.

A size in memory cannot be read off a state dict: torch.ao packs weights into layouts of its own,
and a call may need more room than the model does. So it is measured, each model in a process of
its own (`memory_probe.py`), by the memory that the operating system says is resident there.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import torch
from torch import nn

from ..common import checks
from ..common.checks import renamed
from ..common.errors import InputError, ModelError
from ..common.language import N_, _
from ..common.tables import Shown, Table
from .pair import Sweep, sweep
from .size import size_breakdown

WIDTHS = (8, 256, 1024)
# What the allocator and the system do beside the model stays below this.
RESOLUTION_BYTES = 500_000
LESS, MORE, SAME = N_("less"), N_("more"), N_("not told apart")
UNKNOWN = N_("not known")
_ROWS = (
    (N_("tensors of the state dict"), "payload_bytes"),
    (N_("held once loaded"), "loaded_bytes"),
    (N_("most during a call"), "peak_bytes"),
    (N_("code, once per process"), "runtime_bytes"),
)


@dataclass(frozen=True)
class MemoryUse:
    """The memory of one model in a fresh process, in bytes of resident memory."""

    payload_bytes: int  # the tensors of its state dict, counted, to compare with
    loaded_bytes: int  # what loading the model added: weights, packed weights, buffers
    call_bytes: int | None  # the peak of a call above that; None where the system cannot tell
    runtime_bytes: int  # libraries, thread pools and compiled code that the first call brought

    @property
    def peak_bytes(self) -> int | None:
        """The most that model and call together took; None where the system cannot tell."""
        return None if self.call_bytes is None else self.loaded_bytes + self.call_bytes


@dataclass(frozen=True)
class MemoryComparison(Shown):
    """Two models, each measured in a process of its own."""

    reference: MemoryUse
    candidate: MemoryUse

    @property
    def loaded(self) -> str:
        """LESS, MORE or SAME: what the candidate holds once loaded."""
        return _told(self.reference.loaded_bytes, self.candidate.loaded_bytes)

    @property
    def peak(self) -> str | None:
        """LESS, MORE or SAME: the most it takes during a call; None where nobody can tell."""
        before, after = self.reference.peak_bytes, self.candidate.peak_bytes
        return None if before is None or after is None else _told(before, after)

    @property
    def sentence(self) -> str:
        """Both answers in words."""
        loaded = _(self.loaded)
        if self.peak is None:
            return _(
                "Loaded: {loaded}. This system does not tell the peak of a call.", loaded=loaded
            )
        return _("Loaded: {loaded}. During a call: {peak}.", loaded=loaded, peak=_(self.peak))

    def table(self) -> Table:
        """Tensors, memory once loaded, peak of a call, and code."""
        uses = self.reference, self.candidate
        rows = [
            (_(name), *(in_megabytes(getattr(use, field)) for use in uses)) for name, field in _ROWS
        ]
        return Table((_("resident memory"), "FP32", "INT8"), rows, "", self.sentence)


def compare_memory(
    reference: nn.Module, candidate: nn.Module, *inputs: Any, threads: int = 1
) -> MemoryComparison:
    """Measure what two models take in memory, each in a fresh process.

    There the model is loaded and called once and let go, so that libraries and compiled code
    count for themselves; then it is loaded again, and called again. It takes two seconds or so.

    Args:
        reference: the float model, in eval mode.
        candidate: the converted model, in eval mode.
        *inputs: what both are called with.
        threads: how many threads a call uses.

    Raises:
        ModelError: one of the two is no module in eval mode on the CPU, or cannot be sent to
            another process.
        InputError: the inputs do not fit, or a model fails in the process of its own.
        ArgumentError: `threads` is not a whole number of at least 1.
    """
    models = {"reference": reference, "candidate": candidate}
    # What cannot be measured is refused before a process is started.
    sent = [_pickled(name, model, inputs, threads) for name, model in models.items()]
    # Two at once: neither sees the memory of the other.
    with ThreadPoolExecutor(2) as pool:
        uses = pool.map(_in_its_own_process, models, models.values(), sent, [threads] * 2)
        return MemoryComparison(*uses)


def memory_use(name: str, model: nn.Module, *inputs: Any, threads: int = 1) -> MemoryUse:
    """Measure one model as `compare_memory` does, under this name in what it raises."""
    return _in_its_own_process(name, model, _pickled(name, model, inputs, threads), threads)


class MemorySweep(Sweep[MemoryComparison]):
    """The memory of the recipe's one-layer LSTM over a range of widths."""

    def table(self) -> Table:
        """One row per width."""
        rows = []
        for point in self.points:
            before, after = point.comparison.reference, point.comparison.candidate
            sizes = before.loaded_bytes, after.loaded_bytes, before.peak_bytes, after.peak_bytes
            told = (_(point.comparison.loaded), _(point.comparison.peak or UNKNOWN))
            rows.append((str(point.width), *map(in_megabytes, sizes), *told))
        sizes_of = (_("FP32 loaded"), "INT8", _("FP32 in a call"), "INT8")
        return Table((_("width"), *sizes_of, _("loaded"), _("in a call")), rows)


@renamed(dimensions="widths")
def memory_sweep(widths: Iterable[int] = WIDTHS, *, backend: str = "torch.ao") -> MemorySweep:
    """Measure the memory of the recipe's one-layer LSTM at several widths, on one thread.

    Args:
        widths: rising widths (`dimensions` in versions 1.0 and 2.0).
        backend: what quantizes, see `quantize_dynamic`.

    Raises:
        ArgumentError: the widths are not rising whole numbers of at least 1.
    """
    return MemorySweep(sweep(widths, lambda pair: compare_memory(*pair.both), backend=backend))


def in_short(comparison: MemoryComparison) -> str:
    """In MB, the most that each takes during a call, or else holds once loaded; and which less."""
    kind = "loaded" if comparison.peak is None else "peak"
    before, after = (
        getattr(use, f"{kind}_bytes") / 1e6 for use in (comparison.reference, comparison.candidate)
    )
    told = _(getattr(comparison, kind))
    return _("{before:,.1f} -> {after:,.1f}, {told}", before=before, after=after, told=told)


def in_megabytes(count: int | None) -> str:
    """A number of bytes in MB with one decimal, or that it is not known."""
    return _(UNKNOWN) if count is None else f"{count / 1e6:,.1f} MB"


def _told(before: int, after: int) -> str:
    if abs(before - after) < RESOLUTION_BYTES:
        return SAME
    return LESS if after < before else MORE


def _pickled(name: str, model: nn.Module, inputs: tuple[Any, ...], threads: int) -> bytes:
    """The model and its inputs as they are sent to a process, after they were checked here."""
    checks.positive_int("threads", threads)
    checks.runs(name, checks.runnable_model(name, model), inputs)
    try:
        return cloudpickle.dumps((model, inputs))
    except Exception as error:
        raise ModelError(
            "{name} cannot be sent to a process of its own, where memory is measured ({kind}: "
            "{message}); make it picklable.",
            name=name,
            kind=type(error).__name__,
            message=checks.first_line(error),
        ) from error


def _in_its_own_process(name: str, model: nn.Module, sent: bytes, threads: int) -> MemoryUse:
    command = [sys.executable, "-m", f"{__package__}.memory_probe", str(threads)]
    command.append(torch.backends.quantized.engine)
    # The same modules must be found there, whatever this process did to its path.
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    done = subprocess.run(
        command, input=sent, capture_output=True, env={**os.environ, "PYTHONPATH": paths}
    )
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise InputError(
            "{name} failed in a process of its own, where memory is measured ({message}); it must "
            "be importable and callable there.",
            name=name,
            message=last,
        )
    measured = json.loads(done.stdout.splitlines()[-1])
    return MemoryUse(size_breakdown(model).payload_bytes, **measured)
