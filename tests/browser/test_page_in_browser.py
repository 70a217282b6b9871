"""The page of `make run` in a wide window, in a narrow one, by keyboard and on paper."""

from __future__ import annotations

import nbformat
import pytest
from playwright.sync_api import expect

from ..project.files import tool
from .conftest import RECIPE

pytestmark = pytest.mark.browser

WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 400, "height": 800}


@pytest.fixture
def address(tmp_path):
    page = tool("pages").as_page(nbformat.read(RECIPE, as_version=4), "Recipe")
    (tmp_path / "recipe.html").write_text(page, encoding="utf-8")
    return (tmp_path / "recipe.html").as_uri()


@pytest.fixture
def opened(chromium, address):
    """A function that opens the page in a window of a size, and the addresses that it fetches."""
    contexts = []

    def opens(size):
        contexts.append(chromium.new_context(viewport=size))
        page, fetched = contexts[-1].new_page(), []
        page.on("request", lambda request: fetched.append(request.url))
        page.goto(address)
        assert [url for url in fetched if not url.startswith(("file:", "data:"))] == []
        return page

    yield opens
    for context in contexts:
        context.close()


def scrolls_sideways(page):
    return page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_wide(opened):
    page = opened(WIDE)
    link = page.locator("nav.contents").get_by_text("3. Size", exact=True)
    expect(link).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator("h2", has_text="3. Size")).to_be_in_viewport()
    expect(link).to_have_attribute("aria-current", "location")
    expect(link).to_be_in_viewport()
    assert not scrolls_sideways(page)


def test_narrow(opened):
    page = opened(NARROW)
    contents = page.locator("nav.contents")
    expect(contents.get_by_text("3. Size", exact=True)).to_be_hidden()
    contents.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(contents.get_by_text("3. Size", exact=True)).to_be_visible()
    assert not scrolls_sideways(page)


def test_on_paper(opened):
    page = opened(WIDE)
    page.emulate_media(media="print")
    expect(page.locator("nav.contents")).to_be_hidden()
    assert page.locator("main").bounding_box()["x"] < 40
