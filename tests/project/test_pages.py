"""The HTML page of `make run`: its sidebar, where its links lead, and that it fetches nothing."""

import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from .tool import tool

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "notebooks" / "dynamic_quantization.ipynb"
pages = tool("pages")


def read(path):
    return nbformat.read(path, as_version=4)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder that `make run` leaves, with the recipe's stored outputs for fresh ones."""
    folder = tmp_path_factory.mktemp("build")
    page = pages.as_page(read(RECIPE), pages.title_of(RECIPE))
    (folder / "dynamic_quantization.html").write_text(page, encoding="utf-8")
    pages.write_linked(RECIPE, folder)
    return {
        path.stem: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in folder.glob("*.html")
    }


def headings(path):
    """Level and text of the headings of a notebook but for its title, read from its source."""
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"```.*?```", "", cell.source, flags=re.S)
            for marks, words in re.findall(r"^(##|###) (.+)$", text, re.M):
                yield len(marks), words.replace("`", "")


def depth(link):
    return len(link.find_parents("ol")) + 1


def test_the_notebooks_that_the_recipe_leads_to_have_pages_too(written):
    assert set(written) == {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}


def test_the_sidebar_lists_every_section_in_order(written):
    for name, page in written.items():
        (sidebar,) = page.select("nav.contents")
        assert sidebar["aria-label"] == "Contents"
        found = [(depth(link), link.text) for link in sidebar.select("a")]
        assert found == list(headings(ROOT / "notebooks" / f"{name}.ipynb")), name


def test_every_link_of_every_page_leads_somewhere(written):
    for name, page in written.items():
        for link in page.select("a[href]"):
            file, _, anchor = link["href"].partition("#")
            if ":" in file:
                continue
            assert not file.endswith(".ipynb"), link
            other = written[file.removesuffix(".html")] if file else written[name]
            assert not anchor or other.find(id=anchor) is not None, link


def test_no_page_fetches_anything(written):
    for name, page in written.items():
        sources = [tag.get("src") or tag.get("href") for tag in page.select("[src], link[href]")]
        assert sources or name == "glossary"
        assert all(source.startswith("data:") for source in sources)
        assert not re.search(r"@import|url\((?!data:)[^)]*//", page.text)


def test_the_sidebar_can_be_skipped_and_folded(written):
    page = written["dynamic_quantization"]
    first = page.body.find("a")
    assert (first["class"], first["href"]) == (["skip"], "#text")
    assert page.find(id="text").name == "main"
    assert page.select_one("nav.contents > details[open] > summary").text == "Contents"
    assert page.html["lang"] == "en"


def test_a_page_says_where_its_outputs_are_from(written):
    for name, page in written.items():
        noted = [note.text for note in page.select("main > p.note")]
        assert noted == ([] if name == "dynamic_quantization" else [pages.STORED])


@pytest.mark.parametrize(
    ("words", "lists"),
    [
        ([], "<ol></ol>"),
        (["h3 A"], '<ol><li><a href="#A">A</a></ol>'.replace("</a>", "</a></li>")),
        (
            ["h2 A", "h3 <B>", "h3 C", "h2 D"],
            '<ol><li><a href="#A">A</a><ol><li><a href="#&lt;B&gt;">&lt;B&gt;</a></li>'
            '<li><a href="#C">C</a></li></ol></li><li><a href="#D">D</a></li></ol>',
        ),
    ],
)
def test_contents_are_nested_as_the_headings_are(words, lists):
    cells = ""
    for word in words:
        tag, text = word.replace("<", "&lt;").replace(">", "&gt;").split(" ")
        cells += f'<div class="jp-MarkdownCell"><{tag} id="{text}">{text}</{tag}></div>'
    assert pages.contents(cells) == lists
