"""Ledger files from other people's machines: checked like any input from strangers."""

from __future__ import annotations

import itertools
import json
import math
import os
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from ..common.errors import ArgumentError
from ..common.language import N_
from .comparison import ClassComparison, LeftOut, MachineLedger, NotALedgerError

MOST_BYTES = 256 * 1024  # a ledger has some twelve thousand
MOST_FILES = 1000
SCHEMA = Path(__file__).with_name("ledger.schema.json")


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
            "folder is {folder!r}; pass a folder that holds ledger files.", folder=str(folder)
        )
    files = sorted(place.glob("*.json"))
    if len(files) > MOST_FILES:
        raise ArgumentError(
            "folder holds {count} JSON files; pass one with at most {most}.",
            count=len(files),
            most=MOST_FILES,
        )
    ledgers, refused = [], []
    for file in files:
        try:
            ledgers.append(MachineLedger.from_data(file.stem, _read(file)))
        except NotALedgerError as error:
            refused.append(LeftOut(_shown(file.name), error))
    if refused and not ledgers:
        raise ArgumentError(
            "folder holds no ledger; write one with `Ledger.to_json`. {first}", first=refused[0]
        )
    if not ledgers:
        raise ArgumentError("folder holds no ledger; write one with `Ledger.to_json`.")
    return ClassComparison(tuple(ledgers), tuple(refused))


def _read(file: Path) -> dict[str, Any]:
    """The data of one file that keeps to the schema."""
    from jsonschema.exceptions import best_match  # only where files are read

    data = _parsed(_content(file))
    if worst := best_match(_validator().iter_errors(data)):
        place = _shown("/".join(map(str, worst.absolute_path))) or N_("the file")
        # What the file says is not repeated: it is a stranger's.
        rule = f"{worst.validator}: {json.dumps(worst.validator_value)[:60]}"
        raise NotALedgerError("{place} is not as a ledger has it ({rule})", place=place, rule=rule)
    points = data["findings"].get("C17", {}).get("numbers", {}).get("points", [])
    if any(left["width"] >= right["width"] for left, right in itertools.pairwise(points)):
        place = "findings/C17/numbers/points"
        raise NotALedgerError("{place} is not in rising order of width", place=place)
    return data


def _content(file: Path) -> bytes:
    if not file.is_file():
        raise NotALedgerError("it is not a file")
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise NotALedgerError("it cannot be read ({reason})", reason=error.strerror) from error
    if len(content) > MOST_BYTES:
        raise NotALedgerError("it is longer than {most:,} bytes", most=MOST_BYTES)
    return content


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_refuse, parse_float=_number)
    except RecursionError as error:
        raise NotALedgerError("it is nested too deeply") from error
    except ValueError as error:  # of the decoder, or a number of thousands of digits
        raise NotALedgerError("it is not JSON in UTF-8") from error


def _refuse(constant: str) -> NoReturn:
    raise NotALedgerError("it holds {constant}, which is no number of JSON", constant=constant)


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise NotALedgerError("it holds a number too large for a float")
    return value


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def _shown(name: str) -> str:
    """A name out of a stranger's file, short and in printable characters."""
    kept = "".join(c if c.isprintable() else "?" for c in name)
    return kept if len(kept) <= 80 else f"{kept[:77]}..."
