from __future__ import annotations

import sys
from typing import Any

import pytest

from recipe_helpers.common import progress
from recipe_helpers.common.progress import progress_bar, progress_line, silent


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

    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    assert list(progress_bar(range(4), "digits")) == [0, 1, 2, 3]
    (states,) = outputs
    assert states[0].startswith("digits:   0%")
    assert states[-1].startswith("digits: 100%")
    assert "4/4" in states[-1]
    assert capsys.readouterr() == ("", "")


def test_no_progress_where_nobody_looks(capsys):
    with progress_line() as tell:
        tell("measuring")
    assert capsys.readouterr() == ("", "")


def interrupted(*words):
    with progress_line() as tell:
        for doing in words:
            tell(doing)
        raise KeyboardInterrupt


def test_progress_in_a_terminal_leaves_an_empty_line(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with pytest.raises(KeyboardInterrupt):
        interrupted("measuring", "converting")
    out, err = capsys.readouterr()
    assert "converting (2 steps, " in out
    assert out.rpartition("\r")[2].strip() == ""
    assert err == ""


def test_progress_in_a_notebook_starts_and_ends_empty(monkeypatch):
    shown = []

    class Handle:
        def update(self, data, raw):
            shown.append(data)

    def display(data, raw, display_id):
        shown.append(data)
        return Handle()

    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    with pytest.raises(KeyboardInterrupt):
        interrupted("a < b")
    assert [data["text/html"] for data in shown] == ["", "a &lt; b …", ""]
    shown.clear()
    with progress_line(False) as tell:
        tell("measuring")
    assert shown == []
