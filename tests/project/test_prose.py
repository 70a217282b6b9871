"""What the notebooks say must follow from what they show: numbers, verdicts, announced cells."""

import itertools
import re
from pathlib import Path

import nbformat
import pytest

from recipe_helpers.recipe.timing import FASTER, INCONCLUSIVE, SLOWER, Ratio, judge

from .test_notebooks import ENGLISH, KOREAN, SOLUTIONS, name

ROOT = Path(__file__).parents[2]
NOTEBOOKS = [*ENGLISH, *SOLUTIONS]
RECIPE = ROOT / "notebooks" / "dynamic_quantization.ipynb"
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?!\w)")
# What is no text: code, the targets of links, headings, the numbers of a list.
NO_TEXT = re.compile(r"`[^`]*`|\]\([^)]*\)|^#+.*$|^\d+\. |section \d", re.MULTILINE)

# Numbers in the prose that no cell shows, with the reason why they may stand there.
OUTSIDE = {
    "dynamic_quantization": {
        "32": "the bits of a float",
        "255": "the steps of a whole byte, of which the cell shows that they are not used",
        "20": "an example of the unit dB",
    },
    "trained_models": {
        "1797": "the size of scikit-learn's data set",
        "30": "an example",
        "33278": "the published tutorial's vocabulary",
        "512": "its width",
        "113.945": "its published size",
        "79.740": "its published size",
        "127.5": "how torch.ao defines its scale",
    },
    "glossary": {"8": "in the title of a paper"},
    "under_the_hood": {
        "2.6": "a version of PyTorch",
        "95": "the level of the intervals",
    },
}


def cells(path):
    return nbformat.read(path, as_version=4).cells


def texts(cell):
    """All that one output cell shows in words."""
    for output in cell.get("outputs", []):
        yield output.get("text", "")
        data = output.get("data", {})
        yield from (data[kind] for kind in ("text/plain", "text/html") if kind in data)
        yield output.get("metadata", {}).get("image/png", {}).get("alt", "")


def numbers(text):
    return {found.rstrip(",") for found in NUMBER.findall(text)}


@pytest.fixture(params=NOTEBOOKS, ids=name)
def notebook(request):
    return request.param


def said(path):
    """Numbers of the prose."""
    prose = (cell.source for cell in cells(path) if cell.cell_type == "markdown")
    return numbers(" ".join(NO_TEXT.sub(" ", source) for source in prose))


def shown(path):
    """Numbers that stand in some output or in the code of the notebook."""
    code = (cell for cell in cells(path) if cell.cell_type == "code")
    words = " ".join(" ".join([cell.source, *texts(cell)]) for cell in code)
    return set(re.findall(r"\d[\d,]*(?:\.\d+)?", words))


def test_every_number_in_the_prose_was_shown_or_has_a_reason(notebook):
    assert said(notebook) - shown(notebook) <= set(OUTSIDE.get(name(notebook), {}))


def test_a_number_with_a_reason_stands_in_the_prose(notebook):
    """It may stand in an output as well: a time of that many microseconds, say."""
    assert set(OUTSIDE.get(name(notebook), {})) <= said(notebook)


@pytest.mark.parametrize("path", [*NOTEBOOKS, *KOREAN], ids=lambda path: "-".join(path.parts[-2:]))
def test_a_sentence_that_ends_in_a_colon_announces_a_cell(path):
    every = cells(path)
    for cell, following in itertools.pairwise([*every, None]):
        if cell.cell_type == "markdown" and cell.source.rstrip().endswith(":"):
            assert following is not None, cell.source
            assert following.cell_type == "code", cell.source


# --- verdicts and the ratios that they are drawn from --------------------------------------------

RATIO = re.compile(r"(\d+\.\d\d) \(95 % interval (\d+\.\d\d) to (\d+\.\d\d)\)")
HALF = 0.005  # of the last digit that is shown


def read_ratio(text):
    return Ratio(*map(float, RATIO.search(text).groups()))


def possible(speedup, control):
    """The verdicts that these numbers allow, each of them rounded to two digits."""
    steps = (-HALF, 0, HALF)
    return {
        judge(
            Ratio(speedup.median, speedup.low + a, speedup.high + b),
            Ratio(control.median, control.low + c, control.high + d),
        )
        for a, b, c, d in itertools.product(steps, repeat=4)
    }


def line_of(text, start):
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return line


def comparisons(path):
    """Every stored table of `compare_latency`."""
    for cell in cells(path):
        for output in cell.get("outputs", []):
            text = output.get("data", {}).get("text/plain", "")
            # A report holds several tables, each below a caption that begins with its rounds.
            for table in re.split(r"(?m)^(?=\d+ interleaved rounds)", text)[1:]:
                yield "\n".join(table.splitlines()[:9])


def test_every_stored_verdict_follows_from_the_stored_ratio(notebook):
    for text in comparisons(notebook):
        speedup = read_ratio(line_of(text, "FP32 / INT8"))
        verdict = line_of(text, "verdict").split()[-1]
        assert verdict in possible(speedup, read_ratio(line_of(text, "control"))), text
        said = " ".join(text.split())
        if verdict == FASTER:
            assert f"{speedup.median:.2f} times as fast" in said
        elif verdict == SLOWER:
            (times,) = re.findall(r"takes (\d+\.\d\d) times as long", said)
            edges = [1 / (speedup.median + step) for step in (HALF, -HALF)]
            assert edges[0] - HALF <= float(times) <= edges[1] + HALF
        else:
            assert "is inconclusive" in said


def stored(start, recipe=RECIPE):
    """The text of the one output of the recipe whose cell's code ends in this line."""
    (cell,) = [c for c in cells(recipe) if c.source.strip().splitlines()[-1].strip() == start]
    return cell.outputs[0].data["text/plain"]


def sweep_rows():
    for line in stored("latency_sweep").splitlines():
        if (found := RATIO.search(line)) and line.split()[0].isdigit():
            yield int(line.split()[0]), Ratio(*map(float, found.groups())), line.split()[-1]


def test_the_stored_sweep_agrees_with_its_sentence():
    rows = list(sweep_rows())
    assert len(rows) >= 6
    certain = Ratio(1.0, 1.0, 1.0)  # the control of a width is not shown; it only adds doubt
    for _, ratio, verdict in rows:
        assert verdict in possible(ratio, certain) | {INCONCLUSIVE}
    crossover = next(
        (w for i, (w, _, v) in enumerate(rows) if all(x[2] == FASTER for x in rows[i:])), None
    )
    said = " ".join(stored("latency_sweep").splitlines()[len(rows) + 2 :])
    if crossover is None:
        assert "no crossover" in said
    elif crossover == rows[0][0]:
        assert "at every width" in said
    else:
        assert f"faster from width {crossover} on" in said


def test_the_claims_about_time_quote_the_tables_above_them():
    closing = " ".join(stored("ledger").split())
    speedup = read_ratio(line_of(stored("latency"), "FP32 / INT8"))
    verdict = line_of(stored("latency"), "verdict").split()[-1]
    assert f"FP32 / INT8 {speedup.median:.2f}, {verdict}" in closing
    medians = [ratio.median for _, ratio, _ in sweep_rows()]
    assert f"from {min(medians):.2f} to {max(medians):.2f} over the widths" in closing


def test_what_was_found_is_what_the_sections_measured():
    found = stored("rh.Comparison(sizes, latency, outputs)")
    ratio = line_of(stored("sizes"), "total").split()[-3]
    assert f"{ratio} times smaller" in found
    assert stored("outputs").splitlines()[2].split()[4] in found
    speedup = read_ratio(line_of(stored("latency"), "FP32 / INT8")).median
    assert f"{speedup:.2f} to 1" in found


def test_formulas_are_plain_text():
    """The pages fetch no MathJax, so what is between dollars would be shown as it is."""
    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        for cell in cells(path):
            if cell.cell_type == "markdown":
                assert not re.search(r"\$[^$\n]+\$", cell.source), (path, cell.id)
