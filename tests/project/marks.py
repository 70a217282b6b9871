"""What an Axes shows, as plain numbers with their looks, and what it should show.

The tests find a series by its numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer


@dataclass(frozen=True)
class Mark:
    """One series: its points, the ends of its error bars, and how it is drawn."""

    x: tuple
    y: tuple
    color: str  # or one for each point, joined; one alone where all are the same
    marker: str
    full: bool
    ends: tuple  # (low, high) of each error bar
    name: str = ""

    def has(self, x, y):
        same = len(x) == len(self.x)
        return same and np.allclose(self.x, x) and np.allclose(self.y, y, rtol=1e-6, atol=1e-12)


def named(artist):
    """What the legend would call an artist."""
    return "" if artist.get_label().startswith("_") else artist.get_label()


def of_line(line, ends=()):
    marker = str(line.get_marker())
    color, face = to_hex(line.get_color()), to_hex(line.get_markerfacecolor())
    x, y = (tuple(np.asarray(values, dtype=float)) for values in line.get_data(orig=False))
    shown = "" if marker in ("None", "none", "", " ") else marker
    return Mark(x, y, color, shown, face == color, ends, named(line))


def of_errorbar(container):
    data, _, bars = container.lines
    spread = 1 if container.has_yerr else 0
    ends = tuple(tuple(segment[:, spread]) for bar in bars for segment in bar.get_segments())
    assert {to_hex(color) for bar in bars for color in bar.get_color()} == {
        to_hex(data.get_color())
    }
    return replace(of_line(data, ends), name=named(container))


def of_points(collection):
    colors = {to_hex(color) for color in collection.get_facecolor()}
    x, y = (tuple(column) for column in np.asarray(collection.get_offsets(), dtype=float).T)
    return Mark(x, y, " ".join(sorted(colors)), "scattered", True, (), named(collection))


def of_bars(container):
    """Horizontal bars: their lengths, and the rows they lie in; a histogram: edges and heights."""
    colors = list(dict.fromkeys(to_hex(bar.get_facecolor()) for bar in container))
    if container.orientation == "horizontal":
        x = tuple(bar.get_width() for bar in container)
        y = tuple(bar.get_y() + bar.get_height() / 2 for bar in container)
    else:
        x = tuple(bar.get_x() for bar in container)
        y = tuple(bar.get_height() for bar in container)
    return Mark(x, y, " ".join(colors), "bar", True, (), named(container))


def marks(axes):
    """Every line, row of points, error bar, and row of bars that an Axes shows."""
    errorbars = [c for c in axes.containers if isinstance(c, ErrorbarContainer)]
    bars = [c for c in axes.containers if isinstance(c, BarContainer)]
    within = {id(line) for c in errorbars for line in (c.lines[0], *c.lines[1])}
    return [
        *map(of_errorbar, errorbars),
        *map(of_bars, bars),
        *(of_line(line) for line in axes.get_lines() if id(line) not in within),
        *(of_points(c) for c in axes.collections if isinstance(c, PathCollection)),
    ]


def band(axes):
    """x -> lowest and highest of what is filled there."""
    (filled,) = [c for c in axes.collections if hasattr(c, "get_paths") and not hasattr(c, "lines")]
    found = {}
    for x, y in filled.get_paths()[0].vertices:
        found.setdefault(float(x), []).append(float(y))
    return {x: (min(ys), max(ys)) for x, ys in found.items()}


def words(axis):
    """Where the ticks of an axis stand -> what they say, as far as they lie within the view."""
    axis.get_majorticklabels()  # brings the texts of the ticks up to date
    low, high = sorted(axis.get_view_interval())
    pairs = zip(axis.get_majorticklocs(), axis.get_major_ticks(), strict=True)
    said = {at: tick.label1.get_text() for at, tick in pairs if tick.label1.get_visible()}
    return {at: text for at, text in said.items() if low <= at <= high and text}


# --- what it should show --------------------------------------------------------------------------


@dataclass(frozen=True)
class Series:
    """Points that have to be there, in this colour, with this mark, under this name.

    `ends` are those of their error bars. A name is looked for among the artists' labels.
    """

    x: object
    y: object
    color: str
    marker: str = ""
    name: str = ""
    full: bool = True
    ends: tuple = ()


@dataclass(frozen=True)
class Panel:
    """Title, labels, and which axes are logarithmic ("", "x", "y", "xy"); every series, no other.

    `series` is None where the panel holds pictures or words, which tests of their own look at.
    """

    title: str
    xlabel: str
    ylabel: str
    logs: str = ""
    series: tuple[Series, ...] | None = None
    rows: tuple[str, ...] = ()  # what the rows of a panel with categories are called, from 0


@dataclass(frozen=True)
class Row:
    """How to draw a figure, its panels, and parts of its alternative text."""

    draw: Callable
    panels: tuple[Panel, ...]
    alt: tuple[str, ...]


def level(y, color, name=""):
    """A line from one side of the Axes to the other."""
    return Series((0, 1), (y, y), color, name=name)


def upright(x, color, name=""):
    return Series((x, x), (0, 1), color, name=name)


def histogram(values, edges, color):
    counts, edges = np.histogram(values, edges)
    return Series(edges[:-1], counts, color, "bar")
