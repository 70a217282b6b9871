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
        ("**검증 기록표(ledger)**가", 1),
        ("**검증 기록표**(ledger)가", 0),
        ("*스케일*은 **영점**과", 0),
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


TUTORIALS = re.compile(r"https://(docs\.)?pytorch\.org/tutorials/|https://tutorials\.pytorch\.kr/")


def targets(cell):
    """Where a cell's links lead, but for the one to the other language.

    PyTorch's tutorials are the same pages in English and at the Korean community's.
    """
    found = set(re.findall(r"\]\(([^)\s]+)\)", cell.source))
    return {
        TUTORIALS.sub("tutorials/", target)
        for target in found
        if not target.startswith(("ko/", "../"))
    }


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


FAULTS = {  # what is done to the English and the Korean cells, and what is said of it
    "text: stale; its English cell has changed": lambda en, ko: en[0].update(source="Now."),
    "code: other code": lambda en, ko: ko[2].update(source=ko[2].source + "  # 바뀜"),
    "setup: other code": lambda en, ko: ko.__setitem__(1, copy.deepcopy(en[1])),
    "text: missing in Korean": lambda en, ko: ko.pop(0),
    "only-code: gone in English": lambda en, ko: en.pop(3),
    "the cells stand in another order": lambda en, ko: ko.append(ko.pop(0)),
    "text: no Korean word in it": lambda en, ko: ko[0].update(source="Quantize `it`."),
    "text: not yet written in Korean": lambda en, ko: ko[0].metadata.pop("written_from"),
    "code: other tags": lambda en, ko: en[2].metadata.update(tags=["slide"]),
    "text: other metadata": lambda en, ko: en[0].metadata.update(slide_paragraph=1),
    "text: markdown in English, raw in Korean": lambda en, ko: ko[0].update(cell_type="raw"),
}


@pytest.mark.parametrize("says", FAULTS)
def test_each_fault_is_named(says):
    english, written = small()
    FAULTS[says](english.cells, written.cells)
    assert korean.differences(english, written) == [says]


@pytest.mark.parametrize(
    ("source", "again"),
    [
        ("a = 1\na", "a"),
        ("a = 1\nfor x in a:\n    print(x)", "for x in a:\n    print(x)"),
        ("with b:\n    %timeit -n 2 f(x)", "with b:\n    %timeit -n 2 f(x)"),
        ("f(\n    1,\n)\ng(\n    2,\n)", "g(\n    2,\n)"),
        ("try:\n    f()\nexcept ValueError as error:\n    print(error)", None),
        ("a\nb = f(\n    2\n)", ""),
        ("a\ndef f():\n    return 1", ""),
        ("a\nimport b", ""),
        ("", ""),
    ],
)
def test_what_is_shown_again_is_the_last_statement_if_it_may_show_something(source, again):
    made = korean.shown_again(source)
    assert made.removeprefix(korean.TO_KOREAN) == (source if again is None else again)
    assert made.startswith(korean.TO_KOREAN) == (again != "")


def result(text):
    return nbformat.v4.new_output("execute_result", {"text/plain": text}, execution_count=len(text))


def stream(text):
    return nbformat.v4.new_output("stream", text=text)


@pytest.mark.parametrize(
    ("english", "again", "made"),
    [
        ([result("one")], [result("하나")], [result("하나")]),
        ([stream("1\n"), result("one")], [result("하나")], [stream("1\n"), result("하나")]),
        ([result("1"), result("2")], [], [result("1"), result("2")]),
        ([stream("1\n2\n")], [stream("2\n")], [stream("1\n2\n")]),
        ([stream("one\n")], [stream("하나\none\n")], [stream("하나\none\n")]),
    ],
)
def test_the_outputs_in_korean_are_those_in_english_but_for_what_was_shown_again(
    english, again, made
):
    found = korean.outputs_in_korean(english, again)
    for one, before in zip(made, english, strict=True):
        if "data" in one:
            one.execution_count = before.execution_count  # it is the same cell
    assert found == made


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
