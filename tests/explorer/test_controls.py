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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 32),
        ("width", 8),
        ("width", 1024),
        ("layers", 1),
        ("layers", 4),
        ("batch_size", 64),
        ("sequence_length", 200),
        ("threads", 2),
        ("engine", engines()[-1]),
    ],
)
def test_each_changes_its_field_and_nothing_else(told, name, value):
    controls, said = told
    controls.limits["threads"] = ("Threads", 1, 2)
    controls[name].value = value
    expected = replace(RECIPE, **{name: value})
    assert controls.choice == expected
    assert said == ([] if expected == RECIPE else [""])


@pytest.mark.parametrize(
    ("name", "typed", "limits"),
    [
        ("width", -3, (8, 1024)),
        ("width", 7, (8, 1024)),
        ("layers", 5, (1, 4)),
        ("batch_size", 0, (1, 64)),
        ("sequence_length", 100_000, (1, 200)),
    ],
)
def test_a_number_beyond_its_limits_is_clipped_and_the_limits_are_said(told, name, typed, limits):
    controls, said = told
    controls[name].value = typed
    least, most = limits
    clipped = least if typed < least else most
    assert controls[name].value == getattr(controls.choice, name) == clipped
    label = controls[name].description
    assert said == [f"{label} goes from {least} to {most}: {typed} became {clipped}."]


def test_a_reset_is_one_change(told):
    controls, said = told
    controls["width"].value, controls["layers"].value = 16, 2
    controls.reset()
    assert (controls.choice, said) == (RECIPE, ["", "", ""])
