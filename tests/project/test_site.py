"""The sources of the site: every page in both languages, and links that lead somewhere.

Sphinx itself is not run here; it is not part of the readers' environment. `make site` runs it, and
the workflow of that name refuses a page with a warning.
"""

import json
import re
from pathlib import Path

import pytest

import int8_rnn
import recipe_helpers as rh

from .tool import tool

ROOT = Path(__file__).parents[2]
website = tool("website")
PLACES = {page.place for page in website.pages()}


@pytest.fixture(scope="module", params=["en", "ko"])
def laid_out(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    website.stage(folder, request.param)
    return request.param, folder


def texts(folder):
    """The prose of each page, and that of the cells of a notebook."""
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".ipynb":
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            prose = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
            yield path, "\n\n".join(prose)
        elif path.suffix in (".md", ".rst"):
            yield path, path.read_text(encoding="utf-8")


def test_both_languages_have_the_same_pages(laid_out):
    language, folder = laid_out
    there = {path.relative_to(folder).as_posix() for path, _ in texts(folder)}
    assert there >= PLACES | {"api/recipe_helpers.rst", "api/int8_rnn.rst", "notebooks/index.md"}
    for name in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"notebooks/{name.name}" in there
        text = (folder / "notebooks" / name.name).read_text(encoding="utf-8")
        assert language == "en" or re.search("[가-힣]{2}", text)


def test_every_link_to_a_cell_or_a_page_leads_somewhere(laid_out):
    _, folder = laid_out
    pages = dict(texts(folder))
    labels = {found for text in pages.values() for found in re.findall(r"(?m)^\((\S+)\)=$", text)}
    followed = 0
    for path, text in pages.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", website.FENCED.sub("", text)):
            name, _, anchor = target.partition("#")
            if re.match(r"\w+:", target):
                continue
            followed += 1
            if name:
                assert (path.parent / name).is_file(), f"{path.name}: {target}"
            elif path.suffix == ".ipynb":
                assert anchor in labels, f"{path.name}: {target}"
    assert followed > 100


def test_every_page_is_in_the_table_of_contents(laid_out):
    _, folder = laid_out
    listed = {"index.md"}
    for path, text in texts(folder):
        for entries in re.findall(r"```{toctree}\n(.*?)```", text, re.DOTALL):
            for name in entries.split("\n\n", 1)[1].split():
                (found,) = path.parent.glob(f"{name}.*")
                listed.add(found.relative_to(folder).as_posix())
    assert listed == {path.relative_to(folder).as_posix() for path, _ in texts(folder)}


def test_the_way_to_the_other_language_is_the_switch_of_the_site(laid_out):
    _, folder = laid_out
    for path, text in texts(folder):
        if path.parent.name == "notebooks":
            assert not re.search(r"\[(한국어|English)\]", text), path


def test_pictures_keep_their_texts_and_widgets_say_what_they_need(laid_out):
    language, folder = laid_out
    described = 0
    for path in (folder / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                assert website.WIDGET not in data
                if "image/png" in data:
                    assert len(cell["metadata"]["mystnb"]["image"]["alt"]) > 20, path
                    described += 1
    assert described > 10
    recipe = (folder / "notebooks" / "dynamic_quantization.ipynb").read_text(encoding="utf-8")
    if "rh.explore()" in recipe:
        assert website.WORDS[language]["panel"] in recipe


def test_the_api_has_every_public_name(laid_out):
    _, folder = laid_out
    for package in (rh, int8_rnn):
        text = (folder / "api" / f"{package.__name__}.rst").read_text(encoding="utf-8")
        named = re.findall(rf"^\.\. \S+:: {package.__name__}\.(\w+)$", text, re.M)
        assert len(named) == len(set(named))
        assert set(named) >= set(package.__all__) - {"plots"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](trained_models.ipynb)", "[a](trained_models.ipynb)"),
        ("[a](glossary.ipynb#cell-id=Claim)", "[a](#notebooks-glossary-claim)"),
        ("[a](#cell-id=x)", "[a](#notebooks-your_model-x)"),
        ("[`a`](../README.md)", "[`a`](../index.md)"),
        ("[a](../LICENSE)", "a"),
        ("[a](https://b.c/d.md)", "[a](https://b.c/d.md)"),
        ("x · [한국어](ko/glossary.ipynb)", "x"),
        ("```\n[a](../LICENSE)\n```", "```\n[a](../LICENSE)\n```"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(text, expected, tmp_path):
    links = website.Links(website.pages(), ROOT, "", tmp_path)
    source = ROOT / "notebooks" / "your_model.ipynb"
    assert links.rewritten(text, source, "notebooks/your_model.ipynb") == expected


def test_a_file_that_is_no_page_is_linked_where_the_repository_is_known(tmp_path):
    links = website.Links(website.pages(), ROOT, "owner/name", tmp_path)
    source = ROOT / "notebooks" / "your_model.ipynb"
    found = links.rewritten("[a](../LICENSE) [b](ko)", source, "notebooks/your_model.ipynb")
    blob, tree = (
        "https://github.com/owner/name/blob/main",
        "https://github.com/owner/name/tree/main",
    )
    assert found == f"[a]({blob}/LICENSE) [b]({tree}/notebooks/ko)"
    with pytest.raises(FileNotFoundError, match="nowhere"):
        links.rewritten("[a](nowhere.md)", source, "notebooks/your_model.ipynb")
