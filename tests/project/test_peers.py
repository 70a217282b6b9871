"""The comparison with other runtimes: how rows are judged, and a real one without ONNX Runtime."""

import csv
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def peers():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("peers")
        for name in ("peers", "contenders", "limits", "figure"):
            sys.modules.pop(name, None)


def row(peers, times, *, ours=100.0, errors=None, width=8):
    """A row of steady times in µs: `times` by contender, ours and its control the same."""
    wobble = np.linspace(0.99, 1.01, 21)
    errors = errors or {}
    entries = [
        peers.Entry(name, tuple(us * wobble), errors.get(name, 0.01), 1000)
        for name, us in {peers.OURS: ours, **times}.items()
    ]
    limits = peers.Limits(1, memory_gb_per_s=10.0, integer_gmac_per_s=50.0)
    return peers.Row(peers.Case(width), tuple(entries), tuple(ours * wobble), limits)


@pytest.mark.parametrize(("fastest", "verdict"), [(150.0, "yes"), (100.5, "level"), (60.0, "no")])
def test_we_lead_only_against_the_best_of_all_peers(peers, fastest, verdict):
    found = row(peers, {"torch FP32": 400.0, "torch.ao INT8": 300.0, "ONNX Runtime INT8": fastest})
    assert found.verdict == verdict
    assert found.best((*peers.TORCH, *peers.ONNX)).name == "ONNX Runtime INT8"
    assert found.lead((*peers.TORCH, *peers.ONNX)).median == pytest.approx(fastest / 100)
    assert found.lead(peers.TORCH).median == pytest.approx(3)


def test_the_smallest_error_counts_among_those_that_quantize(peers):
    times = {"torch FP32": 400.0, "torch.ao INT8": 300.0}
    errors = {"torch FP32": 0.0, "torch.ao INT8": 0.01, peers.OURS: 0.002}
    assert row(peers, times, errors=errors).most_exact
    assert not row(peers, times, errors={**errors, peers.OURS: 0.01}).most_exact


def test_table_and_csv_say_what_was_measured(peers, tmp_path):
    times = {"torch FP32": 400.0, "torch.ao INT8": 50.0}
    found = peers.Peers((row(peers, times), row(peers, {**times, "torch.ao INT8": 500.0})))
    assert found.sentence.startswith("Fastest in 1 of 2 rows, level in 0, behind in 1;")
    first, second = found.table().rows
    assert first[:4] == [
        "width 8, batch 1, threads 1", "100 µs", "torch.ao INT8, 50 µs", "0.50 [0.50, 0.50]",
    ]  # fmt: skip
    assert second[3] == "4.00 [4.00, 4.00]"
    # 20 steps, 8 · 8² weights: 10240 multiply-adds at 50 a nanosecond; 21 · 4 · 8² bytes at 10.
    assert first[7:9] == ["0.205 µs", "0.538 µs"]
    assert len(found.details().rows) == 6
    found.write_csv(tmp_path / "peers.csv")
    with (tmp_path / "peers.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["runtime"] for line in lines[:3]] == [peers.OURS, "torch FP32", "torch.ao INT8"]
    assert float(lines[1]["ratio_to_ours"]) == pytest.approx(4)
    assert [line["lead"] for line in lines] == ["no"] * 3 + ["yes"] * 3


def test_a_real_row(peers):
    threads, limits = torch.get_num_threads(), peers.Limits(1, 10.0, 50.0)
    case = peers.Case(8, batch=2, steps=4)
    found = peers.measure_row(case, limits, with_onnx=False, budget_s=0.01)
    assert [entry.name for entry in found.entries] == [peers.OURS, *peers.TORCH]
    assert found.entry("torch FP32").error == 0
    assert 0 < found.ours.error < found.entry("torch.ao INT8").error < 0.05
    assert len({len(entry.times_us) for entry in found.entries} | {len(found.control_us)}) == 1
    assert torch.get_num_threads() == threads
    assert not torch.is_inference_mode_enabled()


def test_figure_shows_times_and_leads(peers):
    rows = [row(peers, {"torch FP32": 400.0}), row(peers, {"torch FP32": 900.0}, width=32)]
    times, leads = importlib.import_module("figure").draw(rows).axes
    drawn = {line.get_label(): line.get_ydata().tolist() for line in times.lines}
    assert drawn["torch FP32"] == pytest.approx([400, 900])
    assert drawn[peers.OURS] == pytest.approx([100, 100])
    assert drawn["limit of int8 arithmetic"] == pytest.approx([0.2048, 3.2768])
    assert leads.lines[0].get_ydata().tolist() == pytest.approx([4, 9])
    assert leads.get_ylabel() == "time of the best peer / time of Int8LSTM"
    assert (times.get_xlabel(), times.get_ylabel()) == ("width", "time of one call (µs)")


def test_machine_limits_are_rates_of_this_machine(peers):
    limits = importlib.import_module("limits")
    one, two = limits.integer_rate(1), limits.integer_rate(1)
    assert 0.1 < one / two < 10
    assert 0.1 < one < 10_000
