"""What a verdict says, and which sentence of a table of mistakes it takes."""

import dataclasses

import pytest

from recipe_helpers.common.language import Text, speaking
from recipe_helpers.exercises import verdicts
from recipe_helpers.exercises.verdicts import NOT_YET, RIGHT, Verdict, WrongAnswerError


def test_a_verdict_says_right_only_where_all_of_it_is():
    whole = Verdict("E1", "a title", "C1", "a place", correct=(Text("Good."),))
    assert (whole.right, whole.verdict) == (True, RIGHT)
    half = dataclasses.replace(whole, faults=(Text("Bad."),))
    assert (half.right, half.verdict) == (False, NOT_YET)
    assert [row[0] for row in half.table().rows] == ["right", "not yet", "look at"]
    assert [row[0] for row in whole.table().rows] == ["right"]
    assert "a title (claim C1)" in whole._repr_html_()
    with pytest.raises(dataclasses.FrozenInstanceError):
        whole.faults = ()


def test_the_first_mistake_that_was_made_is_told_with_its_values():
    table = {"One {a}.": False, "Two {a}.": True, "Three {a}.": True}
    assert str(verdicts.fault(table, a=5)) == "Two 5."
    assert verdicts.fault(table, True, a=5) is None
    assert verdicts.fault({"One.": False}) is None
    verdicts.refuse(table, True, a=5)
    with pytest.raises(WrongAnswerError, match=r"Two 5\."):
        verdicts.refuse(table, a=5)


def test_near_is_so_on_both_sides_and_for_numbers_below_zero():
    for truth in (200.0, -200.0):
        near = [verdicts.near(truth + d, truth, 0.01) for d in (-2.1, -1.9, 0, 1.9, 2.1)]
        assert near == [False, True, True, True, False]
    assert verdicts.near(1.004, 1)
    assert not verdicts.near(1.006, 1)


def test_the_case_is_told_behind_the_fault_in_the_language_in_force():
    with pytest.raises(WrongAnswerError) as caught, verdicts.tried_on(Text("a single row")):
        raise WrongAnswerError("A scale is not above zero.")
    assert str(caught.value) == "A scale is not above zero. This came up with a single row."
    with speaking("ko"):
        assert "행 하나" in str(caught.value)
