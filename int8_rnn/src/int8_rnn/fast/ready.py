"""Whether there is compiled code on this machine, and why not."""

from __future__ import annotations

import functools
import re
import time
import warnings
from dataclasses import dataclass

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # of a terminal, in numba's messages


class FastPathWarning(UserWarning):
    """The compiled path is not to be had; the reference in plain torch runs instead."""


@dataclass(frozen=True)
class FastPath:
    """Whether the int8 modules run compiled code here, and what getting it ready has cost.

    Attributes:
        available: Whether they do.
        reason: Why not, and what to do about it; empty if they do.
        ready_s: Seconds spent on compiling, or on loading what an earlier process has compiled.
        instruction: The byte product of this CPU: "vpdpbusd512", "vpdpbusd256" (VNNI), "usdot",
            "sdot" (ARM), "pmaddubsw", which saturates; or "" where there is none. "+amx" after it:
            batches are multiplied by AMX.
        kept_in: The file that keeps the machine code for later processes; empty where none does.
    """

    available: bool
    reason: str
    ready_s: float
    instruction: str = ""
    kept_in: str = ""

    def __str__(self) -> str:
        if not self.available:
            return f"int8 modules run the reference in plain torch: {self.reason}"
        said = f"int8 modules run compiled code, made ready in {self.ready_s:.2f} s"
        if self.instruction:
            said += f", with {self.instruction}"
        if self.instruction == "pmaddubsw":
            said += (
                ", which is exact only for weights bounded in pairs: for 8-bit activations convert "
                "with Scheme(pairs=True), somewhat coarser and up to twice as fast"
            )
        return f"{said}."


@functools.cache
def fast_path() -> FastPath:
    """Make the compiled path ready, if it is not yet, and say how that went."""
    start = time.perf_counter()
    try:
        from . import loading

        code = loading.load()
    except ImportError as error:
        reason = (
            f"{error}; they run more slowly. For the compiled path call "
            'pip install "int8-rnn[fast]".'
        )
        return FastPath(False, reason, time.perf_counter() - start)
    except Exception as error:  # what a compiler meets on a machine we have not seen
        if not _is_the_machines(error):
            raise
        kind, message = type(error).__name__, _COLOURS.sub("", str(error))
        reason = f"the kernels cannot be compiled here ({kind}: {message})."
        return FastPath(False, reason, time.perf_counter() - start)
    kept_in = "" if code.path is None else str(code.path)
    return FastPath(True, "", time.perf_counter() - start, code.instruction, kept_in)


def _is_the_machines(error: Exception) -> bool:
    """Whether an error is one of the compiler or the system, and not a fault of our own code."""
    if isinstance(error, RuntimeError | OSError):
        return True
    from numba.core.errors import NumbaError

    return isinstance(error, NumbaError)


@functools.cache
def ready() -> bool:
    """Whether there is compiled code; says once, in a FastPathWarning, why not."""
    state = fast_path()
    if not state.available:
        warnings.warn(str(state), FastPathWarning, stacklevel=2)
    return state.available
