from __future__ import annotations

import numpy as np
import pytest
import torch

from recipe_helpers.recipe.accuracy import StepErrors
from recipe_helpers.trained_models import plots
from recipe_helpers.trained_models.classification import Disagreements, disagreements
from recipe_helpers.trained_models.data import Sequences
from recipe_helpers.trained_models.fragility import (
    APART,
    FP32,
    PER_TENSOR,
    QUANTIZERS,
    RESCALED,
    Cliff,
)

from ..korean import english_in, figure_in_both
from .made_up import FIRST, LABELS, SECOND, SQUARES, STUDY


def test_pareto_shows_the_mean_accuracy_of_both_against_their_bytes() -> None:
    figure = plots.pareto(STUDY)
    (axes,) = figure.axes
    fp32, int8 = (container.lines[0] for container in axes.containers)
    assert list(fp32.get_xdata()) == [4.0, 4.0]
    assert list(int8.get_xdata()) == [1.0, 1.0]
    assert list(fp32.get_ydata()) == pytest.approx([0.9, 0.9])
    assert list(int8.get_ydata()) == pytest.approx([0.9 - 0.01 / 3, 0.9 + 0.05 / 3])
    assert [container.get_label() for container in axes.containers] == ["FP32", "INT8"]
    assert axes.get_xlabel() == "state dict (kB)"
    assert axes.get_ylabel() == "test accuracy"
    assert [text.get_text() for text in axes.texts] == ["4", "8", "4", "8"]
    assert STUDY.difference(8).percent() in figure.alt


def test_differences_shows_every_training_in_points() -> None:
    figure = plots.differences(STUDY)
    (axes,) = figure.axes
    dots = [line for line in axes.lines if line.get_marker() == "."]
    assert list(dots[0].get_ydata()) == pytest.approx([-2, 0, 1])
    assert list(dots[1].get_ydata()) == pytest.approx([0, 2, 3])
    means = [container.lines[0].get_ydata()[0] for container in axes.containers]
    assert means == pytest.approx([-1 / 3, 5 / 3])
    (bar,) = axes.containers[0].lines[2]
    low, high = bar.get_segments()[0][:, 1]
    expected = STUDY.difference(4)
    assert (low, high) == pytest.approx((100 * expected.low, 100 * expected.high))
    assert "points" in axes.get_ylabel()
    assert STUDY.difference().percent() in figure.alt


def test_disagreements_shows_the_images_with_both_answers() -> None:
    squares = torch.rand(3, 4, 3)
    found = disagreements(FIRST, SECOND, Sequences(squares, LABELS.labels))
    figure = plots.disagreements(found, most=2)
    assert len(figure.axes) == 2
    assert np.allclose(figure.axes[0].images[0].get_array(), squares[:, 2])
    assert figure.axes[0].get_title("center").startswith("a 2\nFP32: 0, INT8: 2")
    assert "3 of 4" in figure.alt


def test_no_disagreement_is_a_figure_too() -> None:
    none = Disagreements(torch.empty(0, 8, 8), (), (), (), (), 0.9, 599)
    figure = plots.disagreements(none)
    assert figure.axes[0].texts[0].get_text() == "no answer differs"
    assert "none" in figure.alt
    assert figure.png().startswith(b"\x89PNG")


def test_cliff_shows_each_version_against_the_factor() -> None:
    accuracies = {FP32: (0.97, 0.96), PER_TENSOR: (0.95, 0.1)}
    figure = plots.cliff(Cliff("factor on a weight", (1.0, 64.0), accuracies, True))
    (axes,) = figure.axes
    drawn = {line.get_label(): line for line in axes.lines}
    for name, values in accuracies.items():
        assert tuple(drawn[name].get_ydata()) == values
        assert tuple(drawn[name].get_xdata()) == (1.0, 64.0)
    assert axes.get_xlabel() == "factor on a weight"
    assert axes.get_ylabel() == "test accuracy"
    assert axes.get_ylim()[0] == 0
    assert "INT8 per tensor: from 95.0% to 10.0%" in figure.alt
    assert repr(figure) == "<Figure: accuracy against the factor on a weight>"


def test_error_along_shows_percent_against_position() -> None:
    errors = {"flat": StepErrors((0.02,) * 100), "rising": StepErrors(tuple(np.arange(1, 101)))}
    figure = plots.error_along(errors)
    (axes,) = figure.axes
    flat, rising = axes.lines
    assert (flat.get_label(), rising.get_label()) == ("flat", "rising")
    assert list(flat.get_ydata()) == pytest.approx([2.0] * len(flat.get_ydata()))
    assert list(rising.get_ydata()) == pytest.approx(100 * np.array(rising.get_xdata()))
    assert "steps" in axes.get_xlabel()
    assert "%" in axes.get_ylabel()
    assert "flat: 2.00% over the first half" in figure.alt


def test_the_figures_in_korean() -> None:
    accuracies = dict.fromkeys((*QUANTIZERS, RESCALED, APART), (0.9, 0.5))
    cliff = Cliff("factor on the numbers of one feature", (1.0, 64.0), accuracies, True)
    name = "random, forget gates held open"
    draws = [
        lambda: plots.pareto(STUDY),
        lambda: plots.differences(STUDY),
        lambda: plots.disagreements(disagreements(FIRST, SECOND, SQUARES)),
        lambda: plots.disagreements(disagreements(FIRST, FIRST, SQUARES)),
        lambda: plots.cliff(cliff),
        lambda: plots.error_along({name: StepErrors((0.02,) * 100)}),
    ]
    for draw in draws:
        assert english_in(said := figure_in_both(draw)) == []
    assert said.count("무작위, 망각 게이트를 열어 둠") == 2  # the legend and the alternative text
