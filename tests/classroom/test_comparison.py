"""Machines side by side: where they disagree, and the width from which INT8 is faster."""

import pytest

import recipe_helpers as rh
from recipe_helpers.classroom import plots
from recipe_helpers.classroom.comparison import ClassComparison, MachineLedger

from .made_up import compared, ledger_data


def test_a_row_for_each_machine():
    table = compared().table()
    assert [(row[0], row[2], row[4]) for row in table.rows] == [
        ("first", "AVX2, without VNNI", "16"),
        ("second", "AVX512, with VNNI", "8"),
        ("third", "NEON", "none"),
    ]
    assert table.caption == "3 machines"


def test_only_claims_with_two_verdicts_are_disagreed_on():
    found = compared().disagreements()
    assert found == {"C16": {"fails": ("first", "third"), "holds": ("second",)}}
    (row,) = compared().disagreement_table().table().rows
    assert row == ("C16", rh.CLAIMS["C16"], "fails: first, third; holds: second")


@pytest.mark.parametrize("verdict", ["elsewhere", "not measured"])
def test_who_did_not_measure_does_not_disagree(verdict):
    made = [ledger_data(verdicts=[("C2", word)]) for word in ("holds", verdict)]
    made.append(ledger_data(verdicts=[]))
    ledgers = tuple(MachineLedger.from_data(f"m{i}", data) for i, data in enumerate(made))
    found = ClassComparison(ledgers)
    assert found.disagreements() == {}
    assert "agree" in found.disagreement_table().table().note


def test_a_ledger_without_the_sweep_still_counts():
    data = ledger_data()
    del data["findings"]["C17"]
    machines = (MachineLedger.from_data("bare", data), *compared().ledgers)
    found = ClassComparison(machines)
    assert found.table().rows[0][4] == "not measured"
    assert "bare" not in plots.speedups(found).alt


def test_one_ledger_by_its_name(refuses):
    assert compared().ledger("second").crossover_width == 8
    with refuses(rh.ArgumentError, "name is 'fourth'", "first, second, third"):
        compared().ledger("fourth")


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
