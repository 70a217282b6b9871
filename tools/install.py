"""Run `pip install` with the CPU build of PyTorch on Linux, where its index can be reached.

    python tools/install.py --constraint constraints.txt --editable .

PyPI's wheels for Linux bring several gigabytes of CUDA that nothing here uses. Where PyTorch's own
index does not answer within seconds, pip goes on with what it finds elsewhere.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import urllib.request

INDEX = "https://download.pytorch.org/whl/cpu"
PATIENCE_S = 3.0


def answers(url: str, patience_s: float = PATIENCE_S) -> bool:
    """Whether a server gives a page within so many seconds."""
    try:
        with urllib.request.urlopen(f"{url}/torch/", timeout=patience_s) as page:
            return bool(page.read(1))
    except (OSError, ValueError):  # urllib's errors, timeouts and TLS errors are OSErrors
        return False


def environment(index: str = INDEX) -> dict[str, str]:
    """The environment for pip: with the index added to those that are named there already."""
    found = dict(os.environ)
    if platform.system() == "Linux" and answers(index):
        named = found.get("PIP_EXTRA_INDEX_URL", "")
        found["PIP_EXTRA_INDEX_URL"] = f"{named} {index}".strip()
    return found


def main(arguments: list[str]) -> int:
    """Hand everything on to pip, and return its exit status."""
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, env=environment(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
