"""How far a long piece of work is: in a notebook, in a terminal, and where nobody looks."""

import contextlib
import sys

import pytest

from recipe_helpers.common import progress
from recipe_helpers.common.progress import progress_bar, progress_line, silent


@pytest.fixture
def notebook(monkeypatch):
    """The states of each output of a cell, in a kernel that is made up."""
    outputs = []

    class Handle:
        def __init__(self, states):
            self.states = states

        def update(self, data, *, raw):
            assert raw
            self.states.append(data)

    def display(data, *, raw, display_id):
        assert (raw, display_id) == (True, True)
        outputs.append([data])
        return Handle(outputs[-1])

    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    return outputs


def test_a_bar_gives_the_same_items(capsys):
    assert list(progress_bar([3, 1, 2], "things")) == [3, 1, 2]
    assert list(silent(iter("ab"), "things")) == ["a", "b"]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "things: 100%" in printed.err


def test_a_notebook_gets_one_output_that_ends_complete(notebook, capsys):
    assert list(progress_bar(range(4), "digits")) == [0, 1, 2, 3]
    ((first, *_, last),) = notebook
    assert first["text/plain"].startswith("digits:   0%")
    assert last["text/plain"].startswith("digits: 100%")
    assert "4/4" in last["text/plain"]
    assert capsys.readouterr() == ("", "")


def interrupted(*words):
    with contextlib.suppress(KeyboardInterrupt), progress_line() as tell:
        for doing in words:
            tell(doing)
        raise KeyboardInterrupt


def test_no_progress_where_nobody_looks(capsys):
    interrupted("measuring")
    assert capsys.readouterr() == ("", "")


def test_progress_in_a_terminal_leaves_an_empty_line(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    interrupted("measuring", "converting")
    out, err = capsys.readouterr()
    assert "converting (2 steps, " in out
    assert out.rpartition("\r")[2].strip() == ""
    assert err == ""


def test_progress_in_a_notebook_starts_and_ends_empty(notebook):
    interrupted("a < b")
    (states,) = notebook
    assert [data["text/html"] for data in states] == ["", "a &lt; b …", ""]
    with progress_line(False) as tell:
        tell("measuring")
    assert len(notebook) == 1
