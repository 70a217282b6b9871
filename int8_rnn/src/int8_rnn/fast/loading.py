"""Machine code: compiled once by numba, kept as an object file, loaded by LLVM alone.

numba takes half a second to import and some more to compile; a file that is there is loaded in a
few hundredths. Code is run as the user, so it is only read from a folder and a file that belong to
the user and that nobody else can write to, and only where it is whole and was made for just this:
these sources, these versions of llvmlite and numba, this CPU. All else is compiled anew; where the
folder is no good, or the disk full, for this process alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import stat
import sys
import tempfile
import threading
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite.binding as llvm

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()

_HERE, _MOST_FILES = Path(__file__).parent, 8


class Code(NamedTuple):
    """Compiled kernels.

    Attributes:
        run: Takes the bytes of a call (`layer.TASK`) and the number of the thread.
        multiply_all: As in `products.py`.
        instruction: Their byte product, one of those in `dots.py`, or "+amx" after it.
        path: The file that keeps them, or None.
    """

    run: Callable[[bytes, int], int]
    multiply_all: Callable[..., None]
    instruction: str
    path: Path | None


def host() -> tuple[str, str, str]:
    """Triple, name and features of the CPU that code is made for; numba's variables count."""
    name, features = (os.environ.get(f"NUMBA_CPU_{part}") for part in ("NAME", "FEATURES"))
    if features is None:
        try:
            features = llvm.get_host_cpu_features().flatten()
        except RuntimeError:  # a system that LLVM cannot ask
            features = ""
    triple = llvm.get_process_triple()
    if "+amx" in features and not _may_use_tiles(triple):
        features = features.replace("+amx", "-amx")
    return triple, name or llvm.get_host_cpu_name(), features


def _may_use_tiles(triple: str) -> bool:
    """Whether this process may use the registers of AMX, for which Linux wants to be asked."""
    if not triple.startswith("x86_64") or sys.platform != "linux":
        return False
    arch_prctl, request_permission, tile_data = map(ctypes.c_long, (158, 0x1023, 18))
    return ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data) == 0


def key() -> str:
    """What machine code depends on, in a few letters."""
    digest = hashlib.sha256(repr((*map(_version, ("llvmlite", "numba")), host())).encode())
    for source in sorted(_HERE.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:24]


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def folder() -> Path | None:
    """Where code is kept: the user's own folder, made if need be; None where there is no such."""
    try:
        if sys.platform == "win32":
            parent = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        elif sys.platform == "darwin":
            parent = Path.home() / "Library" / "Caches"
        else:
            parent = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        found = Path(parent, "int8_rnn")
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
        return found if _is_ours(os.lstat(found)) else None
    except (OSError, RuntimeError):  # no home
        return None


def _is_ours(status: os.stat_result) -> bool:
    """Whether a folder or file is the user's, and nobody else can write to it."""
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        return False
    return sys.platform == "win32" or (status.st_uid == os.getuid() and not status.st_mode & 0o022)


def read(path: Path, wanted: str) -> tuple[bytes, str] | None:
    """What `building.build` gave, from a file; None where it is not whole, ours and for this."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NO_LINK)) as file:
            if not _is_ours(os.fstat(file.fileno())):
                return None
            header, code = file.read().split(b"\n", 1)
        instruction = header.decode().split(" ")[-1]
    except (OSError, ValueError):
        return None
    return (code, instruction) if header == _header(wanted, code, instruction) else None


def _header(key: str, code: bytes, instruction: str) -> bytes:
    """The first line of a file: for what it is, and what follows, if it is whole."""
    whole = hashlib.sha256(instruction.encode() + code).hexdigest()
    return f"int8-rnn kernels {key} {whole} {instruction}".encode()


_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def write(path: Path, code: bytes, instruction: str) -> bool:
    """Keep code in a file, whole or not at all; gives whether that went well."""
    draft = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent)  # which nobody else can read or write
        draft = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(_header(path.stem, code, instruction) + b"\n" + code)
        draft.replace(path)
        old = sorted(path.parent.glob("*.o"), key=lambda one: one.stat().st_mtime)
        for one in old[:-_MOST_FILES]:
            one.unlink()
    except OSError:
        if draft is not None:
            with contextlib.suppress(OSError):
                draft.unlink()
        return False
    return True


def _yield() -> Any:
    """The system's call that lets another thread have the processor."""
    if sys.platform == "win32":
        return ctypes.WinDLL("kernel32").SwitchToThread
    return ctypes.CDLL(None).sched_yield


def _linked(code: bytes) -> tuple[Any, Any]:
    """The functions `run` and `multiply_all` in an object file."""
    wanted = {
        "int8_rnn_malloc": ctypes.pythonapi.PyMem_RawMalloc,
        "int8_rnn_free": ctypes.pythonapi.PyMem_RawFree,
        "int8_rnn_yield": _yield(),
    }
    for name, function in wanted.items():
        llvm.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _ALIVE.append(engine)
    run = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_char_p, ctypes.c_int64)
    multiply_all = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 5)
    return (
        run(engine.get_function_address("int8_rnn_run")),
        multiply_all(engine.get_function_address("int8_rnn_multiply_all")),
    )


_ALIVE: list[Any] = []  # an address keeps nothing alive
_LOCK = threading.Lock()
_LOADED: list[Code] = []


def load() -> Code:
    """The compiled kernels, from their file or compiled now; once in a process.

    Raises:
        ImportError: They are not there, and there is no numba to compile them.
        Exception: What numba and LLVM raise on a machine that we have not seen.
    """
    with _LOCK:
        if not _LOADED:
            _LOADED.append(_load())
        return _LOADED[0]


def _load() -> Code:
    wanted, place = key(), folder()
    path = None if place is None else place / f"{wanted}.o"
    made = None if path is None else read(path, wanted)
    if made is None:
        from .building import build

        made = build(*host())
        if path is not None and not write(path, *made):
            path = None
    code, instruction = made
    return Code(*_linked(code), instruction, path)


def _after_fork() -> None:
    """A child has none of its parent's threads, one of which may have been loading."""
    global _LOCK
    _LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
