"""README, TEACHING and docs/: short, in step in both languages, and true of the notebooks."""

import re
import sys

import pytest

from .files import ORDER, RECIPE, ROOT, cell_of, read, run, text, tool

READMES = {"README.md": "notebooks", "README.ko.md": "notebooks/ko"}
KOREAN = [*ROOT.glob("*.ko.md"), *ROOT.glob("docs/*.ko.md")]
PAIRS = [(path.with_suffix("").with_suffix(".md"), path) for path in sorted(KOREAN)]
readme = tool("readme")


def test_these_are_all_pairs():
    docs = {path.name for path in ROOT.glob("docs/*.md")}
    assert len(docs) >= 14
    assert {path.name for pair in PAIRS for path in pair} >= docs | {"README.md", "TEACHING.md"}


@pytest.mark.parametrize(("name", "folder"), READMES.items())
def test_it_is_short_and_quotes_what_the_notebooks_show(name, folder):
    """All of one run: `python tools/readme.py` puts it there."""
    said = text(name)
    assert len(readme.PICTURE.sub("", said).split()) <= 500
    assert readme.filled(said, folder) == said
    assert len(readme.QUOTATION.findall(said)) == len(readme.QUOTED)
    picture = readme.PICTURE.search(said)[1]
    stored = readme.output(folder, *readme.FIGURE).data["image/png"]
    assert (ROOT / picture).read_bytes() == readme.base64.b64decode(stored)
    listed = re.findall(rf"^\d\. \[`{folder}/(\w+)\.ipynb`\]", said, re.MULTILINE)
    assert listed == [*ORDER, "glossary"]
    for command in ("make run", "make test", "make lab"):
        assert command in said


def test_a_stale_quotation_or_picture_is_replaced():
    said = text("README.md")
    stale = re.sub(r"(?m)^> .*smaller", "> In INT8 the file is 9.99 times smaller", said)
    for changed in (stale, said.replace("![", "![another figure, ")):
        assert changed != said
        assert readme.filled(changed, "notebooks") == said


@pytest.mark.parametrize("page", ["README.md", "docs/helpers.md"])
def test_the_first_example_prints_what_it_says(page):
    example = re.search(r"```python\n(.*?)```\s+```text\n(.*?)```", text(page), re.DOTALL)
    done = run(sys.executable, "-W", "ignore", "-c", example[1])
    assert (done.stdout.strip(), done.stderr) == (example[2].strip(), "")
    if page == "README.md":  # it is the recipe, letter by letter
        for name in ("model-class", "inputs", "cell-32"):
            assert cell_of(read(RECIPE), name).source in example[1], name


def skeleton(page):
    """What a page has in either language: code without its comments, headings, lists, figures."""
    said = text(page)
    for kind in ("sh", "python", "text"):
        for block in re.findall(rf"```{kind}\n(.*?)```", said, re.DOTALL):
            yield re.sub(r" +#.*", "", block).replace(" LANGUAGE=ko", "")
    for mark in (r"^#+ ", r"^\| `\w+/` ", r"^\d\. ", r"^ *- "):
        yield mark, len(re.findall(mark, said, re.MULTILINE))


def decimals(page):
    """The numbers with a fraction, but for code and what the notebooks said."""
    words = re.sub(r"```.*?```|^ *[!>][^\n]*$", " ", text(page), flags=re.S | re.M)
    return set(re.findall(r"(?<![\d.])\d+\.\d+(?!\.?\d)", words))


@pytest.mark.parametrize(("english", "korean"), PAIRS, ids=lambda path: path.name)
def test_the_korean_text_keeps_to_the_english_one(english, korean):
    """The same headings, code, lists and numbers; each leads to the other."""
    assert f"[한국어]({korean.name})" in text(english)[:200]
    assert f"[English]({english.name})" in text(korean)[:200]
    assert list(skeleton(korean)) == list(skeleton(english))
    assert decimals(korean) <= decimals(english)
    assert decimals(english) - decimals(korean) <= {"1.5"}, "1.5 times smaller: to two thirds"


def test_the_helpers_page_has_a_row_for_every_room():
    mapped = set(re.findall(r"^\| `(\w+)/` \|", text("docs/helpers.md"), re.MULTILINE))
    rooms = {path.parent.name for path in (ROOT / "recipe_helpers").glob("*/__init__.py")}
    assert mapped == rooms - {"int8"}  # the old name of what is in int8_rnn
