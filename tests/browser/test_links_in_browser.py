"""The links of the notebooks in JupyterLab: to a section, and to a term of the glossary."""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import expect

from . import panel as act
from .conftest import ROOT

pytestmark = pytest.mark.browser


def test_contents_and_terms_lead_to_their_places(new_page, server):
    for name in ("trained_models.ipynb", "glossary.ipynb"):
        shutil.copy(ROOT / "notebooks" / name, server.folder / name)
    page = new_page()
    page.goto(server.address("/lab/tree/trained_models.ipynb"))
    here = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    contents = here.get_by_role("link", name="What breaks INT8", exact=True)
    expect(contents).to_be_visible(timeout=act.SLOW_MS)
    heading = here.locator("h2", has_text="3. What breaks INT8")
    expect(heading).not_to_be_in_viewport()
    contents.click()
    expect(heading).to_be_in_viewport()
    here.get_by_role("link", name="Glossary", exact=True).scroll_into_view_if_needed()
    here.get_by_role("link", name="width", exact=True).first.click()
    expect(here.locator("h3", has_text="Width")).to_be_in_viewport(timeout=act.SLOW_MS)
