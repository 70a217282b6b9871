"""The report as a result: its text, its page, its notes and its JSON, in both languages."""

import base64
import io
import json
import math
import re
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser

import pytest
import torch
from matplotlib import image
from torch import nn

from recipe_helpers.common.errors import ConversionError, ModelError
from recipe_helpers.common.language import speaking
from recipe_helpers.common.plots import RecipeFigure
from recipe_helpers.recipe.accuracy import OutputComparison, TensorComparison
from recipe_helpers.recipe.timing import Timing
from recipe_helpers.your_model.plots import plot_candidates
from recipe_helpers.your_model.promises import Limits

from ..korean import HANGUL, english_in, in_both, untold_in
from .made_up import candidate, filled, filled_report, measured, quickly, speed, weak_report
from .models import weak

NUMBER = re.compile(r"\d+\.\d+")


@pytest.fixture
def found():
    return weak_report()


# --- text and page --------------------------------------------------------------------------------


def test_the_text_is_verdict_table_details_and_what_to_do(found):
    text = str(found)
    chosen, best = found.verdict.candidate, found.candidate(found.verdict.candidate).best
    places = [
        text.index(one)
        for one in (str(found.verdict), found.verdict.code, "Weak, 8,810 parameters",
                    f'--- the conversion "{chosen}" ---', "promise", "converted alone",
                    "--- Make, check and save it ---", "--- Watch it in")
    ]  # fmt: skip
    assert places == sorted(places)
    assert text.count("--- the conversion") == 1
    assert found.meaning == found.table().note == f"{chosen}: {best.meaning}"


class Reader(HTMLParser):
    """Checks that every element is closed in order, and gathers attributes."""

    def __init__(self, page):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_is_whole_and_refers_to_nothing_outside(found):
    page = found.to_html()
    reader = Reader(page)
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "prefers-color-scheme: dark" in page
    tags = [tag for tag, _ in reader.seen]
    assert [tags.count(tag) for tag in ("html", "head", "title", "body", "h1", "img")] == [1] * 6
    links = [attrs.get(key) for _, attrs in reader.seen for key in ("src", "href")]
    assert all(link.startswith("data:") for link in links if link)
    assert "url(" not in page
    text = " ".join(reader.text.split())
    assert f"{found.verdict.headline}. {found.verdict.reason}" in text
    assert found.verdict.code in text
    for tried in found.candidates:
        assert f"{tried.name}: the details" in text
        assert f"{tried.whole.relative:.2%}" in text
    opened = ["open" in attrs for tag, attrs in reader.seen if tag == "details"]
    assert opened == [tried.name == found.verdict.candidate for tried in found.candidates]


def test_the_picture_is_the_figure_and_says_what_it_shows(found):
    (attrs,) = (attrs for tag, attrs in Reader(found.to_html()).seen if tag == "img")
    kind, _, data = attrs["src"].partition(",")
    assert kind == "data:image/png;base64"
    pixels = image.imread(io.BytesIO(base64.b64decode(data)))
    assert abs(pixels.shape[1] - 2 * int(attrs["width"])) <= 1  # it may be odd
    assert attrs["alt"] == plot_candidates(found.candidates, found.limits, found.error_limit).alt


def test_names_of_modules_are_escaped():
    model, x = weak()
    model.__class__ = type("<script>", (type(model),), {})
    page = quickly(model, x, backends=["plain"]).to_html()
    assert ("<script>" in page, "&lt;script&gt;" in page) == (False, True)


def test_a_notebook_gets_a_part_of_a_page(found):
    bundle = found._repr_mimebundle_()
    assert bundle["text/plain"] == str(found)
    Reader(bundle["text/html"])
    assert bundle["text/html"].startswith("<div>")
    assert "<details open" not in bundle["text/html"]
    assert 'alt="Three panels' in bundle["text/html"]


@pytest.mark.parametrize(
    ("limits", "metric", "shown"),
    [
        (Limits(), None, ["0.05", "1", "1", "1.5", "1.1"]),
        (Limits(min_speedup=0, max_relative_error=0), None, ["0", "1", "0", "1.5", "1.1"]),
        (Limits(worth_speedup=2), 0.9, ["1", "1", "0.01", "1.5", "2"]),
        (Limits(0.02, 3, 4, 5, 6, 7), 0.9, ["0.02", "3", "4", "5", "6", "7"]),
    ],
)
def test_the_page_lists_the_limits_that_counted(found, limits, metric, shown):
    made = replace(found, limits=limits, reference_metric=metric).limits_table()
    assert [value for _, value in made.rows] == shown


# --- JSON -----------------------------------------------------------------------------------------


def leaves(data, source, path=""):
    """Each leaf of the JSON beside what it should be: the same path through the report."""
    if isinstance(data, dict):
        for key in data.keys() - {"format", "version"}:
            yield from leaves(data[key], getattr(source, key), f"{path}.{key}")
    elif isinstance(data, list):
        for place, (value, inner) in enumerate(zip(data, source, strict=True)):
            yield from leaves(value, inner, f"{path}[{place}]")
    else:
        yield path, data, source


def missing(data, source):
    """The fields of every result within the report that its JSON leaves out."""
    if isinstance(source, tuple):
        for one, inner in zip(data, source, strict=True):
            yield from missing(one, inner)
    elif is_dataclass(source) and not isinstance(source, Timing | OutputComparison):
        yield from {field.name for field in fields(source)} - data.keys()
        for key in data.keys() - {"format", "version"}:
            yield from missing(data[key], getattr(source, key))


def test_json_holds_every_number_under_its_name():
    made = filled_report()
    data = made.to_dict()
    found = list(leaves(data, made))
    assert len(found) > 500
    assert [(path, data) for path, data, source in found if data != source] == []
    # What a sentence in JSON is made of, and how the code to copy was put together.
    assert {*missing(data, made)} == {
        "given", "by_name", "inputs_code", "onnx_call", "parametrized", "tied", "worst_set",
        "made", "left", "memory_error", "error", "limits", "reference_metric", "why", "about",
    }  # fmt: skip
    assert {"limits", "reference_metric"} <= data.keys()  # those of the report are there
    assert (data["format"], data["version"]) == ("recipe_helpers report", 2)
    whole = data["candidates"][0]["whole"]
    assert whole["latencies"][0]["reference"].keys() == {"median_us", "quartiles_us"}
    assert {"relative", "worst", "cosine"} <= whole["outputs"][0]["tensors"][0].keys()
    assert {"ratio", "candidate_bytes"} <= whole["size"].keys()
    assert {"loaded", "peak"} <= whole["memory"].keys()
    assert "share" in whole["tasks"][0]


def test_what_json_cannot_hold_is_null():
    tensor = replace(filled(TensorComparison), sqnr_db=math.inf)
    made = filled_report()
    tried = made.candidates[0]
    outputs = (replace(tried.whole.outputs[0], tensors=(tensor,)),)
    tried = replace(tried, whole=replace(tried.whole, relative=math.nan, outputs=outputs))
    data = json.loads(replace(made, candidates=(tried,)).to_json())
    whole = data["candidates"][0]["whole"]
    assert isinstance(data["passed"], bool)
    assert whole["relative"] is whole["outputs"][0]["tensors"][0]["sqnr_db"] is None
    assert whole["outputs"][0]["tensors"][0]["cosine"] == tensor.cosine


# --- notes and Korean -----------------------------------------------------------------------------


def test_notes_say_what_else_the_reader_should_know():
    once, twice = speed(1, 1, threads=1), speed(1, 1)
    made = measured(0.01, 1, 1)
    bare = replace(filled_report(), given=filled_report().given[:1], parametrized=(), tied=())

    def notes(first_us=100.0, latencies=(twice, once), error=None, name="plain", **changed):
        first = replace(latencies[0], reference=Timing((first_us,) * 8))
        found = replace(made, latencies=(first, *latencies[1:]), memory_error=error)
        one = candidate(name, found)
        return replace(bare, candidates=(one, one), **changed).notes

    assert notes() == notes(160.0, (twice,)) == notes(150.0) == ()
    for (note,), says in [
        (notes(160.0), "The float model was 1.6 times slower on 2 threads than on 1: "),
        (notes(error=ConversionError("it is ill.")), "Memory was not measured: it is ill."),
        (notes(name="onnxruntime"), "onnxruntime runs a traced graph: it does what"),
        (notes(given=bare.given * 2), "Outputs were compared on 2 sets of inputs, times were"),
        (notes(parametrized=("", "a.b")), "the model, a.b: a parametrization (such as weight"),
        (notes(tied=(("a.w", "b.w", "c.w"),)), "a.w, b.w and c.w are one tensor. "),
    ]:
        assert note.startswith(says)


def test_what_is_said_of_the_inputs():
    assert filled_report().inputs[0].count("text") == 6
    model, x = weak()
    found = quickly(model, input_sets=[x, x[:4]], backends=["plain"], scores="output")
    assert found.inputs == tuple(f"float32 tensor of shape ({n}, 2, 24)" for n in (9, 4))
    assert found.table().caption.endswith("called with float32 tensor of shape (9, 2, 24)")
    assert found.candidates[0].whole.choices.rows == 18 + 8
    assert [len(one.tensors) for one in found.candidates[0].whole.outputs] == [1, 1]


@pytest.fixture(scope="module")
def mended():
    model, x = weak()
    return quickly(model, input_sets=[x, 2 * x], max_relative_error=0.02, backends=["torch.ao"])


def test_a_report_that_was_made_in_english_is_shown_in_korean(mended):
    for say in (
        lambda: str(mended.verdict),
        lambda: f"{mended.table().headers} {mended.table().caption}",
        lambda: mended.meaning,
        lambda: "\n".join(mended.notes),
        lambda: "\n".join(f"{step.title} {step.code}" for step in mended.next_steps),
        lambda: str(mended.candidates[0].sensitivity),
        lambda: str(mended.candidates[0].whole.modules),
    ):
        english, korean = in_both(say)
        assert english_in(korean, *mended.inputs) == [], english
        assert sorted(NUMBER.findall(korean)) == sorted(NUMBER.findall(english))
    with speaking("ko"):
        tables = [mended.table(), *(t for one in mended.candidates for t in one.tables())]
        assert [untold_in(table, "output") for table in tables] == [{}] * len(tables)
        assert '"torch.ao"(FP32로 남긴 모듈: decoder) 변환의 측정 결과: ' in str(mended.verdict)


def test_the_page_says_its_language_and_json_is_english(mended, monkeypatch):
    monkeypatch.setattr(RecipeFigure, "png", lambda figure: b"")  # pictures have their own tests
    english, data = mended.to_html(), mended.to_json()
    with speaking("ko"):
        korean = mended.to_html()
        assert mended.to_json() == data
    assert not HANGUL.search(data)
    assert (english.count('<html lang="en">'), korean.count('<html lang="ko">')) == (1, 1)
    texts = [re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL) for page in (english, korean)]
    assert sorted(NUMBER.findall(texts[0])) == sorted(NUMBER.findall(texts[1]))


def test_failures_and_what_a_model_did_wrong_are_said_when_they_are_shown():
    model = nn.Sequential(nn.LSTM(4, 4, bias=False)).eval()
    found = quickly(model, torch.ones(3, 1, 4), backends=["torch.ao", "plain"])
    assert "실패: " in in_both(lambda: str(found.table().rows))[1]
    model.forward = lambda x: nn.functional.dropout(x)
    with pytest.raises(ModelError) as caught:
        quickly(model, torch.ones(64))
    _, korean = in_both(lambda: str(caught.value).split("\n")[0])
    assert "output의 차이" in korean
    assert "난수를 쓰거나 호출 사이에 상태를" in korean
