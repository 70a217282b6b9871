"""Section 4: operators counted by the profiler, against what the layers are known to run."""

import os

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.recipe.operators import OperatorCounts


def test_counts_are_those_of_the_layers(untouched, capfd):
    three = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(3))).eval()
    one = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    with untouched():
        found = rh.count_operators(three, one, torch.ones(2, 4))
    assert (found.reference["aten::linear"], found.candidate["aten::linear"]) == (3, 1)
    assert (found.reference["aten::tanh"], found.candidate["aten::relu"]) == (3, 1)
    assert "aten::tanh" not in found.candidate
    assert "aten::relu" not in found.reference
    assert found.reference_total == sum(found.reference.values()) >= 9  # with addmm and t
    assert found.candidate_total == sum(found.candidate.values()) >= 3
    assert capfd.readouterr() == ("", "")


def test_int8_runs_each_step_in_operators_of_its_own():
    demo = rh.demonstration(sequence_length=7)
    found = rh.count_operators(demo.model, rh.quantize_dynamic(demo.model), *demo.arguments)
    assert found.reference["aten::lstm"] == 1
    assert found.candidate["aten::quantized_lstm"] == 1
    assert "aten::lstm" not in found.candidate
    gates = sum(found.candidate.get(f"aten::{name}", 0) for name in ("sigmoid", "sigmoid_"))
    assert gates == 3 * 7
    longer = rh.demonstration(sequence_length=14)
    more = rh.count_operators(longer.model, rh.quantize_dynamic(longer.model), *longer.arguments)
    assert more.candidate_total > 1.8 * found.candidate_total
    assert more.reference_total == found.reference_total


def test_the_hidden_state_is_passed_on(demo, quantized):
    given = rh.count_operators(demo.model, quantized, *demo.arguments)
    zeros = rh.count_operators(demo.model, quantized, demo.inputs)
    assert zeros.reference.get("aten::zeros", 0) > given.reference.get("aten::zeros", 0)


def test_the_table_has_the_most_frequent_first_and_the_rest_summed():
    reference = {f"op{i:02}": i for i in range(1, 13)}
    found = OperatorCounts(reference, {"op01": 100, "op13": 1})
    table = found.table()
    assert table.headers == ("operator", "FP32", "INT8")
    assert table.rows[0] == ("op01", "1", "100")
    assert [row[0] for row in table.rows[1:10]] == [f"op{i:02}" for i in range(12, 3, -1)]
    assert table.rows[1] == ("op12", "12", "0")
    assert table.rows[10] == ("3 others", "5", "1")
    assert table.rows[11] == ("all", "78", "101")
    assert len(table.rows) == 12


def test_a_short_table_has_no_others():
    table = OperatorCounts({"a": 1}, {"b": 2}).table()
    assert table.rows == [("b", "0", "2"), ("a", "1", "0"), ("all", "1", "2")]


def test_equally_frequent_operators_stand_in_the_order_of_the_alphabet():
    rows = OperatorCounts({"b": 1, "a": 1, "c": 1}, {}).table().rows
    assert [row[0] for row in rows] == ["a", "b", "c", "all"]


@pytest.mark.parametrize("before", [None, "3"])
def test_the_profilers_log_level_is_put_back(monkeypatch, demo, untouched, before):
    class Stops(nn.Module):
        calls = 0

        def forward(self, inputs):
            self.calls += 1
            if self.calls == 2:
                assert os.environ["KINETO_LOG_LEVEL"] == "99"
                raise KeyboardInterrupt
            return inputs

    if before is None:
        monkeypatch.delenv("KINETO_LOG_LEVEL", raising=False)
    else:
        monkeypatch.setenv("KINETO_LOG_LEVEL", before)
    model = Stops().eval()
    with untouched(), pytest.raises(KeyboardInterrupt):
        rh.count_operators(model, demo.model, torch.ones(2))


@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_models_and_inputs_that_do_not_fit(refuses, demo, side):
    pair = {"reference": demo.model, "candidate": demo.model}
    training = {**pair, side: rh.demonstration().model.train()}
    with refuses(rh.ModelError, f"{side} is in training mode"):
        rh.count_operators(*training.values(), *demo.arguments)
    meta = {**pair, side: rh.demonstration().model.to("meta")}
    with refuses(rh.ModelError, f"{side} has", "device meta"):
        rh.count_operators(*meta.values(), *demo.arguments)
    narrow = {**pair, side: rh.demonstration(dimension=4).model}
    with refuses(rh.InputError, f"inputs do not fit {side}", "shape (20, 1, 8)"):
        rh.count_operators(*narrow.values(), *demo.arguments)
