"""How long the compiled code takes to be ready, in a process that finds nothing and in the next.

PyTorch is there before: whoever has an LSTM to run has imported it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from conclusions import Start

import recipe_helpers

_SCRIPT = """
import torch
from recipe_helpers.int8.fast_path.ready import fast_path
state = fast_path()
assert state.available, state.reason
print(state.ready_s)
"""


def measure_start() -> Start:
    """Both, in fresh processes, with a copy of the package whose machine code is kept nowhere."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(recipe_helpers.__file__).parent
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package, Path(folder, "recipe_helpers"), ignore=leave)
        return Start(_seconds(folder), _seconds(folder))


def _seconds(folder: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": folder},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)
