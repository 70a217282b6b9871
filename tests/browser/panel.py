"""The explorer as a visitor meets it: by the labels and roles that a screen reader would use."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
CONTROLS = (
    "Width (units)",
    "Layers",
    "Batch (sequences)",
    "Sequence (steps)",
    "Threads",
    "Quantized engine",
)
SLOW_MS = 60_000

# Black on white is 21 to 1; the guideline for text (WCAG 2, level AA) asks for 4.5.
_CONTRAST = """element => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const opaque = c => c.length < 4 || c[3] === 1;
  const light = c => {
    const [r, g, b] = c.slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let behind = element, back = null;
  for (; behind; behind = behind.parentElement) {
    back = parse(getComputedStyle(behind).backgroundColor);
    if (opaque(back)) break;
  }
  if (!behind) back = [255, 255, 255];
  const [low, high] = [light(parse(getComputedStyle(element).color)), light(back)].sort();
  return (Math.max(low, high) + 0.05) / (Math.min(low, high) + 0.05);
}"""


@dataclass
class Console:
    """The errors of a page from `listen` on: what came before is the front end's own."""

    url: str  # of the server
    errors: list[str] = field(default_factory=list)

    def listen(self, page) -> None:
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)

    def _note(self, message) -> None:
        source = message.location.get("url", "")
        # Voila asks other hosts for fonts and MathJax, which a machine without network lacks.
        elsewhere = source.startswith("http") and not source.startswith(self.url)
        if message.type == "error" and not elsewhere:
            self.errors.append(f"{message.text} ({source})")


class Panel:
    """The one explorer on a page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.verdict = page.locator(".rh-verdict")
        self.caption = page.locator(".rh-page caption")
        self.rows = page.locator(".rh-page tbody tr")
        self.error = page.get_by_role("alert").and_(page.locator(".rh-error"))

    def appears(self) -> None:
        expect(self.verdict).to_be_visible(timeout=SLOW_MS)
        # The front end moves the focus after a cell has run; a visitor is slower than that.
        self.page.wait_for_timeout(1000)

    def control(self, label: str) -> Locator:
        return self.page.get_by_label(label, exact=True)

    def picture(self, starts: str) -> Locator:
        return self.page.locator(f'.rh-page img[alt^="{starts}"]')

    def source(self) -> str:
        return self.picture("Two bar charts").get_attribute("src")

    def shows(self, choice: str) -> None:
        expect(self.caption).to_contain_text(choice, timeout=SLOW_MS)

    def type(self, label: str, value: int) -> None:
        """Replace a number by keyboard alone."""
        control = self.control(label)
        control.focus()
        expect(control).to_be_focused()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(str(value))
        self.page.keyboard.press("Enter")

    def contrast(self, element: Locator) -> float:
        return element.evaluate(_CONTRAST)

    def is_cut_off(self) -> bool:
        """Whether a part of the panel lies beyond the right edge of what can be seen."""
        parts = (
            *map(self.control, CONTROLS),
            self.page.locator(".rh-picture:visible"),
            self.rows.first,
        )
        edges = (part.bounding_box() for part in parts)
        room = self.page.viewport_size["width"]
        return any(box["x"] < 0 or box["x"] + box["width"] > room for box in edges)

    def screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.control(CONTROLS[0]).scroll_into_view_if_needed()
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


def play(panel: Panel) -> str:
    """Move the controls by keyboard and see the panel follow; returns the first verdict."""
    page = panel.page
    for label in CONTROLS:
        expect(panel.control(label)).to_have_count(1)
    panel.shows("width 8, 1 layer, batch 1, 20 steps, 1 thread")
    recipe, picture = panel.verdict.inner_text(), panel.source()

    width = panel.control("Width (units)")
    width.focus()
    expect(width).to_be_focused()
    for _ in range(3):  # the arrows must reach the number box, not the notebook
        page.keyboard.press("ArrowUp")
    panel.shows("width 32, 1 layer")
    assert panel.verdict.inner_text() != recipe
    assert panel.source() != picture

    panel.type("Width (units)", 64)
    panel.shows("width 64, 1 layer")
    page.keyboard.press("Tab")
    expect(panel.control("Layers")).to_be_focused()
    page.keyboard.press("ArrowUp")
    panel.shows("width 64, 2 layers")
    assert "times smaller" in panel.verdict.inner_text()
    return recipe


def fail(panel: Panel) -> None:
    """Ask for what cannot be measured: one sentence comes, and the last good picture stays."""
    panel.type("Batch (sequences)", 64)
    panel.shows("batch 64")
    caption, picture = panel.caption.inner_text(), panel.source()
    panel.type("Width (units)", 100_000)
    expect(panel.error).to_contain_text("goes from 8 to 1024: 100000 became 1024.")
    expect(panel.control("Width (units)")).to_have_value("1024")
    expect(panel.error).to_contain_text("billion multiply-adds")
    expect(panel.error).to_contain_text(f"still shows {caption}.")
    assert panel.caption.inner_text() == caption
    assert panel.source() == picture


def reset(panel: Panel, recipe: str) -> None:
    """Go back to the recipe's values: the error goes, and the numbers measured before return."""
    button = panel.page.get_by_role("button", name="Reset to the recipe's values")
    button.focus()
    panel.page.keyboard.press("Space")
    panel.shows("width 8, 1 layer, batch 1, 20 steps, 1 thread")
    expect(panel.error).to_have_count(0)
    assert panel.verdict.inner_text() == recipe
    for label, value in zip(CONTROLS, ("8", "1", "1", "20", "1"), strict=False):
        expect(panel.control(label)).to_have_value(value)


def see_the_sweep(panel: Panel) -> None:
    """Open the second tab by keyboard and wait until every width is measured."""
    first = panel.page.get_by_role("tab", name="This choice")
    first.focus()
    panel.page.keyboard.press("ArrowRight")
    panel.page.keyboard.press("Enter")
    sweep = panel.picture("Three line plots over widths 8 to 512")
    expect(sweep).to_be_visible(timeout=SLOW_MS)
    expect(panel.page.get_by_role("tab", name="Across widths")).to_have_attribute(
        "aria-selected", "true"
    )


def leave_the_sweep(panel: Panel) -> None:
    """Back to the first tab, by keyboard."""
    panel.page.get_by_role("tab", name="Across widths").focus()
    panel.page.keyboard.press("ArrowLeft")
    panel.page.keyboard.press("Enter")
    expect(panel.verdict).to_be_visible()
