"""The whole ledger at once, and what it writes about a machine and its owner."""

import getpass
import json
import math
import platform
import re
from pathlib import Path

import pytest

import recipe_helpers as rh
from recipe_helpers.recipe import numbers as numbers_module
from recipe_helpers.recipe.ledger import Ledger
from recipe_helpers.your_model.command_line import main

from .test_claims import sweep

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "dynamic_quantization.ipynb"


@pytest.fixture(scope="module")
def ledger():
    return rh.measure_ledger([8, 16], quickly=True)


def test_every_claim_of_the_ledger_is_measured(ledger):
    judged = set(re.findall(r'ledger\.judge\(\\"(C\d+)\\"', NOTEBOOK.read_text(encoding="utf-8")))
    assert set(ledger.findings) == judged


def test_what_is_no_matter_of_time_is_what_the_notebook_shows(ledger, demo, quantized):
    data = ledger.as_dict()["findings"]
    sizes = rh.compare_size(demo.model, quantized)
    assert data["C2"]["numbers"] == {
        "fp32_bytes": sizes.reference_bytes,
        "int8_bytes": sizes.candidate_bytes,
    }
    relative = rh.compare_outputs(demo.model, quantized, *demo.arguments).relative
    assert data["C12"]["numbers"]["relative_difference"] == pytest.approx(relative)
    assert data["C9"]["numbers"] == {"in_int16": 72000 - 2**16, "in_int32": 72000, "exact": 72000}


def test_each_measured_finding_comes_with_its_numbers(ledger):
    data = ledger.as_dict()["findings"]
    assert {claim for claim, found in data.items() if not found["numbers"]} == {"C11", "C18"}
    found, costs = data["C17"]["numbers"], data["C14"]["numbers"]
    assert [point["width"] for point in found["points"]] == [8, 16]
    assert found["threads"] == 1
    for point in found["points"]:
        ratio = point["speedup"]
        assert ratio["low"] <= ratio["median"] <= ratio["high"]
    assert (costs["single"]["batch_size"], costs["batch"]["batch_size"]) == (1, 16)


def test_the_numbers_are_those_of_the_sweep():
    found = numbers_module.numbers("C17", sweep((1, 100, 300), (10, 900, 400), threads=3))
    shown = [(p["width"], p["fp32_us"], p["int8_us"], p["verdict"]) for p in found["points"]]
    assert shown == [(8, 100, 300, "faster"), (16, 900, 400, "faster")]
    assert [p["speedup"]["median"] for p in found["points"]] == pytest.approx([1 / 3, 2.25])
    assert (found["threads"], found["crossover_width"]) == (3, 8)
    peaks = numbers_module.numbers("C3", sweep((1, 100, 300), (10, 900, 400)))
    assert peaks["fp32_macs_per_s"] == pytest.approx(10e6 / 900e-6)
    assert peaks["int8_macs_per_s"] == pytest.approx(10e6 / 400e-6)


def test_the_file_is_json_that_the_reader_takes(ledger, tmp_path):
    (tmp_path / "mine.json").write_text(ledger.to_json(), encoding="utf-8")
    compared = rh.compare_ledgers(tmp_path)
    assert compared.refused == ()
    mine = compared.ledger("mine")
    assert mine.verdicts == {c: found.verdict for c, found in ledger.findings.items()}
    assert mine.vector_instructions == rh.machine().vector_instructions


def test_nothing_personal_is_written(ledger):
    text = ledger.to_json()
    assert not re.search(rf"\b{re.escape(platform.node())}\b", text)
    assert getpass.getuser() not in re.findall(r"\w+", text)
    assert not re.search(r"(/(home|root|tmp|work|Users)/|[A-Z]:\\\\)", text)


def test_what_is_infinite_becomes_null(monkeypatch):
    monkeypatch.setitem(
        numbers_module._NUMBERS, "C9", lambda *_: {"a": [math.inf, 1.0], "b": math.nan}
    )
    ledger = Ledger()
    ledger.judge("C9", 1, 2, 2)
    data = json.loads(ledger.to_json())
    assert data["findings"]["C9"]["numbers"] == {"a": [None, 1.0], "b": None}


def test_threads_are_put_back(untouched):
    with untouched():
        rh.measure_ledger([8], quickly=True)


def test_the_command_writes_the_file_and_prints_the_ledger(ledger, tmp_path, monkeypatch, capsys):
    from recipe_helpers.your_model import command_line

    asked = []

    def measured(*, quickly):
        asked.append(quickly)
        return ledger

    monkeypatch.setattr(command_line, "measure_ledger", measured)
    file = tmp_path / "mine.json"
    assert main(["ledger", "--quickly", "--json", str(file)]) == 0
    assert json.loads(file.read_text(encoding="utf-8")) == ledger.as_dict()
    assert "The claims ledger" in capsys.readouterr().out
    assert main(["ledger", "--json", str(tmp_path / "no" / "where.json")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert asked == [True]
