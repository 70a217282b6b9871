"""The comparison with other runtimes: what is concluded from rows, and a real one.

Most rows are made up. Faults are put into them, one at a time, and each must show in what is said.
"""

import csv
import importlib
import itertools
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MODULES = ("peers", "contenders", "conclusions", "rows", "limits", "figure", "start")
FULL, REDUCED = "ONNX Runtime INT8", "ONNX Runtime INT8 reduced"
TIMES = {"torch FP32": 400.0, "torch.ao INT8": 300.0, FULL: 160.0, REDUCED: 150.0}
ERRORS = {"torch FP32": 0.0, "torch.ao INT8": 0.012, FULL: 0.007, REDUCED: 0.009}


@pytest.fixture(scope="module")
def peers():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("peers")
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def conclusions(peers):
    return importlib.import_module("conclusions")


def row(peers, times=TIMES, *, ours=100.0, errors=None, width=8, batch=1, control=1.0):
    """A row of steady times in µs: `times` by contender, the control so much slower than ours."""
    wobble = np.linspace(0.99, 1.01, 21)
    errors = {**ERRORS, peers.OURS: 0.004, "Int8LSTM 8-bit": 0.006, **(errors or {})}
    entries = [
        peers.Entry(name, tuple(us * wobble), errors.get(name, 0.01), 1000)
        for name, us in {peers.OURS: ours, **times}.items()
    ]
    limits = peers.Limits(1, memory_gb_per_s=10.0, integer_gmac_per_s=50.0)
    again = tuple(control * ours * wobble)
    return peers.Row(peers.Case(width, batch), tuple(entries), again, limits)


def kind(peers, vnni=True):
    return peers.Kind("a CPU", "AVX2", vnni)


def cells(table):
    """The lines of a table by their first cell (by the first two where it has modes)."""
    width = 2 if table.headers[0] == "mode" else 1
    return {tuple(line[:width]) if width > 1 else line[0]: line[width:] for line in table.rows}


@pytest.mark.parametrize(("fastest", "verdict"), [(150.0, "yes"), (100.5, "level"), (60.0, "no")])
def test_we_lead_only_against_the_best_of_all_peers(peers, fastest, verdict):
    found = row(peers, {"torch FP32": 400.0, "torch.ao INT8": 300.0, FULL: fastest})
    assert found.verdict() == verdict
    assert found.best(peers.PEERS).name == FULL
    assert found.lead(peers.PEERS).median == pytest.approx(fastest / 100)
    assert found.lead(peers.TORCH).median == pytest.approx(3)


def test_a_noisy_machine_leads_nowhere(peers):
    assert row(peers).verdict() == "yes"
    assert row(peers, control=1.6).verdict() == "level"


def test_the_smallest_error_counts_among_those_that_quantize(peers):
    assert row(peers).most_exact()
    assert not row(peers, errors={peers.OURS: 0.007}).most_exact()
    assert row(peers).least_error() == 0.007


def test_leads_are_told_apart_in_time_in_error_and_in_both(peers, conclusions):
    mode = "Int8LSTM 8-bit"
    rows = [
        row(peers, {**TIMES, mode: 50.0}),
        row(peers, {**TIMES, mode: 300.0}, width=32, errors={peers.OURS: 0.02}),
        row(peers, {**TIMES, mode: 150.0}, ours=400.0, width=32, batch=64),
    ]
    table = conclusions.lead_table(rows, kind(peers))
    assert cells(table) == {
        (peers.OURS, "time"): ["2 of 3", "batch 1: 8, 32"],
        (peers.OURS, "(level in time)"): ["0 of 3", "-"],
        (peers.OURS, "error"): ["2 of 3", "batch 1: 8; batch 64: 32"],
        (peers.OURS, "both"): ["1 of 3", "batch 1: 8"],
        (mode, "time"): ["1 of 3", "batch 1: 8"],
        (mode, "(level in time)"): ["1 of 3", "batch 64: 32"],
        (mode, "error"): ["3 of 3", "batch 1: 8, 32; batch 64: 32"],
        (mode, "both"): ["1 of 3", "batch 1: 8"],
    }
    assert "a CPU (AVX2), taken as a CPU with VNNI or the like" in table.caption


VNNI, PLAIN = True, False
BEFORE = "Int8LSTM before"
FAULTS = [  # kind of CPU, the target, what spoils it: times, errors, sizes
    (VNNI, "one row, exact: at least as fast as every peer", {REDUCED: 90.0}, {}, (512, 1)),
    (VNNI, "one row to width 128, exact: 1.5 times", {"torch FP32": 140.0}, {}, (128, 1)),
    (VNNI, "one row to width 512, 8-bit: 1.4 times ONNX Runtime INT8", {FULL: 60.0}, {}, (512, 1)),
    (PLAIN, "one row, 8-bit: ahead of ONNX Runtime INT8", {REDUCED: 45.0}, {}, (2048, 1)),
    (PLAIN, "one row, exact: never below the version before", {BEFORE: 80.0}, {}, (8, 1)),
    (VNNI, "several rows, exact: at least as fast as PyTorch", {"torch.ao INT8": 90}, {}, (80, 8)),
    (PLAIN, "several rows, exact: 0.9 of ONNX Runtime INT8", {FULL: 80.0}, {}, (80, 64)),
    (VNNI, "several rows, 8-bit: ahead of ONNX Runtime INT8", {FULL: 45.0}, {}, (80, 64)),
    (VNNI, "one row: a second thread costs no time", {"Int8LSTM, 2 threads": 120.0}, {}, (8, 1)),
    (VNNI, "error, exact: at most 0.41 %", {}, {"Int8LSTM": 0.0042}, (8, 1)),
    (
        PLAIN, "error, 8-bit: below ONNX Runtime's (share of it)",
        {}, {"Int8LSTM 8-bit": 0.0071}, (8, 64),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("vnni", "title", "times", "errors", "sizes"), FAULTS)
def test_each_target_is_missed_where_its_own_fault_is(
    peers, conclusions, vnni, title, times, errors, sizes
):
    good = {**TIMES, "Int8LSTM 8-bit": 50.0, "Int8LSTM, 2 threads": 100.0, BEFORE: 110}
    width, batch = sizes
    rows = [row(peers, good, width=w, batch=b) for w, b in ((8, 1), (80, 8), (1024, 1), sizes)]
    met = cells(conclusions.target_table(rows, kind(peers, vnni)))
    assert met[title][2:] == ["met", "-", "-"]
    assert {line[2] for line in met.values()} == {"met"}
    rows[-1] = row(peers, {**good, **times}, width=width, batch=batch, errors=errors)
    found = cells(conclusions.target_table(rows, kind(peers, vnni)))
    assert found[title][1:4] == [f"batch {batch}: {width}", "missed", f"batch {batch}: {width}"]
    assert {line for line in found if found[line][2] == "missed"} >= {title}


def test_what_is_beyond_the_arithmetic_is_told_apart(peers, conclusions):
    """At 50 GMAC a second, 20 steps of 8 · 80² multiply-adds for 64 rows take 1311 µs."""
    exact, eight = "several rows, exact: 0.9 of ONNX Runtime INT8", 1311 * 0.9
    for onnx_us, beyond in ((eight - 5, "batch 64: 80"), (eight + 5, "-")):
        times = {**TIMES, FULL: onnx_us, REDUCED: 5e3, "Int8LSTM 8-bit": 1e4}
        rows = [row(peers, times, ours=2000.0, width=80, batch=64), row(peers, times, batch=8)]
        found = cells(conclusions.target_table(rows, kind(peers)))
        assert found[exact][2:] == ["missed", "batch 64: 80", beyond]
        ahead = found["several rows, 8-bit: ahead of ONNX Runtime INT8"]
        assert ahead[2:] == ["missed", "batch 64: 80; batch 8: 8", "-"]  # one product, not two


def test_targets_belong_to_their_kind_of_cpu(peers, conclusions):
    titles = {
        vnni: {target.title for target in conclusions.targets(kind(peers, vnni))}
        for vnni in (VNNI, PLAIN)
    }
    for vnni in (VNNI, PLAIN):
        own = {title for kind_of, title, *_ in FAULTS if kind_of == vnni and "one row" in title}
        shared = "one row: a second thread costs no time"
        assert own - {shared} <= titles[vnni] - titles[not vnni]
    assert titles[VNNI] | titles[PLAIN] == {title for _, title, *_ in FAULTS}


@pytest.mark.parametrize(
    ("time", "control", "verdict"),
    [(100.0, 1.0, "met"), (99.0, 1.0, "level"), (90.0, 1.0, "missed"), (90.0, 1.15, "level")],
)
def test_a_target_is_level_within_the_noise_only(peers, conclusions, time, control, verdict):
    target = conclusions.targets(kind(peers))[0]
    assert target.verdict(row(peers, {FULL: time}, control=control)) == verdict


def test_how_long_it_takes_to_be_ready_is_judged_too(peers, conclusions):
    for start, verdicts in (((4.9, 0.4), ["met", "met"]), ((5.1, 0.6), ["missed", "missed"])):
        table = conclusions.target_table([row(peers)], kind(peers), conclusions.Start(*start))
        assert [line[3] for line in table.rows[-2:]] == verdicts


def test_the_sentence_for_the_readme_says_what_the_rows_say(peers, conclusions):
    good = {**TIMES, "Int8LSTM 8-bit": 50.0}
    rows = [
        row(peers, good), row(peers, {**good, REDUCED: 120.0}, width=256),
        row(peers, {**good, REDUCED: 80.0}, width=256, batch=64),
    ]  # fmt: skip
    assert conclusions.sentence(rows, kind(peers, vnni=False)) == (
        "On a CPU without VNNI or the like, at batch 1 and one thread, `rh.Int8LSTM` is 3.0 to "
        "3.0 times as fast as the faster of PyTorch's FP32 and INT8 and 1.2 to 1.5 times as fast "
        "as ONNX Runtime's INT8, at widths from 8 to 256, with an error of 0.40 to 0.40 % where "
        "ONNX Runtime has 0.70 to 0.70 % at best. With `activation_bits=8` it is 2.4 to 3.0 times "
        "as fast as ONNX Runtime's INT8, with an error of 0.60 to 0.60 % where ONNX Runtime has "
        "0.70 to 0.70 % at best. At batch 64 it is 3.0 to 3.0 times as fast as the faster of "
        "PyTorch's two and 0.8 to 0.8 times as fast as ONNX Runtime's INT8. With 8 bits it is 1.6 "
        "to 1.6 times as fast as ONNX Runtime's INT8 there."
    )
    alone = [replace(one, entries=one.entries[:3]) for one in rows]
    assert "ONNX" not in conclusions.sentence(alone, kind(peers))


def test_table_and_csv_say_what_was_measured(peers, tmp_path):
    times = {"torch FP32": 400.0, "torch.ao INT8": 50.0}
    rows = row(peers, times), row(peers, {**times, "torch.ao INT8": 500.0})
    found = peers.Peers(rows, kind(peers))
    assert found.summary.startswith("Fastest in 1 of 2 rows, level in 0, behind in 1;")
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
    printed = str(found)
    assert printed.index("times ours") < printed.index("Rows led") < printed.index("Targets on")
    assert printed.splitlines()[-2] == "For the README:"


def test_rows_can_be_chosen(peers):
    options = peers.options_of([])
    every = peers.cases(options.widths, options.batches, options.threads)
    assert [case.width for case in every if case.batch == 1] == list(peers.WIDTHS)
    assert {case.batch for case in every} == {1, 8, 64}
    assert {case.threads for case in every} == {1}
    options = peers.options_of(["--widths", "8", "2048", "--batches", "1", "8"])
    some = peers.cases(options.widths, options.batches, options.threads)
    assert [(case.width, case.batch) for case in some] == [(8, 1), (2048, 1), (8, 8)]


def test_a_real_row(peers):
    threads, limits = torch.get_num_threads(), peers.Limits(1, 10.0, 50.0)
    case = peers.Case(8, batch=2, steps=4)
    before = BENCHMARKS.parent  # this very checkout, as if it were an earlier one
    found = peers.measure_row(case, limits, with_onnx=False, budget_s=0.01, before=before)
    names = [peers.OURS, "Int8LSTM 8-bit", "Int8LSTM before", *peers.TORCH]
    assert [entry.name for entry in found.entries] == names
    assert found.entry("torch FP32").error == 0
    exact, eight_bit = found.ours.error, found.entry("Int8LSTM 8-bit").error
    assert 0 < exact < eight_bit < found.entry("torch.ao INT8").error < 0.05
    assert found.entry("Int8LSTM before").error == exact
    assert len({len(entry.times_us) for entry in found.entries} | {len(found.control_us)}) == 1
    assert torch.get_num_threads() == threads
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize(("width", "batch"), [(8, 1), (80, 8), (256, 1)])
def test_our_errors_keep_below_those_of_onnx_runtime(peers, width, batch):
    """On the model and the inputs of the benchmark; errors do not depend on the machine's speed."""
    with peers.threads_set(1), torch.inference_mode():
        made = importlib.import_module("contenders").make(peers.Case(width, batch), with_onnx=True)
    exact = next(one.output for one in made if one.name == "torch FP32")
    entries = tuple(peers.as_entry(one, exact, [1.0]) for one in made)
    found = peers.Row(peers.Case(width, batch), entries, (1.0,), peers.Limits(1, 1.0, 1.0))
    assert found.entry("ONNX Runtime FP32").error < 1e-5
    assert {one.name for one in found.some(peers.PEERS)} == set(peers.PEERS)
    assert 0 < found.ours.error <= 0.0041
    assert (
        found.ours.error < found.entry("Int8LSTM 8-bit").error < found.least_error([FULL, REDUCED])
    )


def test_each_is_timed_after_a_pause_and_on_its_own_threads(peers, monkeypatch):
    seen = []

    def contender(name, threads):
        def call():
            seen.append((name, torch.get_num_threads()))

        return importlib.import_module("contenders").Contender(name, call, None, 0, threads)

    def sleep(seconds):
        assert seconds == peers.PAUSE_S > 0
        seen.append("pause")

    monkeypatch.setattr(peers.time, "sleep", sleep)
    with peers.threads_set(1):
        times = peers.rounds([contender("one", 1), contender("two", 2)], budget_s=0.01)
    assert len(times[0]) == len(times[1])
    assert {one for one in seen if one != "pause"} == {("one", 1), ("two", 2)}
    after = seen[seen.index("pause") :]
    for before, now in itertools.pairwise(after):
        assert now == "pause" or before in ("pause", now)  # no change without a pause


def test_the_processors_time_is_counted_where_it_is_asked_for(peers, monkeypatch):
    """Sleeping takes none of it, and what runs on other threads is left out."""
    contenders = importlib.import_module("contenders")

    def made(case, **options):
        call = partial(sleep, 2e-3)
        output = np.ones((1, 1, 1))
        return [
            contenders.Contender(name, call, output, 0, 2 if name == contenders.SHARED else 1)
            for name in (peers.OURS, contenders.SHARED, "torch FP32")
        ]

    sleep = peers.time.sleep
    monkeypatch.setattr(peers, "make", made)
    arguments = peers.Case(8), peers.Limits(1, 1.0, 1.0)
    for timer, names, most in (
        (peers.time.perf_counter, 3, np.inf),
        (peers.time.process_time, 2, 1000.0),
    ):
        found = peers.measure_row(*arguments, with_onnx=False, budget_s=0.01, timer=timer)
        assert len(found.entries) == names
        assert (found.ours.median_us >= 2000) == (most > 1000)
    with pytest.raises(SystemExit):
        peers.options_of(["--cpu-time", "--threads", "2"])


def test_figure_shows_times_and_leads(peers):
    times_us = {"torch FP32": 400.0, FULL: 250.0, "Int8LSTM 8-bit": 50.0}
    rows = [row(peers, times_us), row(peers, {**times_us, FULL: 900.0}, width=32)]
    times, leads = importlib.import_module("figure").draw([*rows, row(peers, batch=8)]).axes
    drawn = {line.get_label(): line.get_ydata().tolist() for line in times.lines}
    assert drawn["torch FP32"] == pytest.approx([400, 400])
    assert drawn[peers.OURS] == pytest.approx([100, 100])
    assert drawn["limit of int8 arithmetic"] == pytest.approx([0.2048, 3.2768])
    exact, eight_bit = leads.containers
    assert exact.lines[0].get_ydata().tolist() == pytest.approx([2.5, 4])
    assert eight_bit.lines[0].get_ydata().tolist() == pytest.approx([5, 18])
    assert [one.get_label() for one in leads.containers] == [
        "exact, against the best peer", "8-bit, against ONNX Runtime INT8",
    ]  # fmt: skip
    assert leads.get_ylabel() == "time of the peer / our time"
    assert (times.get_xlabel(), times.get_ylabel()) == ("width", "time of one call (µs)")


def test_machine_limits_are_rates_of_this_machine(peers):
    limits = importlib.import_module("limits")
    one, two = limits.integer_rate(1), limits.integer_rate(1)
    assert 0.1 < one / two < 10
    assert 0.1 < one < 10_000
