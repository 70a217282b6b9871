"""The ledger: kept claim by claim, by one call or measured at once, and what it writes."""

import getpass
import inspect
import json
import math
import platform
import re

import pytest
import torch

import recipe_helpers as rh
from recipe_helpers.common.language import speaking
from recipe_helpers.recipe import ledger as module
from recipe_helpers.recipe.claims import ELSEWHERE, FAILS, HOLDS, IN_PART, JUDGES, OPEN, Finding
from recipe_helpers.recipe.ledger import Ledger
from recipe_helpers.recipe.timing import INCONCLUSIVE
from recipe_helpers.your_model import command_line

from ..korean import untold_in
from .made_up import LATENCY, OPERATORS, costs, memory, size, sweep

NAMES = list(rh.CLAIMS)


@pytest.fixture(scope="module")
def measured():
    """All but memory, whose processes have their own test."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "memory_sweep", lambda: memory((34, 9), (68, 10)))
        return rh.measure_ledger([8, 16], quickly=True)


def test_results_are_handed_over_by_name_in_one_call():
    single, batch = costs(3, 2.5, 3.5), costs(2, 1.5, 2.1, 16)
    ledger = rh.judge(
        size=size(1, 2), latency=LATENCY, operators=OPERATORS, single=single, batch=batch,
        in_int16=1, in_int32=2, exact=2,
    )  # fmt: skip
    expected = {
        "C2": rh.judge("C2", size(1, 2)),
        "C3": rh.judge("C3", single, batch),
        "C9": rh.judge("C9", 1, 2, 2),
        "C14": rh.judge("C14", single, batch),
        "C15": rh.judge("C15", single, batch),
        "C16": rh.judge("C16", LATENCY, OPERATORS),
    }
    assert {c: f for c, f in ledger.findings.items() if f.verdict != ELSEWHERE} == expected
    assert ledger.table().note == "Of 19 claims: 5 hold, 1 fails, 13 elsewhere."
    assert [row[0] for row in ledger.table().rows] == NAMES


def test_a_claim_waits_for_all_of_its_results_and_says_where_they_are_measured():
    for part in ({"latency": LATENCY}, {"operators": OPERATORS}, {"size": None}):
        assert rh.judge(**part).count(ELSEWHERE) == 19
    said = dict.fromkeys(NAMES, "rh.measure_ledger() measures it")
    said |= dict.fromkeys(("C3", "C14", "C15"), "see under_the_hood.ipynb")
    said["C18"] = "see trained_models.ipynb"
    assert {c: found.measured for c, found in rh.judge().findings.items()} == said


def test_every_result_that_a_judge_takes_is_described():
    documented = inspect.getdoc(rh.judge)
    names = {name for judge in JUDGES.values() for name in inspect.signature(judge).parameters}
    for name in names:
        assert re.search(rf"\b{name}\b[^:]*\((C\d+(, )?)+\)", documented), name


def test_a_ledger_can_be_kept_claim_by_claim():
    ledger = Ledger()
    found = ledger.judge("C9", 6464, 72000, 72000)
    ledger.judge("C2", size(2, 1))
    ledger.judge("C2", size(1, 2))
    ledger.judge("C10", torch.float32, torch.float32)
    ledger.judge("C18")
    ledger.judge("C3", sweep((1, 2, 3)))  # what its judge took in version 2.0
    ledger.judge("C15", costs(1, 0.9, 1.1), costs(1, 0.9, 1.1, 16))
    assert ledger.findings["C9"] is found
    table = ledger.table()
    assert table.headers == ("claim", "verdict", "claimed", "measured here")
    assert [(row[0], row[2]) for row in table.rows] == list(rh.CLAIMS.items())
    verdicts = dict.fromkeys(NAMES, OPEN)
    verdicts |= {"C9": HOLDS, "C2": FAILS, "C10": IN_PART, "C18": ELSEWHERE, "C3": ELSEWHERE}
    verdicts["C15"] = INCONCLUSIVE
    assert [row[1] for row in table.rows] == list(verdicts.values())
    assert table.rows[0][3] == ""
    assert table.note == "Of 19 claims: 1 holds, 1 in part, 1 fails, 1 inconclusive, 2 elsewhere."


def test_every_claim_is_measured_as_the_notebook_does(measured, demo, quantized):
    found = measured.as_dict()["findings"]
    assert list(found) == [claim for claim in NAMES if claim != "C18"]
    assert all(one["measured"] and "{" not in one["measured"] for one in found.values())
    holding = {claim for claim, one in found.items() if one["verdict"] == HOLDS}
    of_the_clock = {"C3", "C14", "C15", "C16"}
    assert holding - of_the_clock == {f"C{i}" for i in (1, 2, 4, 5, 6, 7, 9, 11, 12, 13, 19)}
    data = {claim: one["numbers"] for claim, one in found.items()}
    sizes = rh.compare_size(demo.model, quantized)
    outputs = rh.compare_outputs(demo.model, quantized, *demo.arguments)
    operators = rh.count_operators(demo.model, quantized, *demo.arguments)
    assert data["C1"]["half_step"] == pytest.approx(1.27 / 127 / 2)
    assert data["C2"] == {"fp32_bytes": sizes.reference_bytes, "int8_bytes": sizes.candidate_bytes}
    assert [batch["batch"] for batch in data["C6"]["batches"]] == ["loud", "quiet"]
    ranges = [step["range"] for step in data["C5"]["steps"]]
    assert ranges == pytest.approx([2, 0.02], rel=0.02)
    assert data["C7"] == {"int8_weights": 512, "converted_modules": 1}
    assert data["C9"] == {"in_int16": 72000 - 2**16, "in_int32": 72000, "exact": 72000}
    assert data["C10"] == {"output": "torch.float32", "between": "torch.float32"}
    assert data["C12"]["relative_difference"] == pytest.approx(outputs.relative)
    assert [point["width"] for point in data["C13"]["points"]][:2] == [8, 16]
    assert data["C16"]["fp32_operators"] == operators.reference_total
    assert [point["width"] for point in data["C17"]["points"]] == [8, 16]
    assert data["C17"]["threads"] == data["C16"]["threads"] == 1
    timed = [(data["C14"][one]["width"], data["C14"][one]["batch_size"])
             for one in ("single", "batch")]  # fmt: skip
    assert timed == [(512, 1), (512, 16)]


@pytest.mark.parametrize(("quickly", "share"), [(True, 0.1), (False, 1.0)])
def test_a_quick_look_takes_a_tenth_of_each_budget(monkeypatch, quickly, share):
    asked = []

    def keep(name, result):
        def call(*_args, **options):
            asked.append((name, options.get("budget_s"), torch.get_num_threads()))
            return result

        monkeypatch.setattr(module, name, call)

    keep("memory_sweep", memory((34, 9), (68, 10)))
    keep("step_costs", costs(1, 1, 1))
    keep("latency_sweep", sweep((1, 2, 3)))
    keep("compare_latency", LATENCY)
    torch.set_num_threads(2)
    rh.measure_ledger(quickly=quickly)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert sorted(asked, key=str) == [
        ("compare_latency", share * 0.5, 1),
        ("latency_sweep", share * 0.3, 1),
        ("memory_sweep", None, 1),
        *[("step_costs", share * 1.0, 1)] * 2,
    ]


def test_the_ledger_speaks_korean_and_its_file_english(measured):
    with speaking("ko"):
        assert untold_in(measured.table()) == {}
        assert measured.table().caption == "검증 기록표"
        assert measured.table().note.startswith("주장 19개 가운데 성립 ")
        in_korean = measured.to_json()
    assert in_korean == measured.to_json()
    assert "주장" not in in_korean


def test_the_file_is_json_that_the_reader_takes(measured, tmp_path):
    numbers = {"a": [math.inf, 1.0], "b": math.nan, "c": {"d": -math.inf}}
    data = json.loads(Ledger({"C9": Finding("C9", HOLDS, "said", numbers)}).to_json())
    assert data["findings"]["C9"]["numbers"] == {"a": [None, 1.0], "b": None, "c": {"d": None}}
    (tmp_path / "mine.json").write_text(measured.to_json(), encoding="utf-8")
    compared = rh.compare_ledgers(tmp_path)
    assert compared.refused == ()
    mine = compared.ledger("mine")
    assert mine.verdicts == {c: measured.findings[c].verdict for c in NAMES if c != "C18"}
    assert mine.vector_instructions == rh.machine().vector_instructions


def test_a_file_names_the_machine_but_not_its_owner(measured):
    data, text = measured.as_dict(), measured.to_json()
    assert (data["format"], data["version"]) == ("recipe_helpers ledger", 1)
    versions = data["versions"]["torch"], data["versions"]["python"]
    assert versions == (torch.__version__, platform.python_version())
    assert data["machine"]["engine"] == rh.machine().engine
    assert json.loads(text) == data
    assert not re.search(rf"\b{re.escape(platform.node())}\b", text)
    assert getpass.getuser() not in re.findall(r"\w+", text)
    assert not re.search(r"(/(home|root|tmp|work|Users)/|[A-Z]:\\\\)", text)


def test_the_command_writes_the_file_and_prints_the_ledger(measured, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        command_line, "measure_ledger", lambda *, quickly: asked.append(quickly) or measured
    )
    file = tmp_path / "mine.json"
    assert command_line.main(["ledger", "--quickly", "--json", str(file)]) == 0
    assert json.loads(file.read_text(encoding="utf-8")) == measured.as_dict()
    assert "The claims ledger" in capsys.readouterr().out
    assert command_line.main(["ledger", "--json", str(tmp_path / "no" / "where.json")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert asked == [True]
