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
    ("ratios", "level"),
    [
        ((0.5, 2.0), 8 * 2**0.5),  # halfway, on logarithmic axes
        ((0.5, 0.8, 1.6), 16 * 2 ** (math.log(0.8) / math.log(0.5))),
        ((1.5, 3.0), 8.0),  # as narrow as was measured
        ((0.5, 0.9), None),
    ],
)
def test_where_both_take_the_same_time(ratios, level):
    found = MachineLedger.from_data("m", ledger_data(ratios=ratios)).level_width
    assert found == (None if level is None else pytest.approx(level))


@pytest.mark.parametrize("inconclusive", [1.01, 2.5])
def test_a_width_that_was_level_already_is_where_both_take_the_same_time(inconclusive):
    data = ledger_data(ratios=(0.5, inconclusive, 2.0))
    data["findings"]["C17"]["numbers"]["crossover_width"] = 32
    assert MachineLedger.from_data("m", data).level_width == 16


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
    with refuses(rh.ArgumentError, "name is 'fourth'", "'first', 'second', 'third'"):
        compared().ledger("fourth")
