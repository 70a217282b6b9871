"""Say how far a long piece of work is, in a form that a stored notebook can hold.

`progress_bar` counts the items of a loop and stays, complete, when it ends; `progress_line` says
what is being done in a single line, and leaves nothing of it behind.
"""

from __future__ import annotations

import html
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm.std import tqdm

from .language import _

Item = TypeVar("Item")
# What functions that take long accept: called with an iterable and a label, gives the same items.
Progress = Callable[[Iterable[Any], str], Iterable[Any]]


class _NotebookBar(tqdm):
    """tqdm's text bar as one output that is replaced in place.

    Written to stderr the bar would leave every one of its states in the notebook's file, and as
    a widget none of them.
    """

    _handle: Any = None

    def __init__(self, iterable: Iterable[Any], **options: Any) -> None:
        super().__init__(iterable, file=io.StringIO(), ncols=80, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        line = {"text/plain": str(self) if msg is None else msg}
        if self._handle is None:
            from IPython.display import display

            self._handle = display(line, raw=True, display_id=True)
        else:
            self._handle.update(line, raw=True)


def progress_bar(iterable: Iterable[Item], label: str = "") -> Iterator[Item]:
    """The items of `iterable`, with a bar that shows how far the loop over them is.

    In a notebook the bar is an output of the cell; elsewhere it is tqdm's own, on stderr.
    """
    return iter((_NotebookBar if _in_notebook() else tqdm)(iterable, desc=_(label)))


def silent(iterable: Iterable[Item], label: str = "") -> Iterable[Item]:
    """The items of `iterable`, and no bar."""
    return iterable


@contextmanager
def progress_line(shown: bool | None = None) -> Iterator[Callable[[str], None]]:
    """Yield a function that is told what is being done, and shows it until the block ends.

    In a notebook that is one line below the cell, in a terminal one line on stdout; both are
    emptied at the end, and also after an interrupt. Nothing is shown where stdout is neither.

    Args:
        shown: False shows nothing; None and True show it where there is somewhere to show it.
    """
    if shown is not False and _in_notebook():
        from IPython.display import display

        handle = display(_page(""), raw=True, display_id=True)
        try:
            yield lambda doing: handle.update(_page(f"{doing} …"), raw=True)
        finally:
            handle.update(_page(""), raw=True)
    elif shown is not False and sys.stdout is not None and sys.stdout.isatty():
        form = _("{desc} ({n} steps, {elapsed})")
        with tqdm(file=sys.stdout, leave=False, bar_format=form) as bar:

            def tell(doing: str) -> None:
                bar.n += 1
                bar.set_description_str(doing)

            yield tell
    else:
        yield lambda doing: None


def _page(text: str) -> dict[str, str]:
    # Starts and ends as an empty line, so that a notebook stores the same output every time.
    return {"text/html": html.escape(text), "text/plain": ""}


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this, which alone can update what it has displayed."""
    running = sys.modules.get("IPython")  # which need not be installed
    return running is not None and hasattr(running.get_ipython(), "kernel")
