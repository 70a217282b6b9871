"""What the notebooks say must follow from what they show: numbers, verdicts."""

import itertools
import re

import pytest

from recipe_helpers.recipe.timing import FASTER, INCONCLUSIVE, SLOWER, Ratio, judge

from . import files
from .files import ENGLISH, RECIPE, code, plain, prose, read, texts

# Numbers in the prose that no cell shows, with the reason why they may stand there.
OUTSIDE = {
    "notebooks/dynamic_quantization": {
        "32": "the bits of a float",
        "255": "the steps of a whole byte, of which the cell shows that they are not used",
        "20": "an example of the unit dB",
    },
    "notebooks/trained_models": {
        "1797": "the size of scikit-learn's data set",
        "30": "an example",
        "33278": "the published tutorial's vocabulary",
        "512": "its width",
        "113.945": "its published size",
        "79.740": "its published size",
        "127.5": "how torch.ao defines its scale",
    },
    "notebooks/glossary": {"8": "in the title of a paper"},
    "notebooks/under_the_hood": {
        "2.6": "a version of PyTorch",
        "95": "the level of the intervals",
    },
}
RATIO = re.compile(r"(\d+\.\d\d) \(95 % interval (\d+\.\d\d) to (\d+\.\d\d)\)")
HALF = 0.005  # of the last digit that is shown


@pytest.mark.parametrize("path", ENGLISH, ids=files.named)
def test_a_number_in_the_prose_was_shown_or_has_a_reason_which_is_of_use(path):
    """It may stand in an output as well: a time of that many microseconds, say."""
    said = set().union(*(files.numbers(cell.source) for cell in prose(read(path))))
    outside = set(OUTSIDE.get(files.named(path), {}))
    assert said - files.shown(read(path)) <= outside <= said


def read_ratio(text):
    return Ratio(*map(float, RATIO.search(text).groups()))


def possible(*ratios):
    """The verdicts that a ratio and its control allow, each of them rounded to two digits."""
    rounded = [
        [Ratio(r.median, r.low + a, r.high + b)
         for a, b in itertools.product((-HALF, 0, HALF), repeat=2)]
        for r in ratios
    ]  # fmt: skip
    return {judge(speedup, control) for speedup, control in itertools.product(*rounded)}


def line_of(text, start):
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return line


def contradictions(text):
    """Why the verdict or the sentence of a table of `compare_latency` does not follow from it."""
    speedup = read_ratio(line_of(text, "FP32 / INT8"))
    verdict = line_of(text, "verdict").split()[-1]
    said = " ".join(text.split())
    if verdict not in possible(speedup, read_ratio(line_of(text, "control"))):
        yield verdict
    if verdict == FASTER and f"{speedup.median:.2f} times as fast" not in said:
        yield said
    if verdict == SLOWER:
        (times,) = re.findall(r"takes (\d+\.\d\d) times as long", said)
        edges = [1 / (speedup.median + step) for step in (HALF, -HALF)]
        if not edges[0] - HALF <= float(times) <= edges[1] + HALF:
            yield times
    if verdict == INCONCLUSIVE and "is inconclusive" not in said:
        yield said


@pytest.mark.parametrize("path", ENGLISH, ids=files.named)
def test_every_stored_verdict_follows_from_the_stored_ratio(path):
    for shown in (shown for cell in code(read(path)) for shown in texts(cell)):
        # A report holds several tables, each below a caption that begins with its rounds.
        for table in re.split(r"(?m)^(?=\d+ interleaved rounds)", shown)[1:]:
            if not shown.startswith("<"):
                assert list(contradictions("\n".join(table.splitlines()[:9]))) == []


def stored(last_line):
    """The text of the one output of the recipe whose cell's code ends in this line."""
    ends = {cell.source.strip().splitlines()[-1].strip(): cell for cell in code(read(RECIPE))}
    return plain(ends[last_line])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("slower", "faster"),
        (r"takes \d.\d\d", "takes 9.99"),
        (r"(?m)^(FP32 / INT8 +)\S+ \(.*\)", r"\g<1>1.50 (95 % interval 1.40 to 1.60)"),
        (r"(?m)^(control.* )\S+ \(.*\)", r"\g<1>1.00 (95 % interval 0.10 to 1.90)"),
    ],
)
def test_a_contradiction_would_be_seen(before, after):
    changed, count = re.subn(before, after, stored("latency"))
    assert count
    assert list(contradictions(changed))


def test_the_sweep_agrees_with_its_sentence_and_what_closes_the_recipe_quotes_the_tables():
    lines = stored("latency_sweep").splitlines()
    rows = [(line.split(), read_ratio(line)) for line in lines if RATIO.search(line)]
    rows = [(words, ratio) for words, ratio in rows if words[0].isdigit()]
    assert len(rows) >= 6
    for words, ratio in rows:  # the control of a width is not shown; it only adds doubt
        assert words[-1] in possible(ratio, Ratio(1.0, 1.0, 1.0)) | {INCONCLUSIVE}
    wins = [all(words[-1] == FASTER for words, _ in rows[place:]) for place in range(len(rows))]
    place = wins.index(True) if any(wins) else None
    said = " ".join(lines[len(rows) + 2 :])
    expected = {None: "no crossover", 0: "at every width"}
    assert expected.get(place, f"faster from width {rows[place or 0][0][0]} on") in said

    closing = " ".join(stored("ledger").split())
    found = stored("rh.Comparison(sizes, latency, outputs)")
    speedup = read_ratio(line_of(stored("latency"), "FP32 / INT8")).median
    verdict = line_of(stored("latency"), "verdict").split()[-1]
    assert f"FP32 / INT8 {speedup:.2f}, {verdict}" in closing
    medians = [ratio.median for _, ratio in rows]
    assert f"from {min(medians):.2f} to {max(medians):.2f} over the widths" in closing
    assert f"{line_of(stored('sizes'), 'total').split()[-3]} times smaller" in found
    assert stored("outputs").splitlines()[2].split()[4] in found
    assert f"{speedup:.2f} to 1" in found
