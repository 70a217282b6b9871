"""What a check says: what is right, what is not yet, and where to look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from ..common.language import N_, _
from ..common.tables import Shown, Table

RIGHT, NOT_YET, UNANSWERED = N_("right"), N_("not yet right"), N_("not yet answered")


class Sentence:
    """What is said of an answer, or a part of such a sentence; made when it is shown.

    Args:
        message: the English sentence, a literal with the names of the values in braces.
        values: what is filled in. Words are messages as well; a list is told as `a, b and c`.
    """

    def __init__(self, message: str, /, **values: object) -> None:
        self.message, self.values = message, values

    def __str__(self) -> str:
        return _(self.message, **{name: _said(value) for name, value in self.values.items()})


def _said(value: object) -> object:
    if isinstance(value, list):
        *names, last = map(_said, value)
        return _("{names} and {last}", names=", ".join(map(str, names)), last=last)
    return _(value) if type(value) is str else value


class WrongAnswerError(Sentence, Exception):
    """What is wrong with an answer; caught by the check, never by a reader."""


class NoAnswerError(Exception):
    """There is no answer yet: it is, holds, or returns `...`."""


# A judge yields what it finds, one after the other: a sentence on what is right, or what is wrong
# with a part of the answer. It raises what is wrong with all of it.
Findings = Iterator[Sentence]
Mistakes = Mapping[str, bool]  # what is wrong, in a sentence, and whether it is the case here


def refuse(mistakes: Mistakes, right: bool = False, /, **values: object) -> None:
    """Raise the first of these mistakes that was made, if any, unless the answer is right."""
    for sentence, made in mistakes.items():
        if made and not right:
            raise WrongAnswerError(sentence, **values)


def judged(praise: str, right: bool, mistakes: Mistakes, /, **values: object) -> Sentence:
    """What to say of one part of an answer: the praise, or the first mistake that was made."""
    try:
        refuse(mistakes, right, **values)
    except WrongAnswerError as fault:
        return fault
    return Sentence(praise, **values)


def near(value: float, truth: float, relative: float = 0.005) -> bool:
    """Whether two numbers are as near as that."""
    return abs(value - truth) <= relative * abs(truth)


@contextmanager
def tried_on(case: str | Sentence) -> Iterator[None]:
    """Say of whatever is wrong inside a `with` block with which case it came up."""
    try:
        yield
    except WrongAnswerError as found:
        raise WrongAnswerError(
            "{fault} This came up with {case}.", fault=found, case=case
        ) from None


@dataclass(frozen=True)
class Verdict(Shown):
    """What is right in an answer, what is not, and where to look; `right` where all of it is."""

    exercise: str  # "E1" ... "E12"
    title: str
    claim: str  # of the ledger, "C1" ... "C19"
    where: str | Sentence  # notebook and section
    correct: tuple[Sentence, ...] = ()
    faults: tuple[Sentence, ...] = ()
    answered: bool = False

    @property
    def right(self) -> bool:
        """Whether the exercise is solved."""
        return self.answered and not self.faults

    @property
    def verdict(self) -> str:
        """RIGHT, NOT_YET or UNANSWERED."""
        if not self.answered:
            return UNANSWERED
        return RIGHT if self.right else NOT_YET

    def table(self) -> Table:
        """A line for each sentence; while it is not right, a last one that says where to look."""
        rows = [(_("right"), str(sentence)) for sentence in self.correct]
        rows += [(_("not yet"), str(sentence)) for sentence in self.faults]
        if not self.right:
            rows.append((_("look at"), str(self.where)))
        title = _(self.title)
        if self.claim:
            title = _("{title} (claim {claim})", title=title, claim=self.claim)
        return Table((f"{self.exercise}: {_(self.verdict)}", title), rows)
