"""The way through the notebooks: where each begins, where links lead, what a newcomer is told."""

import itertools
import re
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
ORDER = [
    "dynamic_quantization",
    "trained_models",
    "under_the_hood",
    "your_model",
    "deployment",
    "class_comparison",
]
EVERY = sorted(FOLDER.rglob("*.ipynb"))  # in every language
LINK = re.compile(r"\[([^]]*)\]\(([^)\s]+)\)")
# Where a term may stand unlinked: code, formulas, headings, tables, the texts of links.
UNLINKED = re.compile(
    r"```.*?```|`[^`\n]*`|\[[^]]*\]\([^)]*\)|\$[^$\n]*\$|^(?:#+ |\|).*$", re.S | re.M
)
REFERENCES = ("1712.05877", "2211.10438", "2208.07339", "10.1162/neco.1997.9.8.1735")


def cells(path):
    return nbformat.read(path, as_version=4).cells


def prose(path):
    return [cell for cell in cells(path) if cell.cell_type == "markdown"]


def header(name):
    return cells(FOLDER / f"{name}.ipynb")[0].source


def set_up(path):
    """The cell that first imports the helpers, and the one above it."""
    found = cells(path)
    place = next(n for n, cell in enumerate(found) if "import recipe_helpers as rh" in cell.source)
    return found[place - 1], found[place]


def test_these_are_all_notebooks():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {*ORDER, "glossary"}


@pytest.mark.parametrize("name", ORDER)
def test_the_first_cell_says_how_long_and_what_for(name):
    words = header(name)
    for word in (
        "What you will learn",
        "Time:",
        "Prerequisites:",
        "What may differ",
        "On this page",
    ):
        assert f"**{word}" in words, word


def test_the_notebooks_lead_from_one_to_the_next_and_back():
    for one, other in itertools.pairwise(ORDER):
        assert re.search(rf"Next: \[[^]]+\]\({other}\.ipynb\)", header(one))
        assert re.search(rf"Previous: \[[^]]+\]\({one}\.ipynb\)", header(other))
    assert "Previous" not in header(ORDER[0])
    assert "Next" not in header(ORDER[-1])
    assert all("](glossary.ipynb)" in header(name) for name in ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_the_table_of_contents_lists_every_section_in_order(name):
    (contents,) = [line for line in header(name).splitlines() if "**On this page" in line]
    sections = []
    for cell in prose(FOLDER / f"{name}.ipynb")[1:]:
        headings = re.findall(r"^## (?:\d\. )?(.*)$", cell.source, re.M)
        assert len(headings) <= 1, "a section begins its own cell, so that a link leads to it"
        if headings:
            assert cell.source.startswith("## ")
            sections.append((headings[0], f"#cell-id={cell.id}"))
    assert LINK.findall(contents) == sections


@pytest.mark.parametrize("path", EVERY, ids=lambda path: str(path.relative_to(FOLDER)))
def test_every_anchor_is_there(path):
    """`#cell-id=...` is an anchor of JupyterLab's and of the HTML export, in every language."""
    assert len({cell.id for cell in cells(path)}) == len(cells(path))
    for cell in prose(path):
        for _, target in LINK.findall(cell.source):
            file, _, anchor = target.partition("#")
            if ":" in file or not anchor:
                continue
            assert anchor.startswith("cell-id="), target
            other = path.parent / file if file else path
            assert anchor.removeprefix("cell-id=") in {c.id for c in cells(other)}, target


# --- the glossary --------------------------------------------------------------------------------


def terms():
    return {
        cell.id: cell.source.splitlines()[0].removeprefix("### ")
        for cell in prose(FOLDER / "glossary.ipynb")
        if cell.source.startswith("### ")
    }


def test_the_glossary_is_sorted_and_lists_its_terms():
    assert len(terms()) > 30
    assert list(terms().values()) == sorted(terms().values(), key=str.lower)
    (contents,) = [line for line in header("glossary").splitlines() if "**On this page" in line]
    expected = [(title, f"#cell-id={id_}") for id_, title in terms().items()]
    assert LINK.findall(contents) == [*expected, ("References", "#cell-id=references")]
    for cell in prose(FOLDER / "glossary.ipynb"):
        assert not cell.source.startswith("### ") or "\n\nSee [" in cell.source


@pytest.mark.parametrize("name", ORDER)
def test_a_term_is_linked_where_it_is_first_used(name):
    seen, linked = "", []
    for cell in prose(FOLDER / f"{name}.ipynb")[1:]:
        for match in LINK.finditer(cell.source):
            if match[2].startswith("glossary.ipynb#"):
                linked.append(match[2])
                before = seen + UNLINKED.sub(" ", cell.source[: match.start()])
                assert not re.search(rf"\b{re.escape(match[1])}\b", before), match[1]
        seen += UNLINKED.sub(" ", cell.source)
    assert len(linked) == len(set(linked)) >= 7


def test_every_term_is_linked_from_somewhere():
    every = " ".join(cell.source for name in ORDER for cell in prose(FOLDER / f"{name}.ipynb"))
    assert {id_ for id_ in terms() if f"glossary.ipynb#cell-id={id_})" not in every} == set()


@pytest.mark.parametrize("reference", REFERENCES)
def test_the_sources_are_named_where_their_ideas_are_used(reference):
    listed = "".join(cell.source for cell in cells(FOLDER / "glossary.ipynb"))
    assert reference in listed
    assert any(reference in c.source for name in ORDER for c in prose(FOLDER / f"{name}.ipynb"))


# --- someone who has only the notebook -----------------------------------------------------------


@pytest.mark.parametrize("name", ORDER)
def test_the_sentence_for_those_without_the_package_stands_above_the_first_import(name):
    above, code = set_up(FOLDER / f"{name}.ipynb")
    assert above.source.splitlines()[-1].startswith("**If the next cell finds no module")
    assert code.cell_type == "code"
    for cell in cells(FOLDER / f"{name}.ipynb"):
        if cell.id == code.id:
            break
        assert cell.cell_type == "markdown" or "rh." not in cell.source


class Shell:
    """What a cell sees as its IPython, under the name that this class has."""

    def __init__(self):
        self.magics = []

    def run_line_magic(self, *words):
        self.magics.append(words)


@pytest.mark.parametrize("path", [FOLDER / f"{name}.ipynb" for name in ORDER], ids=lambda p: p.stem)
@pytest.mark.parametrize(
    ("module", "magics"),
    [
        ("google.colab._shell", [("pip", "install --quiet --find-links . recipe-helpers")]),
        ("ipykernel.zmqshell", []),
    ],
)
def test_the_wheel_is_installed_on_colab_and_nowhere_else(path, module, magics, monkeypatch):
    monkeypatch.setattr(Shell, "__module__", module)
    shell = Shell()
    setup, _, _ = set_up(path)[1].source.partition("\n\n")
    exec(TransformerManager().transform_cell(setup), {"get_ipython": lambda: shell})
    assert shell.magics == magics
