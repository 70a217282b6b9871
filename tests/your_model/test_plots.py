"""The figure draws what was measured; its colours and marks are held by tests/project."""

import math
import re
from dataclasses import replace

import pytest

from recipe_helpers.common.errors import ConversionError
from recipe_helpers.your_model.candidates import ModuleError, Sensitivity
from recipe_helpers.your_model.plots import plot_candidates
from recipe_helpers.your_model.promises import Limits

from .made_up import candidate, measured, speed, weak_report


def test_the_figure_draws_what_was_measured():
    found = weak_report()
    figure = plot_candidates(found.candidates, found.limits, found.error_limit)
    size, speed, error, sensitivity = figure.axes
    shown = [m for c in found.candidates for m in (c.whole, c.partly) if m is not None]
    assert len(shown) == 4  # one conversion was mended
    assert [bar.get_width() for bar in size.patches] == [m.size.ratio for m in shown]
    drawn = [list(offset) for offset in error.collections[0].get_offsets()]
    assert drawn == [[pytest.approx(100 * m.relative), i] for i, m in enumerate(shown)]
    assert speed.get_xlabel() == "FP32 / INT8 time"
    assert error.get_xlabel().endswith("(%)")
    assert sensitivity.get_yticklabels()[0].get_text() == "decoder"
    for collection, one in zip(sensitivity.collections, found.candidates, strict=True):
        alone = [100 * module.relative for module in one.sensitivity.modules]
        assert [x for x, _ in collection.get_offsets()] == pytest.approx(alone)
    limits = [line.get_xdata()[0] for axes in (error, sensitivity) for line in axes.lines]
    assert limits == [2.0, 2.0]
    assert not re.search(r"\d", figure.title), "the same on every machine"
    assert "most sensitive in torch.ao: decoder" in figure.alt


@pytest.mark.parametrize("relative", [0.0, math.nan, math.inf])
def test_errors_that_no_axis_can_show_are_drawn_at_its_ends(relative):
    modules = (
        ModuleError("", "LSTM", relative, ConversionError("ill.")),
        ModuleError("head", "Linear", 0.01),
    )
    one = replace(candidate("plain", measured(relative, 1, 1)), sensitivity=Sensitivity(modules, 0))
    limits = Limits(max_relative_error=0, min_size_ratio=0, min_speedup=0)
    figure = plot_candidates([one], limits, limits.error_limit(None))
    *_, error, sensitivity = figure.axes
    for axes in (sensitivity, error):
        drawn = axes.collections[0].get_offsets()[:, 0].compressed()  # NaN has no place
        assert len(drawn) == len(axes.collections[0].get_offsets()) - math.isnan(relative)
        assert all(1e-6 <= x <= 1e6 for x in drawn)
        assert not [line for line in axes.lines if line.get_linestyle() == "--"], "no limit of 0"
    assert [text.get_text() for text in sensitivity.texts] == ["plain: cannot run"]
    first = sensitivity.get_yticklabels()[0].get_text()
    assert first == ("head" if relative == 0 else "(the model)")


def test_without_modules_alone_there_are_three_panels():
    one = replace(candidate("onnxruntime", measured(0.01, 1, 1)), sensitivity=None)
    figure = plot_candidates([one], Limits(), None)
    assert len(figure.axes) == 3
    assert "most sensitive" not in figure.alt


def test_times_have_an_interval_each_full_for_the_callers_threads_and_hollow_for_one():
    found = measured(0.01, 1, 1, latencies=(speed(1.75, 2.5), speed(0.4, 0.8, threads=1)))
    skewed = [replace(one, speedup=replace(one.speedup, median=m))
              for one, m in zip(found.latencies, (2.0, 0.5), strict=True)]  # fmt: skip
    found = replace(found, latencies=tuple(skewed))
    one = replace(candidate("plain", found, found, left=("a",)), sensitivity=None)
    limits = Limits(min_size_ratio=2, min_speedup=1.25)
    figure = plot_candidates([one], limits, limits.error_limit(None))
    size, speeds, _error = figure.axes
    assert [line.get_xdata()[0] for line in size.lines] == [2]
    marks = [one[0] for one in speeds.containers]
    assert [float(mark.get_xdata()[0]) for mark in marks] == [2.0, 0.5] * 2
    assert [float(mark.get_ydata()[0]) for mark in marks] == [-0.16, 0.16, 0.84, 1.16]
    assert [mark.get_markerfacecolor() == "white" for mark in marks] == [False, True] * 2
    bars = [one[2][0].get_segments()[0][:, 0].tolist() for one in speeds.containers[:2]]
    assert bars == [pytest.approx([1.75, 2.5]), pytest.approx([0.4, 0.8])]
    assert [one.get_text() for one in speeds.get_legend().get_texts()] == ["2 threads", "1 thread"]
    assert 1.25 in [line.get_xdata()[0] for line in speeds.lines]
    labels = [label.get_text() for label in size.get_yticklabels()]
    assert labels == ["plain", "plain,\n1 left FP32"]
