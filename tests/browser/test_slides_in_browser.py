"""The slides at 1280 x 720: every one whole, by keyboard, with nothing fetched."""

from __future__ import annotations

import nbformat
import pytest
from playwright.sync_api import expect

from ..project.files import tool
from .conftest import RECIPE

pytestmark = pytest.mark.browser

WIDTH, HEIGHT = 1280, 720
# The edges of what a slide shows, with the place of the controls left out at the bottom.
EDGES = """() => {
  const shown = [...Reveal.getCurrentSlide().querySelectorAll("h1,h2,h3,p,pre,table,img")]
    .filter((part) => !part.closest("aside")).map((part) => part.getBoundingClientRect());
  return [Math.min(...shown.map((box) => box.left)), Math.min(...shown.map((box) => box.top)),
    Math.max(...shown.map((box) => box.right)), Math.max(...shown.map((box) => box.bottom))];
}"""


def test_every_slide_is_whole(chromium, tmp_path):
    notebook = nbformat.read(RECIPE, as_version=4)
    text = tool("slides").deck_of(RECIPE)
    page_text = tool("slides").as_slides(notebook, text, "R")
    (tmp_path / "slides.html").write_text(page_text, encoding="utf-8")
    context = chromium.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    page, fetched, errors = context.new_page(), [], []
    page.on("request", lambda request: fetched.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "slides.html").as_uri())
    total = page.evaluate("Reveal.getTotalSlides()")
    assert total == len(tool("slides").BREAK.split(text))
    for number in range(1, total + 1):
        expect(page.locator(".slide-number-a")).to_have_text(str(number))
        left, top, right, bottom = page.evaluate(EDGES)
        assert left >= 0, number
        assert top >= 0, number
        assert right <= WIDTH, number
        assert bottom <= HEIGHT - 10, number
        page.keyboard.press("ArrowRight")
    assert errors == []
    assert [url for url in fetched if not url.startswith(("file:", "data:"))] == []
    context.close()
