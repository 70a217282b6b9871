"""Texts that are made of other texts, put together when they are shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .language import Text


def joined(parts: Iterable[str], separator: str) -> Text:
    """Several texts with the same sign between them, in any language; each may be a Text."""
    # Needs no translation, and so stands in no call from which one would be collected.
    as_it_is = "{said}"
    return Text(as_it_is, said=_Joined(tuple(parts), separator))


@dataclass(frozen=True)
class _Joined:
    parts: tuple[str, ...]
    separator: str

    def __str__(self) -> str:
        return self.separator.join(map(str, self.parts))
