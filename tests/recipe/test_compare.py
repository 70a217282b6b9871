"""Everything about two models at one go: whose numbers stand where, and in which words."""

from dataclasses import replace

import pytest
import torch

import recipe_helpers as rh
from recipe_helpers.recipe import compare as module
from recipe_helpers.recipe.latency import LatencyComparison
from recipe_helpers.recipe.memory import MemoryComparison, MemoryUse
from recipe_helpers.recipe.timing import FASTER, INCONCLUSIVE, SLOWER, Ratio, Timing

MB = 1_000_000


@pytest.fixture
def latency(monkeypatch):
    """A made-up comparison of times in place of a measurement; how it was asked for."""
    asked = []
    found = LatencyComparison(
        Timing((300.0,)), Timing((120.0,)), Ratio(2.5, 2.4, 2.6), Ratio(1, 1, 1), FASTER, 2
    )

    def compare(*models_and_inputs, **options):
        asked.append((models_and_inputs, options))
        return found

    monkeypatch.setattr(module, "compare_latency", compare)
    return asked, found


def test_each_part_is_what_its_own_comparison_says(latency, demo, quantized, untouched):
    both = demo.model, quantized, *demo.arguments
    with untouched():
        found = rh.compare(*both, threads=2, budget_s=0.25)
    asked, times = latency
    assert asked == [(both, {"threads": 2, "budget_s": 0.25})]
    assert found.latency is times
    assert found.size == rh.compare_size(demo.model, quantized)
    assert found.outputs == rh.compare_outputs(*both)
    assert found.memory is None
    assert [row[0] for row in found.table().rows] == [
        "state dict",
        "time of one call, median",
        "mean |output|",
    ]


def test_memory_is_measured_where_it_is_asked_for(monkeypatch, latency, demo, quantized):
    used = MemoryComparison(MemoryUse(0, 5 * MB, MB, 0), MemoryUse(0, 2 * MB, 2 * MB, 0))
    asked = []
    monkeypatch.setattr(module, "compare_memory", lambda *b, **o: asked.append((b, o)) or used)
    found = rh.compare(demo.model, quantized, *demo.arguments, memory=True)
    assert asked == [((demo.model, quantized, *demo.arguments), {"threads": 2})]
    assert found.table().rows[-1] == ("memory in a call", "6.0 MB", "4.0 MB", "less")
    silent = replace(used.reference, call_bytes=None)
    row = replace(found, memory=replace(used, reference=silent)).table().rows[-1]
    assert row == ("memory in a call", "not known", "4.0 MB", "less")


def test_the_table_has_fp32_first(latency, demo, quantized):
    found = rh.compare(demo.model, quantized, *demo.arguments)
    size, times, outputs = found.table().rows
    before, after = found.size.reference_bytes, found.size.candidate_bytes
    assert size[1:] == (f"{before:,} bytes", f"{after:,} bytes", f"{before / after:.2f} to 1")
    assert times[1:] == ("300 µs", "120 µs", "2.50 to 1, INT8 is faster")
    assert outputs[1:3] == ("0.12887", f"{found.outputs.candidate_mean:.5f}")
    assert outputs[3] == (
        f"differ by {found.outputs.relative:.2%}, SQNR {found.outputs.sqnr_db:.1f} dB"
    )
    open_ = replace(found, latency=replace(found.latency, verdict=INCONCLUSIVE))
    assert open_.table().rows[1][3] == "2.50 to 1, inconclusive"


@pytest.mark.parametrize(
    ("smaller", "verdict", "ratio", "says"),
    [
        (True, FASTER, 2.5, "2.00 times smaller, a call is 2.50 times faster"),
        (True, SLOWER, 0.4, "2.00 times smaller, a call is 2.50 times slower"),
        (True, INCONCLUSIVE, 1.1, "2.00 times smaller, a call is as fast within the noise"),
        (False, FASTER, 2.5, "2.00 times larger, a call is 2.50 times faster"),
        (False, SLOWER, 0.4, "2.00 times larger, a call is 2.50 times slower"),
        (False, INCONCLUSIVE, 0.9, "2.00 times larger, a call is as fast within the noise"),
    ],
)
def test_the_verdict_in_words(latency, demo, quantized, smaller, verdict, ratio, says):
    _, times = latency
    found = rh.compare(demo.model, quantized, *demo.arguments)
    sizes = [replace(found.size.reference, container_bytes=0, matrix_bytes=m) for m in (2, 1)]
    sizes = [replace(size, other_bytes=0) for size in sizes]
    made = replace(
        found,
        size=replace(found.size, reference=sizes[not smaller], candidate=sizes[smaller]),
        latency=replace(times, verdict=verdict, speedup=Ratio(ratio, ratio, ratio)),
    )
    assert says in made.sentence
    assert made.sentence.endswith(f"the outputs differ by {found.outputs.relative:.2%} on average.")
    assert made.table().note == made.sentence


def test_a_real_one(demo, quantized, untouched):
    with untouched():
        found = rh.compare(demo.model, quantized, *demo.arguments, budget_s=0.01)
    assert found.latency.threads == torch.get_num_threads()
    assert found.latency.rounds >= 7
