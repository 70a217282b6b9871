"""What a check says: what is right, what is not yet, and where to look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..common.tables import Shown, Table

RIGHT, NOT_YET, UNANSWERED = "right", "not yet right", "not yet answered"


def said(message: str, /, **values: Any) -> str:
    """A sentence with its values filled in."""
    return message.format(**values) if values else message


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
        rows = [("right", sentence) for sentence in self.correct]
        rows += [("not yet", sentence) for sentence in self.faults]
        if not self.right:
            rows.append(("look at", self.where))
        about = f"{self.title} (claim {self.claim})" if self.claim else self.title
        return Table((f"{self.exercise}: {self.verdict}", about), rows)
