"""The report as a whole: its arguments, its verdict, its texts, its page and its JSON."""

import base64
import io
import itertools
import json
import math
import re
import sys
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser

import pytest
from matplotlib import image

import recipe_helpers as rh
from recipe_helpers.recipe.accuracy import OutputComparison, TensorComparison
from recipe_helpers.recipe.timing import Timing
from recipe_helpers.your_model import measurement
from recipe_helpers.your_model.plots import plot_report
from recipe_helpers.your_model.promises import Limits
from recipe_helpers.your_model.verdict import KEEP, SHIP, SHIP_PARTLY

from .made_up import filled, filled_findings, made_up_latency, quickly, weak


@pytest.fixture(scope="module")
def model_and_inputs():
    return weak()


@pytest.fixture(scope="module")
def found(model_and_inputs):
    model, x = model_and_inputs
    return quickly(model, x, max_relative_error=0.02)


# --- arguments and verdict ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"backends": ["onnx"]}, "backends is 'onnx'"),
        ({"backends": []}, "backends is empty"),
        ({"threads": 0}, "threads"),
        ({"budget_s": 0}, "budget_s"),
        ({"max_relative_error": -1}, "max_relative_error"),
        ({"worth_speedup": "2"}, "worth_speedup"),
        ({"min_sped": 2}, "limit is 'min_sped'; pass one of 'max_relative_error', 'min_size"),
        ({"metric": 3}, "metric"),
        ({"metric": lambda model: None}, "metric raised TypeError"),
        ({"modules": "encoder"}, "modules is 'encoder'"),
        ({"modules": ["nothing"]}, "modules"),
        ({"modules": [3]}, "modules"),
        ({"scores": "output[0]"}, "scores is 'output.0.'.*: output\\."),
    ],
)
def test_arguments_out_of_range_are_named(model_and_inputs, options, pattern):
    model, x = model_and_inputs
    with pytest.raises(rh.ArgumentError, match=pattern):
        quickly(model, x, **options)


def test_the_verdict_follows_the_limits(found, model_and_inputs):
    model, x = model_and_inputs
    assert (found.verdict.decision, found.passed) == (SHIP, True)
    assert found.verdict.candidate in ("torch.ao-per-channel", "plain")
    partly = quickly(model, x, backends=["torch.ao"], max_relative_error=0.02)
    assert (partly.verdict.decision, partly.passed) == (SHIP_PARTLY, True)
    assert partly.verdict.left_float == ("decoder",)
    assert "decoder left FP32" in str(partly)
    kept = quickly(model, x, backends="torch.ao", max_relative_error=0, min_size_ratio=3.99)
    assert (kept.verdict.decision, kept.verdict.code, kept.passed) == (KEEP, "", False)
    assert kept.verdict.broken == ("smaller", "nearly the same output")


def test_the_same_conversion_is_tried_once_and_all_but_one_outside_pytorch(model_and_inputs):
    model, x = model_and_inputs
    assert [one.name for one in quickly(model, x).candidates] == [
        "torch.ao", "torch.ao-per-channel", "plain"
    ]  # fmt: skip
    twice = quickly(model, x, backends=["plain", "onnxruntime", "plain"])
    assert [one.name for one in twice.candidates] == ["plain", "onnxruntime"]
    assert any("traced graph" in note for note in twice.notes)
    onnx = twice.candidate("onnxruntime")
    assert (onnx.failure, onnx.partly, onnx.sensitivity, onnx.whole.close) == (
        None,
        None,
        None,
        True,
    )
    with pytest.raises(rh.ArgumentError, match="'plain', 'onnxruntime'"):
        twice.candidate("torch.ao")


def test_what_one_backend_refuses_is_told_and_what_all_refuse_is_an_error(model_and_inputs):
    model, x = model_and_inputs
    found = quickly(model, x, backends=["onnxruntime", "plain"], modules=["encoder"])
    assert "converts a model as a whole" in found.candidate("onnxruntime").failure
    assert found.verdict.code == 'rh.quantize_dynamic(model, backend="plain", modules=["encoder"])'
    with pytest.raises(rh.ArgumentError, match="converts a model as a whole"):
        quickly(model, x, backends=["onnxruntime"], modules=["encoder"])


def test_several_sets_are_compared_and_the_first_is_timed(model_and_inputs):
    model, x = model_and_inputs
    found = quickly(model, input_sets=[x, x[:4]], backends=["plain"], scores="output")
    assert [len(one.tensors) for one in found.candidates[0].whole.outputs] == [1, 1]
    assert "2 sets of inputs, times were taken on the first" in found.notes[0]
    assert found.candidates[0].whole.choices.rows == 18 + 8
    assert found.inputs == tuple(f"float32 tensor of shape ({n}, 2, 24)" for n in (9, 4))


@pytest.mark.parametrize(("slower", "noted"), [(1.4, False), (1.6, True)])
def test_threads_that_wait_for_each_other_are_noted(monkeypatch, slower, noted):
    def timed(*args, threads, budget_s):
        time = Timing((100.0 * (slower if threads == 2 else 1),) * 8)
        return replace(made_up_latency(*args, threads=threads), reference=time)

    model, x = weak()
    monkeypatch.setattr(measurement, "compare_latency", timed)
    given = {"backends": ["plain"], "min_speedup": 0, "memory": False}
    found = rh.report(model, x, threads=2, **given)
    assert ("The float model was 1.6 times slower on 2 threads" in str(found.notes)) is noted
    assert rh.report(model, x, threads=1, **given).notes == ()


def test_progress_is_shown_where_somebody_looks(model_and_inputs, monkeypatch, capsys):
    model, x = model_and_inputs
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    quickly(model, x, backends=["plain"])
    shown = capsys.readouterr().out
    for doing in ("run the float model", "plain: convert", "plain: time on 1 thread",
                  "plain: decoder alone"):  # fmt: skip
        assert doing in shown
    quickly(model, x, backends=["plain"], progress=False)
    assert capsys.readouterr().out == ""


# --- text and page --------------------------------------------------------------------------------


def test_the_text_is_verdict_table_details_and_what_to_do(found):
    text = str(found)
    places = [
        text.index(one)
        for one in (str(found.verdict), found.verdict.code, "Weak, 8,810 parameters", "promise",
                    "converted alone", "--- Make, check and save it ---", "--- Watch it in")
    ]  # fmt: skip
    assert places == sorted(places)
    assert text.count("--- the conversion") == 1
    assert f'--- the conversion "{found.verdict.candidate}" ---' in text
    best = found.candidate(found.verdict.candidate).best
    assert found.meaning == f"{found.verdict.candidate}: {best.meaning}"
    assert found.table().note == found.meaning


class Reader(HTMLParser):
    """Checks that every element is closed in order, and gathers attributes."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_is_whole_and_refers_to_nothing_outside(found):
    page = found.to_html()
    reader = read(page)
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    tags = [tag for tag, _ in reader.seen]
    assert [tags.count(tag) for tag in ("html", "head", "title", "body", "h1", "img")] == [1] * 6
    links = [attrs.get(key) for _, attrs in reader.seen for key in ("src", "href")]
    assert all(link.startswith("data:") for link in links if link)
    assert "url(" not in page
    assert "prefers-color-scheme: dark" in page
    text = " ".join("".join(reader.text).split())
    assert f"{found.verdict.headline}. {found.verdict.reason}" in text
    assert found.verdict.code in text
    for candidate in found.candidates:
        assert f"{candidate.name}: the details" in text
        assert f"{candidate.whole.relative:.2%}" in text
    opened = [attrs for tag, attrs in reader.seen if tag == "details"]
    assert ["open" in attrs for attrs in opened] == [
        candidate.name == found.verdict.candidate for candidate in found.candidates
    ]


def test_the_picture_is_the_figure_and_says_what_it_shows(found):
    (_, attrs) = next(entry for entry in read(found.to_html()).seen if entry[0] == "img")
    kind, _, data = attrs["src"].partition(",")
    assert kind == "data:image/png;base64"
    pixels = image.imread(io.BytesIO(base64.b64decode(data)))
    assert abs(pixels.shape[1] - 2 * int(attrs["width"])) <= 1  # it may be odd
    assert attrs["alt"] == plot_report(found).alt


def test_names_of_modules_are_escaped():
    model, x = weak()
    model.__class__ = type("<script>", (type(model),), {})
    page = quickly(model, x, backends=["plain"]).to_html()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_notebook_gets_a_part_of_a_page(found):
    bundle = found._repr_mimebundle_()
    assert bundle["text/plain"] == str(found)
    read(bundle["text/html"])
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
        assert len(data) == len(source), path
        for place, (value, inner) in enumerate(zip(data, source, strict=True)):
            yield from leaves(value, inner, f"{path}[{place}]")
    else:
        yield path, data, source


def test_every_leaf_is_the_number_that_its_name_says():
    made = filled_findings()
    found = list(leaves(made.to_dict(), made))
    assert len(found) > 500
    assert [(path, data) for path, data, source in found if data != source] == []


def test_nothing_of_the_report_is_missing_but_single_times():
    def missing(data, source):
        if isinstance(source, tuple):
            for one, inner in zip(data, source, strict=True):
                yield from missing(one, inner)
        elif is_dataclass(source) and not isinstance(source, Timing | OutputComparison):
            yield from {field.name for field in fields(source)} - data.keys()
            for key in data.keys() - {"format", "version"}:
                yield from missing(data[key], getattr(source, key))

    made = filled_findings()
    data = made.to_dict()
    assert list(missing(data, made)) == []
    assert (data["format"], data["version"]) == ("recipe_helpers report", 2)
    whole = data["candidates"][0]["whole"]
    assert whole["latencies"][0]["reference"].keys() == {"median_us", "quartiles_us"}
    assert {"relative", "worst", "cosine"} <= whole["outputs"][0]["tensors"][0].keys()
    assert {"ratio", "candidate_bytes"} <= whole["size"].keys()
    assert {"loaded", "peak"} <= whole["memory"].keys()
    assert "share" in whole["tasks"][0]


def test_what_json_cannot_hold_is_null():
    tensor = replace(filled(TensorComparison, itertools.count(1)), sqnr_db=math.inf)
    made = filled_findings()
    outputs = (replace(made.candidates[0].whole.outputs[0], tensors=(tensor,)),)
    whole = replace(made.candidates[0].whole, relative=math.nan, outputs=outputs)
    spoiled = replace(made, candidates=(replace(made.candidates[0], whole=whole),))
    measured = json.loads(spoiled.to_json())["candidates"][0]["whole"]
    assert measured["relative"] is None
    assert measured["outputs"][0]["tensors"][0]["sqnr_db"] is None
    assert measured["outputs"][0]["tensors"][0]["cosine"] == tensor.cosine
    assert re.search(r'"passed": (true|false)', spoiled.to_json())
