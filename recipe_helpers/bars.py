"""A progress bar for work that takes seconds: tqdm's, in a form that a stored notebook can hold."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from IPython import get_ipython
from IPython.display import DisplayHandle, display
from tqdm.std import tqdm

Item = TypeVar("Item")
# What functions that take long accept: called with an iterable and a label, gives the same items.
Progress = Callable[[Iterable[Any], str], Iterable[Any]]


class _NotebookBar(tqdm):
    """tqdm's text bar as one output that is replaced in place.

    Written to stderr the bar would leave every one of its states in the notebook's file, and as
    a widget none of them.
    """

    _handle: DisplayHandle | None = None

    def __init__(self, iterable: Iterable[Any], **options: Any) -> None:
        super().__init__(iterable, file=io.StringIO(), ncols=80, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        line = {"text/plain": str(self) if msg is None else msg}
        if self._handle is None:
            self._handle = display(line, raw=True, display_id=True)
        else:
            self._handle.update(line, raw=True)


def progress_bar(iterable: Iterable[Item], label: str = "") -> Iterator[Item]:
    """The items of `iterable`, with a bar that shows how far the loop over them is.

    In a notebook the bar is an output of the cell; elsewhere it is tqdm's own, on stderr.
    """
    return iter((tqdm if get_ipython() is None else _NotebookBar)(iterable, desc=label))


def silent(iterable: Iterable[Item], label: str = "") -> Iterable[Item]:
    """The items of `iterable`, and no bar."""
    return iterable
