"""Each series is found in its figure by its numbers, and then has its place, colour and mark.

The results are made up so that no two numbers are alike: what is drawn under another name, in
another row or the wrong way round is not found.
"""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from recipe_helpers.common.plots import COLORS, FP32_COLOR, INT8_COLOR, NEUTRAL_COLOR
from recipe_helpers.explorer import plots as explorer
from recipe_helpers.explorer.measurement import Choice, Exploration
from recipe_helpers.recipe import plots as recipe
from recipe_helpers.recipe.accuracy import OutputComparison, StepErrors
from recipe_helpers.recipe.latency import LatencyComparison
from recipe_helpers.recipe.size import SizeBreakdown, SizeComparison
from recipe_helpers.recipe.timing import FASTER, Ratio, Timing
from recipe_helpers.trained_models import plots as trained_models
from recipe_helpers.trained_models.classification import DigitRun, DigitStudy
from recipe_helpers.under_the_hood import plots as under_the_hood
from recipe_helpers.under_the_hood.schemes import ChoiceErrors, SchemeErrors
from recipe_helpers.your_model import plots as your_model
from recipe_helpers.your_model.candidates import ModuleError, Sensitivity
from recipe_helpers.your_model.promises import Limits

from ..your_model.made_up import candidate, filled_findings, measured
from .marks import band, mark, marks, words
from .test_figures import FIGURES

BLUE, ORANGE, GREY = FP32_COLOR.lower(), INT8_COLOR.lower(), NEUTRAL_COLOR.lower()


def sizes(before, after):
    return SizeComparison(SizeBreakdown(0, before, 0, 0), SizeBreakdown(after, 0, 0, 0))


def times(before_us, after_us, speedup, threads=1):
    spread = (0.8, 1.0, 1.4)
    both = (Timing(tuple(t * s for s in spread)) for t in (before_us, after_us))
    return LatencyComparison(*both, speedup, Ratio(1.0, 0.99, 1.01), FASTER, threads)


# --- every figure ---------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", FIGURES, ids=lambda f: f"{f.__module__[15:-6]}.{f.__name__}")
def test_ticks_say_where_they_stand(draw):
    """But for names of categories, which stand in a row: there 0, 1, 2 may be called 4, 8, 16."""
    figure = FIGURES[draw].draw()
    figure.draw_without_rendering()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            said = words(axis)
            row = list(said) == list(range(len(said)))
            for at, text in said.items():
                power = re.fullmatch(r"\$\\mathdefault\{(\d+)\^\{([-−]?\d+)\}\}\$", text)
                plain = re.fullmatch(r"[-−]?[\d.]+%?", text)
                if power:
                    base, exponent = power[1], power[2].replace("−", "-")
                    assert float(base) ** int(exponent) == pytest.approx(at)
                elif plain and not row and not axis.get_offset_text().get_text():
                    number = float(text.rstrip("%").replace("−", "-"))
                    percent = text.endswith("%")
                    assert number * (0.01 if percent else 1) == pytest.approx(at, abs=0.006)


@pytest.mark.parametrize("draw", FIGURES, ids=lambda f: f"{f.__module__[15:-6]}.{f.__name__}")
def test_no_point_lies_outside_its_axes(draw):
    for axes in FIGURES[draw].draw().axes:
        (left, right), (bottom, top) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
        for one in marks(axes):
            if one.marker and one.marker != "bar":
                assert left <= min(one.x) <= max(one.x) <= right
                assert bottom <= min(one.y) <= max(one.y) <= top


LEVELS = (  # figure, which of its Axes, what is equal there or known beforehand
    (recipe.size_sweep, 1, 4),  # bytes of a float32
    (recipe.latency, 1, 1),
    (recipe.latency_sweep, 1, 1),
    (trained_models.cliff, 0, 0.1),  # one of ten digits
    (under_the_hood.gains, 1, 1),
)


@pytest.mark.parametrize(("draw", "place", "level"), LEVELS)
def test_a_level_line_lies_at_its_level(draw, place, level):
    mark(FIGURES[draw].draw().axes[place], (0, 1), (level, level))


# --- the explorer ---------------------------------------------------------------------------------


def exploration(dimension, before=8e6, after=2e6, speedup=1.7, apart=0.03):
    one = OutputComparison("output", 1.0, 1.1, apart, 30.0, 0.9, None, tensors=())
    ratio = Ratio(speedup, 0.8 * speedup, 1.3 * speedup)
    compared = times(7000.0 * speedup, 7000.0, ratio)
    outputs = ((0.1, 0.2), (-0.3, -0.4), (0.5, 0.45))
    return Exploration(Choice(dimension=dimension), sizes(before, after), compared, one, outputs)


def test_the_panel_has_fp32_above_int8_in_the_unit_that_it_names():
    size, latency, outputs = explorer.panel(exploration(64)).axes
    for axes, lengths, unit in ((size, (8, 2), "(MB)"), (latency, (11.9, 7), "(ms)")):
        bars = mark(axes, lengths, (0, 1))
        assert bars.color == f"{BLUE} {ORANGE}"
        assert list(words(axes.yaxis).values()) == ["FP32", "INT8"]
        assert axes.yaxis_inverted(), "the first row on top"
        assert axes.get_xlabel().endswith(unit)
    for row, median in enumerate((11.9, 7)):
        mark(latency, np.array([0.9, 1.2]) * median, (row, row))  # the quartiles
    assert mark(outputs, (0.1, -0.3, 0.5), (0.2, -0.4, 0.45)).color == ORANGE
    titles = [axes.get_title(loc="left") for axes in (size, latency, outputs)]
    expected = ["size: 4.00 to 1", "latency: 1.70 to 1, faster", "outputs: 3.00% apart"]
    assert titles == expected


@pytest.mark.parametrize("chosen", range(3))
def test_the_sweep_has_its_curves_band_and_star_in_place(chosen):
    widths, files = (8, 32, 128), ((3e3, 2.9e3), (8e4, 3e4), (9e5, 3e5))
    speedups, apart = (0.4, 1.3, 2.9), (0.011, 0.023, 0.037)
    before, after = zip(*files, strict=True)
    rows = zip(widths, before, after, speedups, apart, strict=True)
    found = [exploration(*row) for row in rows]
    figure = explorer.sweep(found, found[chosen])
    heights = [[a / b for a, b in files], speedups, [100 * share for share in apart]]
    for axes, values in zip(figure.axes, heights, strict=True):
        assert mark(axes, widths, values).color == ORANGE
        assert mark(axes, widths[chosen : chosen + 1], values[chosen : chosen + 1]).marker == "*"
    for axes in figure.axes[:2]:
        assert mark(axes, (0, 1), (1, 1)).color == GREY, "where both are equal"
    filled = band(figure.axes[1])
    for width, speedup in zip(widths, speedups, strict=True):
        assert filled[width] == pytest.approx((0.8 * speedup, 1.3 * speedup))
    assert f"A star marks {found[chosen].choice}." in figure.alt


# --- trained models -------------------------------------------------------------------------------

RIGHT = {4: ((0.80, 0.84), (0.70, 0.78)), 16: ((0.91, 0.93), (0.90, 0.95))}  # FP32 and INT8
BYTES = {4: (6000, 3500), 16: (30000, 9000)}
STUDY = DigitStudy(
    tuple(
        DigitRun(width, seed, fp32, int8, *BYTES[width])
        for width, pairs in RIGHT.items()
        for seed, (fp32, int8) in enumerate(zip(*pairs, strict=True))
    )
)


def test_pareto_has_sizes_means_and_spreads_of_each_in_its_colour():
    (axes,) = trained_models.pareto(STUDY).axes
    for side, (color, marker) in enumerate(((BLUE, "o"), (ORANGE, "s"))):
        kilobytes = [BYTES[width][side] / 1e3 for width in RIGHT]
        means = [sum(pairs[side]) / 2 for pairs in RIGHT.values()]
        found = mark(axes, kilobytes, means)
        assert (found.color, found.marker) == (color, marker)
        for pairs, mean, ends in zip(RIGHT.values(), means, found.ends, strict=True):
            spread = abs(pairs[side][0] - pairs[side][1]) / np.sqrt(2)  # of two, n - 1
            assert ends == pytest.approx((mean - spread, mean + spread))
        for width, place in zip(RIGHT, zip(kilobytes, means, strict=True), strict=True):
            (beside,) = [text for text in axes.texts if text.xy == pytest.approx(place)]
            assert (beside.get_text(), beside.get_color().lower()) == (str(width), color)


@pytest.mark.parametrize("factor", [0.1, 1, 40])
def test_pareto_leaves_no_file_out(factor):
    runs = (
        replace(
            run, fp32_bytes=int(factor * run.fp32_bytes), int8_bytes=int(factor * run.int8_bytes)
        )
        for run in STUDY.runs
    )
    (axes,) = trained_models.pareto(DigitStudy(tuple(runs))).axes
    smallest, largest = (factor * 3.5, factor * 30)
    assert axes.get_xlim()[0] < smallest < largest < axes.get_xlim()[1]


def test_differences_stand_above_their_width():
    (axes,) = trained_models.differences(STUDY).axes
    assert list(words(axes.xaxis).values()) == [str(width) for width in RIGHT]
    for place, (fp32, int8) in enumerate(RIGHT.values()):
        points = [100 * (b - a) for a, b in zip(fp32, int8, strict=True)]
        (dots,) = [m for m in marks(axes) if np.allclose(m.y, points) and len(m.y) == len(points)]
        assert (dots.color, dots.marker) == (ORANGE, ".")
        (mean,) = [m for m in marks(axes) if m.ends and np.allclose(m.y, np.mean(points))]
        assert mean.color == GREY
        assert {round(x) for x in (*dots.x, *mean.x)} == {place}
    mark(axes, (0, 1), (0, 0))  # no difference


def test_error_along_names_every_curve_by_its_own_mark():
    errors = {name: StepErrors((e, e)) for name, e in (("one", 0.01), ("two", 0.04))}
    figure = trained_models.error_along(errors)
    (axes,) = figure.axes
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    handles = dict(zip(names, legend.legend_handles, strict=True))
    for percent, name in ((1, "one"), (4, "two")):
        (curve,) = [m for m in marks(axes) if np.allclose(m.y, percent)]
        handle = handles[name]
        assert (curve.color, curve.marker) == (handle.get_color().lower(), handle.get_marker())


# --- under the hood -------------------------------------------------------------------------------


def test_choices_have_even_models_left_in_blue_and_uneven_right_in_orange():
    errors = {
        "a": ((0.01, 0.02, 0.04), (0.03, 0.05, 0.08)),
        "b": ((0.1, 0.3, 0.5), (0.2, 0.6, 0.9)),
    }
    options = tuple(SchemeErrors(label, *both) for label, both in errors.items())
    figure = under_the_hood.choices([ChoiceErrors("which?", options, (1, 2, 3))])
    (axes,) = figure.axes
    assert list(words(axes.xaxis).values()) == list(errors)
    for side, (color, marker, name) in enumerate(((BLUE, "o", "even"), (ORANGE, "s", "uneven"))):
        places = np.arange(len(errors)) + (-0.12, 0.12)[side]
        joined = mark(axes, places, [100 * both[side][1] for both in errors.values()])
        assert (joined.color, joined.marker) == (color, marker)
        for place, both in zip(places, errors.values(), strict=True):
            dots = mark(axes, [place] * 3, [100 * error for error in both[side]])
            assert (dots.color, dots.marker) == (color, ".")
        legend = figure.legends[0]
        assert legend.get_texts()[side].get_text().split()[0] == name
        assert legend.legend_handles[side].get_color().lower() == color


def test_what_16_bits_keep_has_a_colour_for_each_range():
    weights = torch.full((1, 4), 127, dtype=torch.int8)
    full = torch.tensor([[255, 250, 3, 4]], dtype=torch.uint8)
    (axes,) = under_the_hood.saturation(full, full // 2, weights).axes
    sums = [127 * (255 + 250), 127 * (3 + 4)], [127 * (127 + 125), 127 * (1 + 2)]
    for exact, color in zip(sums, (ORANGE, BLUE), strict=True):
        assert mark(axes, exact, [min(one, 32767) for one in exact]).color == color
    for end in (-32768, 32767):
        assert mark(axes, (0, 1), (end, end)).color == GREY


# --- your model -----------------------------------------------------------------------------------


def one_measured(before, after, relative, *speedups):
    made = measured(relative, 1.5, 1.7)
    several, single = (Ratio(median, 0.9 * median, 1.3 * median) for median in speedups)
    latencies = times(100.0, 50.0, several, threads=4), times(100.0, 50.0, single, threads=1)
    return replace(made, size=sizes(before, after), latencies=latencies)


def findings():
    wholes = (one_measured(4000, 1000, 0.02, 1.6, 2.4), one_measured(5000, 2000, 0.4, 0.7, 0.9))
    candidates = []
    for name, whole, share in zip(("torch.ao", "plain"), wholes, (1, 2), strict=True):
        alone = (
            ModuleError("lstm", "LSTM", 0.05 * share, None),
            ModuleError("head", "Linear", 0.003 * share, None),
        )
        one = candidate(name, whole)
        candidates.append(replace(one, sensitivity=Sensitivity(alone, 0)))
    mended = one_measured(7000, 4000, 0.01, 1.1, 1.3)
    candidates[1] = replace(candidates[1], left_float=("lstm",), partly=mended)
    limits = Limits(max_relative_error=0.15, min_size_ratio=1.9, min_speedup=1.2)
    return replace(filled_findings(), candidates=tuple(candidates), limits=limits)


def test_a_report_has_each_conversion_in_its_row_and_colour():
    colors = [COLORS[1].lower(), COLORS[2].lower(), COLORS[2].lower()]
    figure = your_model.plot_report(findings())
    panels = {axes.get_title(loc="left").partition(",")[0]: axes for axes in figure.axes}
    size, speed, error = (panels[n] for n in ("size", "speed", "difference of the output"))
    assert list(words(size.yaxis).values()) == ["torch.ao", "plain", "plain,\n1 left FP32"]
    assert all(axes.yaxis_inverted() for axes in (size, speed, error)), "the first row on top"
    assert mark(size, (4, 2.5, 1.75), range(3)).color == " ".join(colors)
    for row, (several, single) in enumerate(((1.6, 2.4), (0.7, 0.9), (1.1, 1.3))):
        for ratio, full in ((several, True), (single, False)):
            (found,) = [m for m in marks(speed) if m.ends and np.allclose(m.x, ratio)]
            assert (found.color, found.full) == (colors[row], full)
            assert round(found.y[0]) == row
    for container in speed.containers:
        (segment,) = container.lines[2][0].get_segments()
        median = container.lines[0].get_xdata()[0]
        assert segment[:, 0] == pytest.approx((0.9 * median, 1.3 * median))
    assert mark(error, (2, 40, 1), range(3)).color == " ".join(sorted(set(colors)))
    for axes, limit in ((size, 1.9), (speed, 1.2), (error, 15)):
        assert mark(axes, (limit, limit), (0, 1)).color == GREY


def test_a_report_has_each_module_in_its_row_and_each_conversion_in_its_colour():
    figure = your_model.plot_report(findings())
    (axes,) = [a for a in figure.axes if a.get_title(loc="left").startswith("one module")]
    assert list(words(axes.yaxis).values()) == ["lstm", "head"], "the worst first"
    assert axes.yaxis_inverted()
    legend = dict(
        zip(
            [text.get_text() for text in axes.get_legend().get_texts()],
            axes.get_legend().legend_handles,
            strict=True,
        )
    )
    markers = set()
    for place, (name, percents) in enumerate((("torch.ao", (5, 0.3)), ("plain", (10, 0.6)))):
        (points,) = [c for c in axes.collections if np.allclose(c.get_offsets()[:, 0], percents)]
        assert [round(y) for y in points.get_offsets()[:, 1]] == [0, 1]
        color = mark(axes, percents, points.get_offsets()[:, 1]).color
        assert color == COLORS[1 + place].lower()
        assert np.allclose(legend[name].get_facecolor(), points.get_facecolor())
        markers.add(points.get_paths()[0].vertices.tobytes())
    assert len(markers) == 2, "told apart without colours, too"
    assert mark(axes, (15, 15), (0, 1)).color == GREY


def test_a_report_quotes_the_callers_threads():
    alt = your_model.plot_report(findings()).alt
    assert (
        "torch.ao: 4.00 times smaller, FP32 / INT8 time 1.60, largest relative error 2.00%" in alt
    )
    assert "plain: 2.50 times smaller, FP32 / INT8 time 0.70, largest relative error 40.00%" in alt
