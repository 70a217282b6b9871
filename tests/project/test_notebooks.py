"""Rules that every notebook keeps in every language, each tried on one that breaks it.

nbval sees none of this: which cells it may ignore and why, clean outputs, links, alternative texts.
"""

import copy
import itertools
import re

import pytest
from nbformat.v4 import new_output

from recipe_helpers.common.language import _, speaking
from recipe_helpers.common.settings import DEPRECATIONS
from recipe_helpers.recipe.claims import CLAIMS, OPEN

from .files import (
    ENGLISH,
    FOLDER,
    KOREAN,
    LINK,
    RECIPE,
    RECIPES,
    ROOT,
    cell_of,
    code,
    language,
    named,
    plain,
    prose,
    read,
    tags,
    texts,
)

NOTEBOOKS = [*ENGLISH, *KOREAN]
STUDENTS = sorted([*ROOT.glob("exercises/*.ipynb"), *ROOT.glob("exercises/ko/*.ipynb")])
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "int8_rnn" / "README.md"])
KNOWN_TAGS = re.compile(r"nbval-ignore-output|raises-exception|summary|claim-C\d+|solution|hint")
MACHINE_PATH = re.compile(r"(/(tmp|root|work|home|Users)/|[A-Z]:\\)")
IGNORED = "nbval-ignore-output"
# Why nbval may leave the output of a cell uncompared: the cell says which in `metadata["reason"]`.
# Whatever such a cell measures is asserted in the unit tests of the helper that it calls.
REASONS = {
    "describes the machine",
    "times",
    "holds findings that depend on times",
    "resident memory differs with the allocator and the system",
    "trained weights differ in their last digits between processors",
    "errors differ in their last digits between quantized engines",
    "the reference text varies with the version of Python",
    "which numbers are met on a tie depends on the last digits of floats",
}
# An alternative text of this length can say what a figure shows; a Hangul syllable says more.
# The Korean call that chooses the language is set off by lines of its own.
ALT_LENGTH, CODE_LINES = {"en": 40, "ko": 25}, {"en": 12, "ko": 14}


def reasons(path, notebook):
    """An ignored cell says why, and no other does."""
    for cell in notebook.cells:
        if cell.metadata.get("reason") not in (REASONS if IGNORED in tags(cell) else {None}):
            yield cell.source


def known_tags(path, notebook):
    """nbval also obeys comments, which nobody would see."""
    for cell in notebook.cells:
        if not all(KNOWN_TAGS.fullmatch(tag) for tag in tags(cell)):
            yield tags(cell)
        if cell.cell_type == "code" and re.search(r"#\s*(NBVAL|PYTEST)", cell.source):
            yield cell.source


def one_clean_run(path, notebook):
    """From top to bottom, without errors, warnings, widgets, or paths of the machine."""
    yield from sorted(set(notebook.metadata) - {"kernelspec", "language_info"})
    if notebook.metadata.kernelspec.name != "python3":
        yield notebook.metadata.kernelspec
    for place, cell in enumerate(code(notebook), 1):
        faulty = [o for o in cell.outputs if o.output_type == "error" or o.get("name") == "stderr"]
        if cell.execution_count != place or faulty or MACHINE_PATH.search("".join(texts(cell))):
            yield cell.source


def figures(path, notebook):
    """A figure says what it shows, and is stored once."""
    seen = set()
    for cell in code(notebook):
        for output in cell.outputs:
            picture = output.get("data", {}).get("image/png")
            alt = output.get("metadata", {}).get("image/png", {}).get("alt", "")
            short = len(alt) <= ALT_LENGTH[language(path)] or alt == output.data["text/plain"]
            if picture and (short or picture in seen):
                yield cell.source
            seen.add(picture)


def short_cells(path, notebook):
    """What is said aloud fits on a slide."""
    for cell in code(notebook):
        if len(cell.source.splitlines()) > CODE_LINES[language(path)]:
            yield cell.source


def links(path, notebook):
    """Of a notebook or a page; `#cell-id=...` is an anchor of JupyterLab's and of the export."""
    if len({cell.id for cell in notebook.cells}) != len(notebook.cells):
        yield "two cells have one id"
    for cell in prose(notebook):
        for __, target in LINK.findall(cell.source):
            file, __, anchor = target.partition("#")
            other = (path.parent / file).resolve() if file else path
            if not re.match(r"\w+:", target) and not (
                other.exists()
                and (not anchor or anchor in anchors(notebook if other == path else read(other)))
            ):
                yield target


def anchors(notebook):
    """A cell's id leads to it; on a page GitHub makes one of each heading."""
    yield from (f"cell-id={cell.id}" for cell in notebook.cells)
    for cell in prose(notebook):
        for heading in re.findall(r"^#+ (.*)$", cell.source, re.M):
            yield re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-"))


def announced(path, notebook):
    """What ends in a colon announces a cell."""
    for cell, following in itertools.pairwise([*notebook.cells, None]):
        announces = cell.cell_type == "markdown" and cell.source.rstrip().endswith(":")
        if announces and (following is None or following.cell_type != "code"):
            yield cell.source


def formulas(path, notebook):
    """The pages fetch no MathJax, so what is between dollars would be shown as it is."""
    for cell in prose(notebook):
        if FOLDER in path.parents and re.search(r"\$[^$\n]+\$", cell.source):
            yield cell.source


RULES = [reasons, known_tags, one_clean_run, figures, short_cells, links, announced, formulas]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_a_notebook_keeps_the_rule(path, rule):
    assert list(rule(path, read(path))) == []


@pytest.mark.parametrize("path", [*STUDENTS, *PAGES], ids=named)
def test_links_of_the_students_version_and_of_the_pages_lead_somewhere(path):
    assert list(links(path, read(path))) == []


def drawn(notebook, place):
    """The output of a figure of the recipe: its alternative text, and its picture."""
    return cell_of(notebook, ("cell-53", "cell-62")[place]).outputs[0]


def linking(notebook, target):
    notebook.cells[0].source += f" [there]({target})"


SPOILT = [  # what is done to the recipe, in either language
    (reasons, lambda n: cell_of(n, "timeit").metadata.pop("reason")),
    (reasons, lambda n: cell_of(n, "timeit").metadata.update(reason="it is slow")),
    (reasons, lambda n: cell_of(n, "cell-32").metadata.update(reason="times")),
    (known_tags, lambda n: cell_of(n, "cell-32").metadata.update(tags=["nbval-skip"])),
    (known_tags, lambda n: cell_of(n, "cell-32").update(source="# NBVAL_SKIP\n1")),
    (one_clean_run, lambda n: n.metadata.update(widgets={})),
    (one_clean_run, lambda n: n.metadata.kernelspec.update(name="mine")),
    (one_clean_run, lambda n: cell_of(n, "cell-32").update(execution_count=None)),
    (one_clean_run, lambda n: n.cells.append(n.cells.pop(2))),
    (
        one_clean_run,
        lambda n: cell_of(n, "cell-32").outputs.append(new_output("stream", name="stderr")),
    ),
    (
        one_clean_run,
        lambda n: cell_of(n, "cell-32").outputs.append(new_output("stream", text="/home/me/x")),
    ),
    (figures, lambda n: drawn(n, 0).metadata["image/png"].pop("alt")),
    (figures, lambda n: drawn(n, 0).metadata["image/png"].update(alt="sizes")),
    (figures, lambda n: drawn(n, 0).data.update({"image/png": drawn(n, 1).data["image/png"]})),
    (short_cells, lambda n: cell_of(n, "cell-32").update(source=15 * "1\n")),
    (links, lambda n: linking(n, "nowhere.ipynb")),
    (links, lambda n: linking(n, "#cell-id=nowhere")),
    (links, lambda n: linking(n, "glossary.ipynb#cell-id=nowhere")),
    (links, lambda n: linking(n, "../CHANGELOG.md#nowhere")),
    (links, lambda n: n.cells[1].update(id=n.cells[0].id)),
    (announced, lambda n: n.cells[-1].update(source="This is it:")),
    (announced, lambda n: n.cells[0].update(source="This is it:")),
    (formulas, lambda n: n.cells[0].update(source="It is $x$.")),
]


@pytest.mark.parametrize("path", RECIPES.values(), ids=RECIPES)
def test_what_breaks_a_rule_is_seen(path):
    for place, (rule, spoil) in enumerate(SPOILT):
        changed = copy.deepcopy(read(path))
        spoil(changed)
        assert list(rule(path, changed)), (place, rule.__name__)
    assert {rule for rule, _ in SPOILT} == set(RULES)


# --- the recipe ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", RECIPES.values(), ids=RECIPES)
def test_the_first_quantization_comes_early_and_without_the_helpers(path):
    cells = [cell.source for cell in code(read(path))]
    place = next(n for n, source in enumerate(cells, 1) if "quantize_dynamic(" in source)
    assert place <= 4
    assert not any("rh" in re.findall(r"\w+", source) for source in cells[:place])


def test_the_recipe_is_short():
    words = " ".join(re.sub(r"\]\([^)]*\)", "]", cell.source) for cell in prose(read(RECIPE)))
    assert len(re.findall(r"[A-Za-z0-9][\w'./%-]*", words)) <= 1900
    cells = [cell.id for cell in code(read(RECIPE))]
    assert len(cells) <= 40
    assert cells.index("found") < 20, "the five sections"


@pytest.mark.parametrize("path", RECIPES.values(), ids=RECIPES)
def test_what_the_recipe_is_known_for_is_shown_in_both_languages(path):
    """The one call alone, the published figures, and every claim with its verdict."""
    call = "torch.ao.quantization.quantize_dynamic(model, {nn.LSTM}, dtype=torch.qint8)"
    assert cell_of(read(path), "cell-32").source == f"quantized = {call}"
    means = "".join(texts(cell_of(read(path), "mean-values")))
    assert all(figure in means for figure in ("0.1289", "0.1291", "0.0016", "1.21%"))
    (closing,) = [cell for cell in code(read(path)) if "summary" in tags(cell)]
    with speaking(language(path)):
        assert _(OPEN) not in plain(closing)
    assert [c for c in CLAIMS if not re.search(rf"^{c}\s", plain(closing), re.MULTILINE)] == []


def test_exactly_the_two_warnings_are_silenced():
    """By the lines of the recipe's own cell, which repeat what the helpers silence."""
    source = cell_of(read(RECIPE), "warnings").source
    said = re.findall(r'filterwarnings\("ignore", r"(.*)", (\w+)\)', source)
    assert said == [(message, kind.__name__) for kind, message in DEPRECATIONS]


def test_the_recipe_has_five_sections_in_order_each_with_a_module():
    headings = re.findall(r"(?m)^#+ .*", "\n".join(cell.source for cell in prose(read(RECIPE))))
    assert headings[0] == "# Dynamic quantization"
    sections = ["Set up", "Quantize", "Size", "Latency", "Accuracy"]
    numbered = [heading for heading in headings if re.match(r"## \d\.", heading)]
    assert numbered == [f"## {place}. {name}" for place, name in enumerate(sections, 1)]
    for name in ("model", *sections[1:]):
        assert (ROOT / "recipe_helpers" / "recipe" / f"{name.lower()}.py").exists()
