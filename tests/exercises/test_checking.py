"""`rh.check` as a whole: every exercise has its place, and nothing ever comes out but a verdict."""

import dataclasses
import re
from pathlib import Path

import nbformat
import pytest
import torch

import recipe_helpers as rh
from recipe_helpers.exercises.checking import EXERCISES
from recipe_helpers.exercises.verdicts import NOT_YET, RIGHT, UNANSWERED, Verdict
from recipe_helpers.recipe.claims import CLAIMS

from ..korean import in_both
from .judged import refused

ROOT = Path(__file__).parents[2]
FUNCTIONS = ("E4", "E5", "E6", "E7", "E9", "E12")


@pytest.fixture(params=EXERCISES)
def exercise(request):
    return request.param


def test_there_are_twelve():
    assert list(EXERCISES) == [f"E{number}" for number in range(1, 13)]
    assert len({task.title for task in EXERCISES.values()}) == 12


def test_each_belongs_to_a_claim_and_leads_to_a_section_that_is_there(exercise):
    task = EXERCISES[exercise]
    assert task.claim in CLAIMS
    path = ROOT / "notebooks" / f"{task.notebook}.ipynb"
    texts = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "markdown"]
    headings = {
        line.lstrip("#").strip() for t in texts for line in t.splitlines() if line[:1] == "#"
    }
    assert task.heading in headings
    assert f"notebooks/{task.notebook}.ipynb" in task.where


def test_in_korean_it_leads_to_the_section_of_the_korean_notebook(exercise):
    task = EXERCISES[exercise]
    english, korean = in_both(lambda: str(task.where))
    assert english == f'notebooks/{task.notebook}.ipynb, "{task.heading}"'
    path, heading = korean.split(", ", 1)
    if (ROOT / path).exists():
        texts = [c.source for c in nbformat.read(ROOT / path, 4).cells]
        assert any(re.search(rf"^#+ {re.escape(heading[1:-1])}$", t, re.M) for t in texts)


def test_a_verdict_is_made_once_and_shown_in_both_languages():
    verdict = rh.check("E4", "an answer")
    english, korean = in_both(lambda: str(verdict))
    assert "E4: not yet right" in english
    assert "E4: 아직 맞지 않음" in korean
    assert "답으로 받은 것은 'an answer'입니다. 함수를 호출하지 말고" in korean
    unknown = rh.check("E13")
    assert "'E13': 그런 연습 문제가 없습니다." in in_both(lambda: str(unknown))[1]


@pytest.mark.parametrize("answer", [..., (..., 3.0), [1, ...], {"a": ...}])
def test_three_dots_are_no_answer_yet(exercise, answer):
    verdict = rh.check(exercise, answer)
    assert (verdict.verdict, verdict.right, verdict.answered) == (UNANSWERED, False, False)
    assert (verdict.correct, verdict.faults) == ((), ())
    assert f"{exercise}: not yet answered" in str(verdict)


def test_no_argument_is_no_answer_either(exercise):
    assert rh.check(exercise) == rh.check(exercise, ...)


@pytest.mark.parametrize("exercise", FUNCTIONS)
@pytest.mark.parametrize("found", [None, ..., (..., ...)])
def test_a_function_that_returns_nothing_is_none_yet(exercise, found):
    assert rh.check(exercise, lambda *_: found).verdict == UNANSWERED


class Strange:
    def __repr__(self):
        raise RuntimeError("no name")

    __str__ = __len__ = __iter__ = __float__ = __bool__ = __eq__ = __repr__
    __hash__ = None


@pytest.mark.parametrize(
    "answer",
    [
        *(None, True, 3, float("nan"), float("inf"), "4", b"4", {}, [], (), {1, 2}, object()),
        *(torch.ones(3), torch.tensor(torch.nan), torch.ones(2, 3, 4), [[]], ("", ""), Strange()),
        *((None, None), (Strange(), Strange()), "x" * 10_000, ([],) * 3, type, len, rh, Strange),
        lambda: 1,
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_whatever_comes_is_told_in_a_sentence(exercise, answer, untouched):
    with untouched():
        refused(exercise, answer)


class UnsayableError(Exception):
    def __str__(self):
        raise ValueError("cannot be said")


@pytest.mark.parametrize("exercise", FUNCTIONS)
@pytest.mark.parametrize(
    "error",
    [
        *(ValueError("two\nlines"), KeyError("{name}"), AssertionError(), UnsayableError()),
        *(RecursionError("deep"), StopIteration(), torch.OutOfMemoryError("much")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_of_the_answer_is_told_in_a_sentence(exercise, error, untouched):
    def fails(*_):
        raise error

    with untouched():
        verdict = rh.check(exercise, fails)
    assert not verdict.right
    (sentence,) = verdict.faults
    assert "\n" not in sentence
    assert "raised" in sentence or "cannot be" in sentence


def test_an_interrupt_is_not_kept_back():
    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rh.check("E4", interrupted)


@pytest.mark.parametrize("name", ["E0", "E13", "e4", 4, None, ["E4"]])
def test_an_exercise_that_there_is_not(name):
    verdict = rh.check(name, 1)
    assert not verdict.right
    assert "There is no exercise" in verdict.faults[0]
    assert "E12" in str(verdict)


def test_a_verdict_says_right_only_where_all_of_it_is():
    whole = Verdict("E1", "a title", "C1", "a place", correct=("Good.",))
    assert (whole.right, whole.verdict) == (True, RIGHT)
    half = dataclasses.replace(whole, faults=("Bad.",))
    assert (half.right, half.verdict) == (False, NOT_YET)
    assert [row[0] for row in half.table().rows] == ["right", "not yet", "look at"]
    assert [row[0] for row in whole.table().rows] == ["right"]
    assert "a title (claim C1)" in whole._repr_html_()
    with pytest.raises(dataclasses.FrozenInstanceError):
        whole.faults = ()
