"""Machines side by side: where they disagree, and from which width on INT8 is faster."""

import re

import pytest

import recipe_helpers as rh
from recipe_helpers.classroom import plots
from recipe_helpers.classroom.comparison import ClassComparison, MachineLedger
from recipe_helpers.common.language import speaking

from ..korean import in_both, untold_in
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


def test_the_tables_in_korean():
    with speaking("ko"):
        assert untold_in(compared().table()) == {}
        assert untold_in(compared().disagreement_table().table()) == {}
    _, korean = in_both(lambda: str(compared()))
    assert korean.startswith("컴퓨터 3대")
    assert "AVX2, VNNI 없음" in korean
    assert re.search(r"third .* 없음", korean), "a machine without a crossover"
    _, korean = in_both(lambda: str(compared().disagreement_table()))
    assert "성립하지 않음: first, third; 성립: second" in korean
    alone = type(compared())(compared().ledgers[:1])
    assert "판정이 같습니다" in in_both(lambda: str(alone.disagreement_table()))[1]
