"""`rh.check` as a whole: every exercise has its place, and nothing ever comes out but a verdict."""

from pathlib import Path

import nbformat
import pytest
import torch

import recipe_helpers as rh
from recipe_helpers.exercises.checking import EXERCISES
from recipe_helpers.exercises.verdicts import UNANSWERED
from recipe_helpers.recipe.claims import CLAIMS

from ..korean import in_both
from .made_up import refused

ROOT = Path(__file__).parents[2]
FUNCTIONS = ("E4", "E5", "E6", "E7", "E9", "E12")


def headings(path):
    texts = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]
    return {line.lstrip("# ") for text in texts for line in text.splitlines() if line[:1] == "#"}


def test_each_is_called_as_in_the_stored_notebooks_of_solutions():
    shown = {}
    for path in (ROOT / "exercises" / "solutions").glob("*.ipynb"):
        for cell in nbformat.read(path, 4).cells:
            if cell.source.startswith("rh.check("):
                first = cell.outputs[0].data["text/plain"].splitlines()[0]
                shown[first.partition(":")[0]] = first.partition("right")[2].strip()
    assert shown == {
        name: f"{verdict.title} (claim {verdict.claim})" for name, (_, verdict) in EXERCISES.items()
    }
    assert list(EXERCISES) == [f"E{number}" for number in range(1, 13)]


@pytest.mark.parametrize("exercise", EXERCISES)
def test_each_belongs_to_a_claim_and_leads_to_a_section_that_is_there_in_both_languages(exercise):
    _, verdict = EXERCISES[exercise]
    assert verdict.claim in CLAIMS
    for where in in_both(lambda: str(verdict.where)):
        path, heading = where.split(", ", 1)
        assert heading[1:-1] in headings(ROOT / path), where


def test_a_verdict_is_made_once_and_shown_in_both_languages():
    verdict = rh.check("E4", "an answer")
    english, korean = in_both(lambda: str(verdict))
    assert "E4: not yet right" in english
    assert "E4: 아직 맞지 않음" in korean
    assert "답에 필요한 것: 호출하지 않은 함수 자체." in korean


@pytest.mark.parametrize("exercise", EXERCISES)
def test_three_dots_are_no_answer_yet(exercise):
    answers = [..., (..., 3.0), [1, ...], {"a": ...}]
    if exercise in FUNCTIONS:
        answers += [lambda *_, found=found: found for found in (None, ..., (..., ...))]
    for verdict in (rh.check(exercise), *(rh.check(exercise, answer) for answer in answers)):
        assert (verdict.verdict, verdict.right, verdict.answered) == (UNANSWERED, False, False)
        assert verdict == EXERCISES[exercise][1]
        assert f"{exercise}: not yet answered" in str(verdict)


class Strange:
    def __repr__(self):
        raise RuntimeError("no name")

    __str__ = __len__ = __iter__ = __float__ = __bool__ = __eq__ = __repr__
    __hash__ = None


STRANGE = [
    *(None, True, 3, float("nan"), float("inf"), "4", b"4", {}, [], (), {1, 2}, object()),
    *(torch.ones(3), torch.tensor(torch.nan), torch.ones(2, 3, 4), [[]], ("", ""), Strange()),
    *((None, None), (Strange(), Strange()), "x" * 10_000, ([],) * 3, type, len, rh, Strange),
    *(lambda: 1, ([[1], [2, 3]], 1), (True, True), (10**400, 1), (1 + 2j, 1)),
]


class UnsayableError(Exception):
    def __str__(self):
        raise ValueError("cannot be said")


ERRORS = [
    *(ValueError("two\nlines"), KeyError("{name}"), AssertionError(), UnsayableError()),
    *(RecursionError("deep"), StopIteration(), torch.OutOfMemoryError("much")),
]


@pytest.mark.parametrize("exercise", EXERCISES)
def test_whatever_comes_or_is_raised_is_told_in_a_sentence(exercise, untouched):
    def failing(error):
        def fails(*_):
            raise error

        return fails

    for answer in STRANGE:
        with untouched():
            refused(exercise, answer)
    for error in ERRORS if exercise in FUNCTIONS else ():
        with untouched():
            (sentence,) = map(str, rh.check(exercise, failing(error)).faults)
        assert "\n" not in sentence
        assert "raised" in sentence or "cannot be" in sentence


def test_an_answer_may_draw_numbers_and_gets_the_same_ones_each_time(untouched):
    drawn = []

    def draws(numbers):
        drawn.append(torch.rand(2).tolist())
        return numbers.char(), drawn[-1][0], 0.0

    for _ in range(2):
        with untouched():
            refused("E4", draws)
    assert drawn[0] == drawn[len(drawn) // 2]


def test_an_interrupt_is_not_kept_back():
    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rh.check("E4", interrupted)


@pytest.mark.parametrize("name", ["E0", "E13", "e4", 4, None, ["E4"]])
def test_an_exercise_that_there_is_not(name):
    verdict = rh.check(name, 1)
    assert not verdict.right
    english, korean = in_both(lambda: str(verdict))
    assert f"There is no exercise {name!r}; there are E1, E2" in english
    assert english.splitlines()[0].endswith("  no exercise")
    assert f"{name!r}: 그런 연습 문제가 없습니다." in korean


def test_what_was_right_before_a_fault_is_kept():
    verdict = rh.check("E8", ("weight_hh_l0", -1))
    assert (len(verdict.correct), len(verdict.faults)) == (1, 1)
