"""The project's files as the tests read them: documents, the programs in `tools`, make and git."""

import functools
import importlib
import os
import re
import shlex
import subprocess
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
SOLUTIONS = ROOT / "exercises" / "solutions"
ENGLISH = sorted([*FOLDER.glob("*.ipynb"), *SOLUTIONS.glob("*.ipynb")])
KOREAN = sorted([*FOLDER.glob("ko/*.ipynb"), *SOLUTIONS.glob("ko/*.ipynb")])
RECIPE = FOLDER / "dynamic_quantization.ipynb"
RECIPES = {"en": RECIPE, "ko": FOLDER / "ko" / RECIPE.name}
ORDER = (
    *("dynamic_quantization", "trained_models", "under_the_hood"),
    *("your_model", "deployment", "class_comparison"),
)
LINK = re.compile(r"\[([^]]*)\]\(([^)\s]+)\)")
HANGUL = re.compile("[가-힣]")
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?!\w)")
# What is no text: code, the targets of links, headings, the numbers of a list.
NO_TEXT = re.compile(r"`[^`]*`|\]\([^)]*\)|^#+.*$|^\d+\. |section \d", re.MULTILINE)


def named(path):
    """The name of a document among all of them, as `notebooks/ko/your_model`."""
    return path.relative_to(ROOT).with_suffix("").as_posix()


def language(path):
    return "ko" if path.parent.name == "ko" else "en"


@functools.cache
def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


@functools.cache
def read(path):
    """A notebook, or a page as a notebook of one cell; to be looked at and not to be changed."""
    if path.suffix == ".ipynb":
        return nbformat.read(path, as_version=4)
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text(path))])


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
        yield from (said for kind, said in data.items() if kind.startswith("text/"))
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


def tool(name, folder="tools"):
    """The module `tools/NAME.py`; it may import its neighbours, as it does when it is run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / folder)
        return importlib.import_module(name)


def run(*command, **options):
    """A command that was run in the root of the project, with what it said."""
    given = {"cwd": ROOT, "capture_output": True, "check": False, "encoding": "utf-8", **options}
    return subprocess.run([str(word) for word in command], **given)


def output(*command, **environment):
    done = run(*command, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


def commands(*target, **environment):
    """What `make` would run for a target, one list of words each."""
    # `make test` runs this within make, which then names folders.
    found = output("make", "-n", "--no-print-directory", *target, **environment)
    lines = found.replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


def words_of(target, program, **environment):
    """The one command of a target that runs a program, from the program's name on."""
    (found,) = [c for c in commands(*target.split(), **environment) if program in c]
    return found[found.index(program) + 1 :]


def tracked(folder="."):
    """The files of a folder that git knows, as paths from the root."""
    return [
        name for name in output("git", "ls-files", folder).split("\n") if (ROOT / name).is_file()
    ]
