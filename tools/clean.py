"""Remove what `make` made, on every system: `python tools/clean.py`."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
MADE = (
    ".venv",
    "build",
    "*.egg-info",
    ".pytest_cache",
    ".ruff_cache",
    ".mypy_cache",
    ".hypothesis",
)


def main(root: Path = ROOT) -> None:
    """Remove those folders; a link is removed, not what it leads to."""
    for pattern in MADE:
        for path in root.glob(pattern):
            path.unlink() if path.is_symlink() else shutil.rmtree(path)


if __name__ == "__main__":
    main()
