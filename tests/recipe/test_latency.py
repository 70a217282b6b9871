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
        self.eval()

    def forward(self, *inputs):
        self.calls.append(inputs)
        self.seen.add((torch.is_inference_mode_enabled(), torch.get_num_threads()))
        if self.stop is not None and len(self.calls) == self.after:
            raise self.stop
        return inputs[0] * self.weight


@pytest.mark.parametrize("threads", [None, 1, 2])
def test_both_run_on_the_same_inputs_threads_and_without_gradients(untouched, threads):
    models, inputs = (Watched(), Watched()), (torch.ones(2), (torch.zeros(1), torch.zeros(1)))
    with untouched():
        found = rh.compare_latency(*models, *inputs, threads=threads, budget_s=0.01)
    assert found.threads == (threads or 1)
    for model in models:
        assert model.seen == {(True, threads or 1)}
        assert all(call[0] is inputs[0] and call[1] is inputs[1] for call in model.calls)
    assert found.rounds == len(found.candidate.times_us) >= 7
    assert min(*found.reference.times_us, *found.candidate.times_us) > 0


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), RuntimeError("lost")])
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("after", [1, 2, 40])
def test_everything_is_put_back_wherever_it_stops(untouched, stop, side, after):
    models = [Watched(), Watched()]
    models[side] = Watched(stop, after)
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
    """The reference is timed a second time, as the control."""
    found = rh.compare_latency(demo.model, quantized, *demo.arguments, budget_s=0.25)
    ((calls, budget_s),) = canned["calls"]
    assert [call.func for call in calls] == [demo.model, quantized, demo.model]
    assert all(call.args == demo.arguments and not call.keywords for call in calls)
    assert budget_s == 0.25
    assert (found.reference.times_us, found.candidate.times_us) == (FIRST, SECOND)
    speedup, control = found.speedup, found.control
    assert (speedup.low, speedup.median, speedup.high) == (2, 3, 4)
    assert (control.low, control.median, control.high) == (1, 1.2, 1.5)


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
    assert found.verdict == verdict
    assert canned["calls"][0][1] == 0.5, "seconds, unless told"


def test_a_comparison_in_words():
    faster = made_up.latency(250.0, 100.0, FASTER, threads=2)
    slower, open_ = made_up.latency(40.0, 100.0, SLOWER), made_up.latency(1.0, 1.0, INCONCLUSIVE)
    assert slower.sentence == "INT8 takes 2.50 times as long as FP32 here."
    assert "inconclusive: the ratio is 1.00 (95 %" in open_.sentence
    table = faster.table()
    assert table.caption == "3 interleaved rounds on 2 threads"
    assert table.note == "INT8 is 2.50 times as fast as FP32 here."
    assert table.rows == [
        ("FP32, median (quartiles)", "250 µs (250 µs to 250 µs)"),
        ("INT8, median (quartiles)", "100 µs (100 µs to 100 µs)"),
        ("FP32 / INT8", "2.50 (95 % interval 2.50 to 2.50)"),
        ("control, FP32 / FP32", "1.00 (95 % interval 1.00 to 1.00)"),
        ("verdict", "faster"),
    ]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"backend": "plain"}, rh.Int8LSTM),
        ({"batch_size": 3, "threads": 2, "budget_s": 0.125}, torch.ao.nn.quantized.dynamic.LSTM),
    ],
)
def test_a_sweep_times_the_pair_of_each_width(canned, untouched, options, kind):
    rh.quantize_dynamic(rh.demonstration().model, backend="plain")  # imports what adds filters
    with untouched():
        sweep = rh.latency_sweep(iter([4, 12]), **options)
    batch, threads = options.get("batch_size", 1), options.get("threads", 1)
    assert (sweep.widths, sweep.threads, sweep.batch_size) == ((4, 12), threads, batch)
    for point, (calls, budget_s) in zip(sweep.points, canned["calls"], strict=True):
        assert [type(call.func.lstm) for call in calls] == [nn.LSTM, kind, nn.LSTM]
        assert {call.args[0].shape for call in calls} == {(20, batch, point.width)}
        assert budget_s == options.get("budget_s", 0.3)
        assert point.comparison.reference.times_us == FIRST
        assert point.comparison.threads == threads


RATIOS = {"f": 2.0, "s": 0.5, "i": 1.0}
VERDICTS = {"f": FASTER, "s": SLOWER, "i": INCONCLUSIVE}


def swept(letters):
    """A sweep from width 8 on with these verdicts, each ratio a little above the one before."""
    points = [
        Point(8 * 2**i, 1, 1, made_up.latency(100 * RATIOS[v] * (1 + i / 100), 100.0, VERDICTS[v]))
        for i, v in enumerate(letters)
    ]
    return LatencySweep(tuple(points), 1, 1)


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
        ("isfff", 32, "INT8 is faster from width 32 on, 2.1 times as fast at width 128; slower at"),
        ("sfsif", 128, "; slower at 8, 32."),
        ("ffffs", None, "no crossover was found"),
        ("ffffi", None, "no crossover was found"),
    ],
)  # fmt: skip
def test_the_crossover_is_where_int8_wins_for_good(verdicts, crossover, says):
    found = swept(verdicts)
    assert found.crossover == crossover
    assert found.table().note.startswith("On this machine (1 thread, batch of 1) ")
    assert says in found.table().note


def test_the_widest_is_not_always_the_best_and_the_table_has_each_width():
    points = swept("ssiff").points
    best = replace(points[3], comparison=made_up.latency(504.0, 100.0))
    found = LatencySweep((*points[:3], best, points[4]), 2, 4)
    assert found.sentence.startswith("On this machine (2 threads, batch of 4) ")
    assert "on, 5.0 times as fast at width 64;" in found.sentence
    table = found.table()
    assert table.headers == ("width", "FP32", "INT8", "FP32 / INT8", "INT8 is")
    assert table.rows[0] == ("8", "50 µs", "100 µs", "0.50 (95 % interval 0.50 to 0.50)", SLOWER)
    assert [row[4] for row in table.rows] == [SLOWER, SLOWER, INCONCLUSIVE, FASTER, FASTER]
