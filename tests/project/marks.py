"""What an Axes shows and what it should show, both as plain numbers with their looks."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer


@dataclass(frozen=True, eq=False)
class Series:
    """Points in a colour, with a mark, under a name: of a line, of error bars, of bars."""

    x: object
    y: object
    color: str  # or one for each point, joined; one alone where all are the same
    marker: str = ""
    name: str = ""
    full: bool = True
    ends: tuple = ()  # (low, high) of each error bar

    def is_drawn_as(self, other):
        """Whether that is what was drawn; a name may be left open, and the ends of error bars."""
        return (
            (self.color, self.marker, self.full) == (other.color, other.marker, other.full)
            and self.name in ("", other.name)
            and close(self.x, other.x)
            and close(self.y, other.y)
            and (not self.ends or close(self.ends, other.ends))
        )


def close(ours, theirs):
    return np.shape(ours) == np.shape(theirs) and np.allclose(ours, theirs, rtol=1e-6, atol=1e-12)


class Panel(NamedTuple):
    """Title, labels, and which axes are logarithmic ("", "x", "y", "xy"); every series, no other.

    Without a series it holds pictures or words, which tests of their own look at.
    """

    title: str
    xlabel: str
    ylabel: str
    logs: str = ""
    series: tuple = ()
    rows: tuple = ()  # what the rows of a panel with categories are called, from 0


class Figure(NamedTuple):
    """What a figure is drawn from, its panels, and parts of its alternative text."""

    of: list
    panels: list
    alt: list


def level(y, color, name=""):
    """A line from one side of the Axes to the other."""
    return Series((0, 1), (y, y), color, name=name)


def upright(x, color, name=""):
    return Series((x, x), (0, 1), color, name=name)


def histogram(values, edges, color):
    counts, edges = np.histogram(values, edges)
    return Series(edges[:-1], counts, color, "bar")


# --- what is drawn --------------------------------------------------------------------------------


def named(artist):
    """What the legend would call an artist."""
    return "" if artist.get_label().startswith("_") else artist.get_label()


def of_line(line, ends=()):
    marker = str(line.get_marker())
    color, face = to_hex(line.get_color()), to_hex(line.get_markerfacecolor())
    x, y = (np.asarray(values, dtype=float) for values in line.get_data(orig=False))
    shown = "" if marker in ("None", "none", "", " ") else marker
    return Series(x, y, color, shown, named(line), face == color, ends)


def of_errorbar(container):
    data, _, bars = container.lines
    spread = 1 if container.has_yerr else 0
    ends = tuple(tuple(segment[:, spread]) for bar in bars for segment in bar.get_segments())
    colors = {to_hex(color) for bar in bars for color in bar.get_color()}
    assert colors == {to_hex(data.get_color())}
    return replace(of_line(data, ends), name=named(container))


def of_bars(container):
    """Horizontal bars: their lengths, and the rows they lie in; a histogram: edges and heights."""
    colors = " ".join(dict.fromkeys(to_hex(bar.get_facecolor()) for bar in container))
    if container.orientation == "horizontal":
        pairs = [(bar.get_width(), bar.get_y() + bar.get_height() / 2) for bar in container]
    else:
        pairs = [(bar.get_x(), bar.get_height()) for bar in container]
    return Series(*np.transpose(pairs), colors, "bar", named(container))


def marks(axes):
    """Every line, error bar, and row of bars that an Axes shows; no figure scatters points."""
    assert not any(isinstance(one, PathCollection) for one in axes.collections)
    errorbars = [c for c in axes.containers if isinstance(c, ErrorbarContainer)]
    bars = [c for c in axes.containers if isinstance(c, BarContainer)]
    within = {id(line) for c in errorbars for line in (c.lines[0], *c.lines[1])}
    lines = [line for line in axes.get_lines() if id(line) not in within]
    return [*map(of_errorbar, errorbars), *map(of_bars, bars), *map(of_line, lines)]


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
