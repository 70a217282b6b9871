"""All figures of all rooms: a colour and a mark belong to a series, scales and places are right.

Each figure is drawn from the results that its own tests use. What it has to keep to stands in one
table, and a figure without a row there fails.
"""

import importlib
import inspect
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import same_color, to_rgba
from matplotlib.container import ErrorbarContainer

import recipe_helpers as rh
from recipe_helpers.classroom import plots as classroom
from recipe_helpers.common.plots import COLORS, FP32_COLOR, INT8_COLOR, PLAIN_COLOR
from recipe_helpers.deployment import plots as deployment
from recipe_helpers.explorer import plots as explorer
from recipe_helpers.explorer.measurement import Choice, measure_choice
from recipe_helpers.recipe import plots as recipe
from recipe_helpers.recipe.accuracy import StepErrors
from recipe_helpers.recipe.timing import Timing
from recipe_helpers.trained_models import fragility, plots as trained_models
from recipe_helpers.trained_models.classification import disagreements
from recipe_helpers.trained_models.fragility import Cliff
from recipe_helpers.under_the_hood import plots as under_the_hood
from recipe_helpers.under_the_hood.causes_of_speed import GainPoint, Gains
from recipe_helpers.under_the_hood.planes_and_tiles import tile_layout
from recipe_helpers.your_model import plots as your_model

from ..classroom.made_up import compared
from ..deployment.made_up import LOADS
from ..recipe import made_up as made
from ..trained_models.made_up import FIRST, LABELS, SECOND, study
from ..under_the_hood.test_plots import question
from ..your_model.made_up import candidate, filled_findings, measured

ROOMS = [path.parent.name for path in Path(rh.__file__).parent.glob("*/plots.py")]


@dataclass(frozen=True)
class Row:
    """How to draw a figure, which of its Axes are logarithmic, and what it must not have to name.

    `logs`: for each Axes "", "x", "y" or "xy". `bare`: Axes that need no label, as pictures do.
    """

    draw: object
    logs: tuple[str, ...]
    bare: tuple[int, ...] = ()


def explored(*dimensions):
    return [measure_choice(Choice(dimension=d), budget_s=0.01) for d in dimensions]


def gains():
    times_us = (60, 90, 120, 10, 8, 4)
    points = (GainPoint(d, *(Timing((d * t,) * 9) for t in times_us)) for d in (8, 64))
    return Gains(tuple(points), 1)


def cliff():
    names = (fragility.FP32, fragility.PER_TENSOR, fragility.PER_CHANNEL, fragility.PLAIN)
    accuracies = {name: (0.9 - place / 10, 0.8) for place, name in enumerate(names)}
    return Cliff("factor on a weight", (1.0, 64.0), accuracies, True)


def report():
    several = replace(
        measured(0.02, 1.5, 1.7),
        latencies=(
            measured(0.02, 1.5, 1.7).latencies[0],
            replace(measured(0.02, 2.5, 2.7).latencies[0], threads=1),
        ),
    )
    found = filled_findings()
    one = candidate("torch.ao", several)
    return replace(found, candidates=(one, replace(one, name="plain")))


def saturated():
    weights = torch.randint(-128, 128, (8, 16), generator=torch.Generator().manual_seed(0))
    full = torch.randint(256, (5, 16), generator=torch.Generator().manual_seed(1))
    full = full.to(torch.uint8)
    return full, full // 2, weights.to(torch.int8)


FIGURES = {
    recipe.scale_choices: Row(made.FIGURES["scale_choices"], ("", "")),
    recipe.weight_grid: Row(made.FIGURES["weight_grid"], ("", "", ""), bare=(3, 4)),
    recipe.size_sweep: Row(made.FIGURES["size_sweep"], ("", "x")),
    recipe.memory_sweep: Row(made.FIGURES["memory_sweep"], ("", "")),
    recipe.latency: Row(made.FIGURES["latency"], ("", "")),
    recipe.latency_sweep: Row(made.FIGURES["latency_sweep"], ("xy", "xy")),
    recipe.accuracy: Row(made.FIGURES["accuracy"], ("", "")),
    recipe.seed_errors: Row(made.FIGURES["seed_errors"], ("",)),
    classroom.speedups: Row(lambda: classroom.speedups(compared()), ("xy",)),
    classroom.crossovers: Row(lambda: classroom.crossovers(compared()), ("x",)),
    deployment.loads: Row(lambda: deployment.loads(LOADS), ("xy", "x")),
    explorer.panel: Row(lambda: explorer.panel(explored(8)[0]), ("", "", "")),
    explorer.sweep: Row(
        lambda: explorer.sweep(several := explored(8, 16, 32), several[1]), ("x", "x", "x")
    ),
    trained_models.pareto: Row(
        lambda: trained_models.pareto(study({4: [-0.02, 0.01], 8: [0.0, 0.03]})), ("x",)
    ),
    trained_models.differences: Row(
        lambda: trained_models.differences(study({4: [-0.02, 0.01], 8: [0.0, 0.03]})), ("",)
    ),
    trained_models.disagreements: Row(
        lambda: trained_models.disagreements(disagreements(FIRST, SECOND, LABELS)),
        ("", "", ""),
        bare=(0, 1, 2),
    ),
    trained_models.cliff: Row(lambda: trained_models.cliff(cliff()), ("x",)),
    trained_models.error_along: Row(
        lambda: trained_models.error_along({"trained": StepErrors((0.01, 0.02, 0.05))}), ("xy",)
    ),
    under_the_hood.saturation: Row(lambda: under_the_hood.saturation(*saturated()), ("",)),
    under_the_hood.choices: Row(
        lambda: under_the_hood.choices([question("w", "a", "b"), question("v", "a", "b")]),
        ("y", "y"),
        bare=(0, 1),
    ),
    under_the_hood.gains: Row(lambda: under_the_hood.gains(gains()), ("xy", "xy")),
    under_the_hood.planes_and_tiles: Row(
        lambda: under_the_hood.planes_and_tiles(
            torch.arange(16, dtype=torch.int16) - 8, tile_layout()
        ),
        ("", ""),
        bare=(0, 1),
    ),
    your_model.plot_report: Row(
        lambda: your_model.plot_report(report()), ("", "", "x", "x"), bare=(0, 1, 2, 3)
    ),
}


@pytest.fixture(scope="module", params=FIGURES, ids=lambda f: f"{f.__module__[15:-6]}.{f.__name__}")
def drawn(request):
    row = FIGURES[request.param]
    return request.param.__name__, row.draw(), row


def test_every_figure_of_every_room_stands_in_the_table():
    public = set()
    for room in ROOMS:
        module = importlib.import_module(f"recipe_helpers.{room}.plots")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            home = function.__module__ == module.__name__
            makes = inspect.signature(function).return_annotation == "RecipeFigure"
            if home and makes and not name.startswith("_"):
                public.add(function)
    assert {f"{f.__module__}.{f.__name__}" for f in public} == {
        f"{f.__module__}.{f.__name__}" for f in FIGURES
    }


# --- a colour and a mark belong to a series -------------------------------------------------------

SERIES = {
    "FP32": (FP32_COLOR, "o"),
    "fp32": (FP32_COLOR, "o"),
    "torch FP32": (FP32_COLOR, "o"),
    "INT8": (INT8_COLOR, "s"),
    "torch.ao INT8": (INT8_COLOR, "s"),
    "INT8 per tensor": (INT8_COLOR, "s"),
    "INT8 per channel": (COLORS[3], "D"),
    "Int8LSTM": (PLAIN_COLOR, "^"),
    "plain INT8": (PLAIN_COLOR, "^"),
}


def colour_of(artist):
    if hasattr(artist, "get_facecolor") and not hasattr(artist, "get_markerfacecolor"):
        return np.atleast_2d(artist.get_facecolor())[0][:3]
    return to_rgba(artist.get_color())[:3]


def labelled(axes):
    """Every artist that has a name, an error bar as its line."""
    for container in axes.containers:
        if isinstance(container, ErrorbarContainer):
            yield container.get_label(), container.lines[0]
        elif container.get_label() in SERIES:
            yield container.get_label(), container[0]
    for line in axes.get_lines():
        if not line.get_label().startswith("_"):
            yield line.get_label(), line
    for patch in axes.patches:
        if not patch.get_label().startswith("_"):
            yield patch.get_label(), patch
    bars = [one for one in axes.containers if one.get_label() not in SERIES]
    if axes.patches and bars:
        names = [text.get_text() for text in axes.get_yticklabels()]
        yield from zip(names, axes.patches, strict=False)


def test_a_series_has_its_own_colour_and_mark_in_every_figure(drawn):
    _, figure, _ = drawn
    for axes in figure.axes:
        for name, artist in labelled(axes):
            if name in SERIES:
                color, marker = SERIES[name]
                assert same_color(colour_of(artist), color), name
                if hasattr(artist, "get_marker") and artist.get_marker() not in ("None", None, ""):
                    assert artist.get_marker() == marker, name


def legends(figure):
    yield from figure.legends
    yield from (axes.get_legend() for axes in figure.axes if axes.get_legend())


def test_legends_show_the_colours_that_are_drawn(drawn):
    _, figure, _ = drawn
    shown = {}
    for axes in figure.axes:
        shown.update({name: colour_of(artist) for name, artist in labelled(axes)})
    for legend in legends(figure):
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
            name = text.get_text()
            artist = handle[0] if isinstance(handle, tuple) else handle
            if name in shown and (hasattr(artist, "get_color") or hasattr(artist, "get_facecolor")):
                color = artist.get_color() if hasattr(artist, "get_color") else colour_of(artist)
                color = color[0] if isinstance(color, np.ndarray) and color.ndim > 1 else color
                assert same_color(to_rgba(color)[:3], shown[name]), name


# --- scales, labels, places -----------------------------------------------------------------------


def test_axes_are_logarithmic_where_they_have_to_be(drawn):
    _, figure, row = drawn
    scales = [
        "".join(name for name in "xy" if getattr(axes, f"get_{name}scale")() == "log")
        for axes in figure.axes
        if axes.get_label() != "<colorbar>"
    ]
    assert tuple(scales) == row.logs


def test_every_axis_says_what_it_shows_and_in_which_unit(drawn):
    _, figure, row = drawn
    for place, axes in enumerate(figure.axes):
        if place in row.bare or axes.get_label() == "<colorbar>":
            continue
        categories = [text.get_text() for text in axes.get_yticklabels()]
        assert axes.get_xlabel(), place
        assert axes.get_ylabel() or set(categories) <= {"FP32", "INT8", ""}, place


def test_ticks_of_widths_stand_at_the_widths_that_were_measured(drawn):
    _, figure, _ = drawn
    for axes in figure.axes:
        if "width" in axes.get_xlabel() and axes.get_xscale() == "log":
            places = {
                int(text.get_text()): text.get_position()[0] for text in axes.get_xticklabels()
            }
            assert all(width == place for width, place in places.items())
            assert len(places) >= 2


def test_the_star_stands_at_the_choice_and_not_at_the_widest():
    several = explored(8, 16, 32)
    for chosen in several:
        figure = explorer.sweep(several, chosen)
        for axes, (_, _, value) in zip(figure.axes, explorer._SWEPT, strict=True):
            (star,) = [line for line in axes.get_lines() if line.get_marker() == "*"]
            assert list(star.get_xdata()) == [chosen.choice.dimension]
            assert list(star.get_ydata()) == [pytest.approx(value(chosen))]


def test_the_crossover_is_marked_where_the_sweep_has_it():
    figure = recipe.latency_sweep(made.SWEEP)
    for axes in figure.axes:
        (line,) = [line for line in axes.get_lines() if line.get_label() == "crossover"]
        assert set(line.get_xdata()) == {made.SWEEP.crossover}


def test_a_full_mark_is_the_callers_threads_and_a_hollow_one_is_one_thread():
    found = report()
    figure = your_model.plot_report(found)
    (speed,) = [axes for axes in figure.axes if axes.get_title(loc="left").startswith("speed")]
    whole = found.candidates[0].whole
    marks = {float(c.lines[0].get_xdata()[0]): c.lines[0] for c in speed.containers}
    callers, single = (latency.speedup.median for latency in whole.latencies)
    assert same_color(marks[callers].get_markerfacecolor(), marks[callers].get_color())
    assert same_color(marks[single].get_markerfacecolor(), "white")
    names = [text.get_text() for text in speed.get_legend().get_texts()]
    handles, labels = speed.get_legend_handles_labels()
    faces = [handle.lines[0].get_markerfacecolor() for handle in handles]
    hollow = [label for face, label in zip(faces, labels, strict=True) if same_color(face, "white")]
    assert hollow == ["1 thread"]
    assert names == labels
