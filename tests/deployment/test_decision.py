"""The decision table: made-up options, and options that are measured."""

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

import recipe_helpers as rh
from recipe_helpers.deployment.decision import Option
from recipe_helpers.recipe.timing import Ratio


def option(name, file_bytes=100, relative=0.01, speedup=(1.0, 0.9, 1.1), peak=10):
    return Option(name, "nothing", file_bytes, relative, 100.0, Ratio(*speedup), peak)


A = option("a", 300, 0.0, (1.0, 0.9, 1.1), 30)
B = option("b", 200, 0.01, (2.0, 1.8, 2.2), 20)
C = option("c", 100, 0.02, (1.7, 1.5, 1.9), 25)
BROKEN = option("broken", 1, 0.9, (9.0, 8.0, 10.0), 1)


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
    found = rh.decide_deployment([A, BROKEN], max_relative_error=1.0)
    assert found.fastest == (BROKEN,)
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


def test_what_is_measured_is_the_candidate():
    demo = rh.demonstration(dimension=512)
    int8 = rh.quantize_dynamic(demo.model, backend="plain")
    given = {"file_bytes": 7, "needs": "torch", "budget_s": 0.05}
    same = rh.measure_option("float", demo.model, demo.model, *demo.arguments, **given)
    found = rh.measure_option("int8", demo.model, int8, *demo.arguments, **given)
    assert (same.relative, same.file_bytes, same.needs) == (0, 7, "torch")
    relative = rh.compare_outputs(demo.model, int8, *demo.arguments).relative
    assert found.relative == pytest.approx(relative)
    if same.peak_bytes is not None:
        assert found.peak_bytes < same.peak_bytes
    with pytest.raises(rh.ArgumentError, match="file_bytes is 0"):
        rh.measure_option("x", demo.model, int8, file_bytes=0, needs="")
