"""The Korean notebooks keep in step with the English ones: ids, order, code, and what was said."""

import copy
import re
from pathlib import Path

import nbformat
import pytest

from tools import korean

ROOT = Path(__file__).parents[2]
ENGLISH = sorted((ROOT / "notebooks").glob("*.ipynb"))

# Digits of the prose; a Hangul syllable may stand right behind them.
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?", re.ASCII)
# Korean writes in digits what English says in words.
WORDS = {
    "half a minute": ["30"],
    "half an hour": ["30"],
    "half": ["2", "1"],
    "quarter": ["4", "1", "15"],
    "tenth": ["10", "1"],
    "hundredth": ["100", "1"],
    "thousandth": ["1000", "1,000", "1"],
    "zero": ["0"],
    "one": ["1"],
    "two": ["2"],
    "three": ["3"],
    "four": ["4"],
    "five": ["5"],
    "six": ["6"],
    "seven": ["7"],
    "eight": ["8"],
    "ten": ["10"],
    "twelve": ["12"],
    "fifteen": ["15"],
    "sixteen": ["16"],
    "twenty": ["20"],
    "thirty": ["30"],
    "thirty-two": ["32"],
    "hundred": ["100"],
    "thousand": ["1000", "1,000"],
    "once": ["1"],
    "twice": ["2"],
    "first": ["1"],
    "second": ["2"],
    "third": ["3", "1"],
}


@pytest.fixture(params=ENGLISH, ids=lambda path: path.stem)
def pair(request):
    english, written = korean.pair(request.param.stem)
    assert written is not None, f"notebooks/ko/{request.param.name} is missing"
    return english, written


def test_the_korean_notebook_is_in_step(pair):
    """It names each cell that is missing, moved, stale, or not written, and each changed code."""
    assert korean.differences(*pair) == []


def test_no_korean_notebook_is_left_over():
    assert {path.name for path in korean.KOREAN.glob("*.ipynb")} == {p.name for p in ENGLISH}


def numbers(source):
    text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)|<[^>]*>", " ", source, flags=re.DOTALL)
    return {number.rstrip(",") for number in NUMBER.findall(text)}


def test_no_number_of_the_english_text_is_lost(pair):
    for english, written in zip(*(notebook.cells for notebook in pair), strict=True):
        if english.cell_type == "markdown":
            lost = numbers(english.source) - numbers(written.source)
            assert lost == set(), english.id


def test_no_number_came_in_that_the_english_text_does_not_say(pair):
    for english, written in zip(*(notebook.cells for notebook in pair), strict=True):
        if english.cell_type == "markdown":
            said = english.source.lower()
            words = {digit for word, digits in WORDS.items() if word in said for digit in digits}
            new = numbers(written.source) - numbers(english.source) - words
            assert new == set(), english.id


def loose_asterisks(source):
    """Emphasis that would be shown as asterisks, since a particle stands right behind it."""
    text = re.sub(r"```.*?```|`[^`]*`", "x", source, flags=re.DOTALL)
    found = re.finditer(r"(?<![\w*])(\*{1,2})(?=\S)(.+?)\1(?!\*)(\w?)", text)
    return [m.group() for m in found if m.group(3) and not re.match(r"\w", m.group(2)[-1])]


def test_emphasis_before_a_particle_is_emphasis(pair):
    for cell in pair[1].cells:
        if cell.cell_type == "markdown":
            assert loose_asterisks(cell.source) == [], cell.id


@pytest.mark.parametrize(
    ("source", "loose"),
    [
        ("**주장 장부(ledger)**가", 1),
        ("**주장 장부**(ledger)가", 0),
        ("*배율*은 **영점**과", 0),
        ('**"예"**라고', 1),
        ("**약속.** 다음", 0),
    ],
)
def test_loose_asterisks_are_found(source, loose):
    """As GitHub, JupyterLab and nbconvert read Markdown."""
    assert len(loose_asterisks(source)) == loose


@pytest.mark.parametrize("path", ENGLISH, ids=lambda path: path.stem)
def test_each_links_to_the_other_in_its_first_cell(path):
    english, written = korean.pair(path.stem)
    assert f"](ko/{path.name})" in english.cells[0].source
    assert f"](../{path.name})" in written.cells[0].source


def targets(cell):
    """Where a cell's links lead, but for the one to the other language."""
    found = set(re.findall(r"\]\(([^)\s]+)\)", cell.source))
    return {target for target in found if not target.startswith(("ko/", "../"))}


def test_each_link_is_there_in_korean(pair):
    for english, written in zip(*(notebook.cells for notebook in pair), strict=True):
        if english.cell_type == "markdown":
            assert targets(written) == targets(english), english.id


def test_the_korean_contents_list_the_korean_headings(pair):
    first, *others = pair[1].cells
    contents = next(line for line in first.source.splitlines() if line.startswith("**차례**"))
    listed = dict(map(reversed, re.findall(r"\[([^]]+)\]\(#cell-id=([^)]+)\)", contents)))
    for cell in others:
        if cell.id in listed:
            heading = re.sub(r"^#+ (\d+\. )?", "", cell.source.splitlines()[0])
            # The glossary says each term in English, too.
            assert listed[cell.id] in (heading, re.sub(r"\([A-Za-z ,]+\)$", "", heading))
    assert set(listed) <= {cell.id for cell in others}


# --- the checks themselves ------------------------------------------------------------------------


def small():
    """An English notebook of four cells and the Korean one that is in step with it."""
    cells = [
        nbformat.v4.new_markdown_cell("Quantize it.", id="text"),
        nbformat.v4.new_code_cell("import recipe_helpers as rh", id="setup"),
        nbformat.v4.new_code_cell('rh.compare_ledgers("class_ledgers")', id="code"),
        nbformat.v4.new_markdown_cell("`nn.LSTM`", id="only-code"),
    ]
    english = nbformat.v4.new_notebook(cells=cells)
    written = korean.carried(english, None)
    for cell, source in ((0, "양자화합니다."), (3, "`nn.LSTM`")):
        written.cells[cell].source = source
        written.cells[cell].metadata["written_from"] = korean.written_from(cells[cell].source)
    return english, written


def test_the_small_pair_is_in_step():
    english, written = small()
    assert korean.differences(english, written) == []
    assert written.cells[1].source == 'import recipe_helpers as rh\n\nrh.use_language("ko")'
    assert written.cells[2].source == 'rh.compare_ledgers("../class_ledgers")'


def test_the_language_is_chosen_behind_the_last_import_whatever_stands_around():
    setup = [
        "if colab:",
        "    %pip install x",
        "",
        "import recipe_helpers as rh",
        "from a import (",
    ]
    source = "\n".join([*setup, "    b,", ")", "", "b()"])
    expected = [*setup, "    b,", ")", "", 'rh.use_language("ko")', "b()"]
    assert korean.korean_code(source) == "\n".join(expected)


def change_english_text(english, written):
    english.cells[0].source = "Quantize it now."


def change_korean_code(english, written):
    written.cells[2].source += "  # 바뀜"


def stay_english(english, written):
    del written.cells[1]
    written.cells.insert(1, copy.deepcopy(english.cells[1]))


def lose_a_cell(english, written):
    del written.cells[0]


def keep_a_cell_too_many(english, written):
    del english.cells[3]


def swap_two_cells(english, written):
    written.cells[0], written.cells[3] = written.cells[3], written.cells[0]


def say_it_in_english(english, written):
    written.cells[0].source = "Quantize `it`."


def never_write_it(english, written):
    del written.cells[0].metadata["written_from"]


def lose_a_tag(english, written):
    english.cells[2].metadata["tags"] = ["nbval-ignore-output"]


def lose_metadata(english, written):
    english.cells[0].metadata["slide_paragraph"] = 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (change_english_text, ["text: stale; its English cell has changed"]),
        (change_korean_code, ["code: other code"]),
        (stay_english, ["setup: other code"]),
        (lose_a_cell, ["text: missing in Korean"]),
        (keep_a_cell_too_many, ["only-code: gone in English"]),
        (swap_two_cells, ["the cells stand in another order"]),
        (say_it_in_english, ["text: no Korean word in it"]),
        (never_write_it, ["text: not yet written in Korean"]),
        (lose_a_tag, ["code: other tags"]),
        (lose_metadata, ["text: other metadata"]),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_each_fault_is_named(fault, says):
    english, written = small()
    fault(english, written)
    assert korean.differences(english, written) == says


def test_carrying_over_keeps_the_prose_and_the_outputs_of_unchanged_code():
    english, written = small()
    for place in (1, 2):
        written.cells[place].outputs = [nbformat.v4.new_output("stream", text="한국어")]
    english.cells[2].source = "1 + 1"
    english.cells[0].source = "Another text."
    english.cells.append(nbformat.v4.new_markdown_cell("New.", id="new"))
    again = korean.carried(english, written)
    assert again.cells[0].source == "양자화합니다."
    assert again.cells[1].outputs == written.cells[1].outputs
    assert again.cells[2].outputs == []
    assert korean.differences(english, again) == [
        "text: stale; its English cell has changed",
        "new: not yet written in Korean",
    ]


@pytest.fixture
def books(tmp_path, monkeypatch):
    """The small pair as files, in the place of the project's notebooks."""
    monkeypatch.setattr(korean, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(korean, "KOREAN", tmp_path / "ko")
    (tmp_path / "ko").mkdir()
    english, written = small()
    english.cells[0].source = "Another text."
    nbformat.write(english, tmp_path / "small.ipynb")
    nbformat.write(written, tmp_path / "ko" / "small.ipynb")
    return tmp_path


def test_the_commands_list_a_stale_cell_print_it_and_take_its_new_text(books, capsys):
    assert korean.main([]) == 1
    assert capsys.readouterr().out == "ko/small: text: stale; its English cell has changed\n"
    assert korean.main(["text", "small"]) == 0
    assert capsys.readouterr().out.strip() == "== text\nAnother text."
    prose = books / "prose.txt"
    prose.write_text("== text\n다른 글입니다.\n", encoding="utf-8")
    assert korean.main(["write", "small", str(prose)]) == 0
    assert korean.main([]) == 0
    assert korean.pair("small")[1].cells[0].source == "다른 글입니다."


@pytest.mark.parametrize("waits", [0, 1])
def test_one_command_lists_messages_and_cells(books, capfd, monkeypatch, waits):
    """Both lists, also where the first one has something in it."""
    messages = books / "messages.py"
    messages.write_text(f"print('messages')\nraise SystemExit({waits})\n", encoding="utf-8")
    monkeypatch.setattr(korean, "MESSAGES", messages)
    assert korean.main(["all"]) == 1
    assert "stale" in (said := capfd.readouterr().out)
    assert "messages" in said
    assert korean.main(["current", "small", "text"]) == 0
    assert korean.main(["all"]) == waits


def test_a_korean_cell_that_still_says_the_same_is_called_current(books):
    assert korean.main(["current", "small", "text"]) == 0
    assert korean.main([]) == 0
    assert korean.pair("small")[1].cells[0].source == "양자화합니다."


def test_a_cell_that_is_not_there_is_refused(books):
    before = (books / "ko" / "small.ipynb").read_bytes()
    with pytest.raises(SystemExit, match="small has no text cell nowhere"):
        korean.main(["current", "small", "nowhere"])
    assert (books / "ko" / "small.ipynb").read_bytes() == before


def test_a_notebook_without_a_korean_one_is_listed_and_carried(books, capsys):
    (books / "ko" / "small.ipynb").unlink()
    assert korean.main([]) == 1
    assert "ko/small: no Korean notebook yet" in capsys.readouterr().out
    assert korean.main(["carry"]) == 0
    assert [cell.id for cell in korean.pair("small")[1].cells] == [
        "text",
        "setup",
        "code",
        "only-code",
    ]
