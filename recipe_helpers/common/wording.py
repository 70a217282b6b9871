"""Texts that are made of other texts: lists, one sentence after another, an error's message.

Each is a `language.Text`: it is put together when it is shown, in the language then in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .errors import RecipeError
from .language import Text

# Messages that need no translation, and so stand in no call from which one would be collected.
_AS_IT_IS = "{said}"


def named(names: Sequence[str], most: int | None = None) -> Text:
    """`a`, `a and b`, `a, b and c`, as a sentence names them.

    Args:
        names: at least one; each may be a Text.
        most: of more names than that the last ones are counted instead.
    """
    if most is not None and len(names) > most:
        kept = names[: most - 1]
        return named([*kept, Text("{count} others", count=len(names) - len(kept))])
    *before, last = names
    if not before:
        return as_text(last)
    return Text("{names} and {last}", names=joined(before, ", "), last=last)


def in_turn(findings: Iterable[str]) -> Text:
    """Findings side by side: `a; b; c`; each may be a Text."""
    return joined(findings, "; ")


def sentences(parts: Iterable[str]) -> Text:
    """Whole sentences, one after another; each may be a Text."""
    return joined(parts, " ")


def joined(parts: Iterable[str], separator: str) -> Text:
    """Several texts with the same sign between them, in any language."""
    return Text(_AS_IT_IS, said=_Joined(tuple(parts), separator))


def as_text(said: object) -> Text:
    """A Text that says just this: itself, a name, or the message of an error."""
    if isinstance(said, RecipeError):
        message = said.message
        return message if isinstance(message, Text) else Text(message, **said.values)
    return said if isinstance(said, Text) else Text(_AS_IT_IS, said=said)


def within(sentence: str) -> Text:
    """A whole sentence without its full stop, to stand within another one."""
    return Text(_AS_IT_IS, said=_WithoutStop(sentence))


@dataclass(frozen=True)
class _Joined:
    parts: tuple[str, ...]
    separator: str

    def __str__(self) -> str:
        return self.separator.join(map(str, self.parts))


@dataclass(frozen=True)
class _WithoutStop:
    sentence: str

    def __str__(self) -> str:
        return str(self.sentence).rstrip(".")
