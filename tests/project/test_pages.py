"""The HTML page of `make run`: its sidebar, where its links lead, and that it fetches nothing."""

import posixpath
import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from .tool import tool

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
RECIPE = NOTEBOOKS / "dynamic_quantization.ipynb"
pages = tool("pages")


def read(path):
    return nbformat.read(path, as_version=4)


def named(path, folder):
    """A page or a notebook among both editions, as `ko/your_model`."""
    return path.relative_to(folder).with_suffix("").as_posix()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder that `make run` leaves, with the recipe's stored outputs for fresh ones."""
    folder = tmp_path_factory.mktemp("build")
    page = pages.as_page(read(RECIPE), pages.title_of(RECIPE))
    (folder / "dynamic_quantization.html").write_text(page, encoding="utf-8")
    pages.write_linked(RECIPE, folder)
    return {
        named(path, folder): BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in folder.rglob("*.html")
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
    stored = [*NOTEBOOKS.glob("*.ipynb"), *NOTEBOOKS.glob("ko/*.ipynb")]
    assert set(written) == {named(path, NOTEBOOKS) for path in stored}


def test_the_sidebar_lists_every_section_in_order(written):
    for name, page in written.items():
        (sidebar,) = page.select("nav.contents")
        assert sidebar["aria-label"] == ("차례" if name.startswith("ko/") else "Contents")
        found = [(depth(link), link.text) for link in sidebar.select("a")]
        assert found == list(headings(NOTEBOOKS / f"{name}.ipynb")), name


def test_every_link_of_every_page_leads_somewhere(written):
    for name, page in written.items():
        for link in page.select("a[href]"):
            file, _, anchor = link["href"].partition("#")
            if ":" in file:
                continue
            assert not file.endswith(".ipynb"), link
            here = posixpath.normpath(posixpath.join(posixpath.dirname(name), file))
            other = written[here.removesuffix(".html")] if file else written[name]
            assert not anchor or other.find(id=anchor) is not None, link


def test_no_page_fetches_anything(written):
    found = 0
    for page in written.values():
        sources = [tag.get("src") or tag.get("href") for tag in page.select("[src], link[href]")]
        assert all(source.startswith("data:") for source in sources)
        assert not re.search(r"@import|url\((?!data:)[^)]*//", page.text)
        found += len(sources)
    assert found > 20


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
        language = "ko" if name.startswith("ko/") else "en"
        expected = [pages.WORDS[language]["stored"]]
        assert noted == ([] if name == "dynamic_quantization" else expected)
        assert page.html["lang"] == language


def test_a_page_of_a_run_in_the_other_language_is_kept_and_a_stale_one_is_not(tmp_path):
    notebooks = tmp_path / "notebooks"
    (notebooks / "ko").mkdir(parents=True)
    texts = {"a": "# A\n\n[다른](ko/a.ipynb)", "ko/a": "# 가\n\n[one](b.ipynb)", "ko/b": "# 나"}
    for name, text in texts.items():
        cells = [nbformat.v4.new_markdown_cell(text)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), notebooks / f"{name}.ipynb")
    run = tmp_path / "build" / "ko" / "a.html"
    run.parent.mkdir(parents=True)
    run.write_text("made of a run", encoding="utf-8")
    run.with_name("b.html").write_text(pages.WORDS["ko"]["stored"], encoding="utf-8")
    pages.write_linked(notebooks / "a.ipynb", tmp_path / "build")
    assert run.read_text(encoding="utf-8") == "made of a run"
    assert "나" in run.with_name("b.html").read_text(encoding="utf-8")


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
