"""The explorer without a browser: controls are set, and what the panel says is read."""

import asyncio
import threading
from dataclasses import replace
from unittest.mock import Mock

import ipywidgets as widgets
import pytest

import recipe_helpers as rh
from recipe_helpers.common.language import speaking
from recipe_helpers.explorer import panel as module
from recipe_helpers.explorer.measurement import Choice, engines
from recipe_helpers.recipe.memory import MemoryComparison, MemoryUse

from ..korean import HANGUL
from .made_up import RECIPE, measured_once, picture, said, settle

MB = 1_000_000
SWEEP, MEMORY = 1, 2  # tabs


@pytest.fixture(autouse=True)
def measured(monkeypatch):
    """The choices that the explorer measured, in order."""
    log = []

    def measure(choice):
        log.append(choice)
        return measured_once(choice)

    monkeypatch.setattr(module, "measure_choice", measure)
    monkeypatch.setattr("recipe_helpers.explorer.measurement.SWEEP_WIDTHS", (8, 16, 24))
    return log


@pytest.fixture(autouse=True)
def weighed(monkeypatch):
    """The choices whose memory was measured; what is found depends on their width."""
    log = []

    def measure(choice):
        log.append(choice)
        use = MemoryUse(0, choice.width * MB, 2 * MB, 0)
        return MemoryComparison(use, MemoryUse(0, MB, MB, 0))

    monkeypatch.setattr(module, "measure_memory", measure)
    return log


def test_opens_with_the_recipe_measured(measured):
    explorer = rh.explore()
    assert measured == [RECIPE] == [explorer.choice]
    assert (explorer.last_error, explorer.result) == (None, measured_once(RECIPE))
    assert explorer.result.verdict in said(explorer.numbers)
    assert picture(explorer.numbers)[1].startswith("Two bar charts")
    assert explorer._repr_mimebundle_()["text/plain"] == repr(explorer)


def test_is_built_without_output_widgets():
    """Output widgets swallow exceptions, and need a front end."""
    parts, kinds = [rh.explore()], set()
    while parts:
        kinds.add(type(part := parts.pop()))
        parts.extend(getattr(part, "children", ()))
    assert widgets.HTML in kinds
    assert not any(issubclass(kind, widgets.Output) for kind in kinds)


@pytest.mark.parametrize(("name", "value"), [("width", 32), ("engine", engines()[-1])])
def test_a_change_of_a_control_is_measured_and_shown(measured, name, value):
    explorer = rh.explore()
    before = picture(explorer.numbers)
    explorer.controls[name].value = value
    expected = replace(RECIPE, **{name: value})
    assert measured == list(dict.fromkeys([RECIPE, expected]))
    assert explorer.result == measured_once(expected)
    for words in (str(expected), explorer.result.verdict):
        assert words in said(explorer.numbers)
    assert (picture(explorer.numbers) == before) == (expected == RECIPE)
    assert said(explorer.message) == ""


def test_what_was_clipped_is_said_until_the_next_change():
    explorer = rh.explore()
    explorer.controls["width"].value = 7
    assert said(explorer.message) == "Width (units) goes from 8 to 1024: 7 became 8."
    explorer.controls["width"].value = 16
    assert said(explorer.message) == ""


def test_a_choice_is_measured_once_until_it_is_asked_for_again_or_forgotten(measured):
    explorer = rh.explore()
    shown = explorer.numbers.value
    explorer.controls["width"].value = 16
    explorer.reset.click()
    assert (explorer.choice, explorer.numbers.value) == (RECIPE, shown)
    explorer.controls["width"].value = 16
    assert [choice.width for choice in measured] == [8, 16]
    explorer.again.click()
    assert [choice.width for choice in measured] == [8, 16, 16]
    shown = explorer.numbers.value
    explorer.forget()
    assert explorer.numbers.value == shown
    explorer.wait()
    assert [choice.width for choice in measured] == [8, 16, 16, 16]


def test_remembers_a_bounded_number_of_choices(measured, monkeypatch):
    monkeypatch.setattr(module, "_REMEMBERED", 4)  # a result and a page of two choices
    explorer = rh.explore()
    for width in (16, 24, 16, 8):
        explorer.controls["width"].value = width
    assert [choice.width for choice in measured] == [8, 16, 24, 8]


def test_an_impossible_choice_is_one_sentence_and_the_picture_stays(monkeypatch):
    explorer = rh.explore()
    explorer.controls["sequence_length"].value = 200
    good = explorer.numbers.value, explorer.result
    for typed, clipped in ((1024, ""), (2000, " goes from 8 to 1024: 2000 became 1024. ")):
        explorer.controls["width"].value = typed
        assert isinstance(explorer.last_error, rh.ArgumentError)
        words = f"{explorer.last_error} The panel still shows {good[1].choice}."
        label = explorer.controls["width"].description if clipped else ""
        assert said(explorer.message) == label + clipped + words
    assert 'role="alert"' in explorer.message.value
    assert (explorer.numbers.value, explorer.result) == good
    explorer.reset.click()
    assert (explorer.last_error, said(explorer.message)) == (None, "")


def test_an_unforeseen_exception_is_kept_and_told(monkeypatch):
    explorer = rh.explore()
    broken = RuntimeError("the <engine> stalled\nat line 7")
    monkeypatch.setattr(module, "measure_choice", Mock(side_effect=broken))
    explorer.controls["layers"].value = 3
    assert explorer.last_error is broken
    words = said(explorer.message)
    assert "could not be measured: RuntimeError: the <engine> stalled" in words
    assert "line 7" not in words
    assert explorer.result == measured_once(RECIPE)
    assert rh.explore().result is None, "a panel that cannot measure opens as well"


def test_the_sweep_is_measured_when_its_tab_is_opened_and_follows_the_choice(measured):
    explorer = rh.explore()
    assert (measured, explorer.sweep.value) == ([RECIPE], "")
    explorer.tabs.selected_index = SWEEP
    assert [choice.width for choice in measured] == [8, 16, 24]
    assert picture(explorer.sweep)[1].startswith("Three line plots over widths 8 to 24")
    assert said(explorer.message) == ""
    for width, new in ((32, [32]), (16, [])):
        del measured[:]
        explorer.controls["width"].value = width
        assert [choice.width for choice in measured] == new
        assert f"A star marks {replace(RECIPE, width=width)}" in picture(explorer.sweep)[1]


def test_memory_is_measured_when_its_tab_is_opened_and_once_for_each_choice(weighed):
    explorer = rh.explore()
    explorer.tabs.selected_index = SWEEP
    assert (weighed, explorer.memory.value) == ([], "")
    explorer.tabs.selected_index = MEMORY
    for width, count in ((8, 1), (24, 2), (8, 2)):
        explorer.controls["width"].value = width
        assert len(weighed) == count
        assert f"{width}.0 MB" in explorer.memory.value
        assert f"<caption>{replace(RECIPE, width=width)}</caption>" in explorer.memory.value
    explorer.again.click()
    explorer.forget()
    explorer.tabs.selected_index = 0
    explorer.tabs.selected_index = MEMORY
    assert len(weighed) == 4
    assert said(explorer.message) == ""


def test_a_failure_of_memory_is_told_and_the_rest_stays(monkeypatch):
    error = rh.InputError("reference failed in a process of its own (no room).")
    monkeypatch.setattr(module, "measure_memory", Mock(side_effect=error))
    explorer = rh.explore()
    explorer.tabs.selected_index = MEMORY
    assert "reference failed in a process of its own" in said(explorer.message)
    assert (explorer.last_error, explorer.result.choice) == (error, RECIPE)


# --- under an event loop, as in a kernel: a change is booked, and measured a moment later ---------


def test_of_a_burst_only_the_last_is_measured(measured):
    async def burst():
        explorer = rh.explore()
        for width in (16, 24, 8, 32):
            explorer.controls["width"].value = width
            wanted = "" if width == 8 else f"Measuring width {width}"
            assert said(explorer.message).startswith(wanted)
            assert explorer.result.choice == RECIPE
        await settle(explorer)
        return explorer

    explorer = asyncio.run(burst())
    assert [choice.width for choice in measured] == [8, 32]
    assert (explorer.result.choice.width, said(explorer.message)) == (32, "")


def changing_while_measuring(monkeypatch, what, when, name, value, tab=0, error=None):
    """A panel at rest, one control of which was set meanwhile; what its tab and message said."""

    async def change():
        explorer = rh.explore()
        once = getattr(module, what)

        def slow(choice):
            if choice == when:  # the next message arrives meanwhile
                explorer.controls[name].value = value
                if error is not None:
                    raise error
            return once(choice)

        monkeypatch.setattr(module, what, slow)
        shown, told = [], []
        explorer.tabs.children[tab].observe(lambda event: shown.append(event.new), "value")
        explorer.message.observe(lambda event: told.append(event.new), "value")
        if tab:
            explorer.tabs.selected_index = tab
        else:
            explorer.controls["width"].value = 16
        await settle(explorer)
        return explorer, shown, " ".join(told)

    return asyncio.run(change())


def test_a_result_that_came_too_late_is_not_shown(measured, monkeypatch):
    late = replace(RECIPE, width=16)
    explorer, shown, _ = changing_while_measuring(monkeypatch, "measure_choice", late, "width", 24)
    assert [choice.width for choice in measured] == [8, 16, 24]
    assert (explorer.result.choice.width, len(shown)) == (24, 1)


def test_the_sweep_lets_go_when_the_choice_changes(measured, monkeypatch):
    late = replace(RECIPE, width=16)
    explorer, shown, _ = changing_while_measuring(
        monkeypatch, "measure_choice", late, "layers", 2, SWEEP
    )
    found = [(c.width, c.layers) for c in measured]
    assert found == [(8, 1), (16, 1), (8, 2), (16, 2), (24, 2)]
    assert "2 layers" in picture(explorer.sweep)[1]
    assert all("2 layers" in one for one in shown)


def test_measures_where_cells_run_though_messages_come_in_another_thread(monkeypatch):
    threads = []

    def noting(choice):
        threads.append(threading.current_thread())
        return measured_once(choice)

    monkeypatch.setattr(module, "measure_choice", noting)

    async def change_from_another_thread():
        explorer = rh.explore()
        await asyncio.to_thread(setattr, explorer.controls["width"], "value", 16)
        await settle(explorer)
        return explorer

    assert asyncio.run(change_from_another_thread()).result.choice.width == 16
    assert threads == [threading.main_thread()] * 2


def test_wait_measures_now_and_later_changes_are_booked_again(measured):
    async def set_and_read():
        explorer = rh.explore()
        explorer.controls["width"].value = 16
        result = explorer.wait()
        explorer.controls["width"].value = 24
        assert explorer.result == result
        await settle(explorer)
        return result

    assert asyncio.run(set_and_read()) == measured_once(replace(RECIPE, width=16))
    assert [choice.width for choice in measured] == [8, 16, 24]


@pytest.mark.parametrize("error", [None, rh.InputError("too late.")])
def test_memory_or_an_error_that_came_too_late_is_not_shown(monkeypatch, error):
    explorer, shown, told = changing_while_measuring(
        monkeypatch, "measure_memory", RECIPE, "width", 24, MEMORY, error
    )
    assert "24.0 MB" in explorer.memory.value
    assert not any("8.0 MB" in one for one in shown)
    assert "too late" not in told
    assert (explorer.last_error, said(explorer.message)) == (None, "")


# --- as one figure, and in Korean -----------------------------------------------------------------


def test_the_static_figure_is_the_panels_own():
    figure = rh.explore_static(Choice(width=16))
    assert "width 16, 1 layer, batch 1" in figure.alt
    assert repr(figure) == repr(rh.explore_static())


def test_everything_is_korean_and_an_error_is_in_both_languages():
    with speaking("ko"):
        explorer = rh.explore()
        labels = [control.description for control in explorer.controls.values()]
        labels += [*explorer.tabs.titles, repr(explorer)]
        labels += [button.description for button in (explorer.reset, explorer.again)]
        for tab, shown in enumerate((explorer.numbers, explorer.sweep, explorer.memory)):
            explorer.tabs.selected_index = tab
            labels.append(said(shown))
        assert [label for label in labels if not HANGUL.search(label)] == []
        explorer.controls["layers"].value = 9
        assert HANGUL.search(said(explorer.message))
        explorer.controls["batch_size"].value = 64
        explorer.controls["width"].value = 1024
        korean, english = explorer.message.value.split("<br>")
        assert HANGUL.search(korean)
        assert "billion multiply-adds" in english
