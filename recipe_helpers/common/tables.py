"""How results show themselves: a table in a notebook, the same table as text in a terminal."""

from __future__ import annotations

import html
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from types import MappingProxyType
from typing import Any

from tabulate import tabulate

from .language import ENGLISH, KOREAN, language, plural

_NUMBER = re.compile(r"[-+]?[\d.,]+( ?%| bytes| to 1| : 1| [µm]?s| dB)?$")
# In characters; longer cells are wrapped in a terminal, where Hangul is twice as wide.
_COLUMN_WIDTH = {ENGLISH: 56, KOREAN: 38}


@dataclass(frozen=True)
class Table:
    """A caption, the headers, rows of ready-made strings, and a closing sentence (or none)."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    note: str = ""


class Shown:
    """Mixin for a result that shows itself as a table; a subclass says which by `table()`."""

    def table(self) -> Table:
        """The table that stands for this result."""
        raise NotImplementedError

    def __str__(self) -> str:
        table, width = self.table(), _COLUMN_WIDTH[language()]
        rows = [[textwrap.fill(cell, width) for cell in row] for row in table.rows]
        grid = tabulate(rows, headers=table.headers, disable_numparse=True)
        return "\n".join(part for part in (table.caption, grid, table.note) if part)

    def _repr_html_(self) -> str:
        table = self.table()
        # Escaped here, so that tabulate must not escape again: a cell may hold a line break.
        rows = [[html.escape(cell).replace("\n", "<br>") for cell in row] for row in table.rows]
        headers = [html.escape(header) for header in table.headers]
        sides = [_side([row[i] for row in rows]) for i in range(len(headers))]
        grid = tabulate(rows, headers, tablefmt="unsafehtml", disable_numparse=True, colalign=sides)
        # tabulate marks what is not on the left; Jupyter puts the rest on the right.
        for tag in ("td", "th"):
            grid = grid.replace(f"<{tag}>", f'<{tag} style="text-align: left;">')
        caption = f"<caption><b>{html.escape(table.caption)}</b></caption>" if table.caption else ""
        note = f"<p>{html.escape(table.note)}</p>" if table.note else ""
        return grid.replace("<table>", f"<table>{caption}", 1) + note

    def _repr_mimebundle_(self, **options: Any) -> dict[str, str]:
        # Not `_repr_pretty_`: IPython would prefer the `__repr__` that a dataclass generates.
        return {"text/plain": str(self), "text/html": self._repr_html_()}


@dataclass(frozen=True)
class Ready(Shown):
    """Shows a table that was made elsewhere."""

    made: Table

    def table(self) -> Table:
        """That table."""
        return self.made


def plain_data(value: Any, names: Mapping[type, Sequence[str]] = MappingProxyType({})) -> Any:
    """The same as dicts, lists, numbers, strings and None, as JSON can hold it.

    Dataclasses become dicts, tuples lists; None stands for a number that is infinite or undefined.

    Args:
        value: a result.
        names: which attributes stand for a dataclass, where these are not just its fields.
    """
    if is_dataclass(value) and not isinstance(value, type):
        shown = names.get(type(value)) or [entry.name for entry in fields(value)]
        value = {name: getattr(value, name) for name in shown}
    if isinstance(value, Mapping):
        return {key: plain_data(part, names) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [plain_data(part, names) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _side(cells: Sequence[str]) -> str:
    """Where a column belongs: on the right if it holds numbers, with their units."""
    numbers = all(_NUMBER.match(cell) for cell in cells if cell)
    return "right" if numbers and any(cells) else "left"


def in_bytes(count: int) -> str:
    """A number of bytes with thousands separators: `1,234 bytes`."""
    return f"{count:,} bytes"


def microseconds(time_us: float) -> str:
    """A time with three significant digits in the unit that suits it: `448 µs`, `1.23 ms`."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if time_us >= size:
            return f"{time_us / size:.3g} {unit}"
    return f"{time_us:.3g} µs"


def in_threads(threads: int) -> str:
    """A thread count in words: `1 thread`, `2 threads`."""
    return plural("{count} thread", "{count} threads", threads)
