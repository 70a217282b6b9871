from __future__ import annotations

from typing import Any

import pytest

from recipe_helpers import bars
from recipe_helpers.bars import progress_bar, silent


class Handle:
    def __init__(self, shown: list[str]) -> None:
        self.shown = shown

    def update(self, line: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append(line["text/plain"])


def test_a_bar_gives_the_same_items(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress_bar([3, 1, 2], "things")) == [3, 1, 2]
    assert list(silent(iter("ab"), "things")) == ["a", "b"]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "things: 100%" in printed.err


def test_a_notebook_gets_one_output_that_ends_complete(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs: list[list[str]] = []

    def display(line: dict[str, str], **options: Any) -> Handle:
        assert options == {"raw": True, "display_id": True}
        outputs.append([line["text/plain"]])
        return Handle(outputs[-1])

    monkeypatch.setattr(bars, "get_ipython", object)
    monkeypatch.setattr(bars, "display", display)
    assert list(progress_bar(range(4), "digits")) == [0, 1, 2, 3]
    (states,) = outputs
    assert states[0].startswith("digits:   0%")
    assert states[-1].startswith("digits: 100%")
    assert "4/4" in states[-1]
    assert capsys.readouterr() == ("", "")
