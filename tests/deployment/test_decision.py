"""The decision table: made-up options, and options that are measured."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, strategies as st

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


def test_limits_and_what_is_not_known():
    for limit, fastest in ((BROKEN.relative, BROKEN), (BROKEN.relative - 1e-9, A)):
        found = rh.decide_deployment([A, BROKEN], max_relative_error=limit)
        assert found.fastest == (fastest,)
    untold = rh.decide_deployment([A, replace(B, peak_bytes=None)])
    assert untold.leanest is None
    assert "memory" not in untold.sentence
    assert rh.decide_deployment([BROKEN]).sentence == "No option keeps its error within 5%."
    with pytest.raises(rh.ArgumentError, match="options is empty"):
        rh.decide_deployment([])


@given(st.permutations([A, B, C, BROKEN]))
def test_the_order_does_not_matter(options):
    found = rh.decide_deployment(options)
    assert (found.smallest, found.leanest, set(found.fastest)) == (C, B, {B, C})


def test_what_is_measured_is_the_candidate(monkeypatch):
    weighed = []

    def memory_use(name, model, *inputs):
        weighed.append((name, model, inputs))
        return MemoryUse(0, 1, 1234, 0)

    monkeypatch.setattr(decision, "memory_use", memory_use)
    demo = rh.demonstration(width=16)
    int8 = rh.quantize_dynamic(demo.model, backend="plain")
    given = {"file_bytes": 7, "budget_s": 0.05}
    same = rh.measure_option(
        "float", demo.model, demo.model, *demo.arguments, needs="mine", **given
    )
    found = rh.measure_option("b", demo.model, int8, *demo.arguments, needs="onnxruntime", **given)
    assert (same.relative, same.file_bytes, same.needs) == (0, 7, "mine")
    assert found.needs == "onnxruntime alone"
    relative = rh.compare_outputs(demo.model, int8, *demo.arguments).relative
    assert found.relative == pytest.approx(relative)
    assert [one[:2] for one in weighed] == [("float", demo.model), ("b", int8)]
    assert all(inputs is demo.arguments or inputs == demo.arguments for *_, inputs in weighed)
    assert found.peak_bytes == 1234 + 1
    with pytest.raises(rh.ArgumentError, match="file_bytes is 0"):
        rh.measure_option("x", demo.model, int8, file_bytes=0, needs="")


def test_times_and_ratios_are_those_of_the_comparison(monkeypatch):
    ratio = Ratio(2.0, 1.5, 2.5)
    latency = LatencyComparison(
        Timing((80.0,)), Timing((40.0,)), ratio, Ratio(1, 1, 1), "faster", 1
    )
    outputs = SimpleNamespace(relative=0.25)
    asked = []

    def compare(*models, **options):
        asked.append(options)
        return SimpleNamespace(latency=latency, outputs=outputs)

    monkeypatch.setattr(decision, "compare", compare)
    monkeypatch.setattr(decision, "memory_use", lambda *given: MemoryUse(0, 1, None, 0))
    found = rh.measure_option("x", 1, 2, file_bytes=3, needs="", budget_s=0.3)
    assert found == decision.Option("x", "", 3, 0.25, 40.0, ratio, None)
    assert asked == [{"threads": 1, "budget_s": 0.3}]
