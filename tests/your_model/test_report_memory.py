"""The report on memory: measured on the caller's models, each in a process of its own."""

import threading

import pytest
import torch
from torch import nn

from recipe_helpers.recipe.memory import LESS, MemoryComparison, MemoryUse, in_short
from recipe_helpers.your_model.command_line import main

from .report_models import quickly, weak

MB = 1_000_000


class Wide(nn.Module):
    """4 MB of weights, and a forward with a keyword."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1000, 1000)

    def forward(self, x, *, times):
        return times * self.linear(x)


class Locked(nn.Module):
    """Can be copied, but not sent to another process."""

    def __init__(self):
        super().__init__()
        self.linear, self.lock = nn.Linear(8, 8), threading.Lock()

    def __deepcopy__(self, memo):
        made = Locked().eval()
        made.load_state_dict(self.state_dict())
        return made

    def forward(self, x):
        return self.linear(x)


def test_every_conversion_is_measured_beside_the_float_model():
    found = quickly(Wide().eval(), torch.randn(2, 1000), kwargs={"times": 2.0}, memory=True)
    for candidate in found.candidates:
        memory = candidate.whole.memory
        assert memory.reference.loaded_bytes == pytest.approx(4 * MB, rel=0.15)
        # Compiled code keeps the weights a second time, in the order in which it reads them.
        held = 2 * MB if candidate.name == "plain" else 1 * MB
        assert memory.candidate.loaded_bytes == pytest.approx(held, abs=0.6 * MB)
        assert memory.loaded == LESS
        # The float model is measured once.
        assert memory.reference is found.candidates[0].whole.memory.reference
    shown = found.table()
    column = shown.headers.index("memory, MB")
    assert [row[column].split(" -> ")[0][0] for row in shown.rows] == ["4"] * 3
    assert "held once loaded" in found.to_html()
    assert found.to_dict()["candidates"][0]["whole"]["memory"]["loaded"] == LESS


def test_it_can_be_left_out():
    model, x = weak()
    found = quickly(model, x, backends=["plain"])
    assert found.candidates[0].best.memory is None
    assert found.notes == ()
    assert "held once loaded" not in found.to_html()
    assert found.table().rows[0][2] == ""
    assert found.to_dict()["candidates"][0]["whole"]["memory"] is None


def test_a_model_that_stays_at_home_is_reported_without():
    found = quickly(Locked().eval(), torch.randn(2, 8), memory=True)
    assert all(candidate.whole.memory is None for candidate in found.candidates)
    (note,) = found.notes
    assert note.startswith("Memory was not measured: the model cannot be sent to a process of its")


def test_the_table_says_what_is_told_apart():
    one, other = MemoryUse(0, 9 * MB, MB, 0), MemoryUse(0, 3 * MB, 5 * MB, 0)
    assert in_short(MemoryComparison(one, other)) == "10.0 -> 8.0, less"
    assert in_short(MemoryComparison(other, one)) == "8.0 -> 10.0, more"
    untold = MemoryUse(0, 9 * MB, None, 0), MemoryUse(0, 3 * MB, None, 0)
    assert in_short(MemoryComparison(*untold)) == "9.0 -> 3.0, less"


def test_the_command_line_measures_it_unless_told_not_to(capsys):
    options = ["--backend", "plain", "--threads", "1", "--budget", "0.02"]
    assert main(["recipe", *options]) == 0
    assert "held once loaded" in capsys.readouterr().out
    assert main(["recipe", *options, "--no-memory"]) == 0
    assert "held once loaded" not in capsys.readouterr().out
