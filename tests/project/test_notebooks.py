"""What nbval cannot see: which cells it may ignore and why, clean outputs, claims, alt texts."""

import re
from pathlib import Path

import nbformat
import pytest

from recipe_helpers.common.language import _, speaking
from recipe_helpers.common.settings import DEPRECATIONS
from recipe_helpers.recipe.claims import CLAIMS, OPEN

ROOT = Path(__file__).parents[2]
ENGLISH = sorted((ROOT / "notebooks").glob("*.ipynb"))
KOREAN = sorted((ROOT / "notebooks" / "ko").glob("*.ipynb"))
KOREAN += sorted((ROOT / "exercises" / "solutions" / "ko").glob("*.ipynb"))
SOLUTIONS = sorted((ROOT / "exercises" / "solutions").glob("*.ipynb"))
NOTEBOOKS = [*ENGLISH, *KOREAN, *SOLUTIONS]
RECIPE = ROOT / "notebooks" / "dynamic_quantization.ipynb"
KNOWN_TAGS = re.compile(r"nbval-ignore-output|raises-exception|summary|claim-C\d+|solution|hint")
MACHINE_PATH = re.compile(r"(/(tmp|root|work|home|Users)/|[A-Z]:\\)")

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
UNSAID = {"notebooks/under_the_hood", "notebooks/ko/under_the_hood"}  # they do not say so yet

# An alternative text of this length can say what a figure shows; a Hangul syllable says more.
ALT_LENGTH = {"en": 40, "ko": 25}


def language(path):
    return "ko" if path in KOREAN else "en"


def name(path):
    """How a notebook is listed, in both languages: those of the exercises with their folder."""
    return f"solutions/{path.stem}" if path in SOLUTIONS else path.stem


def cells(path):
    return nbformat.read(path, as_version=4).cells


def code_cells(path):
    return [cell for cell in cells(path) if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def named(path):
    """The name of a notebook among all editions, as `notebooks/ko/your_model`."""
    return path.relative_to(ROOT).with_suffix("").as_posix()


@pytest.fixture(params=NOTEBOOKS, ids=named)
def notebook(request):
    return request.param


def test_every_ignored_cell_says_why_and_no_other_does(notebook):
    reasons = [
        cell.metadata.get("reason")
        for cell in code_cells(notebook)
        if "nbval-ignore-output" in tags(cell)
    ]
    assert None not in reasons or named(notebook) in UNSAID
    assert set(reasons) - {None} <= REASONS
    compared = [c for c in cells(notebook) if "nbval-ignore-output" not in tags(c)]
    assert [cell.source for cell in compared if "reason" in cell.metadata] == []


def test_every_tag_is_known(notebook):
    for cell in cells(notebook):
        assert all(KNOWN_TAGS.fullmatch(tag) for tag in tags(cell)), tags(cell)


def test_no_cell_holds_a_hidden_nbval_comment(notebook):
    """nbval also obeys comments, which the allow-list would not see."""
    assert not any(re.search(r"#\s*NBVAL|#\s*PYTEST", cell.source) for cell in code_cells(notebook))


def test_committed_from_one_clean_run(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_outputs_are_clean(notebook):
    assert "widgets" not in nbformat.read(notebook, as_version=4).metadata
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source
            texts = [output.get("text", "")]
            texts += [t for k, t in output.get("data", {}).items() if k.startswith("text/")]
            assert not any(MACHINE_PATH.search(text) for text in texts), cell.source


def test_every_figure_says_what_it_shows(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                alt = output.metadata["image/png"]["alt"]
                assert len(alt) > ALT_LENGTH[language(notebook)], cell.source
                assert alt != output.data["text/plain"]


def test_cells_are_short_enough_to_be_said_aloud(notebook):
    most = 12 if language(notebook) == "en" else 14  # the call that chooses the language, set off
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= most, cell.source


def test_links_between_notebooks_lead_somewhere(notebook):
    for cell in cells(notebook):
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", cell.source):
                assert (notebook.parent / target).exists(), target


def test_the_kernel_is_named_plainly(notebook):
    assert nbformat.read(notebook, as_version=4).metadata.kernelspec.name == "python3"


@pytest.fixture(params=["", "ko/"], ids=["English", "Korean"])
def recipe(request):
    return ROOT / "notebooks" / request.param / "dynamic_quantization.ipynb"


def is_prose(cell):
    return cell.cell_type == "markdown"


def test_the_first_quantization_comes_early_and_without_the_helpers(recipe):
    cells = [cell.source for cell in code_cells(recipe)]
    place = next(n for n, source in enumerate(cells, 1) if "quantize_dynamic(" in source)
    assert place <= 4
    assert not any("rh" in re.findall(r"\w+", source) for source in cells[:place])


def test_the_recipe_is_short():
    words = " ".join(re.sub(r"\]\([^)]*\)", "]", c.source) for c in cells(RECIPE) if is_prose(c))
    assert len(re.findall(r"[A-Za-z0-9][\w'./%-]*", words)) <= 1900
    code = [cell.id for cell in code_cells(RECIPE)]
    assert len(code) <= 40
    assert code.index("found") < 20, "the five sections"


def test_the_closing_table_shows_every_claim_as_measured(recipe):
    (closing,) = [cell for cell in code_cells(recipe) if "summary" in tags(cell)]
    text = closing.outputs[0].data["text/plain"]
    with speaking(language(recipe)):
        assert _(OPEN) not in text
    for claim in CLAIMS:
        assert re.search(rf"^{claim}\s", text, re.MULTILINE)


def test_the_one_call_stands_alone(recipe):
    call = "torch.ao.quantization.quantize_dynamic(model, {nn.LSTM}, dtype=torch.qint8)"
    (cell,) = [cell for cell in code_cells(recipe) if cell.id == "cell-32"]
    assert cell.source == f"quantized = {call}"


@pytest.mark.parametrize("figure", ["0.1289", "0.1291", "0.0016", "1.21%"])
def test_the_published_figures_are_shown(recipe, figure):
    (shown,) = [c for c in code_cells(recipe) if c.id == "mean-values"]
    assert figure in "".join(output.text for output in shown.outputs)


def test_exactly_the_two_warnings_are_silenced():
    """By the lines of the recipe's own cell, which repeat what the helpers silence."""
    (cell,) = [c for c in code_cells(RECIPE) if c.id == "warnings"]
    said = re.findall(r'filterwarnings\("ignore", r"(.*)", (\w+)\)', cell.source)
    assert said == [(message, kind.__name__) for kind, message in DEPRECATIONS]


def test_every_ignored_cell_says_why():
    """In the notebooks that have moved their reasons from the list above into the cells."""
    for path in (RECIPE, ROOT / "notebooks" / "ko" / RECIPE.name):
        for cell in code_cells(path):
            reason = cell.metadata.get("nbval", {}).get("reason")
            assert ("nbval-ignore-output" in tags(cell)) == bool(reason), cell.source
