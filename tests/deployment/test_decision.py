"""The decision table: made-up options, and options that are measured."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest

import recipe_helpers as rh
from recipe_helpers.deployment import decision
from recipe_helpers.recipe.latency import LatencyComparison
from recipe_helpers.recipe.memory import MemoryUse
from recipe_helpers.recipe.timing import Ratio, Timing

from .made_up import BROKEN, A, B, C


def test_the_best_of_the_sound_ones():
    found = rh.decide_deployment([A, B, C, BROKEN])
    assert found.sound == (A, B, C)
    assert (found.smallest, found.leanest) == (C, B)
    assert found.fastest == (B, C)  # their intervals overlap
    assert found.sentence == (
        "Within an error of 5%, fastest: b or c; smallest file: c; least memory: b."
    )
    apart = rh.decide_deployment([A, B, replace(C, speedup=Ratio(1.7, 1.6, 1.79))])
    assert apart.fastest == (B,)
    assert [row[0] for row in found.table().rows] == ["a", "b", "c", "broken"]
    for options in itertools.permutations([A, B, C, BROKEN]):
        found = rh.decide_deployment(options)
        assert (found.smallest, found.leanest, set(found.fastest)) == (C, B, {B, C})


def test_limits_and_what_is_not_known():
    for limit, fastest in ((BROKEN.relative, BROKEN), (BROKEN.relative - 1e-9, A)):
        found = rh.decide_deployment([A, BROKEN], max_relative_error=limit)
        assert found.fastest == (fastest,)
    untold = rh.decide_deployment([A, replace(B, peak_bytes=None)])
    assert (untold.leanest, "memory" in untold.sentence) == (None, False)
    assert rh.decide_deployment([A, replace(BROKEN, peak_bytes=None)]).leanest is A
    assert rh.decide_deployment([BROKEN]).sentence == "No option keeps its error within 5%."
    with pytest.raises(rh.ArgumentError, match="options is empty"):
        rh.decide_deployment([])


def test_an_option_is_the_comparison_on_one_thread_and_the_candidates_memory(monkeypatch):
    latency = LatencyComparison(
        Timing((80.0,)), Timing((40.0,)), Ratio(2.0, 1.5, 2.5), Ratio(1, 1, 1), "faster", 1
    )
    asked = []

    def compare(*models, **options):
        asked.append((models, options))
        return SimpleNamespace(latency=latency, outputs=SimpleNamespace(relative=0.25))

    def memory_use(name, *model):
        asked.append((name, model))
        return MemoryUse(0, 1, 1234, 0)

    monkeypatch.setattr(decision, "compare", compare)
    monkeypatch.setattr(decision, "memory_use", memory_use)
    given = {"file_bytes": 3, "budget_s": 0.3}
    found = rh.measure_option("x", "float", "int8", "inputs", needs="mine", **given)
    assert found == decision.Option("x", "mine", 3, 0.25, 40.0, latency.speedup, 1235)
    options = {"threads": 1, "budget_s": 0.3}
    assert asked == [(("float", "int8", "inputs"), options), ("x", ("int8", "inputs"))]
    named = rh.measure_option("x", "float", "int8", needs="onnxruntime", **given)
    assert named.needs == "onnxruntime alone"
    with pytest.raises(rh.ArgumentError, match="file_bytes is 0"):
        rh.measure_option("x", "float", "int8", file_bytes=0, needs="")
