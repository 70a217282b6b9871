"""A notebook as one HTML page: with a sidebar of contents, and links that lead to other pages.

`run_recipe.py` writes the page of the notebook that it ran and, so that links lead somewhere, those
of the notebooks that it links to, from the outputs that are stored in them.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter

TEMPLATES = Path(__file__).parent
TEMPLATE = "recipe_page"
PLACE = "<!-- the contents -->"  # where the template has the sidebar
LINK = re.compile(r'(href="(?!\w+:)[^"#]+)\.ipynb(?=["#])')
STORED = "The outputs on this page are those stored in the notebook; it was not run here."


def as_page(notebook: nbformat.NotebookNode, title: str, *, stored: bool = False) -> str:
    """The notebook as one HTML page; `stored` says on it that the notebook was not run here."""
    exporter = HTMLExporter(template_name=TEMPLATE, extra_template_basedirs=[str(TEMPLATES)])
    resources = {"metadata": {"name": title}, "note": STORED if stored else ""}
    page, _ = exporter.from_notebook_node(notebook, resources)
    return LINK.sub(r"\1.html", page).replace(PLACE, contents(page), 1)


def contents(page: str) -> str:
    """The sections of a page, and what is in each, as nested lists of links."""
    found = BeautifulSoup(page, "html.parser").select(".jp-MarkdownCell :is(h2, h3)[id]")
    parts, inside = [], False
    for heading in found:
        for anchor in heading.select("a.anchor-link"):
            anchor.decompose()
        link = f'<a href="#{html.escape(heading["id"])}">{html.escape(heading.get_text())}</a>'
        if heading.name == "h3" and parts:
            parts.append(f"<li>{link}</li>" if inside else f"<ol><li>{link}</li>")
            inside = True
        else:
            parts.append(("</ol>" if inside else "") + ("</li>" if parts else "") + f"<li>{link}")
            inside = False
    ending = ("</ol>" if inside else "") + ("</li>" if parts else "")
    return f"<ol>{''.join(parts)}{ending}</ol>"


def linked(notebook: nbformat.NotebookNode) -> list[str]:
    """The files of the notebooks that a notebook links to, in the order of the links."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return list(dict.fromkeys(re.findall(r"\]\(([\w./-]+\.ipynb)[)#]", text)))


def title_of(path: Path) -> str:
    """What a page is called: the name of its file in words."""
    return path.stem.replace("_", " ").capitalize()


def write_linked(path: Path, output: Path) -> None:
    """Write a page for each notebook that is reached from this one by links, this one left out."""
    known, open_ = {path.resolve()}, [path]
    while open_:
        here = open_.pop()
        for name in linked(nbformat.read(here, as_version=4)):
            other = (here.parent / name).resolve()
            if other in known or not other.is_file():
                continue
            known.add(other)
            open_.append(other)
            page = as_page(nbformat.read(other, as_version=4), title_of(other), stored=True)
            (output / other.with_suffix(".html").name).write_text(page, encoding="utf-8")
