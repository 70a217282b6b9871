"""Memory is measured in fresh processes; here models whose memory is known are measured there."""

import sys
import threading
from dataclasses import replace

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.recipe import memory
from recipe_helpers.recipe.memory import (
    LESS,
    MORE,
    SAME,
    MemoryComparison,
    MemoryUse,
)

MB = 1_000_000
RESOLUTION = memory.RESOLUTION_BYTES
LINUX = sys.platform == "linux"
_kept_by_the_process = []


class Known(nn.Module):
    """Holds, packs at its first call, uses during a call, and leaves behind so many MB."""

    def __init__(self, held=0, packed=0, used=0, once=0):
        super().__init__()
        self.register_buffer("held", torch.ones(held * MB // 4), persistent=False)
        self.packed, self.sizes = None, (packed, used, once)

    def __getstate__(self):
        return {**self.__dict__, "packed": None}

    def forward(self, x):
        packed, used, once = self.sizes
        if self.packed is None:
            self.packed = torch.ones(packed * MB // 4)
        if once and not _kept_by_the_process:
            _kept_by_the_process.append(torch.ones(once * MB // 4))
        return x + torch.ones(used * MB).sum() if used else x


class FailsElsewhere(nn.Module):
    """Cannot be called once it was unpickled."""

    def __init__(self):
        super().__init__()
        self.register_buffer("one", torch.ones(1))

    def __setstate__(self, state):
        raise OSError("it stays at home")

    def forward(self, x):
        return x


class Unpicklable(nn.Module):
    """Holds a lock."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def forward(self, x):
        return x


def measured(one, other=None):
    x = torch.ones(3)
    return rh.compare_memory(one.eval(), (other or Known()).eval(), x)


def test_known_sizes_are_found_again():
    found = measured(Known(held=20, packed=12), Known(used=30, once=50))
    one, other = found.reference, found.candidate
    assert one.loaded_bytes == pytest.approx(32 * MB, abs=RESOLUTION)
    assert one.payload_bytes == 0  # a buffer that is not saved, and what a call packs
    assert other.loaded_bytes == pytest.approx(0, abs=RESOLUTION)
    # Both bring the same libraries; one of them leaves something behind.
    left = other.runtime_bytes - one.runtime_bytes
    assert left == pytest.approx(50 * MB, abs=10 * MB)
    if LINUX:
        assert one.call_bytes == pytest.approx(0, abs=RESOLUTION)
        # Ones of float32, four bytes each.
        assert other.call_bytes == pytest.approx(4 * 30 * MB, abs=RESOLUTION)
        assert other.peak_bytes == other.loaded_bytes + other.call_bytes
        assert (found.loaded, found.peak) == (LESS, MORE)


def test_a_quantized_lstm_holds_less():
    demo = rh.demonstration(dimension=512)
    quantized = rh.quantize_dynamic(demo.model)
    found = rh.compare_memory(demo.model, quantized, *demo.arguments)
    weights = sum(parameter.nbytes for parameter in demo.model.parameters())
    assert found.reference.payload_bytes == weights
    assert found.reference.loaded_bytes == pytest.approx(weights, rel=0.1)
    assert found.candidate.loaded_bytes == pytest.approx(weights / 4, rel=0.3)
    assert found.loaded == LESS
    assert found.peak in ((LESS,) if LINUX else (LESS, None))


def test_the_sweep_measures_each_width():
    sweep = rh.memory_sweep([8, 512], backend="plain")
    assert sweep.dimensions == (8, 512)
    tiny, wide = sweep.points
    assert (tiny.parameters, wide.parameters) == (576, 4 * 512 * (2 * 512 + 2))
    assert tiny.comparison.loaded == SAME
    assert wide.comparison.loaded == LESS
    assert sweep.table().rows[1][0] == "512"
    assert sweep.table().rows[1][5] == LESS


def use(loaded, call):
    return MemoryUse(0, loaded, call, 0)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (9 * MB, 2 * MB, LESS),
        (2 * MB, 9 * MB, MORE),
        (9 * MB, 9 * MB - RESOLUTION + 1, SAME),
        (9 * MB, 9 * MB - RESOLUTION, LESS),
    ],
)
def test_what_is_told_apart(before, after, told):
    held = MemoryComparison(use(before, 0), use(after, 0))
    called = MemoryComparison(use(0, before), use(0, after))
    assert (held.loaded, held.peak) == (told, told)
    assert (called.loaded, called.peak) == (SAME, told)
    assert held.sentence == f"Loaded: {told}. During a call: {told}."


def test_a_system_that_cannot_tell_the_peak():
    found = MemoryComparison(use(9 * MB, None), use(2 * MB, None))
    assert found.peak is None
    assert found.sentence == "Loaded: less. This system does not tell the peak of a call."
    assert "not known" in str(found)
    mixed = replace(found, reference=use(9 * MB, 5))
    assert mixed.peak is None


def test_the_table_shows_every_number():
    uses = MemoryUse(1 * MB, 2 * MB, 3 * MB, 4 * MB), MemoryUse(6 * MB, 7 * MB, 8 * MB, 9 * MB)
    rows = MemoryComparison(*uses).table().rows
    assert [row[1:] for row in rows] == [
        ("1.0 MB", "6.0 MB"),
        ("2.0 MB", "7.0 MB"),
        ("5.0 MB", "15.0 MB"),
        ("4.0 MB", "9.0 MB"),
    ]


def test_what_cannot_be_measured_is_refused(demo, refuses):
    x = torch.ones(3)
    with refuses(rh.ModelError, "candidate cannot be sent to a process of its own", "picklable"):
        rh.compare_memory(Known().eval(), Unpicklable().eval(), x)
    with refuses(rh.InputError, "candidate failed in a process of its own", "it stays at home"):
        rh.compare_memory(Known().eval(), FailsElsewhere().eval(), x)
    with refuses(rh.ModelError, "reference is in training mode"):
        rh.compare_memory(Known(), Known().eval(), x)
    with refuses(rh.InputError, "inputs do not fit reference"):
        rh.compare_memory(demo.model, demo.model, x)
    with refuses(rh.ArgumentError, "threads is 0"):
        rh.compare_memory(demo.model, demo.model, *demo.arguments, threads=0)
    with refuses(rh.ArgumentError, "widths is empty"):
        rh.memory_sweep([])
