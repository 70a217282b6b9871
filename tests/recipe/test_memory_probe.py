"""The process that measures memory, run within this one on made-up readings."""

import io
import json
import pickle
import sys
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from recipe_helpers.common import settings
from recipe_helpers.recipe import memory_probe as probe


@pytest.fixture
def readings(monkeypatch):
    """Resident memory at the start, with everything that is brought, and once loaded."""
    found = iter([100, 150, 400])
    monkeypatch.setattr(probe, "resident", lambda: next(found))
    monkeypatch.setattr(probe, "_forget_peak", lambda: True)
    monkeypatch.setattr(probe, "_peak", lambda: 900)


SENT = pickle.dumps((nn.Linear(2, 2).eval(), (torch.ones(1, 2),)))


def test_each_number_is_the_difference_of_its_two_readings(readings):
    assert probe.measure(SENT) == {"loaded_bytes": 250, "call_bytes": 500, "runtime_bytes": 50}


def test_a_peak_below_what_is_held_is_none_and_an_unknown_one_is_unknown(readings, monkeypatch):
    monkeypatch.setattr(probe, "_peak", lambda: 399)
    assert probe.measure(SENT)["call_bytes"] == 0


def test_without_a_watched_peak_it_is_not_known(readings, monkeypatch):
    monkeypatch.setattr(probe, "_forget_peak", lambda: False)
    assert probe.measure(SENT)["call_bytes"] is None


def test_the_model_is_called_once_before_it_counts_and_three_times_in_all(readings):
    calls = []

    class Counts(nn.Module):
        def forward(self, x):
            calls.append(torch.is_inference_mode_enabled())
            return x

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pickle, "loads", lambda sent: (Counts(), (1,)))
        probe.measure(b"")
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
    assert clear.read_text() == "5"
    assert probe._peak() == 21 * 1024


def test_resident_memory_is_that_of_this_process():
    assert 10_000_000 < probe.resident() < 100_000_000_000
