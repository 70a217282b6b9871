"""Keep the translations of the helpers in step with their code: `make translations`.

    python tools/translations.py           update and compile the catalogues, list what is missing
    python tools/translations.py --check   list it only, and write nothing

The messages are those of `recipe_helpers`. A catalogue is written by Babel, sorted, without
dates and places, so that it changes only where a message does and two branches merge line by line.
A sentence that has changed takes over the translation of the one that it was, marked `fuzzy`: it is
looked over by hand, and the mark removed. What the code no longer says is left out.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import difflib
import gettext
import io
import re
import string
import sys
from collections.abc import Iterator, Set
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "recipe_helpers"
SOURCES = PACKAGE, ROOT / "int8_rnn" / "src"
LANGUAGES = ("ko",)
KEYWORDS = {"_": 1, "N_": 1, "plural": 2}  # how many are messages

# What an error says is its first argument: see `int8_rnn/errors.py`.
ERROR = re.compile(r"(\w+\.)?[A-Z]\w*Error")
HEAD = "# The helpers' messages; `make translations` keeps them in step with the code."
LIKE_ENOUGH = 0.6  # difflib's ratio from which a new sentence counts as an old one, changed

MessageId = str | tuple[str, str]


def path_of(language: str, suffix: str) -> Path:
    """Where a catalogue lies: `.po` is edited, `.mo` is what the package reads."""
    return PACKAGE / "locale" / language / "LC_MESSAGES" / f"recipe_helpers{suffix}"


class Undated(Catalog):
    """A catalogue whose head says nothing that changes from day to day or from Babel to Babel."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        """What gettext needs to know: the language, its plurals, the encoding."""
        kept = ("Language", "Plural-Forms", "MIME-Version", "Content-Type")
        return [(name, value) for name, value in super().mime_headers if name in kept]


def add(catalog: Catalog, message_id: MessageId, said: object = "", fuzzy: bool = False) -> None:
    """Add a message; no flag but `fuzzy` is kept, since Babel takes `95 % in` for a format."""
    message = catalog.add(message_id, said)
    message.flags = {"fuzzy"} if fuzzy else set()


def messages_in_code(*sources: Path) -> set[MessageId]:
    """Every message that the code below these folders says; of the helpers and the library if none.

    Found in the syntax tree: Babel's own extractor looks into no f-string, and not behind another
    call among a message's values.
    """
    return {
        message
        for source in sources or SOURCES
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        for message in _message_of(node)
    }


def said_by(call: ast.Call) -> list[ast.expr]:
    """The arguments of a call that are messages: of `_`, of `plural`, of an error of ours."""
    name = ast.unparse(call.func)
    error = ERROR.fullmatch(name) is not None and not hasattr(builtins, name)
    return call.args[: KEYWORDS.get(name, int(error))]


def _message_of(call: ast.Call) -> Iterator[MessageId]:
    """The message of a call that says one as literals."""
    said = [one.value for one in said_by(call) if isinstance(one, ast.Constant)]
    match [one for one in said if isinstance(one, str)]:
        case [str(one)] if one:
            yield one
        case [str(one), str(many)]:
            yield one, many


def read(language: str) -> Catalog:
    """The catalogue as it stands, or an empty one."""
    path = path_of(language, ".po")
    content = path.read_bytes() if path.exists() else b""
    return read_po(io.BytesIO(content), locale=language, abort_invalid=True)


def entries(catalog: Catalog) -> dict[MessageId, Message]:
    """The messages of a catalogue, without its head."""
    return {message.id: message for message in catalog if message.id}


def updated(old: Catalog, wanted: Set[MessageId], language: str) -> Catalog:
    """A catalogue of the wanted messages, with what the old one knows about them."""
    known = entries(old)
    made = Undated(language, project="recipe_helpers", header_comment=HEAD, fuzzy=False)
    stale = {str(gone): known[gone] for gone in known.keys() - wanted}
    for message_id in wanted:
        if message_id in known:
            add(made, message_id, known[message_id].string, known[message_id].fuzzy)
        elif like := difflib.get_close_matches(str(message_id), stale, 1, LIKE_ENOUGH):
            before = stale[like[0]]
            same_kind = isinstance(before.id, str) == isinstance(message_id, str)
            add(made, message_id, before.string if same_kind else "", fuzzy=same_kind)
        else:
            add(made, message_id)
    return made


def as_po(catalog: Catalog) -> bytes:
    """The catalogue as the text that is edited and committed."""
    made = io.BytesIO()
    write_po(made, catalog, width=0, sort_output=True, no_location=True)
    return made.getvalue()


def as_mo(catalog: Catalog) -> bytes:
    """The catalogue as gettext reads it."""
    made = io.BytesIO()
    write_mo(made, catalog)
    return made.getvalue()


def fields(text: str) -> set[str]:
    """The values that a message names, with how they are written: `{count:,}`, `{name!r}`."""
    return {
        f"{name}!{how}:{spec}"
        for _, name, spec, how in string.Formatter().parse(text)
        if name is not None
    }


def problems(language: str) -> Iterator[str]:
    """What is left to do, a line for each message."""
    stands, wanted = read(language), messages_in_code()
    catalog = updated(stands, entries(stands).keys(), language)
    for message_id in sorted(wanted - entries(catalog).keys(), key=str):
        yield f"{language}: not in the catalogue: {message_id!r}"
    for message_id, message in entries(catalog).items():
        sources = [message_id] if isinstance(message_id, str) else list(message_id)
        said = [message.string] if isinstance(message.string, str) else list(message.string)
        if message_id not in wanted:
            yield f"{language}: no longer in the code: {message_id!r}"
        elif not all(said):
            yield f"{language}: without a translation: {message_id!r}"
        elif message.fuzzy:
            yield f"{language}: fuzzy, to be looked over: {message_id!r}"
        elif any(fields(text) != fields(sources[-1]) for text in said):
            yield f"{language}: other values in braces: {message_id!r} -> {said!r}"
    if as_po(catalog) != path_of(language, ".po").read_bytes():
        yield f"{language}: the .po is not as the tool writes it: run make translations"
    if compiled(path_of(language, ".mo").read_bytes()) != compiled(as_mo(catalog)):
        yield f"{language}: the .mo is older than the .po: run make translations"


def compiled(content: bytes) -> dict[object, str]:
    """What gettext finds in a compiled catalogue, apart from its head."""
    found = dict(gettext.GNUTranslations(io.BytesIO(content))._catalog)
    found.pop("", None)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; 1 where something is left to do."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    chosen = parser.parse_args(arguments)
    left = []
    for language in LANGUAGES:
        if not chosen.check:
            catalog = updated(read(language), messages_in_code(), language)
            path_of(language, ".po").parent.mkdir(parents=True, exist_ok=True)
            path_of(language, ".po").write_bytes(as_po(catalog))
            path_of(language, ".mo").write_bytes(as_mo(catalog))
        left += problems(language)
    print("\n".join(left) or "Every message has its translation.")
    return bool(left)


if __name__ == "__main__":
    sys.exit(main())
