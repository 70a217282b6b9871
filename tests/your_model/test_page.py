"""The page, the figure and the progress of a report."""

import base64
import io
import re
from html.parser import HTMLParser

import pytest
from matplotlib import image

from recipe_helpers.your_model.plots import plot_report

from .report_models import quickly, weak

VOID = {"meta", "img", "br", "link", "input", "hr"}


@pytest.fixture(scope="module")
def found():
    model, x = weak()
    return quickly(model, x, max_relative_error=0.02)


class Reader(HTMLParser):
    """Checks that every element is closed in order, and gathers attributes."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_is_whole_and_refers_to_nothing_outside(found):
    page = found.to_html()
    reader = read(page)
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    tags = [tag for tag, _ in reader.seen]
    assert [tags.count(tag) for tag in ("html", "head", "title", "body", "h1", "img")] == [1] * 6
    links = [attrs.get(key) for _, attrs in reader.seen for key in ("src", "href")]
    assert all(link.startswith("data:") for link in links if link)
    assert "url(" not in page
    assert "prefers-color-scheme: dark" in page


def test_the_page_shows_verdict_numbers_and_every_conversion(found):
    text = " ".join("".join(read(found.to_html()).text).split())
    assert found.verdict.reason in text
    assert found.verdict.code in text
    for candidate in found.candidates:
        assert f"{candidate.name}: the details" in text
        assert f"{candidate.whole.relative:.2%}" in text
    assert "95 % interval" in text


def test_the_picture_is_the_figure_and_says_what_it_shows(found):
    (_, attrs) = next(entry for entry in read(found.to_html()).seen if entry[0] == "img")
    kind, _, data = attrs["src"].partition(",")
    assert kind == "data:image/png;base64"
    pixels = image.imread(io.BytesIO(base64.b64decode(data)))
    assert abs(pixels.shape[1] - 2 * int(attrs["width"])) <= 1  # it may be odd
    assert "decoder" in attrs["alt"]


def test_names_of_modules_are_escaped():
    model, x = weak()
    model.__class__ = type("<script>", (type(model),), {})
    page = quickly(model, x, backends=["plain"]).to_html()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_notebook_gets_a_part_of_a_page(found):
    bundle = found._repr_mimebundle_()
    assert bundle["text/plain"] == str(found)
    read(bundle["text/html"])
    assert "<body" not in bundle["text/html"]
    assert 'alt="Three panels' in bundle["text/html"]


def test_the_figure_draws_what_was_measured(found):
    figure = plot_report(found)
    sensitivity, size, speed, error = figure.axes
    shown = [m for c in found.candidates for m in (c.whole, c.partly) if m is not None]
    assert len(shown) == 4  # one conversion was mended
    assert [bar.get_width() for bar in size.patches] == [m.size.ratio for m in shown]
    drawn = [list(offset) for offset in error.collections[0].get_offsets()]
    assert drawn == [[pytest.approx(100 * m.relative), i] for i, m in enumerate(shown)]
    assert speed.get_xlabel() == "FP32 / INT8 time"
    assert error.get_xlabel().endswith("(%)")
    assert sensitivity.get_yticklabels()[0].get_text() == "decoder"
    for collection, candidate in zip(sensitivity.collections, found.candidates, strict=True):
        alone = [100 * module.relative for module in candidate.sensitivity.modules]
        assert [x for x, _ in collection.get_offsets()] == pytest.approx(alone)
    limits = [line.get_xdata()[0] for axes in (error, sensitivity) for line in axes.lines]
    assert limits == [2.0, 2.0]


def test_the_title_is_the_same_on_every_machine(found):
    figure = plot_report(found)
    assert not re.search(r"\d", figure.title)
    assert "40." in figure.alt or "%" in figure.alt
