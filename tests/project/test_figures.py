"""All figures of all rooms, against the table in `figures.py`, in English and in Korean.

A figure without a row there fails. Those of `your_model` are held by that room's own tests.
"""

import importlib
import inspect
import re
import struct
import warnings
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import same_color, to_hex
from matplotlib.text import Text

import recipe_helpers as rh
from recipe_helpers.common.language import speaking
from recipe_helpers.recipe import plots as recipe
from recipe_helpers.trained_models import plots as trained_models
from recipe_helpers.trained_models.classification import DigitStudy, Disagreements
from recipe_helpers.under_the_hood import plots as under_the_hood
from recipe_helpers.under_the_hood.planes_and_tiles import tile_layout

from ..korean import HANGUL, untold
from ..recipe import made_up as made
from . import figures, made_up
from .figures import FIGURES
from .marks import band, marks, words

ROOMS = [path.parent.name for path in Path(rh.__file__).parent.glob("*/plots.py")]
# A name has its colour and its mark in every figure.
LOOKS = {
    ("FP32", "torch FP32"): (figures.BLUE, "o"),
    ("INT8", "torch.ao INT8", "INT8 per tensor"): (figures.ORANGE, "s"),
    ("INT8 per channel",): (figures.PINK, "D"),
    ("Int8LSTM", "plain INT8"): (figures.GREEN, "^"),
}
# What a Korean figure leaves as it is: names of series and of files, data.
NAMES = {"torch", "bytes", "state_dict"}
GIVEN = (
    r"plain INT8|first|second|third|one|two|text \d+|factor on a weight|which\?|and then\?|[abc ]+"
)


@pytest.fixture(scope="module", params=FIGURES, ids=lambda f: f"{f.__module__[15:-6]}.{f.__name__}")
def drawn(request):
    figure = FIGURES[request.param].draw()
    figure.draw_without_rendering()
    return figure, FIGURES[request.param]


def panels(figure, row):
    every = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    return zip(every, row.panels, strict=True)


def legends(figure):
    yield from figure.legends
    yield from (axes.get_legend() for axes in figure.axes if axes.get_legend())


def test_every_figure_of_every_room_stands_in_the_table():
    public = set()
    for room in set(ROOMS) - {"your_model", "common"}:
        module = importlib.import_module(f"recipe_helpers.{room}.plots")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            home = function.__module__ == module.__name__
            makes = inspect.signature(function).return_annotation == "RecipeFigure"
            if home and makes and not name.startswith("_"):
                public.add(function)
    assert public == set(FIGURES)


def test_titles_labels_scales_and_rows(drawn):
    for axes, panel in panels(*drawn):
        title = axes.get_title(loc="left") or (panel.series is not None and axes.get_title())
        if panel.series is not None or panel.title:
            assert title == panel.title
        assert (axes.get_xlabel(), axes.get_ylabel()) == (panel.xlabel, panel.ylabel)
        logs = "".join(name for name in "xy" if getattr(axes, f"get_{name}scale")() == "log")
        assert logs == panel.logs, panel
        if panel.rows:
            assert tuple(words(axes.yaxis).values()) == panel.rows


def test_every_series_has_its_numbers_colour_mark_and_name_and_there_is_no_other(drawn):
    for axes, panel in panels(*drawn):
        if panel.series is None:
            continue
        left = marks(axes)
        for series in panel.series:
            found = [one for one in left if one.has(list(series.x), list(series.y))]
            found = [one for one in found if not series.name or one.name == series.name] or found
            found = [one for one in found if one.color == series.color]
            assert found, f"{series} is not among {left}"
            one = found[0]
            assert (one.marker, one.full) == (series.marker, series.full), series
            assert not series.name or one.name in ("", series.name), series
            if series.ends:
                assert np.allclose(one.ends, series.ends), series
            left.remove(one)
        assert left == []


def test_a_series_is_named_in_a_legend_in_the_colour_in_which_it_is_drawn(drawn):
    figure, row = drawn
    shown = {
        text.get_text(): handle
        for legend in legends(figure)
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True)
    }
    for panel in row.panels:
        for series in panel.series or ():
            if not series.name:
                continue
            handle = shown[series.name]
            color = handle.get_color() if hasattr(handle, "get_color") else handle.get_facecolor()
            color = color[0] if np.ndim(color) == 2 else color
            assert same_color(to_hex(color), series.color), series
            for names, (own, marker) in LOOKS.items():
                if series.name in names and series.marker in "os^D" and series.marker:
                    assert (series.color, series.marker) == (own, marker)


def test_no_point_lies_outside_its_axes_and_ticks_say_where_they_stand(drawn):
    """But for names of categories, which stand in a row: there 0, 1, 2 may be called 4, 8, 16."""
    for axes in drawn[0].axes:
        (left, right), (bottom, top) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
        for one in marks(axes):
            if one.marker and one.marker != "bar":
                assert left <= min(one.x) <= max(one.x) <= right
                assert bottom <= min(one.y) <= max(one.y) <= top
        for axis in (axes.xaxis, axes.yaxis):
            said = words(axis)
            row = list(said) == list(range(len(said)))
            for at, text in said.items():
                power = re.fullmatch(r"\$\\mathdefault\{(\d+)\^\{([-−]?\d+)\}\}\$", text)
                plain = re.fullmatch(r"[-−]?[\d.]+%?", text)
                if power:
                    exponent = float(power[2].replace("−", "-"))
                    assert float(power[1]) ** exponent == pytest.approx(at)
                elif plain and not row and not axis.get_offset_text().get_text():
                    number = float(text.rstrip("%").replace("−", "-"))
                    number *= 0.01 if text.endswith("%") else 1
                    assert number == pytest.approx(at, abs=0.006)


@pytest.mark.parametrize(
    "draw", [recipe.latency, recipe.latency_sweep, under_the_hood.saturation, under_the_hood.gains]
)
def test_legends_leave_the_points_free(draw):
    figure = FIGURES[draw].draw()
    figure.draw_without_rendering()
    boxes = [legend.get_window_extent() for legend in legends(figure)]
    assert boxes
    for axes in figure.axes:
        for one in marks(axes):
            if one.marker not in ("", "bar"):
                for point in axes.transData.transform(np.column_stack([one.x, one.y])):
                    assert not any(box.contains(*point) for box in boxes), one


def test_the_alternative_text_says_what_is_shown(drawn):
    figure, row = drawn
    for part in row.alt:
        assert part in figure.alt
    assert figure.alt != figure.title
    assert figure.alt.endswith(".")
    assert not re.search(r"\bnan\b|  |\n", figure.alt)
    assert not re.search(r"\d\.\d|\n", figure.title), "a title is the same on every machine"


@pytest.mark.parametrize("draw", [recipe.latency, trained_models.pareto])
def test_a_figure_shows_itself_and_changes_nothing(draw, untouched):
    settings = dict(mpl.rcParams)
    with untouched(), mpl.rc_context({"axes.facecolor": "black", "lines.linewidth": 9}):
        figure = FIGURES[draw].draw()
        data, metadata = figure._repr_mimebundle_(include=None, exclude=None)
    assert dict(mpl.rcParams) == settings
    assert same_color(figure.axes[0].get_facecolor(), "white"), "the style is the recipe's own"
    png = data["image/png"]
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    inches = figure.get_size_inches()
    assert struct.unpack(">II", png[16:24]) == pytest.approx(tuple(inches * 200), abs=1)
    assert data["text/plain"] == repr(figure) == f"<Figure: {figure.title}>"
    shown = metadata["image/png"]
    assert shown["alt"] == figure.alt
    assert (shown["width"], shown["height"]) == pytest.approx(tuple(inches * 100), abs=1)


# --- in Korean ------------------------------------------------------------------------------------


def labels(figure):
    """Every text that can be seen, ticks and legends included."""
    texts = (text.get_text().strip() for text in figure.findobj(Text) if text.get_visible())
    return [said for said in texts if said]


def left_in_english(said):
    if said.startswith("$"):  # a number as a formula
        return False
    found = {word for word in re.findall(r"[A-Za-z_]+", said) if re.search("[a-z]{3}", word)}
    return bool(found - NAMES) and not HANGUL.search(said)


def test_in_korean_it_shows_the_same_in_korean_words(drawn):
    english, row = drawn
    with warnings.catch_warnings(record=True) as raised, speaking("ko"):
        warnings.simplefilter("always")
        korean = row.draw()
        assert korean.png(dpi=40)
    assert [str(one.message) for one in raised] == [], "every letter is there"
    said = labels(korean)
    words_of_ours = [one for one in said if not re.fullmatch(GIVEN, one)]
    assert [one for one in words_of_ours if left_in_english(one) or untold(one)] == []
    assert any(HANGUL.search(one) for one in said)
    for one in (korean.alt, korean.title):
        assert HANGUL.search(one)
        assert not untold(one)
    assert not any(HANGUL.search(one) for one in [*labels(english), english.alt, english.title])
    for before, after in zip(english.axes, korean.axes, strict=True):
        ours, theirs = (
            [(m.x, m.y, m.color, m.marker) for m in marks(axes)] for axes in (before, after)
        )
        assert ours == theirs


def test_english_would_be_seen():
    assert left_in_english("time of one call")
    assert not left_in_english("torch")
    assert untold("time of one call")


# --- what no table can say ------------------------------------------------------------------------


def test_the_images_of_the_weight_grid_are_the_weights():
    figure = FIGURES[recipe.weight_grid].draw()
    before, after = (axes.images[0] for axes in figure.axes[:2])
    assert np.array_equal(before.get_array(), made_up.WEIGHT.detach().numpy())
    assert np.array_equal(after.get_array(), made_up.STORED.integers.numpy())
    largest = float(made_up.WEIGHT.detach().abs().max())
    assert before.get_clim() == pytest.approx((-largest, largest))
    assert after.get_clim() == (-128, 128)


def test_the_intervals_of_the_ratio_are_shaded():
    (shade,) = FIGURES[recipe.latency].draw().axes[1].patches
    assert (shade.get_y(), shade.get_height(), shade.get_label()) == (2.0, 3.5, "95 % interval")
    filled = band(FIGURES[figures.explorer.sweep].draw().axes[1])
    assert filled == {
        e.choice.width: pytest.approx((e.latency.speedup.low, e.latency.speedup.high))
        for e in made_up.SWEPT
    }


def test_a_sweep_without_a_crossover_marks_none():
    figure = recipe.latency_sweep(made.NO_CROSSOVER)
    assert all(one.name != "crossover" for axes in figure.axes for one in marks(axes))
    assert "no crossover was found up to width 8." in figure.alt


def test_one_batch_is_one_panel():
    assert len(recipe.scale_choices(rh.compare_scales(made.TIME, {"one": made.TIME})).axes) == 1


@pytest.mark.parametrize("factor", [0.1, 1, 40])
def test_pareto_leaves_no_file_out_and_names_every_width(factor):
    sizes = [
        {"fp32_bytes": int(factor * r.fp32_bytes), "int8_bytes": int(factor * r.int8_bytes)}
        for r in made_up.STUDY.runs
    ]
    runs = map(lambda run, size: replace(run, **size), made_up.STUDY.runs, sizes)
    (axes,) = trained_models.pareto(DigitStudy(tuple(runs))).axes
    assert axes.get_xlim()[0] < factor * 3.5 < factor * 30 < axes.get_xlim()[1]
    assert [text.get_text() for text in axes.texts] == ["4", "16", "4", "16"]
    assert [to_hex(text.get_color()) for text in axes.texts] == 2 * [figures.BLUE] + 2 * [
        figures.ORANGE
    ]


def test_disagreements_are_the_images_with_both_answers_and_none_is_a_figure_too():
    figure = FIGURES[trained_models.disagreements].draw()
    for axes, image in zip(figure.axes, made_up.IMAGES, strict=True):
        assert np.allclose(axes.images[0].get_array(), image)
    assert figure.axes[0].get_title("center").startswith("a 2\nFP32: 0, INT8: 2")
    assert len(trained_models.disagreements(made_up.DISAGREEMENTS, most=1).axes) == 1
    none = trained_models.disagreements(Disagreements(made_up.IMAGES[:0], (), (), (), (), 0.9, 599))
    assert none.axes[0].texts[0].get_text() == "no answer differs"
    assert none.png().startswith(b"\x89PNG")


def test_options_of_a_choice_are_named_below_their_points():
    for axes in FIGURES[under_the_hood.choices].draw().axes:
        assert list(words(axes.xaxis).values()) == ["a", "b\nc"]


def test_planes_and_tiles_are_drawn_as_they_lie_in_memory():
    layout = tile_layout(16)
    above, below = FIGURES[under_the_hood.planes_and_tiles].draw().axes
    numbers = [int(text.get_text()) for text in above.texts]
    shown, high, low = (np.array(numbers[k : k + 8]) for k in (0, 8, 16))
    assert shown.tolist() == made_up.INTEGERS.tolist() == (256 * high + low - 32768).tolist()
    cells = below.images[0].get_array()
    assert cells.shape == (4, 64)  # sixteen elements k, four to a line
    assert cells.flatten().tolist() == list(layout.gate[::4])
    assert [text.get_text() for text in below.texts] == [str(unit) for unit in layout.unit[::4]]
    ks = [label.get_text() for label in below.get_yticklabels()]
    assert ks == ["k = 0 … 3", "k = 4 … 7", "k = 8 … 11", "k = 12 … 15"]
    assert [label.get_text() for label in below.get_xticklabels()] == [f"gate {g}" for g in "ifgo"]
