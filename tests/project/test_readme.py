"""README and docs/: short, in step in both languages, and true of the notebooks as stored."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from .test_reading import ORDER
from .tool import tool

ROOT = Path(__file__).parents[2]
READMES = {"README.md": "notebooks", "README.ko.md": "notebooks/ko"}
DOCS = sorted(path.with_suffix("").with_suffix(".md") for path in ROOT.glob("docs/*.ko.md"))
PAIRS = [(ROOT / f"{name}.md", ROOT / f"{name}.ko.md") for name in ("README", "TEACHING")]
PAIRS += [(path, path.with_suffix(".ko.md")) for path in DOCS]
readme = tool("readme")


def read(path):
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", READMES)
def test_it_is_short(name):
    assert len(readme.PICTURE.sub("", read(ROOT / name)).split()) <= 500


@pytest.mark.parametrize(("name", "folder"), READMES.items())
def test_what_it_quotes_is_what_the_notebooks_show(name, folder):
    """All of one run: `python tools/readme.py` puts it there."""
    text = read(ROOT / name)
    assert readme.filled(text, folder) == text
    assert len(readme.QUOTATION.findall(text)) == len(readme.QUOTED)
    picture = readme.PICTURE.search(text)[1]
    stored = readme.output(folder, *readme.FIGURE).data["image/png"]
    assert (ROOT / picture).read_bytes() == readme.base64.b64decode(stored)


def test_a_stale_quotation_or_picture_is_replaced():
    text = read(ROOT / "README.md")
    stale = re.sub(r"(?m)^> .*smaller", "> In INT8 the file is 9.99 times smaller", text)
    other = text.replace("![", "![another figure, ")
    for changed in (stale, other):
        assert changed != text
        assert readme.filled(changed, "notebooks") == text


@pytest.mark.parametrize("page", ["README.md", "README.ko.md", "docs/helpers.md"])
def test_the_first_example_prints_what_it_says(page):
    text = read(ROOT / page)
    code, output = re.search(r"```python\n(.*?)```\s+```text\n(.*?)```", text, re.DOTALL).groups()
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stderr == ""
    assert done.stdout.strip() == output.strip()


def test_the_first_example_is_the_recipe():
    """Class, seed, inputs and the one call, letter by letter."""
    example = re.search(r"```python\n(.*?)```", read(ROOT / "README.md"), re.DOTALL)[1]
    recipe = nbformat.read(ROOT / "notebooks" / "dynamic_quantization.ipynb", as_version=4)
    cells = {cell.id: cell.source for cell in recipe.cells}
    for name in ("model-class", "inputs", "cell-32"):
        assert cells[name] in example, name


@pytest.mark.parametrize(("name", "folder"), READMES.items())
def test_it_lists_the_notebooks_in_reading_order_and_the_commands(name, folder):
    text = read(ROOT / name)
    listed = re.findall(rf"^\d\. \[`{folder}/(\w+)\.ipynb`\]", text, re.MULTILINE)
    assert listed == [*ORDER, "glossary"]
    for command in ("make run", "make test", "make lab"):
        assert command in text


def blocks(text, language):
    """The fenced blocks of one kind, without their comments."""
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return [re.sub(r" +#.*", "", block).replace(" LANGUAGE=ko", "") for block in found]


@pytest.mark.parametrize(("english", "korean"), PAIRS, ids=lambda path: path.name)
def test_the_korean_text_keeps_to_the_english_one(english, korean):
    """The same headings, code and lists; each leads to the other."""
    here, there = read(english), read(korean)
    assert f"[한국어]({korean.name})" in here[:200]
    assert f"[English]({english.name})" in there[:200]
    for language in ("sh", "python", "text"):
        assert blocks(there, language) == blocks(here, language)
    for mark in (r"^#+ ", r"^\| `\w+/` ", r"^\d\. ", r"^- "):
        counts = [len(re.findall(mark, text, re.MULTILINE)) for text in (here, there)]
        assert counts[0] == counts[1], mark


def test_docs_are_there_in_both_languages():
    names = {path.name for path in DOCS}
    assert {"platforms.md", "command_line.md", "surveys.md", "benchmarks.md", "helpers.md"} <= names


@pytest.mark.parametrize("path", [path for pair in PAIRS for path in pair], ids=lambda p: p.name)
def test_every_link_leads_to_a_file(path):
    for target in re.findall(r"\]\(([^)#:\s]+)\)", read(path)):
        assert (path.parent / target).exists(), target


def test_the_helpers_page_has_a_row_for_every_room():
    mapped = set(re.findall(r"^\| `(\w+)/` \|", read(ROOT / "docs" / "helpers.md"), re.MULTILINE))
    rooms = {path.parent.name for path in (ROOT / "recipe_helpers").glob("*/__init__.py")}
    assert mapped == rooms - {"int8"}  # the old name of what is in int8_rnn
