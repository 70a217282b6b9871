"""What a check has to say of right and of wrong answers."""

import re

import recipe_helpers as rh
from recipe_helpers.common.language import speaking

from ..korean import HANGUL, untold


def accepted(exercise, answer):
    verdict = rh.check(exercise, answer)
    assert verdict.right, str(verdict)
    assert verdict.correct
    assert "look at" not in str(verdict)
    is_told_in_korean(verdict)


def refused(exercise, answer, *fragments):
    """Not right, in clear sentences of which one holds these words, with a place to look at."""
    verdict = rh.check(exercise, answer)
    assert verdict.answered, str(verdict)
    assert not verdict.right, str(verdict)
    for sentence in verdict.faults:
        assert re.fullmatch(r"[-A-Z{\"\d\w][^\n]*[.?]", sentence), sentence
        assert not re.search(r"\s\s|\.\.|[{}]|Traceback", sentence), sentence
    told = " ".join(verdict.faults)
    for fragment in fragments:
        assert fragment in told, told
    assert verdict.where.partition(",")[0] in str(verdict)
    is_told_in_korean(verdict)


def refused_all(exercise, table):
    """Each answer of a table is refused with the words that stand beside it."""
    for answer, *fragments in table:
        refused(exercise, answer, *fragments)


def is_told_in_korean(verdict):
    """The same verdict, shown in Korean: no message of ours is left in English."""
    with speaking("ko"):
        table = verdict.table().said()
    for said in [*table.headers, *(cell for row in table.rows for cell in row)]:
        assert HANGUL.search(said), said
        # What Python says of an exception it says in English.
        assert untold(said) == [] or "예외가 났습니다" in said, said
