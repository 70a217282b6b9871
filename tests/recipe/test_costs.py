"""Section 4: overhead and price per step, recovered from times that were made from them."""

import os

import numpy as np
import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common import checks
from recipe_helpers.recipe import costs
from recipe_helpers.recipe.costs import OperatorCounts
from recipe_helpers.recipe.timing import Timing

TRUE = {False: (100.0, 7.0), True: (300.0, 2.0)}  # quantized? -> overhead and step in µs


@pytest.fixture
def made(monkeypatch):
    """Times made from `TRUE` for whatever is asked to be timed; `noise` may be set."""
    seen = {"noise": 0.0, "calls": []}

    def interleave(calls, budget_s):
        rng = np.random.default_rng(1)
        seen.update(budget_s=budget_s, threads=torch.get_num_threads())
        seen["mode"] = torch.is_inference_mode_enabled()
        series = []
        for call in calls:
            inputs, hidden = call.args
            seen["calls"].append((call.func, inputs, hidden))
            overhead, step = TRUE[checks.is_quantized(call.func.lstm)]
            exact = overhead + step * inputs.shape[0]
            series.append(Timing(tuple(exact * rng.lognormal(0, seen["noise"], 15))))
        return tuple(series)

    monkeypatch.setattr(costs, "interleave", interleave)
    return seen


def test_overhead_and_step_are_recovered(made, untouched):
    with untouched():
        found = rh.step_costs(12, batch_size=3, lengths=(5, 25), threads=2, budget_s=0.5)
    for cost, true in ((found.reference, TRUE[False]), (found.candidate, TRUE[True])):
        assert (cost.overhead_us, cost.step_us) == pytest.approx(true)
    speedup = found.step_speedup
    assert (speedup.median, speedup.low, speedup.high) == pytest.approx((3.5, 3.5, 3.5))
    assert (found.width, found.dimension, found.batch_size, found.threads) == (12, 12, 3, 2)
    assert (made["budget_s"], made["threads"], made["mode"]) == (0.5, 2, True)
    demo = rh.demonstration(width=12, batch_size=3, sequence_length=25)
    timed = [(checks.is_quantized(m.lstm), len(inputs)) for m, inputs, _ in made["calls"]]
    assert sorted(timed) == [(False, 5), (False, 25), (True, 5), (True, 25)]
    for model, inputs, hidden in made["calls"]:
        assert (model.lstm.input_size, model.lstm.hidden_size) == (12, 12)
        assert torch.equal(inputs, demo.inputs[: len(inputs)])
        assert torch.equal(hidden[0], demo.hidden[0])
        assert torch.equal(hidden[1], demo.hidden[1])
    table = found.table()
    assert table.caption == "width 12, batch of 3, 2 threads"
    assert table.headers == ("", "FP32", "INT8", "FP32 / INT8")
    assert table.rows[0] == ("overhead per call", "100 µs", "300 µs", "")
    assert table.rows[1][:3] == ("each time step", "7 µs", "2 µs")
    assert table.rows[1][3].startswith("3.50 (95 %")


def test_the_interval_is_of_the_ratio_of_steps(made):
    made["noise"] = 0.002
    found = rh.step_costs(4, lengths=(10, 200))
    assert found.step_speedup.low < 3.5 < found.step_speedup.high
    assert found.step_speedup.median == pytest.approx(3.5, rel=0.02)
    steps = found.reference.step_us / found.candidate.step_us
    assert steps == pytest.approx(found.step_speedup.median)
    assert (made["budget_s"], made["threads"], len(made["calls"][1][1])) == (1.0, 1, 200)


def test_a_real_measurement(untouched):
    with untouched():
        found = rh.step_costs(8, lengths=(2, 60), budget_s=0.01)
    long_call_us = [c.overhead_us + 60 * c.step_us for c in (found.reference, found.candidate)]
    assert min(long_call_us) > 0
    assert found.reference != found.candidate


def test_threads_are_put_back_after_an_interrupt(monkeypatch, untouched):
    def interrupted(*_):
        assert torch.get_num_threads() == 3
        raise KeyboardInterrupt

    monkeypatch.setattr(costs, "interleave", interrupted)
    with untouched(), pytest.raises(KeyboardInterrupt):
        rh.step_costs(8, threads=3)


def test_counts_are_those_of_the_layers(untouched, capfd):
    three = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(3))).eval()
    one = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    with untouched():
        found = rh.count_operators(three, one, torch.ones(2, 4))
    for names, counts, total in (
        ({"aten::linear": 3, "aten::tanh": 3}, found.reference, found.reference_total),
        ({"aten::linear": 1, "aten::relu": 1}, found.candidate, found.candidate_total),
    ):
        layers = {name: counts.get(name) for name in ("aten::linear", "aten::tanh", "aten::relu")}
        assert {name: count for name, count in layers.items() if count} == names
        assert total == sum(counts.values()) > sum(names.values()), "nested ones count, too"
    assert capfd.readouterr() == ("", "")


def test_int8_runs_each_step_in_operators_of_its_own(demo, quantized):
    def counted(steps):
        made = rh.demonstration(sequence_length=steps)
        return rh.count_operators(made.model, rh.quantize_dynamic(made.model), *made.arguments)

    found, more = counted(7), counted(14)
    assert found.reference["aten::lstm"] == found.candidate["aten::quantized_lstm"] == 1
    assert "aten::lstm" not in found.candidate
    gates = sum(found.candidate.get(f"aten::{name}", 0) for name in ("sigmoid", "sigmoid_"))
    assert gates == 3 * 7
    assert more.candidate_total > 1.8 * found.candidate_total
    assert more.reference_total == found.reference_total
    without = rh.count_operators(demo.model, quantized, demo.inputs)  # the state is made of zeros
    assert without.reference["aten::zeros"] > found.reference.get("aten::zeros", 0)


def test_the_table_has_the_most_frequent_first_and_the_rest_summed():
    reference = {f"op{i:02}": i for i in range(1, 13)}
    table = OperatorCounts(reference, {"op01": 100, "op13": 1}).table()
    assert table.headers == ("operator", "FP32", "INT8")
    assert table.rows[0] == ("op01", "1", "100")
    assert [row[0] for row in table.rows[1:10]] == [f"op{i:02}" for i in range(12, 3, -1)]
    assert table.rows[1] == ("op12", "12", "0")
    assert table.rows[10:] == [("3 others", "5", "1"), ("all", "78", "101")]
    ten = OperatorCounts({f"op{i:02}": 1 for i in range(10, 0, -1)}, {}).table().rows
    assert [row[0] for row in ten] == [*(f"op{i:02}" for i in range(1, 11)), "all"]
    assert OperatorCounts({"a": 1}, {"b": 2}).table().rows == [
        ("b", "0", "2"), ("a", "1", "0"), ("all", "1", "2"),
    ]  # fmt: skip


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

    monkeypatch.setenv("KINETO_LOG_LEVEL", before or "")
    if before is None:
        monkeypatch.delenv("KINETO_LOG_LEVEL")
    with untouched(), pytest.raises(KeyboardInterrupt):
        rh.count_operators(Stops().eval(), demo.model, torch.ones(2))
