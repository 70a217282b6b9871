"""A notebook as one HTML page: with a sidebar of contents, and links that lead to other pages.

`run_recipe.py` writes the page of the notebook that it ran and, so that links lead somewhere, those
of the notebooks that it links to, from the outputs that are stored in them. The pages lie to each
other as the notebooks do: those of Korean notebooks, which are in a folder `ko`, in one as well.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter

TEMPLATES = str(Path(__file__).parent)
WHERE = {"extra_template_basedirs": [TEMPLATES], "extra_template_paths": [TEMPLATES]}
TEMPLATE = "recipe_page"
PLACE = "<!-- the contents -->"  # where the template has the sidebar
LINK = re.compile(r'(href="(?!\w+:)[^"#]+)\.ipynb(?=["#])')
KOREAN = "ko"
WORDS = {
    "en": {
        "contents": "Contents",
        "skip": "Skip the contents",
        "slides": "slides",
        "stored": "The outputs on this page are those stored in the notebook; it was not run here.",
    },
    KOREAN: {
        "contents": "차례",
        "skip": "차례 건너뛰기",
        "slides": "슬라이드",
        "stored": "이 페이지의 출력은 노트북에 저장되어 있던 것입니다. 여기서 실행하지 않았습니다.",
    },
}


def language_of(path: Path) -> str:
    """The language that a notebook is written in."""
    return KOREAN if path.absolute().parent.name == KOREAN else "en"


def root_of(path: Path) -> Path:
    """The folder of the notebooks in both languages."""
    return path.resolve().parents[1 if language_of(path) == KOREAN else 0]


def place(path: Path, first: Path, output: Path) -> Path:
    """Where in a folder the page of a notebook goes when `first` is the notebook that was run."""
    return output / path.resolve().relative_to(root_of(first)).with_suffix(".html")


def as_page(
    notebook: nbformat.NotebookNode, title: str, language: str = "en", *, stored: bool = False
) -> str:
    """The notebook as one HTML page; `stored` says on it that the notebook was not run here."""
    exporter = HTMLExporter(template_name=TEMPLATE, language_code=language, **WHERE)
    words = WORDS[language]
    resources = {"metadata": {"name": title}, "words": words}
    resources["note"] = words["stored"] if stored else ""
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
    """What a page is called: the notebook's heading, or else the name of its file in words."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown" and cell.source.startswith("# "):
            return cell.source.splitlines()[0].removeprefix("# ")
    return path.stem.replace("_", " ").capitalize()


def write_linked(path: Path, output: Path) -> None:
    """Write a page for each notebook that is reached from this one by links, this one left out.

    A page of the other language that was made of a run is kept.
    """
    known, open_ = {path.resolve()}, [path]
    while open_:
        here = open_.pop()
        for name in linked(nbformat.read(here, as_version=4)):
            other = (here.parent / name).resolve()
            outside = not other.is_relative_to(root_of(path))
            if other in known or outside or not other.is_file():
                continue
            known.add(other)
            open_.append(other)
            if is_kept(page := place(other, path, output), language_of(path)):
                continue
            language = language_of(other)
            made = as_page(
                nbformat.read(other, as_version=4), title_of(other), language, stored=True
            )
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(made, encoding="utf-8")


def is_kept(page: Path, ran: str) -> bool:
    """Whether a page is there, of another language than the one that ran, and made of a run."""
    language = language_of(page)
    if language == ran or not page.exists():
        return False
    return WORDS[language]["stored"] not in page.read_text(encoding="utf-8")
