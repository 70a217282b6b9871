"""The process that measures memory, run within this one on made-up readings."""

import gc
import io
import json
import pickle
import sys
import warnings
import weakref
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from recipe_helpers.common import settings
from recipe_helpers.recipe import memory_probe as probe


@pytest.mark.parametrize(
    ("watched", "peak", "call_bytes"), [(True, 900, 500), (True, 399, 0), (False, 900, None)]
)
def test_each_number_is_the_difference_of_its_two_readings(monkeypatch, watched, peak, call_bytes):
    """Resident memory at the start, with everything that is brought, and once loaded."""
    calls = []

    class Counts(nn.Module):
        def forward(self, x):
            calls.append(torch.is_inference_mode_enabled())
            return x

    monkeypatch.setattr(probe, "resident", lambda: {0: 100, 1: 150, 2: 400}[len(calls)])
    monkeypatch.setattr(probe, "_forget_peak", lambda: len(calls) == 2 and watched)
    monkeypatch.setattr(probe, "_peak", lambda: peak)
    monkeypatch.setattr(pickle, "loads", lambda sent: (Counts(), (sent,)))
    found = probe.measure(b"sent")
    assert found == {"loaded_bytes": 250, "call_bytes": call_bytes, "runtime_bytes": 50}
    assert calls == [True, True, True]


@pytest.mark.parametrize("engine", ["none", *torch.backends.quantized.supported_engines])
def test_threads_and_engine_are_those_of_its_parent(monkeypatch, capsys, engine):
    seen = []

    def measure(sent):
        seen.append((sent, torch.get_num_threads(), torch.backends.quantized.engine))
        return {"a": 1}

    monkeypatch.setattr(probe, "measure", measure)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"sent")))
    before = torch.backends.quantized.engine
    with settings.threads_set(1), settings.engine_set(before), warnings.catch_warnings():
        probe.main(3, engine)
    assert seen == [(b"sent", 3, before if engine == "none" else engine)]
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"a": 1}


def test_the_peak_is_read_where_linux_writes_it(monkeypatch, tmp_path):
    status, clear = tmp_path / "status", tmp_path / "clear_refs"
    monkeypatch.setattr(probe, "_STATUS", status)
    monkeypatch.setattr(probe, "_CLEAR_PEAK", clear)
    assert not probe._forget_peak()
    status.write_text("VmPeak: 9 kB\n")
    assert not probe._forget_peak(), "no peak of resident memory"
    status.write_text("VmPeak: 9 kB\nVmHWM:\t  21 kB\nVmRSS: 3 kB\n")
    assert probe._forget_peak()
    assert (clear.read_text(), probe._peak()) == ("5", 21 * 1024)


def test_resident_memory_is_that_of_this_process_without_garbage():
    loop = [nn.ReLU()]
    loop.append(loop)
    garbage = weakref.ref(loop[0])
    del loop
    gc.disable()
    assert 10_000_000 < probe.resident() < 100_000_000_000
    gc.enable()
    assert garbage() is None
