"""Every figure of the recipe: a function takes a result and returns a Figure that shows itself.

Figures are made without pyplot, so nothing global changes and nothing stays open. Each carries a
description: `figure.alt`, the alternative text of the picture in a notebook and in its HTML export.
Other modules of figures build on `drawn` and `new_figure`.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any, Literal, ParamSpec

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .accuracy import PairedOutputs, SeedErrors, StepErrors
from .inspection import StoredWeight
from .latency import LatencyComparison, LatencySweep
from .rounding import ScaleChoices
from .size import SizeSweep

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
_DPI = 100  # on the page; saved at twice that, so that it is sharp on a dense screen

_RATIO_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20)

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
        with mpl.rc_context({**_DEFAULTS, **STYLE}):
            return draw(*args, **kwargs)

    return in_style


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


def width_axis(axes: Axes, dimensions: tuple[int, ...]) -> None:
    """Make the x axis a logarithmic one of LSTM widths, labelled at the widths measured."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(dimensions, [str(dimension) for dimension in dimensions])
    axes.minorticks_off()
    axes.tick_params(axis="x", labelrotation=60)
    axes.set_xlabel("width of the LSTM (units)")


@drawn
def scale_choices(choices: ScaleChoices) -> RecipeFigure:
    """Each batch, and what is left of it with a fixed scale and with a scale of its own."""
    figure, panels = new_figure(
        "batches quantized with a fixed scale and with a scale found at run time",
        columns=len(choices.batches),
    )
    for axes, batch in zip(np.atleast_1d(panels), choices.batches, strict=True):
        axes.plot(batch.fixed.numbers, color=FP32_COLOR, label="FP32")
        axes.plot(batch.fixed.restored, ".", color=INT8_COLOR, label="INT8, fixed scale")
        axes.plot(batch.dynamic.restored, "x", color=PLAIN_COLOR, label="INT8, scale at run time")
        axes.set(title=f"{batch.name} batch", xlabel="position", ylabel="value")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.alt = "Two scales for each batch. " + " ".join(
        f"The {b.name} batch: mean error {b.fixed.relative:.0%} with the fixed scale, "
        f"{b.dynamic.relative:.1%} with its own."
        for b in choices.batches
    )
    return figure


@drawn
def weight_grid(weight: torch.Tensor, stored: StoredWeight) -> RecipeFigure:
    """A weight matrix before quantization, its integers, and the rounding error."""
    figure, (before, after, error) = new_figure(
        "a weight matrix in FP32, its int8 integers, and the rounding error", columns=3, height=3.8
    )
    values = weight.detach()
    largest = float(values.abs().max())
    image = before.imshow(values.numpy(), cmap="PuOr", vmin=-largest, vmax=largest, aspect="auto")
    figure.colorbar(image, ax=before)
    image = after.imshow(stored.integers.numpy(), cmap="PuOr", vmin=-128, vmax=128, aspect="auto")
    figure.colorbar(image, ax=after)
    for axes, title in ((before, "FP32 weights"), (after, "stored integers")):
        axes.set(title=title, xlabel="input", ylabel="gate row")
        axes.grid(False)
    steps = ((stored.dequantized() - values) / stored.scales[:, None]).flatten()
    error.hist(steps.numpy(), bins=np.linspace(-0.525, 0.525, 22), color=INT8_COLOR)
    error.set(title="rounding error", xlabel="error (steps)", ylabel="weights")
    for half in (-0.5, 0.5):
        error.axvline(half, color=NEUTRAL_COLOR, linestyle="--")
    figure.alt = (
        f"{stored.name}, {values.shape[0]} by {values.shape[1]}: FP32 values up to {largest:.3f} "
        f"in magnitude, the integers from {int(stored.integers.min())} to "
        f"{int(stored.integers.max())} that stand for them, and a histogram of the rounding error; "
        f"the largest is {float(steps.abs().max()):.2f} steps."
    )
    return figure


@drawn
def size_sweep(sweep: SizeSweep) -> RecipeFigure:
    """Bytes against parameters, and the ratio against width."""
    figure, (lines, ratio) = new_figure("state-dict size against parameters and width", columns=2)
    parameters = np.array([point.parameters for point in sweep.points])
    sides = (
        ("FP32", [p.comparison.reference_bytes for p in sweep.points], FP32_COLOR, "o-"),
        ("INT8", [p.comparison.candidate_bytes for p in sweep.points], INT8_COLOR, "s-"),
    )
    for label, sizes, color, marks in sides:
        lines.plot(parameters / 1e6, np.array(sizes) / 1e6, marks, color=color, label=label)
    lines.set(title="two straight lines", xlabel="parameters (millions)", ylabel="state dict (MB)")
    lines.legend()
    ratio.plot(sweep.dimensions, sweep.ratios, "o-", color=NEUTRAL_COLOR)
    ratio.axhline(4, color=NEUTRAL_COLOR, linestyle="--", linewidth=1)
    ratio.set(title="the ratio bends towards 4", ylabel="FP32 bytes / INT8 bytes", ylim=(0, 4.4))
    width_axis(ratio, sweep.dimensions)
    figure.alt = (
        "Left: both sizes grow in straight lines with the number of parameters. Right: their "
        f"ratio rises from {sweep.ratios[0]:.2f} at width {sweep.dimensions[0]} to "
        f"{sweep.ratios[-1]:.2f} at {sweep.dimensions[-1]}, below 4."
    )
    return figure


@drawn
def latency(comparison: LatencyComparison) -> RecipeFigure:
    """The distributions of both models' times, and the ratio of each round."""
    figure, (times, ratios) = new_figure("times of one call and ratio per round", columns=2)
    first = np.array(comparison.reference.times_us)
    second = np.array(comparison.candidate.times_us)
    # What the scheduler did to a few rounds must not squeeze the rest into one bar.
    shown = np.concatenate([first, second])
    bins = np.linspace(shown.min(), np.percentile(shown, 98), 41)
    for label, values, color in (("FP32", first, FP32_COLOR), ("INT8", second, INT8_COLOR)):
        times.hist(values, bins=bins, color=color, alpha=0.75, label=label)
        times.axvline(np.median(values), color=color, linestyle="--")
    times.set(title="time of one call", xlabel="time (µs)", ylabel="rounds")
    times.legend()
    ratios.plot(first / second, ".", color=NEUTRAL_COLOR, label="one round")
    ratios.axhline(comparison.speedup.median, color=INT8_COLOR, label="median")
    low, high = comparison.speedup.low, comparison.speedup.high
    ratios.axhspan(low, high, color=INT8_COLOR, alpha=0.25, label="95 % interval")
    ratios.axhline(1, color="black", linewidth=1, linestyle="--", label="equal")
    ratios.set(title="above 1 INT8 is faster", xlabel="round", ylabel="FP32 time / INT8 time")
    ratios.margins(y=0.3)
    ratios.legend()
    figure.alt = (
        f"Left: two histograms; FP32 takes {comparison.reference}, INT8 {comparison.candidate}. "
        f"Right: the ratio of each round around {comparison.speedup}."
    )
    return figure


@drawn
def latency_sweep(sweep: LatencySweep) -> RecipeFigure:
    """Times against width, and their ratio with its interval and the crossover."""
    figure, (times, ratio) = new_figure("latency against width, with the crossover", columns=2)
    compared = [point.comparison for point in sweep.points]
    sides = (
        ("FP32", [c.reference.median_us for c in compared], FP32_COLOR, "o-"),
        ("INT8", [c.candidate.median_us for c in compared], INT8_COLOR, "s-"),
    )
    for label, medians_us, color, marks in sides:
        times.plot(sweep.dimensions, np.array(medians_us) / 1e3, marks, color=color, label=label)
    times.set(title="time of one call", yscale="log", ylabel="median time (ms)")
    times.yaxis.set_major_formatter("{x:g}")
    times.legend()
    medians = np.array([c.speedup.median for c in compared])
    reach = [
        medians - [c.speedup.low for c in compared],
        [c.speedup.high for c in compared] - medians,
    ]
    style: dict[str, Any] = {
        "fmt": "o-",
        "color": NEUTRAL_COLOR,
        "capsize": 3,
        "label": "median, 95 % interval",
    }
    ratio.errorbar(sweep.dimensions, medians, yerr=reach, **style)
    ratio.axhline(1, color="black", linewidth=1, linestyle="--", label="equal")
    ratio.set(title="above 1 INT8 is faster", yscale="log", ylabel="FP32 time / INT8 time")
    ticks = [tick for tick in _RATIO_TICKS if min(medians) / 2 < tick < max(medians) * 2]
    ratio.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ratio.minorticks_off()
    for axes in (times, ratio):
        width_axis(axes, sweep.dimensions)
        if sweep.crossover is not None:
            axes.axvline(sweep.crossover, color=INT8_COLOR, linestyle=":", label="crossover")
    ratio.legend()
    figure.alt = f"Times of both models and their ratio against width. {sweep.sentence}"
    return figure


@drawn
def accuracy(pair: PairedOutputs, steps: StepErrors) -> RecipeFigure:
    """INT8 against FP32 element by element, and the error along the time steps."""
    figure, (scatter, along) = new_figure("INT8 against FP32, and error per time step", columns=2)
    x, y = pair.reference.flatten(), pair.candidate.flatten()
    ends = [float(x.min()), float(x.max())]
    scatter.plot(ends, ends, color=NEUTRAL_COLOR, linewidth=1, label="equal")
    scatter.plot(x, y, ".", color=INT8_COLOR, label="one output element")
    scatter.set(title="every output element", xlabel="FP32 output", ylabel="INT8 output")
    scatter.legend()
    along.plot(np.arange(1, len(steps.relatives) + 1), np.array(steps.relatives) * 100, "o-")
    along.lines[0].set_color(INT8_COLOR)
    along.set(title="error along the sequence", xlabel="time step", ylabel="relative error (%)")
    along.set_ylim(bottom=0)
    figure.alt = (
        f"Left: {x.numel()} INT8 outputs against FP32, close to the diagonal. Right: the relative "
        f"error is {steps.first_half:.2%} over the first half of the steps and "
        f"{steps.second_half:.2%} over the second."
    )
    return figure


@drawn
def seed_errors(study: SeedErrors, relative: float, label: str) -> RecipeFigure:
    """The relative error over many seeds, with one value marked."""
    figure, axes = new_figure("relative error over many seeds", height=2.8)
    axes.hist(np.array(study.relatives) * 100, bins=30, color=INT8_COLOR, alpha=0.8)
    axes.axvline(relative * 100, color="black", linestyle="--", label=label)
    axes.set(xlabel="relative error of the outputs (%)", ylabel="seeds")
    axes.legend()
    figure.alt = (
        f"Histogram of the relative error over {len(study.seeds)} seeds, from "
        f"{min(study.relatives):.2%} to {max(study.relatives):.2%}; {label} at {relative:.2%} is "
        f"above {study.share_below(relative):.0%} of them."
    )
    return figure
