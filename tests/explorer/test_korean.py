"""The panel in Korean: controls, what it says, its pictures, and an error in both languages."""

import html
import re

import pytest

import recipe_helpers as rh
from recipe_helpers.common.language import speaking
from recipe_helpers.explorer import panel as module
from recipe_helpers.explorer.measurement import Choice, measure_choice, recipe_choice
from recipe_helpers.recipe.memory import MemoryComparison, MemoryUse

from ..korean import english_in, in_both, untold, untold_in
from .test_panel import _measured_once, picture, said

HANGUL = re.compile("[가-힣]")


@pytest.fixture
def explorer(monkeypatch):
    monkeypatch.setattr(module, "measure_choice", _measured_once)
    use = MemoryUse(0, 8_000_000, 2_000_000, 0)
    monkeypatch.setattr(module, "measure_memory", lambda choice: MemoryComparison(use, use))
    with speaking("ko"):
        yield rh.explore()


def test_every_label_is_korean(explorer):
    buttons = (explorer.reset, explorer.again)
    labels = [control.description for control in explorer.controls.values()]
    labels += [*explorer.tabs.titles, *(button.description for button in buttons), repr(explorer)]
    assert [label for label in labels if not HANGUL.search(label) or untold(label)] == []


@pytest.mark.parametrize(("tab", "page"), [(0, "numbers"), (1, "sweep"), (2, "memory")])
def test_every_tab_is_korean(explorer, tab, page, monkeypatch):
    monkeypatch.setattr(module, "sweep_choices", lambda choice: (choice,))
    explorer.tabs.selected_index = tab
    shown = getattr(explorer, page)
    assert HANGUL.search(said(shown))
    assert english_in(said(shown)) == []
    if page != "memory":
        alt = picture(shown)[1]
        assert HANGUL.search(alt)
        assert english_in(alt) == []


def test_an_error_has_both_languages_on_two_lines(explorer, monkeypatch):
    monkeypatch.setattr(module, "measure_choice", measure_choice)
    explorer.controls["dimension"].value = 1024
    explorer.controls["batch_size"].value = 64
    explorer.controls["sequence_length"].value = 200
    shown = html.unescape(explorer.message.value)
    assert "곱셈·덧셈" in shown
    assert re.search(r"<br>One call with .* billion multiply-adds", shown)
    assert "패널에 보이는 것은" in shown
    monkeypatch.setattr(module, "measure_choice", lambda choice: 1 / 0)
    explorer.controls["dimension"].value = 8
    assert "재지 못했습니다. ZeroDivisionError" in explorer.message.value


def test_one_exploration_in_both_languages():
    found = _measured_once(recipe_choice())
    in_both(lambda: str(found))
    in_both(lambda: found.verdict)
    with speaking("ko"):
        assert untold_in(found.table()) == {}
        assert str(Choice(8, 2, 3, 1, 2, "x86")) == "폭 8, 2계층, 배치 3, 1시점, 스레드 2개, x86"
    assert str(Choice(8, 2, 3, 1, 2, "x86")) == "width 8, 2 layers, batch 3, 1 step, 2 threads, x86"
