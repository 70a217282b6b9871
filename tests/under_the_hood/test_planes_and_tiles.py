"""Planes and tiles: equal to plain products, in the layout that is drawn, with ratios upright."""

import pytest
import torch
from int8_rnn.fast import ways

import int8_rnn
import recipe_helpers as rh
from recipe_helpers.recipe.timing import Timing
from recipe_helpers.under_the_hood import planes_and_tiles
from recipe_helpers.under_the_hood.planes_and_tiles import (
    ONE_PLANE,
    PLANES,
    ROWS,
    TILES,
    WAYS,
    ProductPoint,
    Products,
    one_product,
)

FULL = torch.arange(-(2**15), 2**15).to(torch.int16)


def test_the_planes_of_every_integer():
    high, low = rh.byte_planes(FULL)
    assert (high.dtype, low.dtype) == (torch.uint8, torch.uint8)
    assert torch.equal(256 * high.int() + low.int() - 32768, FULL.int())
    assert rh.byte_planes(FULL.view(2, -1))[0].shape == (2, 2**15)


def test_a_product_by_planes_is_the_true_one_though_its_parts_overflow():
    generator = torch.Generator().manual_seed(0)
    integers = FULL[torch.randint(2**16, (5, 516), generator=generator)]
    weights = torch.randint(-128, 128, (7, 516), generator=generator).to(torch.int8)
    integers[0], weights[0] = 32767, 127
    assert 516 * 65535 * 127 > 2**31  # of the sum before the offset is taken off
    found = rh.product_by_planes(integers, weights)
    assert found.dtype == torch.int32
    assert torch.equal(found.long(), integers.long() @ weights.long().T)


@pytest.mark.parametrize("depth", [16, 48])
def test_the_layout_of_a_tile_is_the_one_that_is_told(depth):
    layout = rh.tile_layout(depth)
    places = range(64 * depth)
    assert layout.gate == tuple(place // 64 % 4 for place in places)
    assert layout.unit == tuple(place // 4 % 16 for place in places)
    assert layout.k == tuple(4 * (place // 256) + place % 4 for place in places)


@pytest.mark.parametrize(("width", "rows"), [(16, 1), (80, 7)])
def test_every_way_multiplies_the_same(monkeypatch, width, rows):
    given, product = {}, ways.product

    def noted(way, weights, activations):
        given[way] = weights, activations
        return product(way, weights, activations)

    monkeypatch.setattr(ways, "product", noted)
    made = one_product(width, rows)
    instruction = int8_rnn.fast_path().instruction
    has = {ROWS: True, TILES: True, ONE_PLANE: bool(instruction)}
    has[PLANES] = instruction not in ("", "pmaddubsw")
    assert list(made) == [way for way in WAYS if has[way]]
    weights, integers = given[ways.ROWS]
    assert (weights.shape, integers.shape) == ((4 * width, width), (rows, width))
    assert weights.abs().max() <= 64, "no CPU saturates"
    for way, (run, sums) in made.items():
        run()
        activations = rh.byte_planes(integers)[0] if way == ONE_PLANE else integers
        if way != ROWS:  # tiles, gates, units of the tile
            sums = sums.view(rows, -1, 4, 16).transpose(1, 2).flatten(1)
        excess = 32768 * weights.sum(1).long() if way == PLANES else 0
        wanted = activations.long() @ weights.long().T
        assert torch.equal(sums.long() - excess, wanted), way


def test_each_step_is_told_against_the_one_before():
    times = {ROWS: 80.0, TILES: 40.0, PLANES: 10.0, ONE_PLANE: 8.0}
    full = {way: Timing((us,) * 9) for way, us in times.items()}
    without = {way: timing for way, timing in full.items() if way != PLANES}
    assert Products((ProductPoint(32, full), ProductPoint(64, without)), 1).table().rows == [
        ("32", "80 µs", "2.00", "4.00", "1.25", "8 µs"),
        ("64", "80 µs", "2.00", "-", "5.00", "8 µs"),  # against tiles of 16 bits
    ]


def test_each_way_is_timed_by_itself_at_each_width(monkeypatch):
    made, timed = [], []

    def products(width, rows):
        made.append((width, rows))
        return {way: (f"{way} at {width}", None) for way in (ROWS, ONE_PLANE)}

    def interleave(calls, budget_s):
        timed.append((calls, budget_s))
        return [Timing((float(len(call)),) * 2) for call in calls]

    monkeypatch.setattr(planes_and_tiles, "one_product", products)
    monkeypatch.setattr(planes_and_tiles, "interleave", interleave)
    found = rh.compare_products((16, 32), rows=3, budget_s=0.01)
    assert made == [(16, 3), (32, 3)]
    assert timed == [([f"rows at {w}", f"one plane at {w}"], 0.01) for w in (16, 32)]
    assert [point.dimension for point in found.points] == [16, 32]
    for point in found.points:
        assert [(w, t.median_us) for w, t in point.timings.items()] == [(ROWS, 10), (ONE_PLANE, 15)]
    assert found.table().caption.startswith("3 rows of activations")
