"""What the explorer shows, as HTML: the numbers and the picture of one exploration, a sentence.

Colours come from JupyterLab's style sheet, so that light and dark themes are both readable;
Voila and Notebook 7 define the same names.
"""

from __future__ import annotations

import base64
import html

from ..common.plots import RecipeFigure
from ..common.tables import Table

_STYLE = """<style>
.rh-page { color: var(--jp-ui-font-color1, #222); font-size: var(--jp-ui-font-size1, 13px);
  line-height: 1.45; max-width: 900px; }
.rh-page p { margin: 0.2em 0 0.6em; }
.rh-page .rh-verdict { font-size: 1.15em; font-weight: 600; }
.rh-page table { border-collapse: collapse; margin: 0 0 0.8em; }
.rh-page caption { caption-side: top; text-align: left; padding: 0 0 0.3em;
  color: var(--jp-ui-font-color2, #555); }
.rh-page th, .rh-page td { padding: 0.2em 1.2em 0.2em 0; text-align: left; font-weight: 400;
  border-bottom: 1px solid var(--jp-border-color2, #ccc); }
.rh-page thead th { font-weight: 600; }
.rh-page .rh-picture { overflow-x: auto; contain: inline-size; }
.rh-page img { display: block; width: 100%; min-width: 560px; max-width: 900px; height: auto;
  background: white; border-radius: 4px; }
.rh-page .rh-error { border-left: 4px solid var(--jp-error-color1, #c62828);
  padding: 0.3em 0.7em; margin: 0; }
</style>"""


def content(*, sentence: str = "", table: Table | None = None, picture: str = "") -> str:
    """A sentence on how to read what follows; what a table comes to, and the table; a picture.

    Args:
        sentence: above all else, or nothing.
        table: its note, which says what it comes to, stands above it.
        picture: see `image`.
    """
    parts = [f"<p>{html.escape(sentence)}</p>"] if sentence else []
    if table is not None:
        parts += [f'<p class="rh-verdict">{html.escape(table.note)}</p>', _table(table)]
    return _page("".join([*parts, picture]))


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in table.headers)
    body = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for name, *cells in table.rows
    )
    return (
        f"<table><caption>{html.escape(table.caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def image(figure: RecipeFigure, dpi: float) -> str:
    """An `<img>` element that holds the picture itself and its alternative text.

    It can be scrolled where the page is too narrow for its letters, also by keyboard.
    """
    encoded = base64.b64encode(figure.png(dpi)).decode("ascii")
    picture = f'<img src="data:image/png;base64,{encoded}" alt="{html.escape(figure.alt)}">'
    return f'<div class="rh-picture" tabindex="0">{picture}</div>'


def status(sentence: str) -> str:
    """A sentence on what goes on, which a screen reader may read when it has time."""
    return _page(f'<p role="status">{html.escape(sentence)}</p>')


def error(sentence: str) -> str:
    """A sentence on what went wrong, which a screen reader reads at once."""
    lines = html.escape(sentence).replace("\n", "<br>")
    return _page(f'<p role="alert" class="rh-error">{lines}</p>')


def _page(content: str) -> str:
    return f'{_STYLE}<div class="rh-page">{content}</div>'
