"""The ways into use side by side, and which of them is best at what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..common import checks
from ..common.errors import ArgumentError
from ..common.language import N_, _
from ..common.tables import Shown, Table, in_bytes, microseconds
from ..recipe.compare import compare
from ..recipe.judges import BALLPARK
from ..recipe.latency import BUDGET_S
from ..recipe.memory import in_megabytes, memory_use
from ..recipe.timing import Ratio

# What has to be installed for a way that goes by one of these names; see `measure_option`.
NEEDS = {
    "torch.ao": N_("torch, while torch.ao is there"),
    "onnxruntime": N_("onnxruntime alone"),
}


@dataclass(frozen=True)
class Option:
    """One way to bring a model into use, measured beside the float model."""

    name: str
    needs: str  # what has to be installed where it runs
    file_bytes: int
    relative: float  # error of the first output: mean |difference| / mean |FP32|
    time_us: float  # median of one call
    speedup: Ratio  # FP32 time / its time
    peak_bytes: int | None  # the most that model and call take; None where nobody can tell


def measure_option(
    name: str,
    reference: nn.Module,
    candidate: nn.Module,
    *inputs: Any,
    file_bytes: int,
    needs: str,
    budget_s: float = BUDGET_S,
) -> Option:
    """Measure one way beside the float model, on one thread.

    Args:
        name: what to call it.
        reference: the float model, in eval mode.
        candidate: the same model in this way; the float model itself for the first row.
        *inputs: what both are called with.
        file_bytes: the size of the file that is shipped.
        needs: what has to be installed where it runs, in words or a name of `NEEDS`.
        budget_s: about how long to time both, in seconds.

    Raises:
        ModelError: as `compare_latency` and `compare_memory`.
        InputError: the same.
        ArgumentError: the same.
    """
    checks.positive_int("file_bytes", file_bytes)
    found = compare(reference, candidate, *inputs, threads=1, budget_s=budget_s)
    return Option(
        name=name,
        needs=NEEDS.get(needs, needs),
        file_bytes=file_bytes,
        relative=found.outputs.relative,
        time_us=found.latency.candidate.median_us,
        speedup=found.latency.speedup,
        peak_bytes=memory_use(name, candidate, *inputs).peak_bytes,
    )


@dataclass(frozen=True)
class Decision(Shown):
    """All options, and the best of those whose output is close enough."""

    options: tuple[Option, ...]
    max_relative_error: float

    @property
    def sound(self) -> tuple[Option, ...]:
        """The options within the limit of the error."""
        return tuple(o for o in self.options if o.relative <= self.max_relative_error)

    @property
    def fastest(self) -> tuple[Option, ...]:
        """The fastest of them, and those whose interval overlaps with its."""
        best = max(self.sound, key=lambda option: option.speedup.median)
        return tuple(o for o in self.sound if o.speedup.high >= best.speedup.low)

    @property
    def smallest(self) -> Option:
        """The one with the smallest file."""
        return min(self.sound, key=lambda option: option.file_bytes)

    @property
    def leanest(self) -> Option | None:
        """The one that takes the least memory; None where that is not known of all."""
        if any(option.peak_bytes is None for option in self.sound):
            return None
        return min(self.sound, key=lambda option: option.peak_bytes or math.inf)

    @property
    def sentence(self) -> str:
        """Which is best at what."""
        if not self.sound:
            return _("No option keeps its error within {limit:.0%}.", limit=self.max_relative_error)
        fastest = self.fastest[0].name
        for other in self.fastest[1:]:
            fastest = _("{names} or {name}", names=fastest, name=other.name)
        said = [_("fastest: {names}", names=fastest)]
        said.append(_("smallest file: {name}", name=self.smallest.name))
        if self.leanest is not None:
            said.append(_("least memory: {name}", name=self.leanest.name))
        return _(
            "Within an error of {limit:.0%}, {best}.",
            limit=self.max_relative_error,
            best="; ".join(said),
        )

    def table(self) -> Table:
        """One row for each option."""
        rows = [
            (
                option.name,
                in_bytes(option.file_bytes),
                in_megabytes(option.peak_bytes),
                microseconds(option.time_us),
                str(option.speedup),
                f"{option.relative:.2%}",
                _(option.needs),
            )
            for option in self.options
        ]
        costs = (_("file"), _("memory in a call"), _("time"), _("FP32 / its time"))
        headers = ("", *costs, _("error"), _("needs"))
        return Table(headers, rows, "", self.sentence)


def decide_deployment(
    options: Sequence[Option], *, max_relative_error: float = BALLPARK
) -> Decision:
    """Put options side by side.

    Args:
        options: measured options, at least one.
        max_relative_error: the largest error with which an option can be recommended.

    Raises:
        ArgumentError: there is no option.
    """
    if not options:
        raise ArgumentError("options is empty; pass what measure_option returned.")
    return Decision(tuple(options), max_relative_error)
