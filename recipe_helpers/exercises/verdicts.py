"""What a check says: what is right, what is not yet, and where to look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from ..common.errors import RecipeError
from ..common.language import N_, Text, _
from ..common.tables import Shown, Table
from ..common.wording import as_text

RIGHT, NOT_YET, UNANSWERED = N_("right"), N_("not yet right"), N_("not yet answered")


class WrongAnswerError(RecipeError):
    """What is wrong with an answer, in whole sentences; caught by the check, never by a reader."""


class NoAnswerError(RecipeError):
    """There is no answer yet: it is, holds, or returns `...`."""


# What a judge finds, one after the other: a sentence on what is right, or what is wrong with a part
# of the answer. It raises what is wrong with all of it.
Finding = Text | WrongAnswerError
Mistakes = Mapping[str, bool]  # what is wrong, in a sentence, and whether it is the case here


def fault(mistakes: Mistakes, right: bool = False, /, **values: object) -> WrongAnswerError | None:
    """The first of these mistakes that was made; none where the answer is right."""
    made = [] if right else [sentence for sentence, is_made in mistakes.items() if is_made]
    return WrongAnswerError(made[0], **values) if made else None


def refuse(mistakes: Mistakes, right: bool = False, /, **values: object) -> None:
    """Raise the first of these mistakes that was made, if any; see `fault`."""
    if found := fault(mistakes, right, **values):
        raise found


def near(value: float, truth: float, relative: float = 0.005) -> bool:
    """Whether two numbers are as near as that."""
    return abs(value - truth) <= relative * abs(truth)


@contextmanager
def tried_on(case: str) -> Iterator[None]:
    """Say of whatever is wrong inside a `with` block with which case it came up."""
    try:
        yield
    except WrongAnswerError as found:
        message = N_("{fault} This came up with {case}.")
        raise WrongAnswerError(message, fault=as_text(found), case=case) from None


@dataclass(frozen=True)
class Verdict(Shown):
    """What is right in an answer, what is not, and where to look; `right` where all of it is."""

    exercise: str  # "E1" ... "E12"
    title: str
    claim: str  # of the ledger, "C1" ... "C19"
    where: str  # notebook and section
    correct: tuple[Text, ...] = ()
    faults: tuple[Text, ...] = ()
    answered: bool = True

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
            rows.append((_("look at"), self.where))
        title = _(self.title)
        if self.claim:
            title = _("{title} (claim {claim})", title=title, claim=self.claim)
        return Table((f"{self.exercise}: {_(self.verdict)}", title), rows)
