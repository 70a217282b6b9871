"""How results show themselves: what a reader sees is what the table says."""

import math
from dataclasses import dataclass
from html.parser import HTMLParser

import pytest

from recipe_helpers.common.tables import (
    Ready,
    Shown,
    Table,
    in_bytes,
    in_threads,
    microseconds,
    plain_data,
)


class Page(HTMLParser):
    """The text of each element of interest, entities decoded."""

    def __init__(self, result):
        super().__init__()
        self.found = {"caption": [], "th": [], "td": [], "p": []}
        self.open, self.tags = None, set()
        self.feed(result._repr_html_())

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag in self.found:
            self.open = tag
            self.found[tag].append("")
        if tag == "br":
            self.found[self.open][-1] += "\n"

    def handle_data(self, data):
        if self.open:
            self.found[self.open][-1] += data

    def texts(self, tag):
        return [text.strip() for text in self.found[tag]]


RESULT = Ready(
    Table(("name", "a<b"), [("x & <u>", "007"), ("two\nlines", "1e3")], "caption <i>", "note > 1")
)


def test_a_notebook_gets_every_part_escaped_and_the_text():
    page = Page(RESULT)
    assert page.texts("caption") == ["caption <i>"]
    assert page.texts("th") == ["name", "a<b"]
    assert page.texts("td") == ["x & <u>", "007", "two\nlines", "1e3"]
    assert page.texts("p") == ["note > 1"]
    assert not {"i", "u"} & page.tags
    bundle = RESULT._repr_mimebundle_(include=None, exclude=None)
    assert bundle == {"text/plain": str(RESULT), "text/html": RESULT._repr_html_()}
    with pytest.raises(NotImplementedError):
        str(Shown())


def test_the_text_holds_every_part_in_order():
    lines = [line.split() for line in str(RESULT).splitlines()]
    assert lines[:2] == [["caption", "<i>"], ["name", "a<b"]]
    assert (lines[3], lines[-1]) == (["x", "&", "<u>", "007"], ["note", ">", "1"])
    plain = Ready(Table(("a",), [("1",)]))
    assert str(plain).splitlines() == ["a", "---", "1"]
    assert not {"caption", "p"} & Page(plain).tags


def test_a_long_cell_is_wrapped_in_a_terminal_only():
    long = " ".join(["word"] * 40)
    result = Ready(Table(("a",), [(long,)]))
    assert max(map(len, str(result).splitlines())) <= 56
    assert str(result).count("word") == 40
    assert Page(result).texts("td") == [long]


TIMES = {
    0.5: "0.5 µs", 448.2: "448 µs", 999: "999 µs", 1000: "1 ms", 1234: "1.23 ms",
    222_119: "222 ms", 1e6: "1 s", 2_512_000: "2.51 s", -3.14159: "-3.14 µs",
}  # fmt: skip


def test_numbers_with_their_units():
    assert {time_us: microseconds(time_us) for time_us in TIMES} == TIMES
    assert in_bytes(1234567) == "1,234,567 bytes"
    assert [in_threads(n) for n in (1, 2)] == ["1 thread", "2 threads"]


def test_columns_of_numbers_with_their_units_stand_on_the_right():
    first = ("1,234 bytes", "3.1 µs", "1", "")
    rows = [first, ("5.0%", "2.00 to 1", "two", ""), ("", "-1", "3", "")]
    cells = Ready(Table(("a", "b", "c", "d"), rows))._repr_html_().split("<td")[1:]
    right = ["right" in cell.split(">")[0] for cell in cells]
    assert right == [True, True, False, False] * 3


@dataclass(frozen=True)
class Pair:
    first: float
    second: object


def test_plain_data_is_what_json_holds():
    made = Pair(math.inf, (Pair(1.5, "a"), {"x": [math.nan, -math.inf, None, True]}))
    assert plain_data(made) == {
        "first": None,
        "second": [{"first": 1.5, "second": "a"}, {"x": [None, None, None, True]}],
    }
    assert plain_data({"a": [Pair(1, 2)]}, {Pair: ["second"]}) == {"a": [{"second": 2}]}
