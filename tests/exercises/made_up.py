"""What a check has to say of right and of wrong answers, and whether all of it has been said."""

import ast
import re
from pathlib import Path

import recipe_helpers as rh
from recipe_helpers.common.language import speaking
from tools.translations import said_by

from ..korean import HANGUL, untold


def accepted(exercise, answer):
    verdict = rh.check(exercise, answer)
    assert verdict.right, str(verdict)
    assert verdict.correct
    assert "look at" not in str(verdict)
    is_told_in_korean(verdict)
    return {sentence.message for sentence in verdict.correct}


def refused(exercise, answer, *fragments):
    """Not right, in clear sentences of which one holds these words, with a place to look at."""
    verdict = rh.check(exercise, answer)
    assert verdict.answered, str(verdict)
    assert not verdict.right, str(verdict)
    for sentence in map(str, verdict.faults):
        assert re.fullmatch(r"[-A-Z{\"\d\w][^\n]*[.?]", sentence), sentence
        assert not re.search(r"\s\s|\.\.|[{}]|Traceback", sentence), sentence
    told = " ".join(map(str, verdict.faults))
    for fragment in fragments:
        assert fragment in told, told
    assert str(verdict.where).partition(",")[0] in str(verdict)
    is_told_in_korean(verdict)
    return {fault.values.get("fault", fault).message for fault in verdict.faults}


def judges_all(module, right, wrong):
    """Accepts every right answer, refuses each wrong one with the words that stand beside it.

    And so says, at least once, every sentence that the module has.
    """
    said = set()
    for exercise, answers in right.items():
        said |= {message for answer in answers for message in accepted(exercise, answer)}
    for exercise, table in wrong.items():
        said |= {message for row in table for message in refused(exercise, *row)}
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    literals = {part.value for call in calls for part in said_by(call) if hasattr(part, "value")}
    assert {text for text in literals if text[-1] in ".?"} - said == set()


def is_told_in_korean(verdict):
    """The same verdict, shown in Korean: no message of ours is left in English."""
    with speaking("ko"):
        table = verdict.table()
    for said in [*table.headers, *(cell for row in table.rows for cell in row)]:
        assert HANGUL.search(said), said
        # What Python says of an exception it says in English.
        assert untold(said) == [] or "예외가 났습니다" in said, said
