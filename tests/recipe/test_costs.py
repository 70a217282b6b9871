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
        seen["mode"] = torch.is_inference_mode_enabled(), torch.get_num_threads(), budget_s
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
    assert found.macs_per_s(found.candidate) == pytest.approx(3 * 8 * 12**2 / 2e-6)
    assert (found.width, found.dimension, found.batch_size, found.threads) == (12, 12, 3, 2)
    assert made["mode"] == (True, 2, 0.5)
    demo = rh.demonstration(width=12, batch_size=3, sequence_length=25)
    timed = [(checks.is_quantized(m.lstm), len(inputs)) for m, inputs, _ in made["calls"]]
    assert sorted(timed) == [(False, 5), (False, 25), (True, 5), (True, 25)]
    for model, inputs, hidden in made["calls"]:
        assert (model.lstm.input_size, model.lstm.hidden_size) == (12, 12)
        assert torch.equal(inputs, demo.inputs[: len(inputs)])
        assert all(map(torch.equal, hidden, demo.hidden))
    table = found.table()
    assert table.caption == "width 12, batch of 3, 2 threads"
    assert table.headers == ("", "FP32", "INT8", "FP32 / INT8")
    assert table.rows[0] == ("overhead per call", "100 µs", "300 µs", "")
    assert table.rows[1] == ("each time step", "7 µs", "2 µs", str(speedup))


def test_the_interval_is_of_the_ratio_of_steps(made):
    made["noise"] = 0.002
    found = rh.step_costs(4, lengths=(10, 200))
    assert found.step_speedup.low < 3.5 < found.step_speedup.high
    steps = found.reference.step_us / found.candidate.step_us
    assert steps == pytest.approx(found.step_speedup.median)
    assert made["mode"] == (True, 1, 1.0)


def test_a_real_measurement_and_an_interrupted_one(monkeypatch, untouched):
    def interrupted(*_):
        assert torch.get_num_threads() == 3
        raise KeyboardInterrupt

    with untouched():
        found = rh.step_costs(8, lengths=(2, 60), budget_s=0.01)
        assert min(c.overhead_us + 60 * c.step_us for c in (found.reference, found.candidate)) > 0
        monkeypatch.setattr(costs, "interleave", interrupted)
        with pytest.raises(KeyboardInterrupt):
            rh.step_costs(8, threads=3)


def test_counts_are_those_of_the_layers(untouched, capfd):
    three = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(3))).eval()
    one = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    with untouched():
        found = rh.count_operators(three, one, torch.ones(2, 4))
    for layers, counts, total in (
        ({"aten::linear": 3, "aten::tanh": 3}, found.reference, found.reference_total),
        ({"aten::linear": 1, "aten::relu": 1}, found.candidate, found.candidate_total),
    ):
        names = counts.keys() & {"aten::linear", "aten::tanh", "aten::relu"}
        assert {name: counts[name] for name in names} == layers
        assert total == sum(counts.values()) > sum(layers.values()), "nested ones count, too"
    assert capfd.readouterr() == ("", "")


def test_int8_runs_each_step_in_operators_of_its_own():
    def counted(steps, *, state=True):
        made = rh.demonstration(sequence_length=steps)
        given = made.arguments if state else made.arguments[:1]
        return rh.count_operators(made.model, rh.quantize_dynamic(made.model), *given)

    found, more = counted(7), counted(14)
    assert found.reference["aten::lstm"] == found.candidate["aten::quantized_lstm"] == 1
    gates = sum(found.candidate.get(f"aten::{name}", 0) for name in ("sigmoid", "sigmoid_"))
    assert gates == 3 * 7
    assert more.candidate_total > 1.8 * found.candidate_total
    assert more.reference_total == found.reference_total
    zeros = [one.reference.get("aten::zeros", 0) for one in (counted(7, state=False), found)]
    assert zeros[0] > zeros[1], "the state is made of zeros"


def test_the_table_has_the_most_frequent_first_and_the_rest_summed():
    reference = {f"op{i:02}": i for i in range(1, 13)}
    table = OperatorCounts(reference, {"op01": 100, "op13": 1}).table()
    assert table.headers == ("operator", "FP32", "INT8")
    assert table.rows[:2] == [("op01", "1", "100"), ("op12", "12", "0")]
    assert [row[0] for row in table.rows[1:10]] == [f"op{i:02}" for i in range(12, 3, -1)]
    assert table.rows[10:] == [("3 others", "5", "1"), ("all", "78", "101")]
    ten = OperatorCounts({f"op{i:02}": 1 for i in range(10, 0, -1)}, {}).table().rows
    assert [row[0] for row in ten] == [*(f"op{i:02}" for i in range(1, 11)), "all"]


@pytest.mark.parametrize("before", [None, "3"])
def test_the_profilers_log_level_is_put_back(monkeypatch, demo, untouched, before):
    class Stops(nn.Module):
        def forward(self, inputs):
            if os.environ.get("KINETO_LOG_LEVEL") == "99":
                raise KeyboardInterrupt
            return inputs

    monkeypatch.setenv("KINETO_LOG_LEVEL", before or "")
    if before is None:
        monkeypatch.delenv("KINETO_LOG_LEVEL")
    with untouched(), pytest.raises(KeyboardInterrupt):
        rh.count_operators(Stops().eval(), demo.model, torch.ones(2))
