"""A finding: its numbers and the sentences that are made of them when it is shown."""

import pytest

from recipe_helpers.common.language import speaking
from recipe_helpers.recipe.claims import CLAIMS, FAILS, HOLDS, IN_PART, Finding, Found, judges
from recipe_helpers.recipe.judges import JUDGES

from . import made_up as made


def test_there_are_nineteen_claims_and_each_has_its_judge():
    assert list(CLAIMS) == [f"C{number}" for number in range(1, 20)]
    assert set(JUDGES) == set(CLAIMS)
    assert len(set(JUDGES.values())) == len(CLAIMS)


def test_a_finding_says_its_numbers_and_then_why():
    found = Finding(
        "C2", IN_PART, "{a:.2f} of {word}", {"a": 1.234}, "not {b}", {"b": 7, "word": "the text"}
    )
    assert (found.measured, found.reason) == ("1.23 of the text", "not 7")
    assert found.row() == ("C2", IN_PART, CLAIMS["C2"], "1.23 of the text: not 7")
    assert Finding("C2", HOLDS, "{a}", {"a": 1}).row()[3] == "1"
    assert Finding("C2", HOLDS, "{a}", {"a": 1}, "", {"a": 2}).measured == "2", "values say it"
    with speaking("ko"):
        assert found.measured == "1.23 of 텍스트", "words among the values are translated"


@pytest.mark.parametrize(
    ("said", "verdict", "why"),
    [
        (Found(True, {"n": 1}, why="unused"), HOLDS, ""),
        (Found(HOLDS, {"n": 1}, why="unused"), HOLDS, ""),
        (Found(False, {"n": 1}), FAILS, "the container outweighs the weights"),
        (Found(False, {"n": 1}, why="own"), FAILS, "own"),
        (Found(IN_PART, {"n": 1}, {"m": 2}, "part"), IN_PART, "part"),
    ],
)
def test_a_judge_says_true_false_or_a_verdict_of_its_own(monkeypatch, said, verdict, why):
    monkeypatch.setattr("recipe_helpers.recipe.claims.JUDGES", {})
    message = JUDGES["C2"](made.size(1, 2)).message
    judge = judges("C2")(lambda: said)
    assert judge() == Finding("C2", verdict, message, {"n": 1}, why, said.values)
