"""The figures of a class's ledgers, by their data and in both languages."""

from recipe_helpers.classroom import plots

from ..korean import english_in, figure_in_both
from .made_up import compared


def test_the_crossovers_are_drawn_at_their_width_and_kind():
    figure = plots.crossovers(compared())
    (axes,) = figure.axes
    found, never = axes.lines
    kinds = [tick.get_text() for tick in axes.get_yticklabels()]
    drawn = {(x, kinds[int(y)]) for x, y in found.get_xydata()}
    assert drawn == {(16, "AVX2, without VNNI"), (8, "AVX512, with VNNI")}
    assert [(x, kinds[int(y)]) for x, y in never.get_xydata()] == [(16, "NEON")]


def test_the_speeds_are_drawn_for_each_machine():
    (axes,) = plots.speedups(compared()).axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines["second"] == [[8, 1.5], [16, 3]]
    assert lines["third"] == [[8, 0.3], [16, 0.8]]


def test_the_figures_in_korean():
    for draw in (plots.speedups, plots.crossovers):
        assert english_in(figure_in_both(lambda draw=draw: draw(compared()))) == []
