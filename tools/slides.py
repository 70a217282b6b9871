"""Make slides of a notebook: `python tools/slides.py notebooks/dynamic_quantization.ipynb`.

They are written into `build`, Korean ones into `build/ko`, as one file that fetches nothing; press
S for the speaker's view. A cell tagged `slide` begins a slide, one tagged `slide-more` goes on with
it. Of a text they show the last heading and one paragraph after it, the first or the one whose
number from 0 the metadata `slide_paragraph` gives; the whole text is in the speaker's notes. The
outputs are those that are stored: for a machine's own, `make run` and take
`build/dynamic_quantization.ipynb`.
"""

from __future__ import annotations

import argparse
import re
from importlib.util import find_spec
from pathlib import Path

import nbformat
from nbconvert import SlidesExporter
from pages import WHERE, WORDS, language_of, place, title_of

TEMPLATE = "slide_deck"
KINDS = {"slide": "slide", "slide-more": "-"}  # tags, and what nbconvert calls them
EMBEDDED = ("dist/reset.css", "dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js")
DENSE_ROWS = 12  # a table with more rows is set in smaller type
WITHIN = re.compile(
    r"\[([^]]*)\]\((?!\w+:)[^)]*\)"
)  # a link to another notebook, which is not there
HEADING = re.compile(r"^#+ .*$", re.MULTILINE)


def reveal_files() -> dict[str, str]:
    """The code and styles of reveal.js, by file name, from the package that carries them."""
    found = find_spec("sphinx_revealjs")
    if found is None:
        raise SystemExit("reveal.js is missing; install it with: pip install sphinx-revealjs")
    folder = Path(found.origin).parent / "_static" / "revealjs"
    texts = {Path(name).name: (folder / name).read_text(encoding="utf-8") for name in EMBEDDED}
    return {name: text.replace("</script", r"<\/script") for name, text in texts.items()}


def shortened(text: str, place: int = 0) -> str:
    """The last heading of a text, if it has one, and one paragraph after it."""
    headings = list(HEADING.finditer(text))
    heading, rest = (headings[-1][0], text[headings[-1].end() :]) if headings else ("", text)
    paragraphs = [part for part in re.split(r"\n\s*\n", rest.strip()) if part]
    shown = [paragraphs[place]] if place < len(paragraphs) else []
    return "\n\n".join([part for part in (heading, *shown) if part])


def deck(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook's slides as a notebook with nbconvert's own metadata for slides."""
    made, section = nbformat.v4.new_notebook(metadata=notebook.metadata), ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (headings := HEADING.findall(cell.source)):
            section = headings[-1]
        tags = cell.metadata.get("tags", [])
        kind = next((KINDS[tag] for tag in tags if tag in KINDS), None)
        if kind is None:
            continue
        shown = nbformat.from_dict(cell)
        if cell.cell_type == "markdown":
            text = WITHIN.sub(r"\1", cell.source)
            shown.source = shortened(text, cell.metadata.get("slide_paragraph", 0))
        if kind == "slide" and section not in shown.source:
            made.cells.append(_titled(section))
            kind = "-"
        shown.metadata = {"slideshow": {"slide_type": kind}, "tags": _look(cell)}
        made.cells.append(shown)
        if cell.cell_type == "markdown":
            notes = nbformat.v4.new_markdown_cell(HEADING.sub("", text).strip())
            notes.metadata = {"slideshow": {"slide_type": "notes"}}
            made.cells.append(notes)
    return made


def _titled(section: str) -> nbformat.NotebookNode:
    """The heading above a slide that begins in the middle of a section."""
    title = nbformat.v4.new_markdown_cell(section)
    title.metadata = {"slideshow": {"slide_type": "slide"}}
    return title


def _look(cell: nbformat.NotebookNode) -> list[str]:
    """How a cell is set: nbconvert makes classes of tags."""
    rows = [
        str(output.get("data", {}).get("text/html", "")).count("<tr")
        for output in cell.get("outputs", [])
    ]
    return ["dense"] if max(rows, default=0) > DENSE_ROWS else []


def as_slides(notebook: nbformat.NotebookNode, title: str, language: str = "en") -> str:
    """The slides of a notebook as one HTML page."""
    exporter = SlidesExporter(template_name=TEMPLATE, language_code=language, **WHERE)
    resources = {"metadata": {"name": title}, "embedded": reveal_files(), "words": WORDS[language]}
    page, _ = exporter.from_notebook_node(deck(notebook), resources)
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
    target.parent.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.read(path, as_version=4)
    page = as_slides(notebook, title_of(path), language_of(path))
    target.write_text(page, encoding="utf-8")
    print(target)


if __name__ == "__main__":
    main()
