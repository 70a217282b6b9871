"""What the rooms' tests ask of the Korean edition: one result said in both languages."""

import re

from recipe_helpers.common.language import speaking

# Three words of English in a row; names, units and code are shorter or written otherwise.
_ENGLISH = re.compile(r"\b[a-z]{2,}(?:[ ,]+[a-z]{2,}){2,}\b", re.IGNORECASE)
_HANGUL = re.compile(r"[가-힣]")


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
    assert not _HANGUL.search(english)
    assert _HANGUL.search(korean), korean
    assert "{" not in korean, "a value was not filled in"
    return english, korean
