"""The HTML page of `make run`: its sidebar, where its links lead, and that it fetches nothing."""

import posixpath
import re

import nbformat
import pytest
from bs4 import BeautifulSoup

from .files import RECIPE, read, tool

pages = tool("pages")
# Notebooks that lead to each other: where the outputs of each are from, and its headings.
TEXTS = {
    "a": "# A\n\n[ko](ko/a.ipynb) [b](b.ipynb#cell-id=x0) [c](#cell-id=x0) [out](../README.ipynb)",
    "b": "# B\n\n### `a` 1 < 2\n\n## Two\n\n### 2.1\n\n### 2.2\n\n```\n## code\n```\n\n## Three",
    "ko/a": "# 가\n\n[one](../a.ipynb) [two](b.ipynb) [가](https://a.b/c.ipynb#d)\n\n## 첫째",
    "ko/b": "# 나",
}
CONTENTS = {
    "a": [],
    "b": [(1, "a 1 < 2"), (1, "Two"), (2, "2.1"), (2, "2.2"), (1, "Three")],
    "ko/a": [(1, "첫째")],
    "ko/b": [],
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The pages that `make run` leaves of these, and that of the recipe."""
    folder = tmp_path_factory.mktemp("project")
    for name, text in {**TEXTS, "../README": "# none of them", "c": "# Not linked"}.items():
        path = folder / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        cell = nbformat.v4.new_markdown_cell(text, id="x0")
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    first, build = folder / "notebooks" / "a.ipynb", folder / "build"
    pages.write_linked(first, build)
    found = {path.relative_to(build).with_suffix("").as_posix(): path.read_text(encoding="utf-8")
             for path in build.rglob("*.html")}  # fmt: skip
    assert set(found) == set(TEXTS) - {"a"}, "it was run, and has its page from that"
    found["a"] = pages.as_page(read(first), pages.title_of(first))
    found["recipe"] = pages.as_page(read(RECIPE), pages.title_of(RECIPE))
    return {name: BeautifulSoup(page, "html.parser") for name, page in found.items()}


def test_the_sidebar_lists_every_section_in_order_nested_as_the_headings_are(written):
    headings = [cell.source.splitlines()[0] for cell in read(RECIPE).cells]
    sections = [line[3:] for line in headings if line.startswith("## ")]
    for name, page in written.items():
        (sidebar,) = page.select("nav.contents")
        assert sidebar["aria-label"] == ("차례" if name.startswith("ko/") else "Contents")
        found = [(len(link.find_parents("ol")), link.text) for link in sidebar.select("a")]
        assert CONTENTS.get(name, found) == found, name
    assert [text for depth, text in found if depth == 1] == sections, "the recipe is the last"


def test_every_link_of_every_page_leads_somewhere(written):
    followed = 0
    for name, page in written.items():
        for link in page.select("a[href]"):
            file, _, anchor = link["href"].partition("#")
            outside = ":" in file or "README" in file or (name == "recipe" and file)
            assert not file.endswith(".ipynb") or ":" in file, link
            if not outside:
                here = posixpath.normpath(posixpath.join(posixpath.dirname(name), file))
                other = written[here.removesuffix(".html")] if file else page
                assert not anchor or other.find(id=anchor) is not None, link
                followed += 1
    assert followed > 30


def test_no_page_fetches_anything_and_figures_say_what_they_show(written):
    for page in written.values():
        sources = [tag.get("src") or tag.get("href") for tag in page.select("[src], link[href]")]
        assert [source for source in sources if not source.startswith("data:")] == []
        assert not re.search(r"@import|url\((?!data:)[^)]*//", page.text)
    alts = [image["alt"] for image in written["recipe"].select("img")]
    assert len(alts) > 5
    assert min(map(len, alts)) > 25


def test_the_sidebar_can_be_skipped_and_folded(written):
    page = written["recipe"]
    first = page.body.find("a")
    assert (first["class"], first["href"]) == (["skip"], "#text")
    assert page.find(id="text").name == "main"
    assert page.select_one("nav.contents > details[open] > summary").text == "Contents"


def test_a_page_says_where_its_outputs_are_from(written):
    for name, page in written.items():
        language = "ko" if name.startswith("ko/") else "en"
        noted = [note.text for note in page.select("main > p.note")]
        ran = name in ("a", "recipe")
        assert noted == ([] if ran else [pages.WORDS[language]["stored"]])
        assert page.html["lang"] == language


def test_a_page_of_a_run_in_the_other_language_is_kept_and_a_stale_one_is_not(tmp_path):
    for run, kept in ((tmp_path / "a.html", False), (tmp_path / "ko" / "a.html", True)):
        run.parent.mkdir(exist_ok=True)
        assert not pages.is_kept(run, "en"), "it is not there"
        run.write_text("made of a run", encoding="utf-8")
        assert pages.is_kept(run, "en") == kept
        run.write_text(pages.WORDS["ko"]["stored"], encoding="utf-8")
        assert not pages.is_kept(run, "en")
