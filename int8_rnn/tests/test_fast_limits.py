"""Where the compiled path meets the system's limits: memory, interrupts, forks."""

import os
import subprocess
import sys

import pytest
import torch
from int8_rnn.fast import threads
from made_up import run_python

import int8_rnn


def limits_are_kept():
    """Whether the system holds a process to its address space; an emulator does not."""
    code = "import resource as r; r.setrlimit(r.RLIMIT_AS, (2**30, 2**30)); bytearray(2**31)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    return sys.platform == "linux" and b"MemoryError" in done.stderr


@pytest.mark.skipif(not limits_are_kept(), reason="limits of address space")
@pytest.mark.parametrize(
    ("module", "rows", "few"),
    [
        ("int8_rnn.Int8LSTM.from_float(torch.nn.LSTM(1, 64, proj_size=1))", (1, 100_000, 1), 100),
        ("int8_rnn.Int8GRU.from_float(torch.nn.GRU(1, 16))", (1, 300_000, 1), 100),
        ("int8_rnn.Int8Linear.from_float(torch.nn.Linear(1, 500_000))", (64, 1), 1),
    ],
    ids=["lstm", "gru", "linear"],
)
@pytest.mark.parametrize("count", [1, 2])
def test_without_memory_there_is_a_memory_error_and_nothing_is_left_behind(
    module, rows, few, count
):
    shown = run_python(f"""
        import resource, torch, int8_rnn
        from int8_rnn.fast import threads
        threads.WORTH_A_THREAD, threads.WORTH_A_SHARE = 0, 1
        torch.set_num_threads({count})
        module, data = {module}, torch.ones({rows})
        small = data[..., :{few}, :].contiguous()
        flat = lambda given: given[0] if isinstance(given, tuple) else given
        expected = flat(module(small)).clone()
        pages = int(open("/proc/self/statm").read().split()[0])
        limit = pages * resource.getpagesize() + 150 * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for _ in range(3):
            try:
                module(data)
            except MemoryError as error:
                print(error)
        assert (flat(module(small)).numpy() == expected.numpy()).all()
    """)
    assert shown.count("no memory for the working buffers; pass a smaller batch") == 3


@pytest.mark.parametrize("asked", [1, 2])
def test_helpers_of_a_call_that_is_interrupted_go_home(asked, monkeypatch):
    """Else they would wait for it, at full speed, and the process would never end."""
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 0)
    monkeypatch.setattr(threads, "WORTH_A_SHARE", 1)
    pool, jobs = threads._helpers(), []

    class Interrupted:
        def submit(self, *job):
            if len(jobs) == asked:
                raise KeyboardInterrupt
            jobs.append(job)
            pool.submit(*job)

    lstm = int8_rnn.Int8LSTM.from_float(torch.nn.LSTM(20, 40))
    assert int8_rnn.fast_path().available
    torch.set_num_threads(4)
    monkeypatch.setattr(threads, "_helpers", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        lstm(torch.ones(5, 3, 20))
    try:
        assert pool.submit(int, "1").result(timeout=20) == 1
    finally:
        for *_, (sync, _) in jobs:
            sync[0] = threads.OVER


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_loads_though_its_parent_was_just_loading():
    run_python("""
        import os, signal
        from int8_rnn.fast import loading
        with loading._LOCK:
            child = os.fork()
            if not child:
                signal.alarm(60)
                loading.load()
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """)
