"""Memory: two models whose memory is known are measured for real, all else is made up."""

import json
import os
import pickle
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common import settings
from recipe_helpers.recipe import memory
from recipe_helpers.recipe.memory import LESS, MORE, SAME, MemoryComparison, MemoryUse

from .made_up import MB, memory as made_memory

RESOLUTION = memory.RESOLUTION_BYTES
_kept_by_the_process = []


class Known(nn.Module):
    """Holds, packs at its first call, uses during a call, and leaves behind so many MB."""

    def __init__(self, held=0, packed=0, used=0, once=0):
        super().__init__()
        self.register_buffer("held", torch.ones(held * MB // 4), persistent=False)
        self.packed, self.sizes = None, (packed, used, once)
        self.eval()

    def __getstate__(self):
        return {**self.__dict__, "packed": None}

    def forward(self, x):
        packed, used, once = self.sizes
        if self.packed is None:
            self.packed = torch.ones(packed * MB // 4)
        if once and not _kept_by_the_process:
            _kept_by_the_process.append(torch.ones(once * MB // 4))
        return x + torch.ones(used * MB // 4).sum() if used else x


def test_known_sizes_are_found_again():
    one, other = Known(held=40, packed=24), Known(used=60, once=100)
    found = rh.compare_memory(one, other, torch.ones(3))
    near = 4 * MB  # what the allocator and the system do beside
    assert found.reference.loaded_bytes == pytest.approx(64 * MB, abs=near)
    assert found.reference.payload_bytes == 0  # a buffer that is not saved, and what a call packs
    assert found.candidate.loaded_bytes == pytest.approx(0, abs=near)
    left = found.candidate.runtime_bytes - found.reference.runtime_bytes
    assert left == pytest.approx(100 * MB, abs=40 * MB)  # both bring the same libraries
    if sys.platform == "linux":
        assert found.reference.call_bytes == pytest.approx(0, abs=near)
        assert found.candidate.call_bytes == pytest.approx(60 * MB, abs=near)


@pytest.fixture
def processes(monkeypatch):
    """What was started in place of processes, which all give the same answer."""
    started = []

    def run(command, **options):
        started.append((command, options))
        numbers = {"loaded_bytes": 20, "call_bytes": 2, "runtime_bytes": 200}
        said = f"some noise\n{json.dumps(numbers)}".encode()
        return SimpleNamespace(returncode=0, stdout=said, stderr=b"")

    monkeypatch.setattr(memory.subprocess, "run", run)
    return started


def test_the_process_gets_model_inputs_threads_engine_and_path(processes, demo, untouched):
    engines = [e for e in torch.backends.quantized.supported_engines if e != "none"]
    for engine in engines[-2:]:
        with settings.engine_set(engine), untouched():
            found = memory.memory_use("model", demo.model, *demo.arguments, threads=3)
        command, options = processes.pop()
        assert command == [
            sys.executable, "-m", "recipe_helpers.recipe.memory_probe", "3", engine,
        ]  # fmt: skip
        model, inputs = pickle.loads(options["input"])
        assert torch.equal(inputs[0], demo.inputs)
        assert torch.equal(model.lstm.weight_ih_l0, demo.model.lstm.weight_ih_l0)
        paths = options["env"]["PYTHONPATH"].split(os.pathsep)
        assert [path for path in sys.path if path] == [path for path in paths if path in sys.path]
        assert found == MemoryUse(4 * 576, 20, 2, 200)
        assert found.peak_bytes == 22


def test_both_models_of_each_width_are_measured(processes, demo, quantized):
    found = rh.compare_memory(demo.model, quantized, *demo.arguments, threads=2)
    assert [command[-2] for command, _ in processes] == ["2", "2"]
    assert found.reference.payload_bytes == 4 * 576
    assert found.candidate.payload_bytes == 512 + 4 * 64
    processes.clear()
    swept = rh.memory_sweep([8, 16], backend="plain")
    assert [command[-2] for command, _ in processes] == ["1"] * 4
    tiny, wide = (point.comparison for point in swept.points)
    assert (tiny.reference.payload_bytes, wide.reference.payload_bytes) == (4 * 576, 4 * 2176)
    assert 512 + 4 * 64 <= tiny.candidate.payload_bytes < tiny.reference.payload_bytes


def use(loaded, call):
    return MemoryUse(0, loaded, call, 0)


@pytest.mark.parametrize(
    ("difference", "told"),
    [
        (-7 * MB, LESS),
        (-RESOLUTION, LESS),
        (-RESOLUTION + 1, SAME),
        (RESOLUTION - 1, SAME),
        (RESOLUTION, MORE),
    ],
)
def test_what_is_told_apart(difference, told):
    before, after = 9 * MB, 9 * MB + difference
    held = MemoryComparison(use(before, 0), use(after, 0))
    called = MemoryComparison(use(0, before), use(0, after))
    assert held.sentence == f"Loaded: {told}. During a call: {told}."
    assert called.sentence == f"Loaded: {SAME}. During a call: {told}."
    assert memory.in_short(called) == f"9.0 -> {after / 1e6:,.1f}, {told}"


def test_a_system_that_cannot_tell_the_peak_says_so():
    found = MemoryComparison(use(9 * MB, None), use(2 * MB, None))
    assert found.sentence == "Loaded: less. This system does not tell the peak of a call."
    assert found.table().rows[2] == ("most during a call", "not known", "not known")
    assert memory.in_short(found) == "9.0 -> 2.0, less"
    for known in ("reference", "candidate"):
        assert replace(found, **{known: use(9 * MB, 5)}).peak is None


def test_the_tables_show_every_number():
    uses = MemoryUse(1 * MB, 2 * MB, 3 * MB, 4 * MB), MemoryUse(6 * MB, 7 * MB, 8 * MB, 9 * MB)
    table = MemoryComparison(*uses).table()
    assert table.headers == ("resident memory", "FP32", "INT8")
    assert [row[1:] for row in table.rows] == [
        ("1.0 MB", "6.0 MB"), ("2.0 MB", "7.0 MB"), ("5.0 MB", "15.0 MB"), ("4.0 MB", "9.0 MB"),
    ]  # fmt: skip
    swept = made_memory((34, 9), (68, 90)).table()
    assert swept.rows[1] == ("1024", "34.0 MB", "9.0 MB", "68.0 MB", "90.0 MB", "less", "more")
    unknown = made_memory((34, 9), None).table().rows[1]
    assert unknown == ("1024", "34.0 MB", "9.0 MB", *["not known"] * 2, "less", "not known")


def test_what_cannot_be_sent_or_fails_there_is_refused(monkeypatch, refuses, demo):
    locked = Known()
    locked.lock = threading.Lock()
    says = "candidate cannot be sent to a process of its own"
    with refuses(rh.ModelError, says, "TypeError", "picklable"):
        rh.compare_memory(Known(), locked, torch.ones(3))
    for stderr, says in ((b"Traceback\nOSError: it stays at home\n", "OSError"), (b"", "no mess")):
        failed = SimpleNamespace(returncode=1, stdout=b"{}", stderr=stderr)
        monkeypatch.setattr(memory.subprocess, "run", lambda *_, failed=failed, **__: failed)
        with refuses(rh.InputError, "model failed in a process of its own", says):
            memory.memory_use("model", demo.model, *demo.arguments)
