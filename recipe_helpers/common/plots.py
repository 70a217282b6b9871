"""What all figures have in common: their colours, their style, and how they show themselves.

Figures are made without pyplot, so nothing global changes and nothing stays open. Each carries a
description: `figure.alt`, the alternative text of the picture in a notebook and in its HTML export.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, ParamSpec

from .errors import extra
from .language import ENGLISH, KOREAN, N_, _, language, speaking

with extra("notebooks"):
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import ListedColormap as ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.font_manager import fontManager

# Okabe and Ito's palette, which readers with any colour vision can tell apart.
FP32_COLOR = "#0072B2"
INT8_COLOR = "#D55E00"
PLAIN_COLOR = "#009E73"
NEUTRAL_COLOR = "#666666"
COLORS = (FP32_COLOR, INT8_COLOR, PLAIN_COLOR, "#CC79A7", "#E69F00", "#56B4E9")

STYLE: dict[Any, Any] = {
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
# Setting the backend, even to what it was, would import pyplot.
_DEFAULTS: dict[Any, Any] = {
    key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"
}
# The package that the extra `ko` brings; to import it would set its font for everybody's figures.
_FONT_PACKAGE, _FONT_FILE = "koreanize-matplotlib", "NanumGothic.ttf"
_KOREAN_FONTS = (
    "NanumGothic",
    "Apple SD Gothic Neo",
    "Malgun Gothic",
    "Noto Sans CJK KR",
    "Noto Sans KR",
    "Noto Sans CJK JP",  # the name by which the collection of all its languages is known
)
_NO_KOREAN_FONT = N_(
    "The labels of figures are in English because no Korean font was found; pip install "
    "koreanize-matplotlib brings one."
)
_DPI = 100  # on the page; saved at twice that, so that it is sharp on a dense screen

Arguments = ParamSpec("Arguments")


class RecipeFigure(Figure):
    """A figure that knows its alternative text and shows itself in a notebook with it.

    `title` names the figure and is the same on every machine: it is what a strict comparison of
    notebooks sees. `alt` says what the figure shows and may quote what was measured.
    """

    title: str
    alt: str

    def png(self, dpi: float = 2 * _DPI) -> bytes:
        """The picture, as the bytes of a PNG file."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=dpi)
        return buffer.getvalue()

    def __repr__(self) -> str:
        return _("<Figure: {title}>", title=self.title)

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        width, height = (round(float(inches) * _DPI) for inches in self.get_size_inches())
        data = {"image/png": self.png(), "text/plain": repr(self)}
        return data, {"image/png": {"alt": self.alt, "width": width, "height": height}}


def drawn(draw: Callable[Arguments, RecipeFigure]) -> Callable[Arguments, RecipeFigure]:
    """Decorate a drawing function so that it draws in the recipe's style, whatever the reader's.

    In Korean it draws with a Korean font. Where there is none it draws in English, and says why
    below, and in Korean in the alternative text, which needs no font.
    """

    @functools.wraps(draw)
    def in_style(*args: Arguments.args, **kwargs: Arguments.kwargs) -> RecipeFigure:
        fonts = korean_fonts() if language() == KOREAN else ()
        family: dict[Any, Any] = {"font.family": fonts} if fonts else {}
        with mpl.rc_context({**_DEFAULTS, **STYLE, **family}):
            if language() == ENGLISH or fonts:
                return draw(*args, **kwargs)
            why = _(_NO_KOREAN_FONT)
            with speaking(ENGLISH):
                figure = draw(*args, **kwargs)
                figure.supxlabel(_(_NO_KOREAN_FONT), x=0.01, ha="left", fontsize="x-small")
        figure.alt = f"{figure.alt} {why}"
        return figure

    return in_style


def korean_fonts() -> tuple[str, ...]:
    """A font with Korean letters and one for what it lacks; nothing where there is no such font.

    It is looked for in the extra `ko` and among the fonts of the system.
    """
    _register_font_of_the_extra()
    known = {font.name for font in fontManager.ttflist}
    found = [name for name in _KOREAN_FONTS if name in known]
    return (found[0], "DejaVu Sans") if found else ()


@functools.cache
def _register_font_of_the_extra() -> None:
    """Let Matplotlib know the font by its name; who does not ask for it will not see it."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files(_FONT_PACKAGE) or []:
            if file.name == _FONT_FILE and Path(path := str(file.locate())).is_file():
                fontManager.addfont(path)


def new_figure(
    title: str,
    *,
    columns: int = 1,
    rows: int = 1,
    width: float = 7.0,
    height: float = 3.4,
    layout: Literal["constrained", "compressed", "tight"] | None = "constrained",
) -> tuple[RecipeFigure, Any]:
    """An empty figure of so many panels, and its Axes (one, or an array of them).

    Args:
        title: what the figure is, without measured numbers.
        columns: panels side by side.
        rows: rows of panels.
        width: in inches.
        height: in inches.
        layout: Matplotlib's layout engine; None leaves the places to the caller, and is drawn
            in half the time.
    """
    figure = RecipeFigure(figsize=(width, height), dpi=_DPI, layout=layout)
    FigureCanvasAgg(figure)
    figure.title = figure.alt = title
    return figure, figure.subplots(rows, columns)


def width_axis(axes: Axes, widths: Sequence[int]) -> None:
    """Make the x axis a logarithmic one of LSTM widths, labelled at the widths measured."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.minorticks_off()
    axes.tick_params(axis="x", labelrotation=60)
    axes.set_xlabel(_("width of the LSTM (units)"))


def draw_pair(axes: Axes, x: Any, fp32: Any, int8: Any, **labels: Any) -> None:
    """The same quantity of both models against `x`, each in its own colour and with its mark.

    Args:
        axes: where to draw.
        x: widths, parameters, or what else the quantity depends on.
        fp32: the values of the float model.
        int8: the values of the quantized one.
        **labels: title, xlabel, ylabel and what else `Axes.set` takes.
    """
    axes.plot(x, fp32, "o-", color=FP32_COLOR, label="FP32")
    axes.plot(x, int8, "s-", color=INT8_COLOR, label="INT8")
    axes.set(**labels)
    axes.legend(loc="upper left")


def draw_ratios(axes: Axes, x: Any, ratios: Sequence[Any], **style: Any) -> None:
    """Medians with their 95 % intervals (each a `timing.Ratio`) on a logarithmic axis."""
    medians = [ratio.median for ratio in ratios]
    below = [ratio.median - ratio.low for ratio in ratios]
    above = [ratio.high - ratio.median for ratio in ratios]
    axes.errorbar(x, medians, yerr=[below, above], capsize=3, **style)
    axes.set_yscale("log")


def draw_equal(axes: Axes) -> None:
    """A dashed line where a ratio is 1, labelled so."""
    axes.axhline(1, color="black", linewidth=1, linestyle="--", label=_("equal"))


def draw_outputs(axes: Axes, before: Any, after: Any, **style: Any) -> None:
    """INT8 outputs against FP32 ones, and the diagonal on which nothing has changed."""
    ends = [min(*before, *after), max(*before, *after)]
    axes.plot(ends, ends, color=NEUTRAL_COLOR, linewidth=1, label=_("equal"))
    axes.plot(before, after, ".", color=INT8_COLOR, label=_("one output element"), **style)
    axes.set(xlabel=_("FP32 output"), ylabel=_("INT8 output"))


def plain_ticks(axes: Axes, ticks: Sequence[float]) -> None:
    """Those of these ticks that lie within the y axis, as plain numbers."""
    low, high = axes.get_ylim()
    within = [tick for tick in ticks if low <= tick <= high]
    axes.set_yticks(within, [f"{tick:g}" for tick in within])
    axes.minorticks_off()
