"""What a verdict says, and which sentence of a table of mistakes it takes."""

import dataclasses

import pytest

from recipe_helpers.common.language import speaking
from recipe_helpers.exercises import verdicts
from recipe_helpers.exercises.verdicts import (
    NOT_YET,
    RIGHT,
    UNANSWERED,
    Sentence,
    Verdict,
    WrongAnswerError,
)


def test_a_verdict_says_right_only_where_all_of_it_is():
    none = Verdict("E1", "a title", "C1", "a place")
    whole = dataclasses.replace(none, correct=(Sentence("Good."),), answered=True)
    half = dataclasses.replace(whole, faults=(Sentence("Bad."),))
    found = [(v.right, v.verdict, [row[0] for row in v.table().rows]) for v in (none, whole, half)]
    assert found == [
        (False, UNANSWERED, ["look at"]),
        (True, RIGHT, ["right"]),
        (False, NOT_YET, ["right", "not yet", "look at"]),
    ]
    assert whole.table().headers == ("E1: right", "a title (claim C1)")


def test_a_sentence_is_made_when_it_is_shown_with_its_words_in_the_same_language():
    case = Sentence("width {width}, batch {batch}", width=8, batch=2)
    names = Sentence("{x}", x=["the scale", "a single row", case])
    with pytest.raises(WrongAnswerError) as caught, verdicts.tried_on("a single row"):
        raise WrongAnswerError("A scale is not above zero.")
    assert str(names) == "the scale, a single row and width 8, batch 2"
    assert str(caught.value) == "A scale is not above zero. This came up with a single row."
    with speaking("ko"):
        assert not [word for word in ("the scale", "a single") if word in str(names)]
        assert "폭 8" in str(names)
        assert "행 하나" in str(caught.value)


def test_the_first_mistake_that_was_made_is_told_with_its_values():
    table = {"One {a}.": False, "Two {a}.": True, "Three {a}.": True}
    assert str(verdicts.judged("Good {a:.1f}.", True, table, a=5)) == "Good 5.0."
    fault = verdicts.judged("Good {a}.", False, table, a=5)
    assert (str(fault), type(fault)) == ("Two 5.", WrongAnswerError)
    verdicts.refuse({"One.": False})


@pytest.mark.parametrize("truth", [200.0, -200.0])
def test_near_is_so_on_both_sides_and_for_numbers_below_zero(truth):
    near = [verdicts.near(truth + d, truth, 0.01) for d in (-2.1, -1.9, 0, 1.9, 2.1)]
    assert near == [False, True, True, True, False]
    assert [verdicts.near(1 + d, 1) for d in (0.004, 0.006)] == [True, False]
