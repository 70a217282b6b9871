"""How results show themselves: what a reader sees is what the table says."""

import math
from dataclasses import dataclass
from html.parser import HTMLParser

import pytest

from recipe_helpers.common.tables import (
    Shown,
    Table,
    in_bytes,
    in_threads,
    microseconds,
    plain_data,
)


@dataclass(frozen=True)
class Result(Shown):
    shown: Table

    def table(self):
        return self.shown


class Page(HTMLParser):
    """The text of each element of interest, entities decoded."""

    def __init__(self, source):
        super().__init__()
        self.found = {"caption": [], "th": [], "td": [], "p": []}
        self.open = None
        self.tags = []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag in self.found:
            self.open = tag
            self.found[tag].append("")
        if tag == "br":
            self.found[self.open][-1] += "\n"

    def handle_endtag(self, tag):
        if tag == self.open:
            self.open = None

    def handle_data(self, data):
        if self.open:
            self.found[self.open][-1] += data


TABLE = Table(
    ("name", "a<b"), [("x & <u>", "007"), ("two\nlines", "1e3")], "caption <i>", "note > 1"
)


def test_the_html_holds_every_part_escaped():
    page = Page(Result(TABLE)._repr_html_())
    assert page.found["caption"] == ["caption <i>"]
    assert [cell.strip() for cell in page.found["th"]] == ["name", "a<b"]
    assert [cell.strip() for cell in page.found["td"]] == ["x & <u>", "007", "two\nlines", "1e3"]
    assert page.found["p"] == ["note > 1"]
    assert not {"i", "u"} & set(page.tags)


def test_the_text_holds_every_part_in_order():
    lines = str(Result(TABLE)).splitlines()
    assert lines[0] == "caption <i>"
    assert lines[1].split() == ["name", "a<b"]
    assert lines[3].split() == ["x", "&", "<u>", "007"]
    assert lines[-1] == "note > 1"


def test_caption_and_note_are_left_out_where_there_are_none():
    plain = Result(Table(("a",), [("1",)]))
    assert str(plain).splitlines() == ["a", "---", "1"]
    page = Page(plain._repr_html_())
    assert page.found["caption"] == page.found["p"] == []


def test_a_long_cell_is_wrapped_in_a_terminal_only():
    long = " ".join(["word"] * 40)
    result = Result(Table(("a",), [(long,)]))
    assert max(map(len, str(result).splitlines())) <= 56
    assert str(result).count("word") == 40
    assert Page(result._repr_html_()).found["td"] == [long]


def test_a_notebook_gets_text_and_html():
    result = Result(TABLE)
    bundle = result._repr_mimebundle_(include=None, exclude=None)
    assert bundle == {"text/plain": str(result), "text/html": result._repr_html_()}


def test_a_result_must_have_a_table():
    with pytest.raises(NotImplementedError):
        str(Shown())


@pytest.mark.parametrize(
    ("time_us", "shown"),
    [
        (0.5, "0.5 µs"),
        (448.2, "448 µs"),
        (999, "999 µs"),
        (1000, "1 ms"),
        (1234, "1.23 ms"),
        (222_119, "222 ms"),
        (1e6, "1 s"),
        (2_512_000, "2.51 s"),
        (-3.14159, "-3.14 µs"),
    ],
)
def test_a_time_has_three_digits_and_the_unit_that_suits_it(time_us, shown):
    assert microseconds(time_us) == shown


def test_counts_in_words():
    assert in_bytes(1234567) == "1,234,567 bytes"
    assert [in_threads(n) for n in (1, 2)] == ["1 thread", "2 threads"]


def test_columns_of_numbers_with_their_units_stand_on_the_right():
    first = ("1,234 bytes", "3.1 µs", "1", "")
    rows = [first, ("5.0%", "2.00 to 1", "two", ""), ("", "-1", "3", "")]
    cells = Result(Table(("a", "b", "c", "d"), rows))._repr_html_().split("<td")[1:]
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
    assert plain_data([Pair(1, 2)], {Pair: ["second"]}) == [{"second": 2}]
