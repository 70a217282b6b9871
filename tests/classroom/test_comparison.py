"""Machines side by side: where they disagree, and from which width on INT8 is faster."""

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
