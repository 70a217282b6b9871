"""Ledger files from other people's machines: checked like any input from strangers."""

from __future__ import annotations

import json
import math
import os
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from ..common.errors import ArgumentError
from ..common.language import Text
from ..common.wording import as_text, sentences
from .comparison import ClassComparison, MachineLedger

MOST_BYTES = 256 * 1024  # a ledger has some twelve thousand
MOST_FILES = 1000
SCHEMA = Path(__file__).with_name("ledger.schema.json")


class _NotALedgerError(ValueError):
    """What is wrong with one file."""


def compare_ledgers(folder: str | os.PathLike[str]) -> ClassComparison:
    """Read every `*.json` in a folder and put the ledgers side by side, in the order of names.

    A file is read as JSON and nothing else, up to `MOST_BYTES`, and has to keep to the schema
    `ledger.schema.json` beside this module. One that does not is left out, with a sentence in
    `refused`; the others still count.

    Raises:
        ArgumentError: `folder` is no folder, holds no ledger, or more than `MOST_FILES` files.
    """
    place = Path(folder)
    if not place.is_dir():
        raise ArgumentError(
            Text("folder is {folder!r}; pass a folder that holds ledger files.", folder=str(folder))
        )
    files = sorted(place.glob("*.json"))
    if len(files) > MOST_FILES:
        raise ArgumentError(
            Text(
                "folder holds {count} JSON files; pass one with at most {most}.",
                count=len(files),
                most=MOST_FILES,
            )
        )
    ledgers, refused = [], []
    for file in files:
        try:
            ledgers.append(MachineLedger.from_data(file.stem, _read(file)))
        except _NotALedgerError as error:
            name, problem = _shown(file.name), as_text(error)
            refused.append(Text("{name} was left out: {problem}.", name=name, problem=problem))
    if not ledgers:
        none = Text("folder holds no ledger; write one with `Ledger.to_json`.")
        raise ArgumentError(sentences([none, *refused]))
    return ClassComparison(tuple(ledgers), tuple(refused))


def _read(file: Path) -> dict[str, Any]:
    """The data of one file that keeps to the schema."""
    from jsonschema.exceptions import best_match  # only where files are read

    data = _parsed(_content(file))
    worst = best_match(_validator().iter_errors(data))
    if worst is not None:
        place = _shown("/".join(map(str, worst.absolute_path))) or Text("the file")
        raise _NotALedgerError(
            Text("{place} is not as a ledger has it ({rule})", place=place, rule=_rule(worst))
        )
    sweep = data["findings"].get("C17", {"numbers": {"points": []}})["numbers"]
    widths = [point["width"] for point in sweep["points"]]
    if widths != sorted(set(widths)):
        place = "findings/C17/numbers/points"
        raise _NotALedgerError(Text("{place} is not in rising order of width", place=place))
    return data


def _content(file: Path) -> bytes:
    if not file.is_file():
        raise _NotALedgerError(Text("it is not a file"))
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise _NotALedgerError(
            Text("it cannot be read ({reason})", reason=error.strerror)
        ) from error
    if len(content) > MOST_BYTES:
        raise _NotALedgerError(Text("it is longer than {most:,} bytes", most=MOST_BYTES))
    return content


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_refuse, parse_float=_number)
    except RecursionError as error:
        raise _NotALedgerError(Text("it is nested too deeply")) from error
    except _NotALedgerError:
        raise
    except ValueError as error:  # of the decoder, or a number of thousands of digits
        raise _NotALedgerError(Text("it is not JSON in UTF-8")) from error


def _refuse(constant: str) -> NoReturn:
    raise _NotALedgerError(
        Text("it holds {constant}, which is no number of JSON", constant=constant)
    )


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _NotALedgerError(Text("it holds a number too large for a float"))
    return value


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def _rule(error: Any) -> str:
    """The rule that was broken, without repeating what the file says."""
    if error.validator == "required":
        return Text("it needs {names}", names=", ".join(error.validator_value))
    if error.validator == "additionalProperties":
        return Text("it holds more than a ledger does")
    if isinstance(error.validator_value, str | int | float):
        return f"{error.validator}: {error.validator_value}"
    if error.validator in ("enum", "type"):
        choices = ", ".join(map(str, error.validator_value))
        return Text("{rule}: one of {choices}", rule=error.validator, choices=choices)
    return str(error.validator)


def _shown(name: str) -> str:
    """A name out of a stranger's file, short and in printable characters."""
    kept = "".join(c if c.isprintable() else "?" for c in name)
    return kept if len(kept) <= 80 else f"{kept[:77]}..."
