"""A core to itself for each measurement, however many processes on one machine measure at once.

On Linux every core has a folder of its own below `/sys`. Whoever measures takes an exclusive lock
on that folder and stays on that core until the lock is given back; the kernel gives it back where
a process dies. Nothing is written, and processes need not know of each other.

A core, not a CPU: two hardware threads of one core share its arithmetic units and caches.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_LOOK_AGAIN_S = 0.02
_one_here = (
    threading.Lock()
)  # threads of one process share PyTorch's thread count and Python itself


def cores_can_be_held() -> bool:
    """Whether a core can be kept from other processes here: on Linux, not elsewhere."""
    try:
        return any(_Core(number).there() for number in _cores())
    except OSError:
        return False


@contextmanager
def own_core() -> Iterator[int | None]:
    """Wait for a core that no other measurement holds, and run a `with` block on it.

    Yields the number of its first CPU; None where cores cannot be held, where only the other
    threads of this process are kept out. Afterwards the thread may run where it could before.
    """
    with _one_here:
        if not cores_can_be_held():
            yield None
            return
        allowed = os.sched_getaffinity(0)
        core = _first_free()
        try:
            os.sched_setaffinity(0, {min(cpu for cpu in allowed if _core_of(cpu) == core.number)})
            yield core.number
        finally:
            os.sched_setaffinity(0, allowed)
            core.give_back()


class _Core:
    """The lock of one core."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._folder = -1

    def there(self) -> bool:
        """Whether it has a folder that can be locked."""
        return (_CPUS / f"cpu{self.number}").is_dir()

    def take(self) -> bool:
        """Take the lock unless somebody has it."""
        import fcntl  # on Linux only

        self._folder = os.open(_CPUS / f"cpu{self.number}", os.O_RDONLY)
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.give_back()
            return False
        return True

    def give_back(self) -> None:
        """Let others have it."""
        os.close(self._folder)


def _first_free() -> _Core:
    while True:
        for core in map(_Core, _cores()):
            if core.take():
                return core
        time.sleep(_LOOK_AGAIN_S)


def _cores() -> list[int]:
    """The cores on which this thread may run."""
    allowed = getattr(os, "sched_getaffinity", lambda _: ())(0)
    return sorted({_core_of(cpu) for cpu in allowed})


def _core_of(cpu: int) -> int:
    """The first CPU of the core that this one belongs to."""
    listed = _CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list"  # "0,4", "0-1"
    try:
        first = re.match(r"\d+", listed.read_text(encoding="ascii"))
    except OSError:
        return cpu
    return int(first[0]) if first else cpu
