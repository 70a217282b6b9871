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
from .figures import FIGURES, LOOKS
from .marks import band, marks, words

ROOMS = {path.parent.name for path in Path(rh.__file__).parent.glob("*/plots.py")}
# What a Korean figure leaves as it is: names of series and of files, data.
NAMES = {"torch", "bytes", "state_dict"}
GIVEN = (
    r"plain INT8|first|second|third|one|two|text \d+|factor on a weight|which\?|and then\?|[abc ]+"
)


@pytest.fixture(scope="module", params=FIGURES, ids=lambda f: f"{f.__module__[15:-6]}.{f.__name__}")
def draw(request):
    return request.param


@pytest.fixture(scope="module")
def figure(draw):
    made = draw(*FIGURES[draw].of)
    made.draw_without_rendering()
    return made


@pytest.fixture(scope="module")
def panels(figure, draw):
    """Each Axes, and what it should show."""
    every = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    return list(zip(every, FIGURES[draw].panels, strict=True))


def one(draw):
    return draw(*FIGURES[draw].of)


def legends(figure):
    found = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    return [legend for legend in found if legend]


def test_every_figure_of_every_room_stands_in_the_table():
    public = set()
    for room in ROOMS - {"your_model", "common"}:
        module = importlib.import_module(f"recipe_helpers.{room}.plots")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            home = function.__module__ == module.__name__
            makes = inspect.signature(function).return_annotation == "RecipeFigure"
            if home and makes and not name.startswith("_"):
                public.add(function)
    assert public == set(FIGURES)


def test_titles_labels_scales_and_rows(panels):
    for axes, panel in panels:
        if panel.series or panel.title:
            assert (axes.get_title(loc="left") or axes.get_title()) == panel.title
        assert (axes.get_xlabel(), axes.get_ylabel()) == (panel.xlabel, panel.ylabel)
        logs = "".join(name for name in "xy" if getattr(axes, f"get_{name}scale")() == "log")
        assert logs == panel.logs, panel
        assert not panel.rows or tuple(words(axes.yaxis).values()) == panel.rows


def test_every_series_has_its_numbers_colour_mark_and_name_and_there_is_no_other(panels):
    for axes, panel in panels:
        left = marks(axes)
        for series in panel.series:
            found = next((mark for mark in left if series.is_drawn_as(mark)), None)
            assert found, f"{series} is not among {left}"
            left.remove(found)
        assert left == [] or not panel.series


def test_a_series_is_named_in_a_legend_in_the_colour_in_which_it_is_drawn(figure, panels):
    shown = {
        text.get_text(): handle
        for legend in legends(figure)
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True)
    }
    for series in (series for _, panel in panels for series in panel.series if series.name):
        handle = shown[series.name]
        color = handle.get_color() if hasattr(handle, "get_color") else handle.get_facecolor()
        assert same_color(np.ravel(color)[:4] if np.ndim(color) else color, series.color), series
        if series.name in LOOKS and series.marker in ("o", "s", "^", "D"):
            assert LOOKS[series.name] == (series.color, series.marker)


def test_no_point_lies_outside_its_axes_and_ticks_say_where_they_stand(figure):
    """But for names of categories, which stand in a row: there 0, 1, 2 may be called 4, 8, 16."""
    for axes in figure.axes:
        (left, right), (bottom, top) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
        for mark in marks(axes):
            if mark.marker and mark.marker != "bar":
                assert left <= min(mark.x) <= max(mark.x) <= right
                assert bottom <= min(mark.y) <= max(mark.y) <= top
        for axis in (axes.xaxis, axes.yaxis):
            said = words(axis)
            row = list(said) == list(range(len(said)))
            for at, text in said.items():
                text = text.replace("−", "-")
                if power := re.fullmatch(r"\$\\mathdefault\{(\d+)\^\{(-?\d+)\}\}\$", text):
                    assert float(power[1]) ** float(power[2]) == pytest.approx(at)
                elif re.fullmatch(r"-?[\d.]+%?", text) and not (
                    row or axis.get_offset_text().get_text()
                ):
                    number = float(text.rstrip("%")) * (0.01 if text.endswith("%") else 1)
                    assert number == pytest.approx(at, abs=0.006)


def test_legends_leave_the_points_free(figure, draw):
    if draw is recipe.size_sweep:
        return  # its made-up sizes fall, which no file's do
    boxes = [legend.get_window_extent() for legend in legends(figure)]
    for axes in figure.axes:
        for mark in (mark for mark in marks(axes) if mark.marker not in ("", "bar")):
            for point in axes.transData.transform(np.column_stack([mark.x, mark.y])):
                assert not any(box.contains(*point) for box in boxes), mark


def test_the_alternative_text_says_what_is_shown(figure, draw):
    assert [part for part in FIGURES[draw].alt if part not in figure.alt] == []
    assert figure.alt != figure.title
    assert figure.alt.endswith(".")
    assert not re.search(r"\bnan\b|  |\n", figure.alt)
    assert not re.search(r"\d\.\d|\n", figure.title), "a title is the same on every machine"


def test_a_figure_shows_itself_and_changes_nothing(untouched):
    settings = dict(mpl.rcParams)
    with untouched(), mpl.rc_context({"axes.facecolor": "black", "lines.linewidth": 9}):
        figure = one(trained_models.pareto)
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


def test_in_korean_it_shows_the_same_in_korean_words(figure, draw):
    with warnings.catch_warnings(record=True) as raised, speaking("ko"):
        warnings.simplefilter("always")
        korean = one(draw)
        assert korean.png(dpi=40)
    assert [str(warning.message) for warning in raised] == [], "every letter is there"
    said = labels(korean)
    ours = [text for text in said if not re.fullmatch(GIVEN, text)]
    assert [text for text in ours if left_in_english(text) or untold(text)] == []
    assert any(HANGUL.search(text) for text in said)
    for text in (korean.alt, korean.title):
        assert HANGUL.search(text)
        assert not untold(text)
    assert not HANGUL.search(" ".join([*labels(figure), figure.alt, figure.title]))
    for before, after in zip(figure.axes, korean.axes, strict=True):
        for mark, same in zip(marks(before), marks(after), strict=True):
            assert replace(mark, name="").is_drawn_as(same)


def test_english_would_be_seen():
    assert left_in_english("time of one call")
    assert not left_in_english("torch")
    assert untold("time of one call")


# --- what no table can say ------------------------------------------------------------------------


def test_the_images_of_the_weight_grid_are_the_weights():
    before, after = (axes.images[0] for axes in one(recipe.weight_grid).axes[:2])
    assert np.array_equal(before.get_array(), made_up.WEIGHT.detach().numpy())
    assert np.array_equal(after.get_array(), made_up.STORED.integers.numpy())
    largest = float(made_up.WEIGHT.detach().abs().max())
    assert before.get_clim() == pytest.approx((-largest, largest))
    assert after.get_clim() == (-128, 128)


def test_the_intervals_of_the_ratio_are_shaded():
    (shade,) = one(recipe.latency).axes[1].patches
    assert (shade.get_y(), shade.get_height(), shade.get_label()) == (2.0, 3.5, "95 % interval")
    assert band(one(figures.explorer.sweep).axes[1]) == {
        e.choice.width: pytest.approx((e.latency.speedup.low, e.latency.speedup.high))
        for e in made_up.SWEPT
    }


def test_fp32_stands_above_int8():
    assert all(axes.yaxis_inverted() for axes in one(figures.explorer.panel).axes[:2])


def test_a_sweep_without_a_crossover_marks_none_and_one_batch_is_one_panel():
    figure = recipe.latency_sweep(made.NO_CROSSOVER)
    assert all(mark.name != "crossover" for axes in figure.axes for mark in marks(axes))
    assert "no crossover was found up to width 8." in figure.alt
    assert len(recipe.scale_choices(rh.compare_scales(made.TIME, {"one": made.TIME})).axes) == 1


@pytest.mark.parametrize("factor", [0.1, 1, 40])
def test_pareto_leaves_no_file_out_and_names_every_width(factor):
    runs = (
        replace(
            run, fp32_bytes=int(factor * run.fp32_bytes), int8_bytes=int(factor * run.int8_bytes)
        )
        for run in made_up.STUDY.runs
    )
    (axes,) = trained_models.pareto(DigitStudy(tuple(runs))).axes
    assert axes.get_xlim()[0] < factor * 3.5 < factor * 30 < axes.get_xlim()[1]
    assert [(text.get_text(), to_hex(text.get_color())) for text in axes.texts] == [
        (width, color) for color in (figures.BLUE, figures.ORANGE) for width in ("4", "16")
    ]


def test_disagreements_are_the_images_with_both_answers_and_none_is_a_figure_too():
    figure = one(trained_models.disagreements)
    for axes, image in zip(figure.axes, made_up.IMAGES, strict=True):
        assert np.allclose(axes.images[0].get_array(), image)
    assert figure.axes[0].get_title("center").startswith("a 2\nFP32: 0, INT8: 2")
    assert len(trained_models.disagreements(made_up.DISAGREEMENTS, most=1).axes) == 1
    none = trained_models.disagreements(Disagreements(made_up.IMAGES[:0], (), (), (), (), 0.9, 599))
    assert none.axes[0].texts[0].get_text() == "no answer differs"
    assert none.png().startswith(b"\x89PNG")


def test_options_of_a_choice_are_named_below_their_points():
    for axes in one(under_the_hood.choices).axes:
        assert list(words(axes.xaxis).values()) == ["a", "b\nc"]


def test_planes_and_tiles_are_drawn_as_they_lie_in_memory():
    layout = tile_layout(16)
    above, below = one(under_the_hood.planes_and_tiles).axes
    shown, high, low = np.array([int(text.get_text()) for text in above.texts]).reshape(3, 8)
    assert shown.tolist() == made_up.INTEGERS.tolist() == (256 * high + low - 32768).tolist()
    cells = below.images[0].get_array()
    assert cells.shape == (4, 64)  # sixteen elements k, four to a line
    assert cells.flatten().tolist() == list(layout.gate[::4])
    assert [text.get_text() for text in below.texts] == [str(unit) for unit in layout.unit[::4]]
    ks = [label.get_text() for label in below.get_yticklabels()]
    assert ks == ["k = 0 … 3", "k = 4 … 7", "k = 8 … 11", "k = 12 … 15"]
    assert [label.get_text() for label in below.get_xticklabels()] == [f"gate {g}" for g in "ifgo"]
