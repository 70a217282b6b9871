"""The figure draws what was measured; its colours and marks are held by tests/project."""

import math
import re
from dataclasses import replace

import pytest

from recipe_helpers.your_model.candidates import ModuleError, Sensitivity
from recipe_helpers.your_model.plots import plot_report
from recipe_helpers.your_model.promises import Limits

from .made_up import candidate, filled_findings, measured, quickly, weak


@pytest.fixture(scope="module")
def found():
    model, x = weak()
    return quickly(model, x, max_relative_error=0.02)


def test_the_figure_draws_what_was_measured(found):
    figure = plot_report(found)
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


@pytest.mark.parametrize("relative", [0.0, math.nan, math.inf, 1e9])
def test_errors_that_no_axis_can_show_are_drawn_at_its_ends(relative):
    modules = ModuleError("", "LSTM", relative, "ill"), ModuleError("head", "Linear", 0.01, None)
    one = replace(candidate("plain", measured(relative, 1, 1)), sensitivity=Sensitivity(modules, 0))
    limits = Limits(max_relative_error=0, min_size_ratio=0, min_speedup=0)
    figure = plot_report(replace(filled_findings(), candidates=(one,), limits=limits))
    figure.png()
    *_, error, sensitivity = figure.axes
    for axes in (sensitivity, error):
        drawn = axes.collections[0].get_offsets()[:, 0].compressed()  # NaN has no place
        assert len(drawn) == len(axes.collections[0].get_offsets()) - math.isnan(relative)
        assert all(1e-6 <= x <= 1e6 for x in drawn)
        assert not [line for line in axes.lines if line.get_linestyle() == "--"], "no limit of 0"
    assert [text.get_text() for text in sensitivity.texts] == ["plain: cannot run"]
    assert sensitivity.get_yticklabels()[0].get_text() in ("(the model)", "head")


def test_without_modules_alone_there_are_three_panels():
    one = replace(candidate("onnxruntime", measured(0.01, 1, 1)), sensitivity=None)
    figure = plot_report(replace(filled_findings(), candidates=(one,)))
    assert len(figure.axes) == 3
    assert "most sensitive" not in figure.alt
