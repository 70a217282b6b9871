"""What the rooms' tests ask of the Korean edition: one result said in both languages."""

import functools
import re
import string

import pytest

from recipe_helpers.common.language import speaking
from tools.translations import read

# Three words of English in a row; names, units and code are shorter or written otherwise.
_ENGLISH = re.compile(r"\b[a-z]{2,}(?:[ ,]+[a-z]{2,}){2,}\b", re.IGNORECASE)
HANGUL = re.compile(r"[가-힣]")


def english_in(text, *names):
    """Where a text still speaks English, apart from these names."""
    for name in names:
        text = text.replace(name, "")
    return _ENGLISH.findall(text)


def in_both(say):
    """What `say()` gives in English and in Korean: the first without Hangul, the second with it."""
    english = say()
    with speaking("ko"):
        korean = say()
    assert say() == english
    assert not HANGUL.search(english)
    assert HANGUL.search(korean), korean
    assert "{" not in korean, "a value was not filled in"
    return english, korean


def untold(said):
    """Which messages of the catalogue a text is that should have been said in Korean.

    Args:
        said: a cell, a caption, a label: what one message alone may have made.
    """
    return [message for message, pattern in _patterns().items() if pattern.fullmatch(said)]


def untold_in(table, *names):
    """The same of everything in a table but these names, and where else it still speaks English."""
    cells = [*table.headers, *(cell for row in table.rows for cell in row)]
    said = {*cells, table.caption, table.note} - {*names}
    return {one: found for one in said if (found := untold(one) or english_in(one))}


@functools.cache
def _patterns():
    """Every message that is another one in Korean, as a pattern with its values left open."""
    found = {}
    for message in read("ko"):
        sources = [message.id] if isinstance(message.id, str) else [*message.id]
        for source in filter(None, sources):
            if message.string not in (source, [source]):
                literal = [re.escape(part) for part, *_ in string.Formatter().parse(source)]
                more = ".+" if source.endswith("}") else ""
                pattern = re.compile(".+".join(literal) + more, re.DOTALL)
                said = message.string if isinstance(message.string, str) else message.string[0]
                if re.search("[a-z]{2}", "".join(literal)) and not pattern.fullmatch(said):
                    found[source] = pattern
    return found


def error_in_both(kind, call):
    """The two sentences of an error in Korean, Korean first, once it has said the second alone."""
    with speaking("ko"), pytest.raises(kind) as caught:
        call()
    with speaking("ko"):
        first, second = str(caught.value).splitlines()
    assert str(caught.value) == second
    return first, second
