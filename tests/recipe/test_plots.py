"""Every figure, by the data on its Axes, its labels, its legend and its alternative text."""

import re
import struct
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import same_color

import recipe_helpers as rh
from recipe_helpers.common import plots as common
from recipe_helpers.common.plots import FP32_COLOR, INT8_COLOR, NEUTRAL_COLOR, PLAIN_COLOR
from recipe_helpers.recipe import plots
from recipe_helpers.recipe.memory import MemoryUse

from .made_up import (
    FIGURES,
    LATENCY,
    MEMORY,
    NO_CROSSOVER,
    PAIR,
    SCALES,
    SEEDS,
    SIZES,
    STEPS,
    SWEEP,
    TIME,
    weight,
)


def lines(axes):
    """Label -> (x, y, colour) of every labelled line."""
    return {
        line.get_label(): (line.get_xdata(), line.get_ydata(), line.get_color())
        for line in axes.get_lines()
        if not line.get_label().startswith("_")
    }


def legend(owner):
    """Label -> colour, as the legend shows them."""
    found = owner.legends[0] if hasattr(owner, "legends") else owner.get_legend()
    shown = {}
    for handle, text in zip(found.legend_handles, found.get_texts(), strict=True):
        color = handle.get_color() if hasattr(handle, "get_color") else handle.get_facecolor()
        shown[text.get_text()] = color
    return shown


COLOR_OF = {"FP32": FP32_COLOR, "INT8": INT8_COLOR}


def check_line(axes, label, x, y, color):
    found_x, found_y, found_color = lines(axes)[label]
    assert np.asarray(found_x, dtype=float) == pytest.approx(np.asarray(x, dtype=float))
    assert np.asarray(found_y, dtype=float) == pytest.approx(np.asarray(y, dtype=float), rel=1e-6)
    assert same_color(found_color, color)


def check_legend(owner, **colors):
    shown = legend(owner)
    assert list(shown) == list(colors)
    for label, color in colors.items():
        assert same_color(
            tuple(shown[label])[:3] if not isinstance(shown[label], str) else shown[label], color
        ), label


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_shows_itself_and_changes_nothing(name, untouched):
    settings = dict(mpl.rcParams)
    with untouched():
        figure = FIGURES[name]()
        data, metadata = figure._repr_mimebundle_(include=None, exclude=None)
    assert dict(mpl.rcParams) == settings
    png = data["image/png"]
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    inches = figure.get_size_inches()
    assert (width, height) == pytest.approx(tuple(inches * 200), abs=1)
    assert data["text/plain"] == repr(figure) == f"<Figure: {figure.title}>"
    shown = metadata["image/png"]
    assert shown["alt"] == figure.alt
    assert (shown["width"], shown["height"]) == pytest.approx(tuple(inches * 100), abs=1)


@pytest.mark.parametrize("name", FIGURES)
def test_words_of_a_figure(name):
    figure = FIGURES[name]()
    assert not re.search(r"\d\.\d|\n", figure.title), "a title is the same on every machine"
    assert figure.alt != figure.title
    assert figure.alt.endswith(".")
    assert not re.search(r"\bnan\b|  |\n", figure.alt)
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    for axes in panels:
        assert axes.get_xlabel()
        assert axes.get_ylabel()


def test_the_style_is_the_recipes_own_whatever_the_readers():
    with mpl.rc_context({"axes.facecolor": "black", "lines.linewidth": 9}):
        figure = plots.size_sweep(SIZES)
        assert mpl.rcParams["lines.linewidth"] == 9
    assert same_color(figure.axes[0].get_facecolor(), "white")
    assert figure.axes[0].get_lines()[0].get_linewidth() == common.STYLE["lines.linewidth"]


def test_scale_choices():
    figure = plots.scale_choices(SCALES)
    assert len(figure.axes) == 2
    position = range(len(TIME))
    for axes, batch in zip(figure.axes, SCALES.batches, strict=True):
        assert axes.get_title(loc="left") == f"{batch.name} batch"
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("position", "value")
        check_line(axes, "FP32", position, batch.fixed.numbers, FP32_COLOR)
        check_line(axes, "INT8, fixed scale", position, batch.fixed.restored, INT8_COLOR)
        check_line(axes, "INT8, scale at run time", position, batch.dynamic.restored, PLAIN_COLOR)
        assert f"The {batch.name} batch: mean error {batch.fixed.relative:.0%} with the fix" in (
            figure.alt
        )
        assert f"{batch.dynamic.relative:.1%} with its own" in figure.alt
    check_legend(
        figure,
        **{
            "FP32": FP32_COLOR,
            "INT8, fixed scale": INT8_COLOR,
            "INT8, scale at run time": PLAIN_COLOR,
        },
    )
    assert len(plots.scale_choices(rh.compare_scales(TIME, {"one": TIME})).axes) == 1


def test_weight_grid():
    original, stored = weight()
    figure = plots.weight_grid(original, stored)
    before, after, error = figure.axes[:3]
    assert np.array_equal(before.images[0].get_array(), original.detach().numpy())
    assert np.array_equal(after.images[0].get_array(), stored.integers.numpy())
    largest = float(original.detach().abs().max())
    assert before.images[0].get_clim() == pytest.approx((-largest, largest))
    assert after.images[0].get_clim() == (-128, 128)
    titles = [axes.get_title(loc="left") for axes in (before, after, error)]
    assert titles == ["FP32 weights", "stored integers", "rounding error"]
    assert (before.get_xlabel(), before.get_ylabel()) == ("input", "gate row")
    scale = float(original.detach().abs().max()) / 127.5
    steps = (stored.integers.numpy() * scale - original.detach().numpy()) / scale
    counts, _ = np.histogram(steps, np.linspace(-0.5, 0.5, 21))
    heights = [bar.get_height() for bar in error.patches]
    assert sum(heights) == original.numel()
    assert np.abs(np.array(heights) - counts).max() <= 1  # one may lie on an edge
    assert [float(line.get_xdata()[0]) for line in error.get_lines()] == [-0.5, 0.5]
    assert error.get_xlabel() == "error (steps)"
    assert f"24 by 6: FP32 values up to {largest:.3f}" in figure.alt
    assert f"from {int(stored.integers.min())} to {int(stored.integers.max())}" in figure.alt
    assert f"the largest is {np.abs(steps).max():.2f} steps." in figure.alt


def test_size_sweep():
    figure = plots.size_sweep(SIZES)
    straight, ratio = figure.axes
    millions = [576e-6, 51840e-6, 1.0]
    check_line(straight, "FP32", millions, [0.004573, 0.209629, 0.0004], FP32_COLOR)
    check_line(straight, "INT8", millions, [0.003549, 0.056541, 0.000101], INT8_COLOR)
    check_legend(straight, FP32=FP32_COLOR, INT8=INT8_COLOR)
    assert straight.get_xlabel() == "parameters (millions)"
    assert straight.get_ylabel() == "state dict (MB)"
    curve, four = ratio.get_lines()
    assert list(curve.get_xdata()) == [8, 80, 512]
    assert curve.get_ydata() == pytest.approx([4573 / 3549, 209629 / 56541, 400 / 101])
    assert list(four.get_ydata()) == [4, 4]
    assert ratio.get_xlabel() == "width of the LSTM (units)"
    assert ratio.get_ylabel() == "FP32 bytes / INT8 bytes"
    assert ratio.get_xscale() == "log"
    assert [label.get_text() for label in ratio.get_xticklabels()] == ["8", "80", "512"]
    assert "from 1.29 at width 8 to 3.96 at 512" in figure.alt


def test_memory_is_drawn_against_parameters_on_one_scale():
    figure = plots.memory_sweep(MEMORY)
    held, most = figure.axes
    check_line(held, "FP32", [1, 3], [4, 12], FP32_COLOR)
    check_line(held, "INT8", [1, 3], [1, 3], INT8_COLOR)
    check_line(most, "FP32", [1, 3], [7, 21], FP32_COLOR)
    check_line(most, "INT8", [1, 3], [1.5, 3.5], INT8_COLOR)
    assert held.get_ylim() == most.get_ylim()
    assert "12.0 MB in FP32 and 3.0 MB in INT8" in figure.alt
    untold = replace(MEMORY.points[0].comparison, reference=MemoryUse(0, 4_000_000, None, 0))
    points = (replace(MEMORY.points[0], comparison=untold), MEMORY.points[1])
    assert [
        axes.get_title("left") for axes in plots.memory_sweep(replace(MEMORY, points=points)).axes
    ] == ["held once loaded"]


def test_latency():
    figure = plots.latency(LATENCY)
    times, ratios = figure.axes
    bins = {}
    for container in times.containers:
        edges = [bar.get_x() for bar in container] + [
            container[-1].get_x() + container[-1].get_width()
        ]
        assert same_color(container[0].get_facecolor()[:3], COLOR_OF[container[0].get_label()])
        bins[container[0].get_label()] = (edges, [bar.get_height() for bar in container])
    shown = (*LATENCY.reference.times_us, *LATENCY.candidate.times_us)
    edges = np.linspace(40, np.percentile(shown, 98), 41)
    for label, series in (("FP32", LATENCY.reference), ("INT8", LATENCY.candidate)):
        assert bins[label][0] == pytest.approx(edges)
        assert bins[label][1] == list(np.histogram(series.times_us, edges)[0])
    medians = {line.get_color(): line.get_xdata()[0] for line in times.get_lines()}
    assert medians == {FP32_COLOR: 115, INT8_COLOR: 52.5}
    check_legend(times, FP32=FP32_COLOR, INT8=INT8_COLOR)
    assert (times.get_xlabel(), times.get_ylabel()) == ("time (µs)", "rounds")
    check_line(ratios, "one round", range(4), [2, 3, 2, 400 / 60], NEUTRAL_COLOR)
    check_line(ratios, "median", [0, 1], [2.5, 2.5], INT8_COLOR)
    check_line(ratios, "equal", [0, 1], [1, 1], "black")
    (band,) = ratios.patches
    assert (band.get_y(), band.get_height()) == (2.0, 3.5)
    assert band.get_label() == "95 % interval"
    assert list(legend(ratios)) == ["one round", "median", "95 % interval", "equal"]
    assert ratios.get_ylabel() == "FP32 time / INT8 time"
    assert ratios.get_title(loc="left") == "above 1 INT8 is faster"
    assert f"FP32 takes {LATENCY.reference}, INT8 {LATENCY.candidate}" in figure.alt
    assert "around 2.50 (95 % interval 2.00 to 5.50)." in figure.alt


def test_latency_sweep():
    figure = plots.latency_sweep(SWEEP)
    times, ratio = figure.axes
    widths = [8, 64, 256]
    check_line(times, "FP32", widths, [0.1, 0.9, 8.0], FP32_COLOR)
    check_line(times, "INT8", widths, [0.4, 0.6, 2.0], INT8_COLOR)
    check_legend(times, FP32=FP32_COLOR, INT8=INT8_COLOR)
    assert times.get_ylabel() == "median time (ms)"
    assert times.get_yscale() == ratio.get_yscale() == times.get_xscale() == "log"
    curve = ratio.containers[0]
    assert list(curve[0].get_xdata()) == widths
    assert curve[0].get_ydata() == pytest.approx([0.25, 1.5, 4.0])
    reach = [(segment[0][1], segment[1][1]) for segment in curve[2][0].get_segments()]
    assert np.array(reach) == pytest.approx(np.array([(0.2, 0.3), (1.4, 1.7), (3.5, 4.1)]))
    assert lines(ratio)["crossover"][0] == [64, 64]
    assert lines(times)["crossover"][0] == [64, 64]
    assert ratio.get_ylabel() == "FP32 time / INT8 time"
    for axes in (times, ratio):
        assert axes.get_xlabel() == "width of the LSTM (units)"
        assert [label.get_text() for label in axes.get_xticklabels()] == ["8", "64", "256"]
    assert list(legend(ratio)) == ["equal", "crossover", "median, 95 % interval"]
    assert SWEEP.sentence in figure.alt


def test_a_sweep_without_a_crossover_marks_none():
    figure = plots.latency_sweep(NO_CROSSOVER)
    assert all("crossover" not in lines(axes) for axes in figure.axes)
    assert list(legend(figure.axes[1])) == ["equal", "median, 95 % interval"]
    assert "no crossover was found up to width 8." in figure.alt


def test_accuracy():
    figure = plots.accuracy(PAIR, STEPS)
    scatter, along = figure.axes
    check_line(
        scatter, "one output element", [0.1, -0.4, 0.3, 0.9], [0.2, -0.5, 0.35, 0.8], INT8_COLOR
    )
    check_line(scatter, "equal", [-0.5, 0.9], [-0.5, 0.9], NEUTRAL_COLOR)
    assert list(legend(scatter)) == ["equal", "one output element"]
    assert (scatter.get_xlabel(), scatter.get_ylabel()) == ("FP32 output", "INT8 output")
    (curve,) = along.get_lines()
    assert list(curve.get_xdata()) == [1, 2, 3, 4]
    assert curve.get_ydata() == pytest.approx([1, 2, 5, 3])
    assert same_color(curve.get_color(), INT8_COLOR)
    assert (along.get_xlabel(), along.get_ylabel()) == ("time step", "relative error (%)")
    assert along.get_ylim()[0] == 0
    assert "4 INT8 outputs" in figure.alt
    assert "1.50% over the first half of the steps and 4.00% over the second." in figure.alt


def test_seed_errors():
    figure = plots.seed_errors(SEEDS, 0.0125, "the recipe's seed")
    (axes,) = figure.axes
    counts, edges = np.histogram(np.array(SEEDS.relatives) * 100, 30)
    assert [bar.get_height() for bar in axes.patches] == list(counts)
    assert [bar.get_x() for bar in axes.patches] == pytest.approx(list(edges[:-1]))
    assert lines(axes)["the recipe's seed"][0] == [1.25, 1.25]
    assert list(legend(axes)) == ["the recipe's seed"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "relative error of the outputs (%)",
        "seeds",
    )
    assert (
        "over 6 seeds, from 1.00% to 2.00%; the recipe's seed at 1.25% is above 50%" in figure.alt
    )


def test_new_figure_has_the_panels_it_was_asked_for():
    figure, axes = common.new_figure("three by two", columns=3, rows=2, width=6, height=4)
    assert axes.shape == (2, 3)
    assert tuple(figure.get_size_inches()) == (6, 4)
    assert figure.title == figure.alt == "three by two"


def test_colours_differ():
    assert len(set(common.COLORS)) == len(common.COLORS)
    assert FP32_COLOR != INT8_COLOR
