"""Check the CI workflow by actionlint, where it is installed: `python tools/actionlint.py`.

Its package fetches the program while it is installed, so it cannot be one that `make` relies on;
CI has it. `make lint` checks the workflow against the published schema in any case.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

MISSING = "actionlint is not installed; the workflow was checked against its schema alone."


def main() -> int:
    """Run it on the workflows of this repository, and return its exit status."""
    program = shutil.which("actionlint")
    if program is None:
        print(MISSING)
        return 0
    return subprocess.run([program], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
