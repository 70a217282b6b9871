"""Whether there is compiled code on this machine, and why not."""

from __future__ import annotations

import functools
import re
import time
import warnings
from dataclasses import dataclass
from types import ModuleType

from ...common.language import Text, _
from ...common.tables import Shown, Table

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # of a terminal, in numba's messages


class FastPathWarning(UserWarning):
    """The compiled fast path is not to be had; the reference in plain torch runs instead."""


@dataclass(frozen=True)
class FastPath(Shown):
    """Whether `rh.Int8LSTM` runs compiled code, and what getting it ready has cost.

    Attributes:
        available: Whether it does.
        reason: Why not, and what to do about it; empty if it does.
        ready_s: Seconds spent on importing numba and on compiling, or on loading what an earlier
            process has compiled.
    """

    available: bool
    reason: str
    ready_s: float

    def table(self) -> Table:
        """One row."""
        state = _("compiled") if self.available else _("reference in plain torch")
        row = [state, f"{self.ready_s:.1f} s"]
        return Table([_("Int8LSTM runs"), _("made ready in")], [row], note=self.reason)


@functools.cache
def fast_path() -> FastPath:
    """Make the fast path ready, if it is not yet, and say how that went."""
    start = time.perf_counter()
    try:
        from numba.core.errors import NumbaError
    except ImportError as error:
        reason = Text(
            "{error}: the plain reference runs, more slowly; for the compiled fast path call "
            'pip install "recipe-helpers[fast]".',
            error=str(error),
        )
        return FastPath(False, reason, time.perf_counter() - start)
    try:
        from . import kernels  # noqa: F401

        return FastPath(True, "", time.perf_counter() - start)
    # What a compiler meets on a machine we have not seen; a fault of our own code comes out.
    except (NumbaError, RuntimeError, OSError) as error:
        reason = Text(
            "numba cannot compile here ({kind}: {message}); the reference runs.",
            kind=type(error).__name__,
            message=_COLOURS.sub("", str(error)),
        )
        return FastPath(False, reason, time.perf_counter() - start)


@functools.cache
def compiled() -> ModuleType | None:
    """The compiled code, or None after having said once, in a FastPathWarning, why not."""
    state = fast_path()
    if not state.available:
        warnings.warn(str(state.reason), FastPathWarning, stacklevel=2)
        return None
    from . import kernels

    return kernels
