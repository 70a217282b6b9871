"""Write a file so that it is there as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path`: whoever reads it finds the old file or the new one, no mixture.

    The bytes reach the disk under another name in the same folder, which then takes the place of
    the old file in one step. A save that is killed leaves the old file; where the system knows
    files without a name (Linux), it leaves nothing else either.

    Raises:
        OSError: the file cannot be written.
    """
    # A link is followed, as open() would: its target is replaced, not the link.
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; pass the name of a file.")
    named = target.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        _write(named, content)
        with contextlib.suppress(FileNotFoundError):
            named.chmod(target.stat().st_mode)
        named.replace(target)
    except BaseException:
        named.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def _write(named: Path, content: bytes) -> None:
    """Put `content` on the disk, and give it its name only then where that is possible."""
    try:
        with os.fdopen(os.open(named.parent, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb") as file:
            _fill(file, content)
            # With a folder's descriptor Python asks the system to follow the link in /proc.
            os.link(f"/proc/self/fd/{file.fileno()}", named, src_dir_fd=file.fileno())
    except (AttributeError, OSError):  # not Linux, or a file system without such files
        with named.open("xb") as file:
            _fill(file, content)


def _fill(file: BinaryIO, content: bytes) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make the new name durable; some systems cannot sync a folder, and need not."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
