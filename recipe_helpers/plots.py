"""Every figure of the recipe: a function takes a result and returns a Figure that shows itself.

Figures are made without pyplot, so nothing global changes and nothing stays open. Each carries a
description: `figure.alt`, the alternative text of the picture in a notebook and in its HTML export.
Other modules of figures build on `drawn` and `new_figure`.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's palette, which readers with any colour vision can tell apart.
FP32_COLOR = "#0072B2"
INT8_COLOR = "#D55E00"
PLAIN_COLOR = "#009E73"
NEUTRAL_COLOR = "#666666"
COLORS = (FP32_COLOR, INT8_COLOR, PLAIN_COLOR, "#CC79A7", "#E69F00", "#56B4E9")

STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "figure.facecolor": "white",
    "font.size": 9.5,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
}
_DPI = 100  # on the page; saved at twice that, so that it is sharp on a dense screen

Arguments = ParamSpec("Arguments")


class RecipeFigure(Figure):
    """A figure that knows its alternative text and shows itself in a notebook with it.

    `title` names the figure and is the same on every machine: it is what a strict comparison of
    notebooks sees. `alt` says what the figure shows and may quote what was measured.
    """

    title: str
    alt: str

    def png(self) -> bytes:
        """The picture, as the bytes of a PNG file."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=2 * _DPI)
        return buffer.getvalue()

    def __repr__(self) -> str:
        return f"<Figure: {self.title}>"

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        width, height = (round(float(inches) * _DPI) for inches in self.get_size_inches())
        data = {"image/png": self.png(), "text/plain": repr(self)}
        return data, {"image/png": {"alt": self.alt, "width": width, "height": height}}


def drawn(
    draw: Callable[Arguments, RecipeFigure],
) -> Callable[Arguments, RecipeFigure]:
    """Decorate a drawing function so that it draws in the recipe's style, whatever the reader's."""

    @functools.wraps(draw)
    def in_style(*args: Arguments.args, **kwargs: Arguments.kwargs) -> RecipeFigure:
        with mpl.rc_context({**mpl.rcParamsDefault, **STYLE}):
            return draw(*args, **kwargs)

    return in_style


def new_figure(
    title: str, *, columns: int = 1, rows: int = 1, width: float = 7.0, height: float = 3.4
) -> tuple[RecipeFigure, Any]:
    """An empty figure of so many panels, and its Axes (one, or an array of them).

    Args:
        title: what the figure is, without measured numbers.
        columns: panels side by side.
        rows: rows of panels.
        width: in inches.
        height: in inches.
    """
    figure = RecipeFigure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.title = figure.alt = title
    return figure, figure.subplots(rows, columns)


def width_axis(axes: Axes, dimensions: tuple[int, ...]) -> None:
    """Make the x axis a logarithmic one of LSTM widths, labelled at the widths measured."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(dimensions, [str(dimension) for dimension in dimensions])
    axes.minorticks_off()
    axes.set_xlabel("width of the LSTM (units)")
