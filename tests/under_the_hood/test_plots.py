"""The figures of Under the hood show the numbers that they were given."""

import numpy as np
import pytest
import torch

from recipe_helpers.recipe.timing import Timing
from recipe_helpers.under_the_hood import plots
from recipe_helpers.under_the_hood.causes_of_speed import CAUSES, GainPoint, Gains
from recipe_helpers.under_the_hood.planes_and_tiles import tile_layout
from recipe_helpers.under_the_hood.saturation import pair_sums
from recipe_helpers.under_the_hood.schemes import ChoiceErrors, SchemeErrors


def test_saturation_shows_each_pair_before_and_after():
    torch.manual_seed(0)
    weights = torch.randint(-128, 128, (8, 16)).to(torch.int8)
    full = torch.randint(256, (5, 16)).to(torch.uint8)
    figure = plots.saturation(full, full // 2, weights)
    (axes,) = figure.axes
    for line, activations in zip(axes.lines, (full, full // 2), strict=False):
        sums = pair_sums(activations, weights).flatten().numpy()
        assert np.array_equal(line.get_xdata(), sums)
        assert np.array_equal(line.get_ydata(), np.clip(sums, -32768, 32767))
    assert [line.get_label() for line in axes.lines[:2]] == [
        "activations 0 to 255",
        "activations 0 to 127",
    ]
    assert axes.lines[0].get_xdata().max() > 32767
    assert "0 to 127 0.0% are cut off" in figure.alt
    assert axes.get_xlabel()
    assert axes.get_ylabel()


def question(name, *labels):
    options = tuple(
        SchemeErrors(label, (0.01 + i / 100, 0.03, 0.02), (0.1 + i / 10, 0.4, 0.3))
        for i, label in enumerate(labels)
    )
    return ChoiceErrors(name, options, (1, 2, 3))


def test_choices_show_every_seed_and_the_medians_in_percent():
    questions = [question("weights", "per tensor", "per channel"), question("bits", "7", "8", "12")]
    figure = plots.choices(questions)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["weights", "bits"]
    for axes, asked in zip(figure.axes, questions, strict=True):
        shown = {line.get_label().split()[0]: line for line in axes.lines}
        for kind in ("even", "uneven"):
            medians = [100 * np.median(getattr(option, kind)) for option in asked.options]
            assert shown[kind].get_ydata() == pytest.approx(medians)
        dots = sorted(
            y for line in axes.lines if line.get_marker() == "." for y in line.get_ydata()
        )
        seeds = [
            100 * e for option in asked.options for k in (option.even, option.uneven) for e in k
        ]
        assert dots == pytest.approx(sorted(seeds))
        labels = [label.get_text().replace("\n", " ") for label in axes.get_xticklabels()]
        assert labels == [option.label for option in asked.options]
    assert figure.axes[0].get_ylabel() == "relative error (%)"
    assert figure.axes[0].get_yscale() == "log"
    assert "per channel 2.00% and 30.00%" in figure.alt


def test_gains_show_times_on_the_left_and_factors_on_the_right():
    points = tuple(
        GainPoint(d, *(Timing((d * t,) * 9) for t in (60, 90, 120, 10, 8, 4))) for d in (8, 64, 512)
    )
    figure = plots.gains(Gains(points, 1))
    times, factors = figure.axes
    shown = {line.get_label(): list(line.get_ydata()) for line in times.lines}
    assert shown["torch FP32"] == pytest.approx([0.48, 3.84, 30.72])
    assert shown["torch.ao INT8"] == pytest.approx([0.96, 7.68, 61.44])
    assert shown["Int8LSTM"] == pytest.approx([0.032, 0.256, 2.048])
    handles, labels = factors.get_legend_handles_labels()
    assert tuple(labels) == CAUSES
    for handle, factor in zip(handles, (1, 6, 1.25, 2), strict=True):
        assert list(handle.lines[0].get_ydata()) == pytest.approx([factor] * 3)
    for axes in figure.axes:
        assert "width" in axes.get_xlabel()
        assert [label.get_text() for label in axes.get_xticklabels()] == ["8", "64", "512"]
    assert times.get_ylabel() == "median time (ms)"
    assert "At width 512: no rearranging 1.0, fusion 6.0" in figure.alt


def test_planes_and_tiles_are_drawn_as_they_lie_in_memory():
    integers = torch.tensor([-32768, -1, 0, 1, 255, 256, 1000, 32767], dtype=torch.int16)
    layout = tile_layout(16)
    figure = plots.planes_and_tiles(integers, layout)
    above, below = figure.axes
    words = [text.get_text() for text in above.texts]
    assert words[:8] == [str(number) for number in integers.tolist()]
    high, low = (torch.tensor([int(word) for word in words[k : k + 8]]) for k in (8, 16))
    assert torch.equal(256 * high + low - 32768, integers.long())
    drawn = below.images[0].get_array()
    assert drawn.shape == (4, 64)  # sixteen elements k, four to a line
    assert drawn.flatten().tolist() == list(layout.gate[::4])
    assert [text.get_text() for text in below.texts] == [str(unit) for unit in layout.unit[::4]]
    labels = [label.get_text() for label in below.get_yticklabels()]
    assert labels == ["k = 0 … 3", "k = 4 … 7", "k = 8 … 11", "k = 12 … 15"]
    assert [label.get_text() for label in below.get_xticklabels()] == [f"gate {g}" for g in "ifgo"]
    assert "8 16-bit integers" in figure.alt
    assert above.get_xlabel() == "element k"
