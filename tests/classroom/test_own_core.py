"""A core to itself: across threads and processes, given back whatever happens."""

import os
import subprocess
import sys
import threading
import time

import pytest

from recipe_helpers.classroom import own_core as module
from recipe_helpers.classroom.own_core import cores_can_be_held, own_core

linux = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="cores can be reserved on Linux only"
)
HOLDER = """
import sys
from recipe_helpers.classroom.own_core import own_core
with own_core() as core:
    print(core, flush=True)
    sys.stdin.read()
"""


def holder():
    """Another process that holds a core until it is killed; returns it and the core."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", HOLDER], **pipes)
    return process, int(process.stdout.readline())


def kill(process):
    process.kill()
    process.communicate()


@linux
def test_a_block_runs_on_its_core_and_may_run_anywhere_afterwards():
    before = os.sched_getaffinity(0)
    with own_core() as core:
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before
    with pytest.raises(KeyError), own_core():
        raise KeyError
    assert os.sched_getaffinity(0) == before


@linux
def test_no_two_processes_hold_one_core_and_a_killed_one_gives_it_back():
    holders = [holder() for _ in module._cores()]
    try:
        assert sorted(core for _, core in holders) == module._cores()
        got = []

        def wait():
            with own_core() as core:
                got.append(core)

        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive(), "every core is held"
        process, core = holders.pop()
        kill(process)
        waiting.join(30)
        assert got == [core]
    finally:
        for process, _ in holders:
            kill(process)


def test_threads_of_one_process_take_turns():
    running, most = [], []

    def measure():
        with own_core():
            running.append(1)
            most.append(len(running))
            time.sleep(0.02)
            running.pop()

    threads = [threading.Thread(target=measure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


@linux
def test_two_hardware_threads_are_one_core(tmp_path, monkeypatch):
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3", "4-5", "4-5", "")):
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(siblings + "\n", encoding="ascii")
    monkeypatch.setattr(module, "_CPUS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 3, 5, 6, 9})
    assert module._cores() == [0, 1, 4, 6, 9]


def test_where_no_core_can_be_held_the_block_runs_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CPUS", tmp_path / "none")
    assert not cores_can_be_held()
    with own_core() as core:
        assert core is None
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert not cores_can_be_held()
