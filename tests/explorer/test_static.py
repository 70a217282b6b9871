"""The explorer as one figure, and in Korean."""

import re

import recipe_helpers as rh
from recipe_helpers.common.language import speaking
from recipe_helpers.explorer.measurement import Choice

from .made_up import said


def test_the_static_figure_is_the_panels_own():
    figure = rh.explore_static(Choice(width=16))
    assert "width 16, 1 layer, batch 1" in figure.alt
    assert repr(figure) == repr(rh.explore_static())


def test_everything_is_korean_and_an_error_is_in_both_languages():
    hangul = re.compile("[가-힣]")
    with speaking("ko"):
        explorer = rh.explore()
        labels = [control.description for control in explorer.controls.values()]
        labels += [*explorer.tabs.titles, repr(explorer)]
        labels += [button.description for button in (explorer.reset, explorer.again)]
        for tab, shown in enumerate((explorer.numbers, explorer.sweep, explorer.memory)):
            explorer.tabs.selected_index = tab
            labels.append(said(shown))
        assert [label for label in labels if not hangul.search(label)] == []
        explorer.controls["layers"].value = 9
        assert hangul.search(said(explorer.message))
        explorer.controls["batch_size"].value = 64
        explorer.controls["width"].value = 1024
        korean, english = explorer.message.value.split("<br>")
        assert hangul.search(korean)
        assert "billion multiply-adds" in english
