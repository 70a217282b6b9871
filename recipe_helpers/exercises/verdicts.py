"""What a check says: what is right, what is not yet, and where to look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..common.language import N_, Text, _
from ..common.tables import Shown, Table

RIGHT, NOT_YET, UNANSWERED = N_("right"), N_("not yet right"), N_("not yet answered")


def said(message: str, /, **values: Any) -> Text:
    """A sentence with its values filled in; words of ours among them are said in its language."""
    if isinstance(message, Text):
        return message
    return Text(message, **{k: Text(v) if type(v) is str else v for k, v in values.items()})


class WrongAnswer(Exception):  # noqa: N818  (no error of the program: it is caught by the check)
    """What is wrong with an answer, in one sentence; nothing more can be checked."""

    def __init__(self, message: str, /, **values: Any) -> None:
        super().__init__(said(message, **values))


class NoAnswer(Exception):  # noqa: N818
    """There is no answer yet: it is, holds, or returns `...`."""


class Notes:
    """What a check has found so far, in whole sentences."""

    def __init__(self) -> None:
        self.right: list[str] = []
        self.wrong: list[str] = []

    def good(self, message: str, /, **values: Any) -> None:
        """Write down something that is right."""
        self.right.append(said(message, **values))

    def bad(self, message: str, /, **values: Any) -> None:
        """Write down something that is not, and go on with the rest of the answer."""
        self.wrong.append(said(message, **values))


@dataclass(frozen=True)
class Verdict(Shown):
    """What is right in an answer, what is not, and where to look; `right` where all of it is."""

    exercise: str  # "E1" ... "E12"
    title: str
    claim: str  # of the ledger, "C1" ... "C19"
    where: str  # notebook and section
    correct: tuple[str, ...] = ()  # sentences
    faults: tuple[str, ...] = ()  # sentences
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
        rows = [(_("right"), sentence) for sentence in self.correct]
        rows += [(_("not yet"), sentence) for sentence in self.faults]
        if not self.right:
            rows.append((_("look at"), self.where))
        about = _(self.title)
        if self.claim:
            about = _("{title} (claim {claim})", title=about, claim=self.claim)
        return Table((f"{self.exercise}: {_(self.verdict)}", about), rows)
