"""The explorer's figures: the two models at one choice, and the sweep with that choice on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..common.language import N_, _
from ..common.plots import (
    FP32_COLOR,
    INT8_COLOR,
    NEUTRAL_COLOR,
    Axes,
    RecipeFigure,
    draw_outputs,
    drawn,
    new_figure,
    width_axis,
)
from .measurement import SWEEP_WIDTHS, Exploration

_WIDTH, _HEIGHT = 9.0, 2.7  # inches
_BYTES = ((1e6, "MB"), (1e3, "kB"), (1, "bytes"))
_SWEPT: tuple[tuple[str, str, Callable[[Exploration], float]], ...] = (
    (N_("size"), N_("FP32 bytes / INT8 bytes"), lambda e: e.size.ratio),
    (N_("latency"), N_("FP32 time / INT8 time"), lambda e: e.latency.speedup.median),
    (N_("outputs"), N_("relative difference (%)"), lambda e: 100 * e.accuracy.relative),
)
_STAR: dict[str, Any] = {"color": FP32_COLOR, "markersize": 13, "clip_on": False, "zorder": 5}
_TIMES = ((1e6, "s"), (1e3, "ms"), (1, "µs"))


@drawn
def panel(exploration: Exploration) -> RecipeFigure:
    """Size, latency and accuracy of FP32 and INT8 at one choice, side by side.

    Bars are medians; the line on a bar of latency spans the quartiles. The dots are single
    elements of the outputs, which lie on the diagonal where quantizing changes nothing.
    """
    figure, axes = _three_places(_("FP32 and INT8 at one choice: size, latency, outputs"))
    size, latency = exploration.size, exploration.latency
    _bars(axes[0], (size.reference_bytes, size.candidate_bytes), _BYTES, _("size of the file"))
    axes[0].set_title(_("size: {ratio:.2f} to 1", ratio=size.ratio))
    medians = latency.reference.median_us, latency.candidate.median_us
    scale = _bars(axes[1], medians, _TIMES, _("time of one call"))
    for row, timing in enumerate((latency.reference, latency.candidate)):
        quartiles = [quartile / scale for quartile in timing.quartiles_us]
        axes[1].plot(quartiles, [row, row], color="black", linewidth=1.5)
    said = {"ratio": latency.speedup.median, "verdict": _(latency.verdict)}
    axes[1].set_title(_("latency: {ratio:.2f} to 1, {verdict}", **said))
    before, after = zip(*exploration.outputs, strict=True)
    draw_outputs(axes[2], before, after, markersize=4, alpha=0.7)
    axes[2].locator_params(nbins=4)
    axes[2].set_title(_("outputs: {relative:.2%} apart", relative=exploration.accuracy.relative))
    figure.alt = _(
        "Two bar charts and a scatter plot for {choice}: file size, time of one call and outputs "
        "of FP32 and INT8. {verdict}",
        choice=exploration.choice,
        verdict=exploration.verdict,
    )
    return figure


@drawn
def sweep(explorations: Sequence[Exploration], current: Exploration) -> RecipeFigure:
    """How the three measures change with the width; a star marks the current choice.

    The band around the latency is the 95 % interval; on the dashed line FP32 and INT8 are equal.

    Args:
        explorations: the same choice at several widths, rising.
        current: the exploration to mark.
    """
    figure, axes = _three_places(_("FP32 against INT8 across widths: size, latency, outputs"))
    widths = tuple(e.choice.width for e in explorations)
    for place, (title, label, value) in zip(axes, _SWEPT, strict=True):
        place.plot(widths, [value(e) for e in explorations], "o-", color=INT8_COLOR)
        place.plot(current.choice.width, value(current), "*", **_STAR)
        width_axis(place, tuple(w for w in widths if w in SWEEP_WIDTHS) or widths)
        place.tick_params("x", labelrotation=0, labelsize=8.5)
        place.set(title=_(title), xlabel=_("width (units)"), ylabel=_(label))
        place.set_ylim(bottom=0)
    speedups = [e.latency.speedup for e in explorations]
    lows, highs = [s.low for s in speedups], [s.high for s in speedups]
    axes[1].fill_between(widths, lows, highs, color=INT8_COLOR, alpha=0.25, linewidth=0)
    for place in axes[:2]:
        place.axhline(1, color=NEUTRAL_COLOR, linewidth=1, linestyle="--")
    first, last = explorations[0], explorations[-1]
    figure.alt = _(
        "Three line plots over widths {narrow} to {wide}: FP32 against INT8 in file size, from "
        "{size:.2f} to {last_size:.2f}; in the time of a call, from {speed:.2f} to "
        "{last_speed:.2f}; and the relative difference of the outputs, from {error:.2%} to "
        "{last_error:.2%}. A star marks {choice}.",
        narrow=widths[0],
        wide=widths[-1],
        size=first.size.ratio,
        last_size=last.size.ratio,
        speed=first.latency.speedup.median,
        last_speed=last.latency.speedup.median,
        error=first.accuracy.relative,
        last_error=last.accuracy.relative,
        choice=current.choice,
    )
    return figure


def _three_places(title: str) -> tuple[RecipeFigure, list[Axes]]:
    """Three Axes at fixed places: laying them out anew would double the time of a drawing."""
    figure, axes = new_figure(title, columns=3, width=_WIDTH, height=_HEIGHT, layout=None)
    figure.subplots_adjust(left=0.06, right=0.985, top=0.88, bottom=0.2, wspace=0.32)
    return figure, list(axes)


def _bars(
    axes: Axes, values: tuple[float, float], units: Sequence[tuple[float, str]], label: str
) -> float:
    """A bar for FP32 above one for INT8, in the unit that suits the longer; returns that unit."""
    scale, unit = next((s, u) for s, u in units if max(values) >= s)
    lengths = [value / scale for value in values]
    axes.barh(["FP32", "INT8"], lengths, color=(FP32_COLOR, INT8_COLOR), height=0.6)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlabel(f"{label} ({unit})")
    return scale
