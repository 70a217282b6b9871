"""Machines side by side: where they disagree, and from which width on INT8 is faster."""

import math

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
    assert [row[5:] for row in table.rows] == [("11", "2.0"), ("8", "3.0"), ("", "0.8")]


@pytest.mark.parametrize(
    ("ratios", "crossover", "level"),
    [
        ((0.5, 2.0), 16, 8 * 2**0.5),  # halfway, on logarithmic axes
        ((0.5, 0.8, 1.6), 32, 16 * 2 ** (math.log(0.8) / math.log(0.5))),
        ((1.5, 3.0), 8, 8.0),  # as narrow as was measured
        ((0.5, 0.9), None, None),
        ((0.5, 1.01, 2.0), 32, 16),  # where it was level already, but not beyond doubt
        ((0.5, 2.5, 2.0), 32, 16),
    ],
)
def test_where_both_take_the_same_time(ratios, crossover, level):
    data = ledger_data(ratios=ratios)
    data["findings"]["C17"]["numbers"]["crossover_width"] = crossover
    found = MachineLedger.from_data("m", data).level_width
    assert found == (None if level is None else pytest.approx(level))


def test_a_bar_leads_to_the_crossover_and_a_mark_lies_on_it():
    axes = plots.crossovers(compared()).axes[0]
    lines = [(tuple(line.get_xdata()), line.get_marker()) for line in axes.get_lines()]
    assert ((8, 16), "None") in lines
    assert ((32,), "^") not in lines
    assert ((16,), "^") in lines, "the machine without a crossover, at its widest"
    marks = [x[0] for x, mark in lines if mark == "o"]
    assert marks == [pytest.approx(8 * 2**0.5), 8]
    assert len(axes.get_legend().get_texts()) == 2, "each CPU once, and `none up to here`"


def test_only_claims_with_two_verdicts_are_disagreed_on():
    found = compared().disagreements()
    assert found == {"C16": {"fails": ("first", "third"), "holds": ("second",)}}
    (row,) = compared().disagreement_table().table().rows
    assert row == ("C16", rh.CLAIMS["C16"], "fails: first, third; holds: second")


def test_who_did_not_measure_does_not_disagree():
    said = [("C2", "holds")], [("C2", "elsewhere")], [("C2", "not measured")], []
    ledgers = [MachineLedger.from_data("m", ledger_data(verdicts=one)) for one in said]
    found = ClassComparison(tuple(ledgers))
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
    with refuses(rh.ArgumentError, "name is 'fourth'", "'first', 'second', 'third'"):
        compared().ledger("fourth")
