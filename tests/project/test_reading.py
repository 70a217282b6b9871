"""The way through the notebooks: where each begins, where links lead, what a newcomer is told."""

import itertools
import re

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from .files import FOLDER, LINK, ORDER, prose, read

# Where a term may stand unlinked: code, formulas, headings, tables, the texts of links.
UNLINKED = re.compile(
    r"```.*?```|`[^`\n]*`|\[[^]]*\]\([^)]*\)|\$[^$\n]*\$|^(?:#+ |\|).*$", re.S | re.M
)
REFERENCES = ("1712.05877", "2211.10438", "2208.07339", "10.1162/neco.1997.9.8.1735")
SAID = ("What you will learn", "Time:", "Prerequisites:", "What may differ", "On this page")
PAGES = {name: read(FOLDER / f"{name}.ipynb") for name in [*ORDER, "glossary"]}
HEADERS = {name: page.cells[0].source for name, page in PAGES.items()}


def contents(name):
    """The links of the table of contents: what each says, and where it leads."""
    (line,) = [line for line in HEADERS[name].splitlines() if "**On this page" in line]
    return LINK.findall(line)


def test_the_notebooks_lead_from_one_to_the_next_and_back():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(PAGES)
    for one, other in itertools.pairwise(ORDER):
        assert re.search(rf"Next: \[[^]]+\]\({other}\.ipynb\)", HEADERS[one])
        assert re.search(rf"Previous: \[[^]]+\]\({one}\.ipynb\)", HEADERS[other])
    assert "Previous" not in HEADERS[ORDER[0]]
    assert "Next" not in HEADERS[ORDER[-1]]
    for name in ORDER:
        assert "](glossary.ipynb)" in HEADERS[name]
        assert [word for word in SAID if f"**{word}" not in HEADERS[name]] == []


@pytest.mark.parametrize("name", ORDER)
def test_the_table_of_contents_lists_every_section_in_order(name):
    sections = []
    for cell in prose(PAGES[name])[1:]:
        if headings := re.findall(r"^## (?:\d\. )?(.*)$", cell.source, re.M):
            assert cell.source.startswith("## "), "it begins its cell, so that a link leads to it"
            sections += [(heading, f"#cell-id={cell.id}") for heading in headings]
    assert contents(name) == sections


# --- the glossary --------------------------------------------------------------------------------

TERMS = {
    cell.id: cell.source.splitlines()[0].removeprefix("### ")
    for cell in prose(PAGES["glossary"])
    if cell.source.startswith("### ")
}


def test_the_glossary_is_sorted_lists_its_terms_and_names_the_sources():
    assert len(TERMS) > 30
    assert list(TERMS.values()) == sorted(TERMS.values(), key=str.lower)
    expected = [(title, f"#cell-id={id_}") for id_, title in TERMS.items()]
    assert contents("glossary") == [*expected, ("References", "#cell-id=references")]
    listed = {cell.id: cell.source for cell in prose(PAGES["glossary"])}
    assert [name for name in TERMS if "\n\nSee [" not in listed[name]] == []
    every = " ".join(cell.source for name in ORDER for cell in prose(PAGES[name]))
    assert [id_ for id_ in TERMS if f"glossary.ipynb#cell-id={id_})" not in every] == []
    for reference in REFERENCES:
        assert reference in listed["references"]
        assert reference in every


@pytest.mark.parametrize("name", ORDER)
def test_a_term_is_linked_where_it_is_first_used(name):
    seen, linked = "", []
    for cell in prose(PAGES[name])[1:]:
        for match in LINK.finditer(cell.source):
            if match[2].startswith("glossary.ipynb#"):
                linked.append(match[2])
                before = seen + UNLINKED.sub(" ", cell.source[: match.start()])
                assert not re.search(rf"\b{re.escape(match[1])}\b", before), match[1]
        seen += UNLINKED.sub(" ", cell.source)
    assert len(linked) == len(set(linked)) >= 7


# --- someone who has only the notebook -----------------------------------------------------------


@pytest.mark.parametrize("name", ORDER)
def test_who_has_no_package_is_told_how_to_get_it_and_on_colab_gets_it(name):
    cells = PAGES[name].cells
    place = next(n for n, cell in enumerate(cells) if "import recipe_helpers as rh" in cell.source)
    assert cells[place - 1].source.splitlines()[-1].startswith("**If the next cell finds no module")
    assert not any(c.cell_type == "code" and "rh." in c.source for c in cells[:place])
    setup = TransformerManager().transform_cell(cells[place].source.partition("\n\n")[0])
    installed = [("pip", "install --quiet --find-links . recipe-helpers")]
    for module, magics in (("google.colab._shell", installed), ("ipykernel.zmqshell", [])):
        run = []  # by what a cell sees as its IPython
        line = {"run_line_magic": lambda self, *words, run=run: run.append(words)}
        exec(setup, {"get_ipython": type("Shell", (), {"__module__": module, **line})})
        assert run == magics
