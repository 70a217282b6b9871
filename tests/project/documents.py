"""The notebooks of both languages and the pages beside them, as the tests read them."""

import functools
import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
SOLUTIONS = ROOT / "exercises" / "solutions"
ENGLISH = sorted([*FOLDER.glob("*.ipynb"), *SOLUTIONS.glob("*.ipynb")])
KOREAN = sorted([*FOLDER.glob("ko/*.ipynb"), *SOLUTIONS.glob("ko/*.ipynb")])
RECIPE = FOLDER / "dynamic_quantization.ipynb"
ORDER = [
    "dynamic_quantization",
    "trained_models",
    "under_the_hood",
    "your_model",
    "deployment",
    "class_comparison",
]
LINK = re.compile(r"\[([^]]*)\]\(([^)\s]+)\)")
HANGUL = re.compile("[가-힣]")
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?!\w)")
# What is no text: code, the targets of links, headings, the numbers of a list.
NO_TEXT = re.compile(r"`[^`]*`|\]\([^)]*\)|^#+.*$|^\d+\. |section \d", re.MULTILINE)


def named(path):
    """The name of a document among all of them, as `notebooks/ko/your_model`."""
    return path.relative_to(ROOT).with_suffix("").as_posix()


@functools.cache
def read(path):
    """A notebook, to be looked at and not to be changed."""
    return nbformat.read(path, as_version=4)


@functools.cache
def text(path):
    return Path(path).read_text(encoding="utf-8")


def prose(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "markdown"]


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def cell_of(notebook, name):
    (found,) = [cell for cell in notebook.cells if cell.id == name]
    return found


def tags(cell):
    return cell.metadata.get("tags", [])


def texts(cell):
    """All that one cell shows in words."""
    for output in cell.get("outputs", []):
        yield output.get("text", "")
        data = output.get("data", {})
        yield from (data[kind] for kind in ("text/plain", "text/html") if kind in data)
        yield output.get("metadata", {}).get("image/png", {}).get("alt", "")


def plain(cell):
    """The plain text of the last thing that a cell shows."""
    return cell.outputs[-1].data["text/plain"]


def numbers(source):
    return {found.rstrip(",") for found in NUMBER.findall(NO_TEXT.sub(" ", source))}


def shown(notebook):
    """Numbers that stand in some output or in the code of a notebook."""
    words = " ".join(" ".join([cell.source, *texts(cell)]) for cell in code(notebook))
    return set(re.findall(r"\d[\d,]*(?:\.\d+)?", words))
