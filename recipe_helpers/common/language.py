"""The language that results, figures and errors speak: English, or Korean where it is asked for.

A result holds numbers and messages, and speaks when it is shown: `_` and `plural` translate on the
spot, `N_` marks a message that is said later. The messages are the English
sentences themselves; their translations stand in `recipe_helpers/locale`, a gettext catalogue that
`tools/translations.py` keeps in step with the code.
"""

from __future__ import annotations

import functools
import gettext
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from .errors import ArgumentError, RecipeError

ENGLISH, KOREAN = "en", "ko"
LANGUAGES = (ENGLISH, KOREAN)
VARIABLE = "RECIPE_LANGUAGE"
LOCALE = Path(__file__).parents[1] / "locale"
DOMAIN = "recipe_helpers"

# A `with speaking(...)` block holds in its own thread or task; the rest of the process has another.
_spoken: ContextVar[str | None] = ContextVar("spoken", default=None)
_chosen = ENGLISH


def use_language(code: str) -> None:
    """Let tables, sentences, figures and errors speak this language until the process ends.

    The environment variable RECIPE_LANGUAGE chooses the first one; without it that is English,
    whatever the locale.

    Args:
        code: "en" or "ko".

    Raises:
        ArgumentError: there is no such language.
    """
    global _chosen
    _chosen = _known("code", code)


def language() -> str:
    """The code of the language in force."""
    return _spoken.get() or _chosen


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Speak this language inside a `with` block, in this thread only.

    Raises:
        ArgumentError: there is no such language.
    """
    token = _spoken.set(_known("code", code))
    try:
        yield
    finally:
        _spoken.reset(token)


def _(message: str, /, **values: object) -> str:
    """`message` in the language in force, with the values filled in by `str.format`, if any."""
    said = _catalogue(language()).gettext(message) if message else ""
    return said.format(**values) if values else said


def plural(one: str, many: str, count: int, /, **values: object) -> str:
    """Whichever of two messages suits the count, in the language in force; see `_`."""
    return _catalogue(language()).ngettext(one, many, count).format(count=count, **values)


def N_(message: str) -> str:  # noqa: N802  (gettext's own name for it)
    """`message` itself: marks a constant for the catalogue, to be shown later by `_(CONSTANT)`."""
    return message


@functools.cache
def _catalogue(code: str) -> gettext.NullTranslations:
    if code == ENGLISH:
        return gettext.NullTranslations()
    with (LOCALE / code / "LC_MESSAGES" / f"{DOMAIN}.mo").open("rb") as compiled:
        return gettext.GNUTranslations(compiled)


def _known(name: str, code: str) -> str:
    if code not in LANGUAGES:
        raise ArgumentError("{name} is {code!r}; pass one of 'en', 'ko'.", name=name, code=code)
    return code


def say_error(message: str, values: Mapping[str, Any]) -> str:
    """What an error says: in another language than English, English follows for a search."""
    said = _told(message, values)
    if language() == ENGLISH:
        return said
    with speaking(ENGLISH):
        english = _told(message, values)
    return said if said == english else f"{said}\n{english}"


_NAMES = ("name", "named", "path")  # of things of the caller's own


def _told(message: str, values: Mapping[str, Any]) -> str:
    # Words of the library that stand in its sentences are messages as well; names are not.
    said = {
        key: _(one) if type(one) is str and key not in _NAMES else one
        for key, one in values.items()
    }
    return _(message, **said)


def told(error: RecipeError) -> str:
    """What an error says in the language in force, without the English that may follow."""
    return _told(error.message, error.values)


def named(names: Sequence[str], most: int | None = None) -> str:
    """`a`, `a and b`, `a, b and c`, as a sentence names them.

    Args:
        names: at least one.
        most: of more names than that the last ones are counted instead.
    """
    if most is not None and len(names) > most:
        kept = names[: most - 1]
        return named([*kept, _("{count} others", count=len(names) - len(kept))])
    *before, last = names
    return _("{names} and {last}", names=", ".join(before), last=last) if before else last


# Errors of the library speak as well.
RecipeError.say = staticmethod(say_error)

use_language(_known(VARIABLE, os.environ.get(VARIABLE) or ENGLISH))
