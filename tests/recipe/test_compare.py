"""Everything about two models at one go: whose numbers stand where, and in which words."""

from dataclasses import replace

import pytest

import recipe_helpers as rh
from recipe_helpers.recipe import compare as module
from recipe_helpers.recipe.memory import MemoryComparison, MemoryUse
from recipe_helpers.recipe.timing import FASTER, INCONCLUSIVE, SLOWER

from . import made_up
from .made_up import MB

TIMES = made_up.latency(300.0, 120.0, FASTER, threads=2)
MEMORY = MemoryComparison(MemoryUse(0, 5 * MB, MB, 0), MemoryUse(0, 2 * MB, 2 * MB, 0))


@pytest.fixture
def asked(monkeypatch):
    """Made-up comparisons of times and memory in place of measurements; how they were asked for."""
    calls = []
    for name, found in (("compare_latency", TIMES), ("compare_memory", MEMORY)):
        monkeypatch.setattr(
            module, name, lambda *args, found=found, **opts: calls.append((args, opts)) or found
        )
    return calls


def test_each_part_is_what_its_own_comparison_says(asked, demo, quantized, untouched):
    both = demo.model, quantized, *demo.arguments
    with untouched():
        found = rh.compare(*both, threads=2, budget_s=0.25)
    assert asked == [(both, {"threads": 2, "budget_s": 0.25})]
    assert (found.latency, found.memory) == (TIMES, None)
    assert found.size == rh.compare_size(demo.model, quantized)
    assert found.outputs == rh.compare_outputs(*both)
    before, after = found.size.reference_bytes, found.size.candidate_bytes
    table, outputs = found.table(), found.outputs
    assert table.headers == ("", "FP32", "INT8", "FP32 against INT8")
    assert table.rows == [
        ("state dict", f"{before:,} bytes", f"{after:,} bytes", f"{before / after:.2f} to 1"),
        ("time of one call, median", "300 µs", "120 µs", "2.50 to 1, INT8 is faster"),
        ("mean |output|", "0.12887", f"{outputs.candidate_mean:.5f}",
         f"differ by {outputs.relative:.2%}, SQNR {outputs.sqnr_db:.1f} dB"),
    ]  # fmt: skip
    open_ = replace(found, latency=replace(TIMES, verdict=INCONCLUSIVE))
    assert open_.table().rows[1][3] == "2.50 to 1, inconclusive"


def test_memory_is_measured_where_it_is_asked_for(asked, demo, quantized):
    both = demo.model, quantized, *demo.arguments
    found = rh.compare(*both, memory=True)
    assert asked == [(both, {"threads": None, "budget_s": 0.5}), (both, {"threads": 2})]
    assert found.table().rows[-1] == ("memory in a call", "6.0 MB", "4.0 MB", "less")
    silent = replace(MEMORY.reference, call_bytes=None)
    row = replace(found, memory=replace(MEMORY, reference=silent)).table().rows[-1]
    assert row == ("memory in a call", "not known", "4.0 MB", "less")


@pytest.mark.parametrize(
    ("bytes_", "verdict", "ratio", "says"),
    [
        ((2, 1), FASTER, 2.5, "2.00 times smaller, a call is 2.50 times faster"),
        ((2, 1), INCONCLUSIVE, 1.1, "2.00 times smaller, a call is as fast within the noise"),
        ((1, 1), SLOWER, 0.4, "1.00 times smaller, a call is 2.50 times slower"),
        ((1, 2), SLOWER, 0.4, "2.00 times larger, a call is 2.50 times slower"),
    ],
)
def test_the_verdict_in_words(demo, quantized, bytes_, verdict, ratio, says):
    outputs = rh.compare_outputs(demo.model, quantized, *demo.arguments)
    times = made_up.latency(100.0 * ratio, 100.0, verdict)
    made = rh.Comparison(made_up.size(*bytes_), times, outputs)
    relative = f"the outputs differ by {outputs.relative:.2%} on average."
    assert made.table().note == f"In INT8 the file is {says}, and {relative}"
