"""The sources of the site: every page in both languages, and links that lead somewhere.

Sphinx itself is not run here; it is not part of the readers' environment. `make site` runs it, and
the workflow of that name refuses a page with a warning.
"""

import re

import pytest

import int8_rnn
import recipe_helpers as rh

from .files import FOLDER, HANGUL, ROOT, code, prose, read, tool

website = tool("website")
PLACES = {page.place for page in website.pages()}


@pytest.fixture(scope="module", params=["en", "ko"])
def language(request):
    return request.param


@pytest.fixture(scope="module")
def pages(language, tmp_path_factory):
    """The place of each page -> its prose, as they are laid out."""
    folder = tmp_path_factory.mktemp(language)
    website.stage(folder, language)
    found = {path.relative_to(folder): path for path in folder.rglob("*.*") if path.is_file()}
    said = {
        place: "\n\n".join(cell.source for cell in prose(read(path)))
        for place, path in found.items()
        if place.suffix in (".ipynb", ".md", ".rst")
    }
    return folder, said


def test_both_languages_have_the_same_pages_and_each_is_in_the_table_of_contents(pages, language):
    _, said = pages
    there = {place.as_posix() for place in said}
    assert there >= PLACES | {"api/recipe_helpers.rst", "api/int8_rnn.rst", "notebooks/index.md"}
    listed = {"index.md"}
    for place, words in said.items():
        for entries in re.findall(r"```{toctree}\n(.*?)```", words, re.DOTALL):
            for name in entries.split("\n\n", 1)[1].split():
                named = (place.parent / name).as_posix()
                (found,) = [page for page in there if page.rpartition(".")[0] == named]
                listed.add(found)
        if place.parent.name == "notebooks":
            assert bool(HANGUL.search(words)) == (language == "ko"), place
            assert not re.search(r"\[(한국어|English)\]", words), "the site has its own switch"
    assert listed == there
    assert {f"notebooks/{path.name}" for path in FOLDER.glob("*.ipynb")} <= there


def test_every_link_to_a_cell_or_a_page_leads_somewhere(pages):
    folder, said = pages
    labels = {found for words in said.values() for found in re.findall(r"(?m)^\((\S+)\)=$", words)}
    followed = 0
    for place, words in said.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", website.FENCED.sub("", words)):
            name, _, anchor = target.partition("#")
            if re.match(r"\w+:", target):
                continue
            followed += 1
            if name:
                assert (folder / place.parent / name).is_file(), f"{place}: {target}"
            elif place.suffix == ".ipynb":
                assert anchor in labels, f"{place}: {target}"
    assert followed > 100


def test_pictures_keep_their_texts_and_widgets_say_what_they_need(pages, language):
    folder, said = pages
    described, panels = 0, 0
    for cell in (
        c for place in said if place.suffix == ".ipynb" for c in code(read(folder / place))
    ):
        for data in (output.get("data", {}) for output in cell.outputs):
            assert website.WIDGET not in data
            panels += website.WORDS[language]["panel"] in data.get("text/html", "")
            if "image/png" in data:
                assert len(cell.metadata["mystnb"]["image"]["alt"]) > 20, cell.source
                described += 1
    assert described > 10
    assert panels == 1, "the explorer"


def test_the_api_has_every_public_name(pages):
    _, said = pages
    api = {place.stem: words for place, words in said.items() if place.parent.name == "api"}
    for package in (rh, int8_rnn):
        pattern = rf"^\.\. \S+:: {package.__name__}\.(\w+)$"
        named = re.findall(pattern, api[package.__name__], re.M)
        assert len(named) == len(set(named))
        assert set(named) >= set(package.__all__) - {"plots"}


BLOB, TREE = (f"https://github.com/owner/name/{kind}/main" for kind in ("blob", "tree"))


@pytest.mark.parametrize(
    ("text", "expected", "repository"),
    [
        ("[a](trained_models.ipynb)", "[a](trained_models.ipynb)", ""),
        ("[a](glossary.ipynb#cell-id=Claim)", "[a](#notebooks-glossary-claim)", ""),
        ("[a](#cell-id=x)", "[a](#notebooks-your_model-x)", ""),
        ("[`a`](../README.md)", "[`a`](../index.md)", ""),
        ("[a](../LICENSE)", "a", ""),
        ("[a](../LICENSE)", f"[a]({BLOB}/LICENSE)", "owner/name"),
        ("[b](ko)", f"[b]({TREE}/notebooks/ko)", "owner/name"),
        ("[a](https://b.c/d.md)", "[a](https://b.c/d.md)", ""),
        ("x · [한국어](ko/glossary.ipynb)", "x", ""),
        ("```\n[a](../LICENSE)\n```", "```\n[a](../LICENSE)\n```", ""),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(text, expected, repository, tmp_path):
    links = website.Links(website.pages(), ROOT, repository, tmp_path)
    source = FOLDER / "your_model.ipynb"
    assert links.rewritten(text, source, "notebooks/your_model.ipynb") == expected
    with pytest.raises(FileNotFoundError, match="nowhere"):
        links.rewritten("[a](nowhere.md)", source, "notebooks/your_model.ipynb")
