"""Write a file so that it is there as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path`: whoever reads it finds the old file or the new one, no mixture.

    The bytes reach the disk in a folder beside it, and then take the place of the old file in one
    step.

    Raises:
        OSError: the file cannot be written.
    """
    # A link is followed, as open() would: its target is replaced, not the link.
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; pass the name of a file.")
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as folder:
        made = Path(folder, "content")
        with made.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            made.chmod(target.stat().st_mode)
        made.replace(target)
    # Make the new name durable; some systems cannot sync a folder, and need not.
    with contextlib.suppress(OSError):
        handle = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
