"""Section 4: who is timed, how, against what, and what is said of it."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.recipe import latency
from recipe_helpers.recipe.latency import LatencySweep
from recipe_helpers.recipe.pair import Point
from recipe_helpers.recipe.timing import FASTER, INCONCLUSIVE, SLOWER, Timing

from . import made_up


class Watched(nn.Module):
    """A model that writes down how it is called, and may stop in the middle of a measurement."""

    def __init__(self, stop=None, after=10):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.calls, self.seen = [], set()
        self.stop, self.after = stop, after

    def forward(self, *inputs):
        self.calls.append(inputs)
        self.seen.add(
            (torch.is_inference_mode_enabled(), torch.is_grad_enabled(), torch.get_num_threads())
        )
        if self.stop is not None and len(self.calls) == self.after:
            raise self.stop
        return inputs[0] * self.weight


RATIOS = {FASTER: 2.0, SLOWER: 0.5, INCONCLUSIVE: 1.0}


def swept(verdicts, widths=(8, 16, 32, 64, 128)):
    points = [
        Point(w, 1, w * w, made_up.latency(100 * RATIOS[v] * (1 + i / 100), 100.0, v))
        for i, (w, v) in enumerate(zip(widths, verdicts, strict=True))
    ]
    return LatencySweep(tuple(points), 1, 1)


@pytest.mark.parametrize("threads", [None, 1, 2])
def test_both_run_on_the_same_inputs_threads_and_without_gradients(untouched, threads):
    reference, candidate = Watched().eval(), Watched().eval()
    inputs, hidden = torch.ones(2), (torch.zeros(1), torch.zeros(1))
    with untouched():
        found = rh.compare_latency(
            reference, candidate, inputs, hidden, threads=threads, budget_s=0.01
        )
    assert found.threads == (threads or 1)
    for model in (reference, candidate):
        assert model.seen == {(True, False, threads or 1)}
        assert all(call[0] is inputs and call[1] is hidden for call in model.calls)
    assert len(reference.calls) > len(candidate.calls)  # it is its own control
    assert found.rounds == len(found.candidate.times_us) >= 7
    assert min(*found.reference.times_us, *found.candidate.times_us) > 0


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), MemoryError(), RuntimeError("lost")])
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("after", [1, 2, 40])
def test_everything_is_put_back_wherever_it_stops(untouched, stop, side, after):
    models = [Watched().eval(), Watched().eval()]
    models[side] = Watched(stop, after).eval()
    expected = rh.InputError if after == 1 and isinstance(stop, RuntimeError) else type(stop)
    with untouched(), pytest.raises(expected):
        rh.compare_latency(*models, torch.ones(2), threads=2, budget_s=0.01)
    assert len(models[side].calls) == after


FIRST, SECOND, THIRD = (10.0, 24.0, 60.0), (5.0, 6.0, 20.0), (10.0, 20.0, 40.0)


@pytest.fixture
def canned(monkeypatch):
    """Made-up series in place of timings, which may be replaced; what is asked is written down."""
    asked = {"series": (FIRST, SECOND, THIRD), "calls": []}

    def interleave(calls, budget_s):
        asked["calls"].append((calls, budget_s))
        return tuple(map(Timing, asked["series"]))

    monkeypatch.setattr(latency, "interleave", interleave)
    return asked


def test_each_figure_comes_from_the_right_series(canned, demo, quantized):
    found = rh.compare_latency(demo.model, quantized, *demo.arguments, budget_s=0.25)
    ((calls, budget_s),) = canned["calls"]
    assert [call.func for call in calls] == [demo.model, quantized, demo.model]
    assert all(call.args == demo.arguments and not call.keywords for call in calls)
    assert budget_s == 0.25
    assert (found.reference.times_us, found.candidate.times_us) == (FIRST, SECOND)
    speedup, control = found.speedup, found.control
    assert (speedup.low, speedup.median, speedup.high) == (2, 3, 4)
    assert (control.low, control.median, control.high) == (1, 1.2, 1.5)
    assert found.verdict == FASTER


@pytest.mark.parametrize(
    ("int8_us", "control_us", "verdict"),
    [
        (50.0, 100.0, FASTER),
        (200.0, 100.0, SLOWER),
        (100.0, 100.0, INCONCLUSIVE),
        (50.0, 40.0, INCONCLUSIVE),  # a control of 2.5 excludes less than the speedup of 2
        (200.0, 300.0, INCONCLUSIVE),
    ],
)
def test_the_verdict_is_said_of_the_candidate(
    canned, demo, quantized, int8_us, control_us, verdict
):
    canned["series"] = [(value,) * 9 for value in (100.0, int8_us, control_us)]
    found = rh.compare_latency(demo.model, quantized, *demo.arguments)
    assert (found.speedup.median, found.control.median) == (100 / int8_us, 100 / control_us)
    assert found.verdict == verdict
    assert canned["calls"][0][1] == 0.5, "seconds, unless told"


def test_a_model_that_does_more_is_slower_on_a_real_clock():
    """Ten times the work: the order is beyond doubt on any machine."""

    class Repeats(nn.Module):
        def __init__(self, times):
            super().__init__()
            self.times = times

        def forward(self, x):
            for _ in range(self.times):
                x = torch.tanh(x)
            return x

    few, many, inputs = Repeats(20).eval(), Repeats(200).eval(), torch.ones(64)
    slower = rh.compare_latency(few, many, inputs, budget_s=0.01)
    faster = rh.compare_latency(many, few, inputs, budget_s=0.01)
    assert slower.speedup.median < 1 < faster.speedup.median
    assert slower.verdict != FASTER  # a crowded machine may leave it open
    assert faster.verdict != SLOWER


def test_a_comparison_in_words():
    faster = made_up.latency(250.0, 100.0, FASTER, threads=2)
    assert faster.sentence == "INT8 is 2.50 times as fast as FP32 here."
    slower, open_ = made_up.latency(40.0, 100.0, SLOWER), made_up.latency(1.0, 1.0, INCONCLUSIVE)
    assert slower.sentence == "INT8 takes 2.50 times as long as FP32 here."
    assert "inconclusive: the ratio is 1.00 (95 %" in open_.sentence
    table = faster.table()
    assert table.caption == "3 interleaved rounds on 2 threads"
    assert table.note == faster.sentence
    starts = ("FP32, median", "250 µs"), ("INT8, median", "100 µs"), ("FP32 / INT8", "2.50")
    starts = (*starts, ("control, FP32 / FP32", "1.00"), ("verdict", "faster"))
    for row, (name, value) in zip(table.rows, starts, strict=True):
        assert row[0].startswith(name)
        assert row[1].startswith(value)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"backend": "plain"}, rh.Int8LSTM),
        ({"batch_size": 3, "threads": 2, "budget_s": 0.125}, torch.ao.nn.quantized.dynamic.LSTM),
    ],
)
def test_a_sweep_times_the_very_models_it_speaks_of(canned, untouched, options, kind):
    """The float model first and again as the control, the quantized one in between."""
    rh.quantize_dynamic(rh.demonstration().model, backend="plain")  # imports what adds filters
    with untouched():
        sweep = rh.latency_sweep(iter([4, 12]), **options)
    batch = options.get("batch_size", 1)
    assert (sweep.widths, sweep.dimensions) == ((4, 12), (4, 12))
    assert (sweep.threads, sweep.batch_size) == (options.get("threads", 1), batch)
    for point, (calls, budget_s) in zip(sweep.points, canned["calls"], strict=True):
        demo = rh.demonstration(width=point.width, batch_size=batch)
        assert [type(call.func.lstm) for call in calls] == [nn.LSTM, kind, nn.LSTM]
        weight = rh.stored_weights(calls[1].func)[0].dequantized()
        assert torch.allclose(weight, demo.model.lstm.weight_ih_l0, atol=0.01)
        for call in calls:
            inputs, (_hidden, cell) = call.args
            assert torch.equal(inputs, demo.inputs)
            assert torch.equal(cell, demo.hidden[1])
        assert budget_s == options.get("budget_s", 0.3)
        assert point.comparison.reference.times_us == FIRST
        assert point.macs == 20 * batch * 8 * point.width**2
        assert point.comparison.threads == sweep.threads


@pytest.mark.parametrize(
    ("verdicts", "crossover", "says"),
    [
        ("ssssf", 128, "; slower at 8, 16, 32, 64."),
        ("sssff", 64, "from width 64 on, 2.1 times as fast at width 128; slower at 8, 16, 32."),
        ("fffff", 8, "from width 8 on, 2.1 times as fast at width 128; slower at no width."),
        ("sssss", None, "no crossover was found up to width 128."),
        ("iiiii", None, "no crossover was found up to width 128."),
        ("sfsff", 64, "from width 64 on"),
        ("sfiff", 64, "; slower at 8."),
        ("sifff", 32, "; slower at 8."),
        ("isfff", 32, "INT8 is faster from width 32 on, 2.1 times as fast at width 128; slower at"),
        ("sfsif", 128, "; slower at 8, 32."),
        ("ffffs", None, "no crossover was found"),
        ("ffffi", None, "no crossover was found"),
    ],
)  # fmt: skip
def test_the_crossover_is_where_int8_wins_for_good(verdicts, crossover, says):
    names = {"f": FASTER, "s": SLOWER, "i": INCONCLUSIVE}
    found = swept([names[letter] for letter in verdicts])
    assert found.crossover == crossover
    assert found.sentence.startswith("On this machine (1 thread, batch of 1) ")
    assert says in found.sentence
    assert found.table().note == found.sentence


def test_the_widest_is_not_always_the_best():
    points = swept((SLOWER, SLOWER, FASTER, FASTER, FASTER)).points
    best = replace(points[3], comparison=made_up.latency(504.0, 100.0))
    found = LatencySweep((*points[:3], best, points[4]), 2, 4)
    assert found.sentence.startswith("On this machine (2 threads, batch of 4) ")
    assert "on, 5.0 times as fast at width 64;" in found.sentence


def test_the_table_of_a_sweep():
    table = swept((SLOWER, SLOWER, INCONCLUSIVE, FASTER, FASTER)).table()
    assert table.headers == ("width", "FP32", "INT8", "FP32 / INT8", "INT8 is")
    assert table.rows[0][:3] == ("8", "50 µs", "100 µs")
    assert table.rows[0][3].startswith("0.50 (95 %")
    assert [row[4] for row in table.rows] == [SLOWER, SLOWER, INCONCLUSIVE, FASTER, FASTER]
