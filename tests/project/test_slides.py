"""The slides of the recipe: its own cells under titles that say what was found, in one file."""

import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from .documents import numbers, read, shown
from .tool import tool

ROOT = Path(__file__).parents[2]
slides = tool("slides")
PATHS = {
    "en": ROOT / "notebooks" / "dynamic_quantization.ipynb",
    "ko": ROOT / "notebooks" / "ko" / "dynamic_quantization.ipynb",
}
MINUTES = re.compile(r"^\s*(\d+) ?(?:minutes|분)")
TABLE = "<table><tr><th>claim</th></tr><tbody>{}</tbody></table><p>a note</p>".format(
    "".join(f"<tr><td>C{number} </td><td>found</td></tr>" for number in (1, 2, 12))
)


def notebook(language):
    return nbformat.read(PATHS[language], as_version=4)


def decks():
    return {language: slides.deck_of(path) for language, path in PATHS.items()}


@pytest.fixture(scope="module", params=["en", "ko"])
def page(request):
    path = PATHS[request.param]
    made = slides.as_slides(notebook(request.param), slides.deck_of(path), "Recipe", request.param)
    return BeautifulSoup(made, "html.parser")


def single_slides(page):
    return [section for section in page.select("section") if not section.select("section")]


def test_every_slide_has_a_title_of_its_own_and_notes_with_minutes(page):
    found = single_slides(page)
    assert len(found) == len(slides.BREAK.split(decks()["en"])) >= 20
    titles = [slide.select_one("h1").text for slide in found]
    assert len(set(titles)) == len(titles)
    for slide in found:
        (notes,) = slide.select("aside.notes")
        assert MINUTES.match(notes.text), slide.text[:60]


def test_no_braces_are_left_and_titles_quote_what_was_measured(page):
    language = page.html["lang"]
    assert not re.search(r"\{(said|cell|code|output|rows) ", page.text)
    (cell,) = [c for c in notebook(language).cells if c.id == "cell-60"]
    last = cell.outputs[0].data["text/plain"].splitlines()[-1]
    assert last.rstrip(".") in [h.text.rstrip("¶") for h in page.select("h1")]


def test_what_a_class_needs_is_on_them():
    text = decks()["en"]
    for needed in ("cell-64", "model-class", "cell-32", "your bet", "{rows cell-99"):
        assert needed in text, needed
    assert len(re.findall(r"^\*\*Exercises? E", text, re.M)) == 3
    assert text.count("**Ask first:**") >= 5


def test_both_languages_show_the_same():
    english, korean = decks().values()
    for mark in (slides.PART, slides.SAID, slides.BREAK, re.compile(r"\bE\d+")):
        assert mark.findall(english) == mark.findall(korean)
    minutes = [
        [MINUTES.match(note)[1] for note in re.findall(r"Note:\s+\**(.*)", text)]
        for text in (english, korean)
    ]
    assert minutes[0] == minutes[1]
    for slide in slides.BREAK.split(korean):
        assert re.search("[가-힣]|{said", slide.strip().splitlines()[0])


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_number_was_shown(language):
    visible = [slide.partition("\nNote:")[0] for slide in slides.BREAK.split(decks()[language])]
    words = slides.PART.sub("", slides.SAID.sub("", "\n".join(visible)))
    titles = re.sub(r"^# ", "", words, flags=re.M)
    found = numbers(titles) - shown(read(PATHS[language]))
    assert found <= {"32", "3.5"}


def test_it_is_one_file_that_fetches_nothing(page):
    loading = page.select("[src], link, iframe, object, embed, base")
    assert {tag.name for tag in loading} == {"img"}
    assert all(tag["src"].startswith("data:image/png;base64,") for tag in loading)
    styles = " ".join(style.text for style in page.select("style"))
    assert not re.search(r"@import|url\(\s*['\"]?(?!data:|#)[\w./:]", styles)
    scripts = [script.text for script in page.select("script")]
    assert any("Reveal.initialize" in script for script in scripts)
    assert max(map(len, scripts)) > 100_000, "reveal.js itself"


def test_links_lead_to_the_web_or_nowhere(page):
    for link in page.select(".slides a[href]"):
        assert re.match(r"https://|#", link["href"]), link


def test_every_figure_says_what_it_shows(page):
    figures = page.select("section img")
    assert len(figures) >= 6
    assert all(len(figure["alt"]) > 25 for figure in figures)


def made(text):
    """What slides of this text hold, from a notebook of one cell."""
    cell = nbformat.v4.new_code_cell("measure()")
    cell["id"] = "found"
    shows = {"text/plain": "a table\n2 holds.", "text/html": TABLE}
    cell.outputs = [nbformat.v4.new_output("execute_result", shows, execution_count=1)]
    return slides.deck(nbformat.v4.new_notebook(cells=[cell]), text).cells


@pytest.mark.parametrize(
    ("part", "bare", "outputs"),
    [("cell", False, 1), ("code", False, 0), ("output", True, 1)],
)
def test_what_a_part_takes_over(part, bare, outputs):
    title, cell, after, notes = made(f"# A\n\n{{{part} found}}\n\nbelow\n\nNote:\nsay this")
    assert [title.source, after.source, notes.source] == ["# A", "below", "say this"]
    assert cell.source == "measure()"
    assert (cell.metadata.tags == [slides.BARE]) == bare
    assert len(cell.outputs) == outputs
    kinds = [c.metadata.slideshow.slide_type for c in (title, cell, after, notes)]
    assert kinds == ["slide", "-", "-", "notes"]


def test_rows_are_chosen_by_their_first_word_and_the_note_below_is_left_out():
    cell = made("# A\n\n{rows found C1 C12}\n\nNote:\n1 minute")[1]
    left = BeautifulSoup(cell.outputs[0].data["text/html"], "html.parser")
    assert [row.td.text.strip() for row in left.select("tbody tr")] == ["C1", "C12"]
    assert "a note" not in left.text
    assert "claim" in left.text


def test_the_last_line_can_be_said_in_a_title():
    assert made("# Here {said found}\n\nNote:\n1 minute")[0].source == "# Here 2 holds"


@pytest.mark.parametrize("text", ["# A\n\n{cell gone}", "# {said gone}"])
def test_a_cell_that_is_not_there_is_named(text):
    with pytest.raises(SystemExit, match="no code cell gone"):
        made(text)


def test_a_notebook_without_slides_is_told_where_to_write_them(tmp_path):
    with pytest.raises(SystemExit, match=r"other\.ipynb has no slides.*other\.md"):
        slides.deck_of(tmp_path / "other.ipynb")


def test_they_are_written_beside_the_pages_of_their_language(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["slides", str(PATHS["ko"]), "--output", str(tmp_path)])
    slides.main()
    written = (tmp_path / "ko" / "dynamic_quantization.slides.html").read_text(encoding="utf-8")
    assert "<title>동적 양자화: 슬라이드</title>" in written


def test_without_reveal_js_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(slides, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install sphinx-revealjs"):
        slides.reveal_files()


def listed(found):
    """The numbers of slides in a cell of a plan: `1 to 4` or `1, 2`."""
    if " to " in found:
        first, last = map(int, found.split(" to "))
        return list(range(first, last + 1))
    return list(map(int, found.split(", ")))


@pytest.mark.parametrize(("plan", "whole"), [("## 50 minutes", 50), ("## 90 minutes", 90)])
def test_the_plans_for_a_lesson_agree_with_the_notes(plan, whole):
    teaching = (ROOT / "TEACHING.md").read_text(encoding="utf-8")
    minutes = [
        int(MINUTES.match(slide.partition("Note:\n")[2].replace("*", ""))[1])
        for slide in slides.BREAK.split(decks()["en"])
    ]
    table = teaching.partition(plan)[2].partition("\n\n## ")[0].partition("A second lesson")[0]
    (long_one,) = re.findall(r"^\| E4, .*? \| (\d+) \|", teaching, re.M)
    rows = re.findall(r"^\| (\d+) \| ([\d, to]+) \| (.*) \|", table, re.M)
    assert len(rows) >= 5
    for planned, numbered, what in rows:
        added = int(long_one) if "**E4**" in what else 0
        assert int(planned) == added + sum(minutes[n - 1] for n in listed(numbered)), what
    assert whole - 2 <= sum(int(planned) for planned, _, _ in rows) <= whole


def test_the_korean_plans_say_the_same_minutes():
    pages = [ROOT / "TEACHING.md", ROOT / "TEACHING.ko.md"]
    here, there = (page.read_text(encoding="utf-8").replace("~", " to ") for page in pages)
    rows = r"(?m)^\| (\d+) \| ([\d, to]+) \||^\| (E\d+), .*? \| (\d+) \|"
    assert re.findall(rows, there) == re.findall(rows, here) != []


def test_every_exercise_has_its_minutes():
    teaching = (ROOT / "TEACHING.md").read_text(encoding="utf-8")
    planned = re.findall(r"^\| (E\d+), .*? \| (\d+) \|", teaching, re.M)
    assert [name for name, _ in planned] == [f"E{number}" for number in range(1, 13)]
    on_slides = re.findall(r"\*\*Exercise (E\d+)\.\*\*.*?Note:\n\*\*(\d+)", decks()["en"], re.S)
    assert set(on_slides) <= set(planned)
