"""How the kernels are compiled, and where the machine code is kept for the next process.

numba keeps machine code beside the file that a function stands in and compares that one file's
date: a function would go on with old code of what it calls from another file. So the folder of the
kept code is named after the contents of all kernel files; a change to any of them begins a new one.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
from numba import types

INT64 = types.int64

_HERE = Path(__file__).parent
_OPTIONS = {"nogil": True, "error_model": "numpy"}


@functools.cache
def cache_folder() -> Path | None:
    """Where the machine code of just these kernels is kept; None where nothing can be written."""
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(_HERE.glob("*.py")):
        digest.update(source.read_bytes())
    name = f"numba-{digest.hexdigest()[:16]}"
    for parent in (_HERE / "__pycache__", Path.home() / ".cache" / "recipe-helpers"):
        folder = parent / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".writable"
            probe.write_bytes(b"0")
            probe.unlink()
        except OSError:
            continue
        for old in parent.glob("numba-*"):
            if old != folder:
                shutil.rmtree(old, ignore_errors=True)
        return folder
    return None


@contextmanager
def _cached_in(folder: Path) -> Iterator[None]:
    """Numba looks its folder up when a function is decorated."""
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def compiled(signature: Any, compile_with: Any = numba.njit, **more: bool) -> Any:
    """numba.njit with one signature, kept on disk where a folder can be written to.

    The floating-point rules stay IEEE's: nothing is reordered, so that every split of the work
    gives the same bits.
    """
    options = {**_OPTIONS, **more}

    def decorate(function: Any) -> Any:
        folder = cache_folder()
        if folder is not None:
            try:
                with _cached_in(folder):
                    return compile_with(signature, cache=True, **options)(function)
            except OSError:  # a full disk, a folder that has gone: compile for this process alone
                pass
        return compile_with(signature, **options)(function)

    return decorate


def inner(function: Any) -> Any:
    """What only compiled code calls: compiled with its callers, for the types they pass.

    It has no way in from Python, which would take time to compile; and where its callers are
    loaded from disk it is not compiled, or loaded, at all.
    """
    return numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)
