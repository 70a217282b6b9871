"""Section 4: overhead and price per step, recovered from times that were made from them."""

import numpy as np
import pytest
import torch

import recipe_helpers as rh
from recipe_helpers.common import checks
from recipe_helpers.recipe import costs
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
            model = call.func
            seen["calls"].append((model, inputs, hidden))
            overhead, step = TRUE[checks.is_quantized(model.lstm)]
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
    assert (found.width, found.batch_size, found.threads) == (12, 3, 2)
    assert (made["budget_s"], made["threads"], made["mode"]) == (0.5, 2, True)


def test_both_models_are_timed_at_both_lengths(made):
    rh.step_costs(12, batch_size=3, lengths=(5, 25))
    demo = rh.demonstration(dimension=12, batch_size=3, sequence_length=25)
    found = [(checks.is_quantized(m.lstm), len(inputs)) for m, inputs, _ in made["calls"]]
    assert sorted(found) == [(False, 5), (False, 25), (True, 5), (True, 25)]
    for model, inputs, hidden in made["calls"]:
        assert (model.lstm.input_size, model.lstm.hidden_size) == (12, 12)
        assert torch.equal(inputs, demo.inputs[: len(inputs)])
        assert torch.equal(hidden[0], demo.hidden[0])
        assert torch.equal(hidden[1], demo.hidden[1])


def test_the_interval_is_of_the_ratio_of_steps(made):
    made["noise"] = 0.002
    found = rh.step_costs(4, lengths=(10, 200))
    assert found.step_speedup.low < 3.5 < found.step_speedup.high
    assert found.step_speedup.median == pytest.approx(3.5, rel=0.02)
    assert found.reference.step_us / found.candidate.step_us == pytest.approx(
        found.step_speedup.median
    )


def test_the_table(made):
    table = rh.step_costs(12, batch_size=3, threads=2).table()
    assert table.caption == "width 12, batch of 3, 2 threads"
    assert table.headers == ("", "FP32", "INT8", "FP32 / INT8")
    assert table.rows[0] == ("overhead per call", "100 µs", "300 µs", "")
    assert table.rows[1][:3] == ("each time step", "7 µs", "2 µs")
    assert table.rows[1][3].startswith("3.50 (95 %")


def test_a_real_measurement(untouched):
    with untouched():
        found = rh.step_costs(8, lengths=(2, 60), budget_s=0.01)
    long_call_us = [c.overhead_us + 60 * c.step_us for c in (found.reference, found.candidate)]
    assert min(long_call_us) > 0
    assert found.reference != found.candidate
    assert found.threads == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"width": 0}, "width is 0"),
        ({"width": 8.0}, "width is 8.0"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"lengths": (10,)}, "lengths is [10]"),
        ({"lengths": (10, 20, 30)}, "lengths is [10, 20, 30]"),
        ({"lengths": (40, 10)}, "lengths is [40, 10]"),
        ({"lengths": (10, 10)}, "lengths is [10, 10]"),
        ({"lengths": (0, 10)}, "lengths[0] is 0"),
        ({"lengths": 10}, "lengths is 10"),
        ({"threads": 0}, "threads is 0"),
        ({"budget_s": 0.001}, "budget_s is 0.001"),
        ({"budget_s": float("nan")}, "budget_s is nan"),
    ],
)
def test_arguments_that_are_none(refuses, options, says):
    with refuses(rh.ArgumentError, says):
        rh.step_costs(**{"width": 8, "budget_s": 0.01, **options})


def test_threads_are_put_back_after_an_interrupt(monkeypatch, untouched):
    def interrupted(*_):
        assert torch.get_num_threads() == 3
        raise KeyboardInterrupt

    monkeypatch.setattr(costs, "interleave", interrupted)
    with untouched(), pytest.raises(KeyboardInterrupt):
        rh.step_costs(8, threads=3)
