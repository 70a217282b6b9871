"""The HTML of the panel: what it holds, for whom it is marked up."""

import base64
import re
from html.parser import HTMLParser

from recipe_helpers.explorer import page, plots

from .made_up import exploration


class Document(HTMLParser):
    """The elements of a piece of HTML with their attributes, and its text."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(source.partition("</style>")[2])

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data + " "


def test_sentence_verdict_table_and_picture_stand_in_this_order():
    made = exploration(8)
    shown = Document(page.content(sentence="read <it>", table=made.table(), picture="<img>"))
    assert shown.text.index("read <it>") < shown.text.index(made.verdict)
    assert shown.text.index(made.verdict) < shown.text.index(str(made.choice))
    for row in made.table().rows:
        assert all(cell in shown.text for cell in row)
    scopes = [attributes.get("scope") for tag, attributes in shown.elements if tag == "th"]
    assert scopes == ["col"] * 4 + ["row"] * 3
    assert [tag for tag, _ in shown.elements][-1] == "img"
    assert "table" not in dict(Document(page.content(sentence="alone")).elements)


def test_an_image_carries_the_very_bytes_and_an_escaped_text():
    figure = plots.panel(exploration(8))
    figure.alt = 'a "b" <c>'
    (box, (tag, attributes)) = Document("</style>" + page.image(figure, 40)).elements
    assert box[1]["tabindex"] == "0"
    assert (tag, attributes["alt"]) == ("img", 'a "b" <c>')
    head, _, data = attributes["src"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == figure.png(40)


def test_sentences_are_escaped_and_announced():
    for make, role in ((page.status, "status"), (page.error, "alert")):
        shown = Document(make("1 < 2 <script>\nsecond line"))
        assert "1 < 2 <script>" in shown.text
        assert [a["role"] for _, a in shown.elements if "role" in a] == [role]
        assert "script" not in [tag for tag, _ in shown.elements]
    assert ("br", {}) in shown.elements, "an error in Korean has its English on another line"


def test_no_colour_of_text_is_fixed():
    """Text in a fixed dark colour cannot be read in a dark theme."""
    style = page.status("").partition("</style>")[0]
    colours = re.findall(r"[;{\s]color:([^;}]*)", style)
    assert colours
    assert all(colour.strip().startswith("var(--jp-") for colour in colours)
