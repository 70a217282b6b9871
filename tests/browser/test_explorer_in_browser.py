"""The explorer in JupyterLab, Notebook 7 and Voila, as a visitor with a keyboard uses it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import nbformat
import pytest
from playwright.sync_api import expect

from . import panel as act
from .panel import Console, Panel

pytestmark = pytest.mark.browser

AA_CONTRAST = 4.5


@dataclass
class Visit:
    """A page with the explorer on it, and what its console said since the explorer came."""

    panel: Panel
    console: Console
    first: str = ""  # the verdict on the recipe's model


def visit(page, server, path: str) -> Visit:
    """Open the recipe and run its cells from the menu, whose words both front ends share."""
    page.goto(server.address(path))
    expect(page.locator(".jp-Notebook .jp-CodeCell").first).to_be_visible(timeout=act.SLOW_MS)
    server.wait_for_kernels(page)
    console = Console(server.url)
    console.listen(page)
    run_all(page)
    panel = Panel(page)
    panel.appears()
    return Visit(panel, console)


def run_all(page) -> None:
    """Run, Run All Cells; again if the front end, still loading, ran none."""
    started = page.locator(".jp-Notebook .jp-InputPrompt").first
    for _ in range(5):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        with contextlib.suppress(AssertionError):
            expect(started).not_to_have_text("[ ]:", timeout=3_000)
            return
    pytest.fail("the front end does not run the cells")


def use_theme(page, theme: str) -> None:
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    for label in ("Theme", f"JupyterLab {theme}"):
        page.locator(".lm-Menu-itemLabel").get_by_text(label, exact=True).click()
    light = {"Light": "true", "Dark": "false"}[theme]
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", light)


@pytest.fixture(scope="module")
def lab(new_page, server, recipe):
    """One visit to JupyterLab, which the tests below go on with."""
    return visit(new_page(), server, f"/lab/tree/{recipe}")


def test_jupyterlab_by_keyboard(lab):
    first = act.play(lab.panel)
    act.fail(lab.panel)
    lab.panel.screenshot("lab-error")
    act.reset(lab.panel, first)
    act.see_the_sweep(lab.panel)
    lab.panel.screenshot("lab-sweep")
    act.leave_the_sweep(lab.panel)
    assert lab.console.errors == []


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_jupyterlab_can_be_read_in_its_themes(lab, theme):
    panel = lab.panel
    use_theme(panel.page, theme)
    for width in (800, 1280):
        panel.page.set_viewport_size({"width": width, "height": 900})
        panel.screenshot(f"lab-{width}-{theme.lower()}")
        assert not panel.is_cut_off()
    for text in (panel.verdict, panel.caption, panel.rows.first.locator("td").first):
        assert panel.contrast(text) >= AA_CONTRAST
    assert lab.console.errors == []


def test_notebook_7_by_keyboard(new_page, server, recipe):
    here = visit(new_page(), server, f"/notebooks/{recipe}")
    first = act.play(here.panel)
    act.fail(here.panel)
    act.reset(here.panel, first)
    here.panel.screenshot("notebook-1280-light")
    assert here.console.errors == []


def test_voila_by_keyboard(new_page, server):
    cell = nbformat.v4.new_code_cell("import recipe_helpers as rh\n\nrh.explore()")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, server.folder / "alone.ipynb")
    page, console = new_page(), Console(server.url)
    page.goto(server.address("/voila/render/alone.ipynb"))
    panel = Panel(page)
    panel.appears()
    console.listen(page)
    first = act.play(panel)
    act.fail(panel)
    act.reset(panel, first)
    panel.screenshot("voila-1280-light")
    act.see_the_sweep(panel)
    assert console.errors == []
