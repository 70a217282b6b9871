"""The third tab of the panel: memory, measured when it is opened and for each choice once."""

from dataclasses import replace

import pytest

import recipe_helpers as rh
from recipe_helpers.explorer import measurement, panel
from recipe_helpers.explorer.measurement import recipe_choice
from recipe_helpers.recipe.memory import MemoryComparison, MemoryUse

from .test_panel import said

MB = 1_000_000


@pytest.fixture
def asked(monkeypatch):
    """The choices whose memory was measured; what is found depends on their width."""
    choices = []

    def measure(choice):
        choices.append(choice)
        use = MemoryUse(0, choice.dimension * MB, 2 * MB, 0)
        return MemoryComparison(use, MemoryUse(0, MB, MB, 0))

    monkeypatch.setattr(panel, "measure_memory", measure)
    return choices


def test_nothing_is_measured_before_it_is_opened(asked):
    explorer = rh.explore()
    explorer.tabs.selected_index = 1
    explorer.tabs.selected_index = 0
    assert asked == []
    assert explorer.memory.value == ""


def test_each_choice_is_measured_once(asked):
    explorer, recipe = rh.explore(), recipe_choice()
    explorer.tabs.selected_index = 2
    assert asked == [recipe]
    assert "8.0 MB" in explorer.memory.value
    assert f"<caption>{recipe}</caption>" in explorer.memory.value
    assert said(explorer.message) == ""
    explorer.controls["dimension"].value = 24
    assert asked == [recipe, replace(recipe, dimension=24)]
    assert "24.0 MB" in explorer.memory.value
    explorer.controls["dimension"].value = 8
    assert len(asked) == 2
    assert "8.0 MB" in explorer.memory.value
    explorer.again.click()
    assert len(asked) == 3
    explorer.forget()
    explorer.tabs.selected_index = 0
    explorer.tabs.selected_index = 2
    assert len(asked) == 4


def test_a_failure_is_told_and_the_rest_stays(monkeypatch):
    def fail(choice):
        raise rh.InputError("reference failed in a process of its own (no room).")

    monkeypatch.setattr(panel, "measure_memory", fail)
    explorer = rh.explore()
    explorer.tabs.selected_index = 2
    assert "reference failed in a process of its own" in said(explorer.message)
    assert isinstance(explorer.last_error, rh.InputError)
    assert explorer.result.choice == recipe_choice()


def test_the_models_of_the_choice_are_measured(monkeypatch):
    given = []

    def compare(reference, candidate, *inputs):
        given.append((reference, candidate, inputs))

    monkeypatch.setattr(measurement, "compare_memory", compare)
    measurement.measure_memory(rh.Choice(dimension=16, layers=2, sequence_length=3, engine="plain"))
    ((reference, candidate, (inputs, _)),) = given
    assert (reference.lstm.hidden_size, reference.lstm.num_layers) == (16, 2)
    assert isinstance(candidate.lstm, rh.Int8LSTM)
    assert inputs.shape == (3, 1, 16)
    with pytest.raises(rh.ArgumentError, match="dimension is 0"):
        measurement.measure_memory(rh.Choice(dimension=0))
