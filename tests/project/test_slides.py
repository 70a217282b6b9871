"""The slides of the recipe: its own cells under titles that say what was found, in one file."""

import re

import nbformat
import pytest
from bs4 import BeautifulSoup

from .files import HANGUL, RECIPES, cell_of, numbers, plain, read, shown, text, tool

slides = tool("slides")
DECKS = {language: slides.deck_of(path) for language, path in RECIPES.items()}
MINUTES = re.compile(r"^\s*\**(\d+) ?(?:minutes|분)")
TABLE = "<table><tr><th>claim</th></tr><tbody>{}</tbody></table><p>a note</p>".format(
    "".join(f"<tr><td>C{number} </td><td>found</td></tr>" for number in (1, 2, 12))
)


def minutes(language):
    """Of each slide, as its note begins."""
    notes = [deck.partition("Note:\n")[2] for deck in slides.BREAK.split(DECKS[language])]
    return [int(MINUTES.match(note)[1]) for note in notes]


@pytest.fixture(scope="module", params=["en", "ko"])
def page(request, tmp_path_factory):
    """As they are written, beside the pages of their language."""
    build = tmp_path_factory.mktemp("build")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["", str(RECIPES[request.param]), "--output", str(build)])
        slides.main()
    folder = {"en": build, "ko": build / "ko"}[request.param]
    written = text(folder / "dynamic_quantization.slides.html")
    return BeautifulSoup(written, "html.parser")


def test_every_slide_has_a_title_of_its_own_and_notes_with_minutes(page):
    titles = {"en": "Dynamic quantization: slides", "ko": "동적 양자화: 슬라이드"}
    assert page.title.text == titles[page.html["lang"]]
    found = [section for section in page.select("section") if not section.select("section")]
    assert len(found) == len(slides.BREAK.split(DECKS["en"])) >= 20
    titles = [slide.select_one("h1").text.rstrip("¶") for slide in found]
    assert len(set(titles)) == len(titles)
    for slide in found:
        (notes,) = slide.select("aside.notes")
        assert MINUTES.match(notes.text), slide.text[:60]
    assert not re.search(r"\{(said|cell|code|output|rows) ", page.text)
    measured = plain(cell_of(read(RECIPES[page.html["lang"]]), "cell-60")).splitlines()[-1]
    assert measured.rstrip(".") in titles


def test_what_a_class_needs_is_on_them():
    for needed in ("cell-64", "model-class", "cell-32", "your bet", "{rows cell-99"):
        assert needed in DECKS["en"], needed
    assert len(re.findall(r"^\*\*Exercises? E", DECKS["en"], re.M)) == 3
    assert DECKS["en"].count("**Ask first:**") >= 5


def test_both_languages_show_the_same_in_as_many_minutes():
    english, korean = DECKS.values()
    for mark in (slides.PART, slides.SAID, slides.BREAK, re.compile(r"\bE\d+")):
        assert mark.findall(english) == mark.findall(korean)
    assert minutes("en") == minutes("ko")
    for slide in slides.BREAK.split(korean):
        title = slide.strip().splitlines()[0]
        assert HANGUL.search(title) or "{said" in title


@pytest.mark.parametrize("language", RECIPES)
def test_every_number_was_shown(language):
    visible = [slide.partition("\nNote:")[0] for slide in slides.BREAK.split(DECKS[language])]
    words = slides.PART.sub("", slides.SAID.sub("", "\n".join(visible)))
    found = numbers(re.sub(r"^# ", "", words, flags=re.M)) - shown(read(RECIPES[language]))
    assert found <= {"32", "3.5"}


def test_it_is_one_file_that_fetches_nothing_and_its_figures_say_what_they_show(page):
    loading = page.select("[src], link, iframe, object, embed, base")
    assert {tag.name for tag in loading} == {"img"}
    assert all(tag["src"].startswith("data:image/png;base64,") for tag in loading)
    styles = " ".join(style.text for style in page.select("style"))
    assert not re.search(r"@import|url\(\s*['\"]?(?!data:|#)[\w./:]", styles)
    scripts = [script.text for script in page.select("script")]
    assert any("Reveal.initialize" in script for script in scripts)
    assert max(map(len, scripts)) > 100_000, "reveal.js itself"
    for link in page.select(".slides a[href]"):
        assert re.match(r"https://|#", link["href"]), link
    alts = [figure["alt"] for figure in page.select("section img")]
    assert len(alts) >= 6
    assert min(map(len, alts)) > 25


def made(deck):
    """What slides of this text hold, from a notebook of one cell."""
    cell = nbformat.v4.new_code_cell("measure()", id="found")
    shows = {"text/plain": "a table\n2 holds.", "text/html": TABLE}
    cell.outputs = [nbformat.v4.new_output("execute_result", shows, execution_count=1)]
    return slides.deck(nbformat.v4.new_notebook(cells=[cell]), deck).cells


@pytest.mark.parametrize(
    ("part", "bare", "outputs"),
    [("cell", False, 1), ("code", False, 0), ("output", True, 1)],
)
def test_what_a_part_takes_over(part, bare, outputs):
    title, cell, after, notes = made(f"# A\n\n{{{part} found}}\n\nbelow\n\nNote:\nsay this")
    sources = [title.source, cell.source, after.source, notes.source]
    assert sources == ["# A", "measure()", "below", "say this"]
    assert (cell.metadata.tags == [slides.BARE]) == bare
    assert len(cell.outputs) == outputs
    kinds = [c.metadata.slideshow.slide_type for c in (title, cell, after, notes)]
    assert kinds == ["slide", "-", "-", "notes"]


def test_rows_are_chosen_by_their_first_word_and_the_last_line_can_be_said_in_a_title():
    cell = made("# A\n\n{rows found C1 C2}\n\nNote:\n1 minute")[1]
    assert cell.metadata.tags == [slides.BARE]
    left = BeautifulSoup(cell.outputs[0].data["text/html"], "html.parser")
    assert [row.td.text.strip() for row in left.select("tbody tr")] == ["C1", "C2"]
    assert "a note" not in left.text
    assert "claim" in left.text
    assert made("# Here {said found}\n\nNote:\n1 minute")[0].source == "# Here 2 holds"


@pytest.mark.parametrize("deck", ["# A\n\n{cell gone}", "# {said gone}"])
def test_a_cell_that_is_not_there_is_named(deck):
    with pytest.raises(SystemExit, match="no code cell gone"):
        made(deck)


def test_what_is_missing_is_said_in_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match=r"other\.ipynb has no slides.*other\.md"):
        slides.deck_of(tmp_path / "other.ipynb")
    monkeypatch.setattr(slides, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install sphinx-revealjs"):
        slides.reveal_files()


PLANNED = dict(re.findall(r"^\| (E\d+), .*? \| (\d+) \|", text("TEACHING.md"), re.M))
ROWS = re.compile(r"^\| (\d+) \| ([\d, to]+) \| (.*) \|", re.M)


@pytest.mark.parametrize("whole", [50, 90])
def test_the_plans_for_a_lesson_agree_with_the_notes(whole):
    plans = []
    for name in ("TEACHING.md", "TEACHING.ko.md"):
        sections = re.split(r"(?m)^## ", text(name))
        (plan,) = [section for section in sections if re.match(rf"{whole}[ 분]", section)]
        plans.append(ROWS.findall(plan.replace("~", " to ")))
    rows, korean = plans
    assert [row[:2] for row in rows] == [row[:2] for row in korean]
    assert len(rows) >= 5
    for planned, numbered, what in rows:  # slides `1 to 4` or `1, 2`
        first, *more = map(int, re.findall(r"\d+", numbered))
        slides_of = range(first, more[0] + 1) if " to " in numbered else [first, *more]
        added = int(PLANNED["E4"]) if "**E4**" in what else 0
        assert int(planned) == added + sum(minutes("en")[n - 1] for n in slides_of), what
    assert whole - 2 <= sum(int(planned) for planned, *_ in rows) <= whole


def test_a_slide_gives_an_exercise_the_minutes_that_are_planned():
    found = re.findall(r"\*\*Exercise (E\d+)\.\*\*.*?Note:\n\*\*(\d+)", DECKS["en"], re.S)
    assert len(found) == 3
    assert [PLANNED[name] for name, _ in found] == [given for _, given in found]
