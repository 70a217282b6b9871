"""Make slides of a notebook: `python tools/slides.py notebooks/dynamic_quantization.ipynb`.

They are written into `build`, Korean ones into `build/ko`, as one file that fetches nothing; press
S for the speaker's view. What is on them stands in `tools/slide_deck/NAME.md` (`NAME.ko.md`):
slides are separated by lines of `---`, what follows `Note:` is for the speaker alone, and a line in
braces takes over a part of the notebook, by the id of its cell:

    {cell ID}           its code and what it shows
    {code ID}           its code alone
    {output ID}         what it shows alone
    {rows ID C2 C12}    of the table that it shows the rows that begin so
    {said ID}           the last line that it shows, within a text or a title

The outputs are those that are stored: for a machine's own, `make run` and take
`build/dynamic_quantization.ipynb`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from nbconvert import SlidesExporter
from nbformat import NotebookNode
from pages import WHERE, WORDS, language_of, place, title_of

TEMPLATE = "slide_deck"
DECKS = Path(__file__).parent / TEMPLATE
EMBEDDED = ("dist/reset.css", "dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js")
BARE = "bare"  # the tag, and so the class, of a cell whose code is not shown
BREAK = re.compile(r"(?m)^---$")
PART = re.compile(r"(?m)^\{(cell|code|output|rows) ([\w-]+)((?: \w+)*)\}$")
SAID = re.compile(r"\{said ([\w-]+)\}")


def reveal_files() -> dict[str, str]:
    """The code and styles of reveal.js, by file name, from the package that carries them."""
    found = find_spec("sphinx_revealjs")
    if found is None:
        raise SystemExit("reveal.js is missing; install it with: pip install sphinx-revealjs")
    folder = Path(found.origin).parent / "_static" / "revealjs"
    texts = {Path(name).name: (folder / name).read_text(encoding="utf-8") for name in EMBEDDED}
    return {name: text.replace("</script", r"<\/script") for name, text in texts.items()}


def deck_of(path: Path) -> str:
    """The text of a notebook's slides, in its language."""
    language = "" if language_of(path) == "en" else f".{language_of(path)}"
    deck = DECKS / f"{path.stem}{language}.md"
    if not deck.exists():
        raise SystemExit(f"{path.name} has no slides; write them into {deck.name} in {DECKS}.")
    return deck.read_text(encoding="utf-8")


def deck(notebook: NotebookNode, text: str) -> NotebookNode:
    """The slides as a notebook with nbconvert's own metadata for slides."""
    made = nbformat.v4.new_notebook(metadata=notebook.metadata)
    for slide in BREAK.split(text):
        shown, _, notes = slide.partition("\nNote:")
        kind = "slide"
        for cell in parts(shown, {cell.id: cell for cell in notebook.cells}):
            cell.metadata["slideshow"] = {"slide_type": kind}
            made.cells.append(cell)
            kind = "-"
        spoken = nbformat.v4.new_markdown_cell(notes.strip())
        spoken.metadata = {"slideshow": {"slide_type": "notes"}}
        made.cells.append(spoken)
    return made


def parts(text: str, cells: dict[str, NotebookNode]) -> Iterator[NotebookNode]:
    """What one slide shows: its text, and the parts of the notebook that it takes over."""
    text = SAID.sub(lambda found: _last_line(_cell(cells, found[1])), text)
    place = 0
    for found in PART.finditer(text):
        yield from _text(text[place : found.start()])
        yield _taken(found[1], _cell(cells, found[2]), found[3].split())
        place = found.end()
    yield from _text(text[place:])


def _text(words: str) -> Iterator[NotebookNode]:
    if words.strip():
        yield nbformat.v4.new_markdown_cell(words.strip())


def _cell(cells: dict[str, NotebookNode], name: str) -> NotebookNode:
    if name not in cells or cells[name].cell_type != "code":
        raise SystemExit(f"The notebook has no code cell {name}, which the slides ask for.")
    return cells[name]


def _taken(kind: str, cell: NotebookNode, rows: list[str]) -> NotebookNode:
    """A cell with as much of it as is asked for."""
    taken = nbformat.from_dict(cell)
    taken.metadata = {"tags": [BARE] if kind in ("output", "rows") else []}
    if kind == "code":
        taken.outputs = []
    for output in taken.outputs if rows else []:
        output.data["text/html"] = _only(output.data["text/html"], rows)
    return taken


def _only(table: str, rows: list[str]) -> str:
    """A table with those of its rows that begin with one of these words, and nothing below it."""
    page = BeautifulSoup(table, "html.parser")
    for row in page.select("tbody tr"):
        if row.td.get_text().strip() not in rows:
            row.decompose()
    return str(page.table)


def _last_line(cell: NotebookNode) -> str:
    """The last line of what a cell shows as text, without its full stop."""
    shown = cell.outputs[-1]
    text = shown.get("text") or shown.data["text/plain"]
    return text.strip().splitlines()[-1].rstrip(".")


def as_slides(notebook: NotebookNode, text: str, title: str, language: str = "en") -> str:
    """The slides that a text makes of a notebook, as one HTML page."""
    exporter = SlidesExporter(template_name=TEMPLATE, language_code=language, **WHERE)
    resources = {"metadata": {"name": title}, "embedded": reveal_files(), "words": WORDS[language]}
    page, _ = exporter.from_notebook_node(deck(notebook, text), resources)
    return page


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--output", type=Path, default=Path("build"), help="folder of the slides")
    chosen = parser.parse_args()
    path = chosen.notebook
    target = place(path, path, chosen.output).with_suffix(".slides.html")
    text = deck_of(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.read(path, as_version=4)
    page = as_slides(notebook, text, title_of(path), language_of(path))
    target.write_text(page, encoding="utf-8")
    print(target)


if __name__ == "__main__":
    main()
