"""Section 4: who is timed, how, against what, and what is said of it."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common import checks
from recipe_helpers.recipe import latency
from recipe_helpers.recipe.latency import LatencyComparison, LatencySweep
from recipe_helpers.recipe.pair import Point
from recipe_helpers.recipe.timing import FASTER, INCONCLUSIVE, SLOWER, Ratio, Timing


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


def made_up(verdict=FASTER, ratio=2.0, *, width_us=100.0, threads=1):
    times = Timing((width_us * ratio,) * 7)
    spread = Ratio(ratio, ratio * 0.99, ratio * 1.01)
    control = Ratio(1.0, 0.99, 1.01)
    return LatencyComparison(times, Timing((width_us,) * 7), spread, control, verdict, threads)


def swept(verdicts, dimensions=(8, 16, 32, 64, 128)):
    ratios = {FASTER: 2.0, SLOWER: 0.5, INCONCLUSIVE: 1.0}
    points = [
        Point(d, 1, d * d, made_up(v, ratios[v] * (1 + i / 100)))
        for i, (d, v) in enumerate(zip(dimensions, verdicts, strict=True))
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
    assert found.rounds >= 7
    assert len(found.candidate.times_us) == found.rounds
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
    """Made-up series in place of timings: what is asked for is written down."""
    asked = []

    def interleave(calls, budget_s):
        asked.append((calls, budget_s))
        return tuple(map(Timing, (FIRST, SECOND, THIRD)))

    monkeypatch.setattr(latency, "interleave", interleave)
    return asked


def test_each_figure_comes_from_the_right_series(canned, demo, quantized):
    found = rh.compare_latency(demo.model, quantized, *demo.arguments, budget_s=0.25)
    ((calls, budget_s),) = canned
    assert [call.func for call in calls] == [demo.model, quantized, demo.model]
    assert all(call.args == demo.arguments and not call.keywords for call in calls)
    assert budget_s == 0.25
    assert found.reference.times_us == FIRST
    assert found.candidate.times_us == SECOND
    assert found.speedup.median == 3  # of 2, 4, 3
    assert (found.speedup.low, found.speedup.high) == (2, 4)
    assert found.control.median == 1.2  # of 1, 1.2, 1.5
    assert (found.control.low, found.control.high) == (1, 1.5)
    assert found.verdict == FASTER


def test_the_verdict_is_said_of_the_candidate(monkeypatch, demo, quantized):
    for cost, expected in ((50.0, FASTER), (200.0, SLOWER), (100.0, INCONCLUSIVE)):
        series = tuple(Timing((value,) * 9) for value in (100.0, cost, 100.0))
        monkeypatch.setattr(latency, "interleave", lambda *_, series=series: series)
        found = rh.compare_latency(demo.model, quantized, *demo.arguments)
        assert found.verdict == expected
        assert found.speedup.median == 100 / cost
        assert found.control.median == 1


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
    faster = made_up(FASTER, 2.5)
    assert faster.sentence == "INT8 is 2.50 times as fast as FP32 here."
    assert made_up(SLOWER, 0.4).sentence == "INT8 takes 2.50 times as long as FP32 here."
    assert "inconclusive: the ratio is 1.00 (95 %" in made_up(INCONCLUSIVE, 1.0).sentence
    table = replace(faster, threads=2).table()
    assert table.caption == "7 interleaved rounds on 2 threads"
    assert table.note == faster.sentence
    rows = dict(table.rows)
    assert rows["FP32, median (quartiles)"].startswith("250 µs")
    assert rows["INT8, median (quartiles)"].startswith("100 µs")
    assert rows["FP32 / INT8"].startswith("2.50")
    assert rows["control, FP32 / FP32"].startswith("1.00")
    assert rows["verdict"] == "faster"


@pytest.fixture
def timed(monkeypatch):
    """What a sweep has timed, in place of the timing itself."""
    seen = []

    def compare(reference, candidate, *inputs, **options):
        seen.append((reference, candidate, inputs, options))
        return made_up(threads=3)

    monkeypatch.setattr(latency, "compare_latency", compare)
    return seen


def test_a_sweep_times_fp32_against_int8_at_each_width(timed, untouched):
    with untouched():
        sweep = rh.latency_sweep(iter([4, 12]), threads=3, batch_size=5, budget_s=0.125)
    assert sweep.dimensions == (4, 12)
    assert (sweep.threads, sweep.batch_size) == (3, 5)
    for width, point, (reference, candidate, inputs, options) in zip(
        (4, 12), sweep.points, timed, strict=True
    ):
        demo = rh.demonstration(dimension=width, batch_size=5)
        assert type(reference.lstm) is nn.LSTM
        assert (reference.lstm.input_size, reference.lstm.hidden_size) == (width, width)
        assert checks.is_quantized(candidate.lstm)
        assert (candidate.lstm.input_size, candidate.lstm.hidden_size) == (width, width)
        (first, _) = rh.stored_weights(candidate)
        assert torch.allclose(first.dequantized(), demo.model.lstm.weight_ih_l0, atol=0.01)
        assert torch.equal(inputs[0], demo.inputs)
        assert torch.equal(inputs[1][1], demo.hidden[1])
        assert options == {"threads": 3, "budget_s": 0.125}
        assert point.macs == 20 * 5 * (4 * width * width + 4 * width * width)
        assert point.comparison.threads == 3


def test_a_real_sweep(untouched):
    with untouched():
        sweep = rh.latency_sweep([4, 8], budget_s=0.01)
    assert (sweep.dimensions, sweep.threads, sweep.batch_size) == ((4, 8), 1, 1)
    assert {p.comparison.verdict for p in sweep.points} <= {FASTER, SLOWER, INCONCLUSIVE}
    assert sweep.points[0].comparison.reference != sweep.points[1].comparison.reference


@pytest.mark.parametrize(
    ("verdicts", "crossover"),
    [
        ((SLOWER, SLOWER, SLOWER, FASTER, FASTER), 64),
        ((SLOWER, SLOWER, SLOWER, SLOWER, FASTER), 128),
        ((FASTER,) * 5, 8),
        ((SLOWER,) * 5, None),
        ((INCONCLUSIVE,) * 5, None),
        ((SLOWER, FASTER, SLOWER, FASTER, FASTER), 64),
        ((SLOWER, FASTER, INCONCLUSIVE, FASTER, FASTER), 64),
        ((SLOWER, INCONCLUSIVE, FASTER, FASTER, FASTER), 32),
        ((FASTER, FASTER, FASTER, FASTER, SLOWER), None),
        ((FASTER, FASTER, FASTER, FASTER, INCONCLUSIVE), None),
    ],
)
def test_the_crossover_is_where_int8_wins_for_good(verdicts, crossover):
    assert swept(verdicts).crossover == crossover


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        ((SLOWER,) * 5, "no crossover was found up to width 128."),
        (
            (FASTER,) * 5,
            "from width 8 on, 2.1 times as fast at width 128; slower at no width.",
        ),
        (
            (INCONCLUSIVE, SLOWER, FASTER, FASTER, FASTER),
            "INT8 is faster from width 32 on, 2.1 times as fast at width 128; slower at 16.",
        ),
        ((SLOWER, FASTER, SLOWER, INCONCLUSIVE, FASTER), "from width 128 on, 2.1"),
        ((SLOWER, FASTER, SLOWER, INCONCLUSIVE, FASTER), "; slower at 8, 32."),
    ],
)
def test_the_sweep_in_words(verdicts, says):
    found = swept(verdicts)
    assert found.sentence.startswith("On this machine (1 thread, batch of 1) ")
    assert says in found.sentence
    assert found.table().note == found.sentence


def test_the_widest_is_not_always_the_best():
    points = swept((SLOWER, SLOWER, FASTER, FASTER, FASTER)).points
    best = replace(points[3], comparison=made_up(FASTER, 5.04))
    found = LatencySweep((*points[:3], best, points[4]), 2, 4)
    assert found.sentence.startswith("On this machine (2 threads, batch of 4) ")
    assert "on, 5.0 times as fast at width 64;" in found.sentence


def test_the_table_of_a_sweep():
    table = swept((SLOWER, SLOWER, INCONCLUSIVE, FASTER, FASTER)).table()
    assert table.headers == ("width", "FP32", "INT8", "FP32 / INT8", "INT8 is")
    assert table.rows[0][:3] == ("8", "50 µs", "100 µs")
    assert table.rows[0][3].startswith("0.50 (95 %")
    assert [row[4] for row in table.rows] == [SLOWER, SLOWER, INCONCLUSIVE, FASTER, FASTER]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"backend": "plain"}, rh.Int8LSTM),
        ({"backend": "torch.ao"}, torch.ao.nn.quantized.dynamic.LSTM),
        ({}, torch.ao.nn.quantized.dynamic.LSTM),
    ],
)
def test_a_sweep_times_the_very_models_it_speaks_of(monkeypatch, options, kind):
    """The float model first and again as the control, the quantized one in between."""
    timed = []

    def watch(calls, budget_s):
        timed.append([(type(call.func.lstm), tuple(call.args[0].shape)) for call in calls])
        return tuple(Timing((1.0, 2.0, 3.0)) for _ in calls)

    monkeypatch.setattr(latency, "interleave", watch)
    rh.latency_sweep([8, 16], batch_size=3, **options)
    for dimension, calls in zip((8, 16), timed, strict=True):
        shape = (20, 3, dimension)
        assert calls == [(torch.nn.LSTM, shape), (kind, shape), (torch.nn.LSTM, shape)]
