"""The Korean notebooks keep in step with the English ones: ids, order, code, and what was said."""

import copy
import re

import nbformat
import pytest

from tools import korean

from .files import LINK, prose, read

# Digits of the prose; a Hangul syllable may stand right behind them.
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?", re.ASCII)
# Korean writes in digits what English says in words.
WORDS = {
    **{"zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6"},
    **{"seven": "7", "eight": "8", "ten": "10", "twelve": "12", "fifteen": "15", "sixteen": "16"},
    **{"twenty": "20", "thirty": "30", "thirty-two": "32", "hundred": "100", "once": "1"},
    **{"twice": "2", "first": "1", "second": "2", "third": "3 1", "times smaller": "1"},
    **{"half": "2 1 30", "quarter": "4 1 15 45", "tenth": "10 1", "hundredth": "100 1"},
    **{"thousand": "1000 1,000 1"},
}
TUTORIALS = re.compile(r"https://(docs\.)?pytorch\.org/tutorials/|https://tutorials\.pytorch\.kr/")


@pytest.fixture(params=korean.names())
def pair(request):
    return tuple(map(read, korean.places(request.param)))


def numbers(source):
    return {number.rstrip(",") for number in NUMBER.findall(korean.NO_PROSE.sub(" ", source))}


def targets(source):
    """Where links lead, but for that to the other language and for the way up to the notebooks.

    PyTorch's tutorials are the same pages in English and at the Korean community's.
    """
    found = {TUTORIALS.sub("tutorials/", target) for _, target in LINK.findall(source)}
    found = {re.sub(r"^(\.\./)+notebooks/(ko/)?", "notebooks/", target) for target in found}
    return {target for target in found if not target.startswith(("ko/", "../"))}


def loose_asterisks(source):
    """Emphasis that would be shown as asterisks, since a particle stands right behind it."""
    without_code = re.sub(r"(?s)```.*?```|`[^`]*`", "x", source)
    found = re.finditer(r"(?<![\w*])(\*{1,2})(?=\S)(.+?)\1(?!\*)(\w?)", without_code)
    return [m.group() for m in found if m.group(3) and not re.match(r"\w", m.group(2)[-1])]


def oddities(english, written):
    """What a Korean text does not say that the English one says, or the other way round."""
    said = [digits for word, digits in WORDS.items() if word in english.lower()]
    yield from sorted(numbers(english) - numbers(written))
    yield from sorted(numbers(written) - numbers(english) - set(" ".join(said).split()))
    yield from sorted(targets(written) ^ targets(english))
    yield from loose_asterisks(written)


def test_all_korean_notebooks_are_in_step():
    """It names each cell that is missing, moved, stale, or not written, and each changed code."""
    assert korean.report() == []


def test_the_korean_notebook_says_the_same_and_leads_to_the_other(pair):
    for english, written in zip(*map(prose, pair), strict=True):
        assert list(oddities(english.source, written.source)) == [], english.id
    name = re.search(r"\]\(ko/([\w.]+)\)", pair[0].cells[0].source)[1]
    assert f"](../{name})" in pair[1].cells[0].source


def test_the_korean_contents_list_the_korean_headings(pair):
    first, *others = pair[1].cells
    headings = {cell.id: re.sub(r"^#+ (\d+\. )?|\n[^$]*", "", cell.source) for cell in others}
    lines = [line for line in first.source.splitlines() if line.startswith("**차례**")]
    for said, target in LINK.findall("".join(lines)):
        heading = headings[target.removeprefix("#cell-id=")]
        # The glossary says each term in English, too.
        assert said in (heading, re.sub(r"\([A-Za-z ,]+\)$", "", heading))


@pytest.mark.parametrize(
    ("english", "written", "count"),
    [
        ("Two of 3 [a](b)", "3개 가운데 2개 [가](b)", 0),
        ("two of 3", "4개 가운데 2개", 2),
        ("[a](b#c)", "[a](b#d)", 2),
        ("[a](ko/b.ipynb) `5`", "[a](../b.ipynb) `6`", 0),
        ("", "**검증 기록표(ledger)**가", 1),
        ("", '**"예"**라고', 1),
        ("", "*스케일*은 **영점**과 **약속.** 다음, **기록표**(ledger)가", 0),
    ],
)
def test_oddities_are_found(english, written, count):
    """Asterisks as GitHub, JupyterLab and nbconvert read Markdown."""
    assert len(list(oddities(english, written))) == count


# --- the tool itself ------------------------------------------------------------------------------


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


def test_the_small_pair_is_in_step_and_its_code_differs_where_it_has_to():
    english, written = small()
    assert korean.differences(english, written) == []
    assert written.cells[1].source == 'import recipe_helpers as rh\n\nrh.use_language("ko")'
    assert written.cells[2].source == 'rh.compare_ledgers("../class_ledgers")'
    setup = (
        "if colab:\n    %pip install x\n\nimport recipe_helpers as rh\nfrom a import (\n    b,\n)"
    )
    assert korean.korean_code(f"{setup}\n\nb()") == f'{setup}\n\nrh.use_language("ko")\nb()'


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
        *((f"a\n{silent}", "") for silent in ("b = f(\n    2\n)", "def f():\n    return 1")),
        *((silent, "") for silent in ("a\nimport b", "a\nb += 1", "")),
    ],
)
def test_what_is_shown_again_is_the_last_statement_if_it_may_show_something(source, again):
    assert korean.shown_again(source) == (again and korean.TO_KOREAN + again)


def result(text, count=1):
    return nbformat.v4.new_output("execute_result", {"text/plain": text}, execution_count=count)


def stream(text):
    return nbformat.v4.new_output("stream", text=text)


@pytest.mark.parametrize(
    ("english", "again", "made"),
    [
        ([result("one")], [result("하나", 2)], [result("하나")]),
        ([stream("1\n"), result("one")], [result("하나", 2)], [stream("1\n"), result("하나")]),
        ([result("1"), result("2")], [], [result("1"), result("2")]),
        ([stream("1\n2\n")], [stream("2\n")], [stream("1\n2\n")]),
        ([stream("one\n")], [stream("하나\none\n")], [stream("하나\none\n")]),
    ],
)
def test_outputs_in_korean_are_the_english_ones_but_for_what_was_shown_again(english, again, made):
    assert korean.outputs_in_korean(english, again) == made
    with pytest.raises(ValueError, match="shows more"):
        korean.outputs_in_korean(english, [*english, stream("more")])


def test_carrying_over_keeps_the_prose_and_the_outputs_of_unchanged_code():
    english, written = small()
    for place in (1, 2):
        written.cells[place].outputs = [stream("한국어")]
    english.cells[2].source = "1 + 1"
    english.cells[0].source = "Another text."
    english.cells.append(nbformat.v4.new_markdown_cell("New.", id="new"))
    again = korean.carried(english, written)
    assert again.cells[0].source == "양자화합니다."
    assert [again.cells[1].outputs, again.cells[2].outputs] == [[stream("한국어")], []]
    assert korean.differences(english, again) == [
        "text: stale; its English cell has changed",
        "new: not yet written in Korean",
    ]


@pytest.fixture
def books(tmp_path, monkeypatch):
    """The small pair as files, in the place of the project's notebooks; one text is stale."""
    monkeypatch.setattr(korean, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(korean, "KOREAN", tmp_path / "ko")
    (tmp_path / "ko").mkdir()
    english, written = small()
    english.cells[0].source = "Another text."
    nbformat.write(english, tmp_path / "small.ipynb")
    nbformat.write(written, tmp_path / "ko" / "small.ipynb")
    return tmp_path


def test_the_commands_list_a_stale_cell_print_it_and_take_its_new_text(books, capsys):
    def said(*words):
        code = korean.main([str(word) for word in words])
        return code, capsys.readouterr().out.strip()

    assert said() == (1, "ko/small: text: stale; its English cell has changed")
    assert said("text", "small") == (0, "== text\nAnother text.")
    prose = books / "prose.txt"
    prose.write_text("== text\n다른 글입니다.\n", encoding="utf-8")
    said("write", "small", prose)
    assert said()[0] == 0
    assert korean.pair("small")[1].cells[0].source == "다른 글입니다."
    (books / "ko" / "small.ipynb").rename(books / "ko" / "other.ipynb")
    lines = said()[1].splitlines()
    assert lines == ["ko/other: gone in English", "ko/small: no Korean notebook yet"]
    said("carry")
    ids = [cell.id for cell in korean.pair("small")[1].cells]
    assert ids == ["text", "setup", "code", "only-code"]


def test_a_korean_cell_that_still_says_the_same_is_called_current_and_no_other(books):
    before = (books / "ko" / "small.ipynb").read_bytes()
    for cell in ("nowhere", "code"):
        with pytest.raises(SystemExit, match=f"small has no text cell {cell}"):
            korean.main(["current", "small", cell])
    assert (books / "ko" / "small.ipynb").read_bytes() == before
    assert korean.main(["current", "small", "text"]) == 0
    assert korean.main([]) == 0
    assert korean.pair("small")[1].cells[0].source == "양자화합니다."


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
