"""The controls by themselves: one for each field, their limits, and what they tell of a change."""

from dataclasses import fields, replace

import ipywidgets as widgets
import pytest

from recipe_helpers.explorer.controls import Controls
from recipe_helpers.explorer.measurement import Choice, engines

from .made_up import RECIPE


@pytest.fixture
def told():
    """Controls, and what they told of each change."""
    said = []
    return Controls(said.append), said


def test_there_is_a_labelled_control_for_each_field_that_takes_arrow_keys(told):
    controls, _ = told
    assert list(controls) == [field.name for field in fields(Choice)]
    assert (controls.choice, controls["engine"].options) == (RECIPE, engines())
    assert controls["dimension"] is controls["width"], "as it was called before"
    with pytest.raises(KeyError):
        controls["depth"]
    for control in controls.values():
        assert control.description
        assert isinstance(control, widgets.IntText | widgets.Dropdown)
    assert (controls["width"].step, controls["layers"].step) == (8, 1)
    assert list(controls.grid().children) == list(controls.values())


LIMITS = {"width": (8, 1024), "layers": (1, 4), "batch_size": (1, 64), "sequence_length": (1, 200)}


def test_each_changes_its_field_and_nothing_else(told):
    controls, said = told
    controls.limits["threads"] = ("Threads", 1, 2)
    changes = {name: most for name, (_, most) in LIMITS.items()}
    for name, value in {**changes, "threads": 2, "engine": engines()[-1]}.items():
        controls.reset()
        del said[:]
        controls[name].value = value
        expected = replace(RECIPE, **{name: value})
        assert (controls.choice, said) == (expected, [] if expected == RECIPE else [""])


def test_a_number_beyond_its_limits_is_clipped_and_the_limits_are_said(told):
    controls, said = told
    for name, (least, most) in LIMITS.items():
        for typed, clipped in ((least - 1, least), (most + 1, most)):
            controls[name].value = typed
            assert controls[name].value == getattr(controls.choice, name) == clipped
            label = controls[name].description
            assert said[-1] == f"{label} goes from {least} to {most}: {typed} became {clipped}."


def test_a_reset_is_one_change(told):
    controls, said = told
    controls["width"].value, controls["layers"].value = 16, 2
    controls.reset()
    assert (controls.choice, said) == (RECIPE, ["", "", ""])
