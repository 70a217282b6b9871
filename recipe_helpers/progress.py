"""Your own model: say what is being measured, and leave nothing of it behind."""

from __future__ import annotations

import html
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress(shown: bool | None = None) -> Iterator[Callable[[str], None]]:
    """Yield a function that is told what is being done, and shows it until the block ends.

    In a notebook that is one line below the cell, in a terminal one line on stdout; both are
    emptied at the end, and also after an interrupt. Nothing is shown where stdout is neither.

    Args:
        shown: False shows nothing; None and True show it where there is somewhere to show it.
    """
    if shown is not False and _in_notebook():
        with _notebook_line() as tell:
            yield tell
    elif shown is not False and sys.stdout is not None and sys.stdout.isatty():
        with tqdm(file=sys.stdout, leave=False, bar_format="{desc} ({n} steps, {elapsed})") as bar:

            def tell(doing: str) -> None:
                bar.n += 1
                bar.set_description_str(doing)

            yield tell
    else:
        yield lambda doing: None


@contextmanager
def _notebook_line() -> Iterator[Callable[[str], None]]:
    from IPython.display import display

    def page(text: str) -> dict[str, str]:
        # Starts and ends as an empty line, so that a notebook stores the same output every time.
        return {"text/html": html.escape(text), "text/plain": ""}

    handle = display(page(""), raw=True, display_id=True)
    try:
        yield lambda doing: handle.update(page(f"{doing} …"), raw=True)
    finally:
        handle.update(page(""), raw=True)


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this, which alone can update what it has displayed."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")
