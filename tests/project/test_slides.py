"""The slides of the recipe: made from its own cells, in one file that fetches nothing."""

import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from .tool import tool

ROOT = Path(__file__).parents[2]
RECIPE = nbformat.read(ROOT / "notebooks" / "dynamic_quantization.ipynb", as_version=4)
slides = tool("slides")


def tagged(tag):
    return [cell for cell in RECIPE.cells if tag in cell.metadata.get("tags", [])]


@pytest.fixture(scope="module")
def page():
    return BeautifulSoup(slides.as_slides(RECIPE, "Recipe"), "html.parser")


def single_slides(page):
    return [section for section in page.select("section") if not section.select("section")]


def test_there_is_a_slide_for_each_tag_and_each_has_a_title(page):
    found = single_slides(page)
    assert len(found) == len(tagged("slide")) >= 15
    for slide in found:
        assert slide.select_one("h1, h2, h3") is not None
    sections = {heading.text.rstrip("¶") for heading in page.select("section h2")}
    assert {"2. Quantize", "3. Size", "4. Latency", "5. Accuracy"} <= sections


def test_the_tagged_cells_and_no_others_are_shown(page):
    shown = ["".join(code.text.split()) for code in page.select(".jp-CodeCell .highlight")]
    expected = [
        c for c in RECIPE.cells if {"slide", "slide-more"} & set(c.metadata.get("tags", []))
    ]
    code = ["".join(cell.source.split()) for cell in expected if cell.cell_type == "code"]
    assert shown == code
    assert "torch.ao.quantization.quantize_dynamic(" in "".join(shown)


def test_a_text_is_short_and_its_whole_is_in_the_speaker_s_notes(page):
    notes = [note.extract() for note in page.select("aside.notes")]
    texts = [c for c in RECIPE.cells if c.cell_type == "markdown" and c in tagged("slide")]
    assert len(notes) >= len(texts) > 10
    assert "What you will learn" in notes[0].text
    for slide in single_slides(page):
        words = sum(len(part.text.split()) for part in slide.select(".jp-MarkdownCell p"))
        assert words < 110, slide.text[:60]


def test_a_sentence_that_announces_a_cell_is_followed_by_it(page):
    for note in page.select("aside.notes"):
        note.extract()
    for slide in single_slides(page):
        cells = slide.select(".jp-Cell")
        for cell, following in zip(cells, [*cells[1:], None], strict=True):
            if cell.text.strip().rstrip("¶").endswith(":") and "jp-MarkdownCell" in cell["class"]:
                assert following is not None, cell.text
                assert "jp-CodeCell" in following["class"]


def test_it_is_one_file_that_fetches_nothing(page):
    loading = page.select("[src], link, iframe, object, embed, base")
    assert loading
    assert {tag.name for tag in loading} == {"img"}
    assert all(tag["src"].startswith("data:image/png;base64,") for tag in loading)
    styles = " ".join(style.text for style in page.select("style"))
    assert not re.search(r"@import|url\(\s*['\"]?(?!data:|#)[\w./:]", styles)
    scripts = [script.text for script in page.select("script")]
    assert any("Reveal.initialize" in script for script in scripts)
    assert max(map(len, scripts)) > 100_000, "reveal.js itself"
    assert not re.search(r"<script[^>]+src", str(page))


def test_the_korean_slides_are_the_same_in_korean(page, tmp_path, monkeypatch):
    path = ROOT / "notebooks" / "ko" / "dynamic_quantization.ipynb"
    monkeypatch.setattr("sys.argv", ["slides", str(path), "--output", str(tmp_path)])
    slides.main()
    written = (tmp_path / "ko" / "dynamic_quantization.slides.html").read_text(encoding="utf-8")
    assert "<title>동적 양자화: 슬라이드</title>" in written
    korean = BeautifulSoup(written, "html.parser")
    assert korean.html["lang"] == "ko"
    assert len(single_slides(korean)) == len(single_slides(page))
    for slide in single_slides(korean):
        assert re.search("[가-힣]", slide.select_one("h1, h2, h3").text)


def test_links_lead_to_the_web_or_nowhere(page):
    for link in page.select(".slides a[href]"):
        assert re.match(r"https://|#", link["href"]), link


def test_every_figure_says_what_it_shows(page):
    figures = page.select("section img")
    assert len(figures) >= 6
    assert all(len(figure["alt"]) > 40 for figure in figures)


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("one\n\ntwo", 0, "one"),
        ("one\n\ntwo", 1, "two"),
        ("before\n\n## A\n\none\n\ntwo", 0, "## A\n\none"),
        ("## A\n\n### B\n\none\n\ntwo", 1, "### B\n\ntwo"),
        ("## A", 0, "## A"),
        ("one\n\ntwo", 2, ""),
    ],
)
def test_what_is_shown_of_a_text(text, place, expected):
    assert slides.shortened(text, place) == expected


def test_without_reveal_js_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(slides, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install sphinx-revealjs"):
        slides.reveal_files()
