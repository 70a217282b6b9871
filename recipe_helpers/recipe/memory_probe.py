"""The process in which one model's memory is measured; `memory.py` starts it and reads its answer.

It takes a model with its inputs from its parent through a pipe, never from a file: what it
unpickles is what that same parent held in memory a moment ago.
"""

import ctypes
import gc
import json
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import psutil
import torch

_CLEAR_PEAK = Path("/proc/self/clear_refs")  # "5" makes Linux forget the peak so far
_STATUS = Path("/proc/self/status")


def measure(sent: bytes) -> dict[str, int | None]:
    """Load a pickled (model, inputs) and call it; what that took, in bytes of resident memory."""
    start = resident()
    _loaded_and_called(sent)  # for the libraries, thread pools and compiled code that it brings
    before = resident()
    model, inputs = _loaded_and_called(sent)  # some modules pack their weights at their first call
    loaded = resident()
    watched = _forget_peak()
    with torch.inference_mode():
        model(*inputs)
    peak = _peak() if watched else None
    return {
        "loaded_bytes": loaded - before,
        "call_bytes": None if peak is None else max(peak - loaded, 0),
        "runtime_bytes": before - start,
    }


def resident() -> int:
    """Bytes of this process that are in memory, after everything free was given back."""
    gc.collect()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)  # glibc alone has it
    return int(psutil.Process().memory_info().rss)


def _loaded_and_called(sent: bytes) -> Any:
    model, inputs = pickle.loads(sent)
    with torch.inference_mode():
        model(*inputs)
    return model, inputs


def _forget_peak() -> bool:
    """Start the peak anew; False where the system has no such thing."""
    try:
        _CLEAR_PEAK.write_text("5")
        _peak()
    except (OSError, StopIteration):
        return False
    return True


def _peak() -> int:
    lines = _STATUS.read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))


def main(threads: int, engine: str) -> None:
    """Measure what comes through the pipe and answer in one line of JSON, the last one."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    if engine != "none":
        torch.backends.quantized.engine = engine
    sent = sys.stdin.buffer.read()
    print("\n" + json.dumps(measure(sent)))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
