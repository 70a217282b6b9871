"""One step at a time, the state carried by the caller; and whether that changes the outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..common import checks
from ..common.errors import InputError
from ..common.language import _
from ..common.tables import Shown, Table
from ..recipe.accuracy import named_tensors


@dataclass(frozen=True)
class StreamCheck(Shown):
    """A sequence read step by step beside the same sequence read in one call."""

    steps: int
    equal_steps: int  # steps whose output has the same bits
    largest_difference: float  # of an output element

    @property
    def same(self) -> bool:
        """Whether every output has the same bits."""
        return self.equal_steps == self.steps

    def table(self) -> Table:
        """Steps, those that are equal, the largest difference."""
        rows = [(f"{self.steps:,}", f"{self.equal_steps:,}", f"{self.largest_difference:.2g}")]
        return Table((_("steps"), _("equal bit for bit"), _("largest difference")), rows)


def stream(model: nn.Module, steps: Tensor) -> Iterator[Tensor]:
    """The first output of each step, the state carried from one call to the next.

    Args:
        model: called with (step, state), where `state` is None at first; it returns the output
            and the new state.
        steps: (steps, ...); one of them at a time is passed on as (1, ...).

    Raises:
        InputError: the model does not take a state, or returns none.
    """
    state: Any = None
    for step in steps.split(1):
        found = checks.runs("model", model, (step, state))
        if not isinstance(found, tuple) or len(found) != 2:
            raise InputError(
                "model returns {what} for one step; streaming needs a model that returns its "
                "output and its state.",
                what=checks.describe(found),
            )
        output, state = found
        yield output


def check_streaming(model: nn.Module, steps: Tensor) -> StreamCheck:
    """Read a sequence step by step and in one call, and compare every output.

    Args:
        model: as `stream` needs it, in eval mode.
        steps: (steps, ...), at least one.

    Raises:
        ModelError: the model is in training mode or holds NaN.
        InputError: as `stream`, or there is no step.
    """
    checks.runnable_model("model", model)
    if not len(steps):
        raise InputError("steps is empty; pass at least one step.")
    apart = torch.cat(list(stream(model, steps)))
    whole = next(named_tensors(checks.runs("model", model, (steps, None))))[1]
    differences = (apart - whole).abs().flatten(1).amax(dim=1)
    equal = int((differences == 0).sum())
    return StreamCheck(len(steps), equal, float(differences.max()))
