"""Planes and tiles: equal to plain products, in the layout that is drawn, with ratios upright."""

import pytest
import torch

import int8_rnn
from recipe_helpers.common.errors import ArgumentError, EngineError, InputError
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
    byte_planes,
    one_product,
    operands,
    product_by_planes,
)

FULL = torch.arange(-(2**15), 2**15).to(torch.int16)


def test_the_planes_of_every_integer():
    high, low = byte_planes(FULL)
    assert (high.dtype, low.dtype) == (torch.uint8, torch.uint8)
    assert torch.equal(256 * high.int() + low.int() - 32768, FULL.int())
    assert byte_planes(FULL.view(2, -1))[0].shape == (2, 2**15)


def test_a_product_by_planes_is_the_true_one_though_its_parts_overflow():
    generator = torch.Generator().manual_seed(0)
    integers = FULL[torch.randint(2**16, (5, 516), generator=generator)]
    weights = torch.randint(-128, 128, (7, 516), generator=generator).to(torch.int8)
    integers[0], weights[0] = 32767, 127
    assert 516 * 65535 * 127 > 2**31  # of the sum before the offset is taken off
    found = product_by_planes(integers, weights)
    assert found.dtype == torch.int32
    assert torch.equal(found.long(), integers.long() @ weights.long().T)


@pytest.mark.parametrize(
    ("integers", "weights", "said"),
    [
        (torch.zeros(3), torch.zeros(2, 3, dtype=torch.int8), "integers is"),
        ([1, 2, 3], torch.zeros(2, 3, dtype=torch.int8), "integers is"),
        (FULL[:3], torch.zeros(2, 3), "weights is"),
        (FULL[:3], torch.zeros(2, 4, dtype=torch.int8), r"weights is .* \(N, 3\)"),
    ],
)
def test_other_operands_are_refused(integers, weights, said):
    with pytest.raises(InputError, match=said):
        product_by_planes(integers, weights)


@pytest.mark.parametrize("depth", [16, 48])
def test_the_layout_of_a_tile_is_the_one_that_is_told(depth):
    layout = planes_and_tiles.tile_layout(depth)
    places = range(64 * depth)
    assert layout.gate == tuple(place // 64 % 4 for place in places)
    assert layout.unit == tuple(place // 4 % 16 for place in places)
    assert layout.k == tuple(4 * (place // 256) + place % 4 for place in places)
    with pytest.raises(ArgumentError, match="depth"):
        planes_and_tiles.tile_layout(20)


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("width", [16, 80, 272])
def test_every_way_multiplies_the_same(width, rows):
    weights, integers = operands(width, rows, seed=3)
    ways = one_product(width, rows, seed=3)
    assert list(ways) == [way for way in WAYS if way in ways]
    instruction = int8_rnn.fast_path().instruction
    assert (PLANES in ways) == (instruction not in ("", "pmaddubsw"))
    assert (ONE_PLANE in ways) == bool(instruction)
    assert {ROWS, TILES} <= set(ways)
    for way, product in ways.items():
        product.run()
        activations = byte_planes(integers)[0] if way == ONE_PLANE else integers
        assert torch.equal(product.result().long(), activations.long() @ weights.long().T), way
    with pytest.raises(ArgumentError, match="multiple of 16"):
        one_product(24)


def test_each_step_is_told_against_the_one_before():
    times = {ROWS: 80.0, TILES: 40.0, PLANES: 10.0, ONE_PLANE: 8.0}
    full = ProductPoint(32, {way: Timing((us,) * 9) for way, us in times.items()})
    assert [full.step(way).median for way in WAYS[1:]] == pytest.approx([2, 4, 1.25])
    without = {way: Timing((us,) * 9) for way, us in times.items() if way != PLANES}
    other = ProductPoint(64, without)
    assert other.step(PLANES) is None
    assert other.step(ONE_PLANE).median == pytest.approx(5)  # against tiles of 16 bits
    assert Products((full, other), 1).table().rows == [
        ("32", "80 µs", "2.00", "4.00", "1.25", "8 µs"),
        ("64", "80 µs", "2.00", "-", "5.00", "8 µs"),
    ]


def test_products_are_measured_at_each_width():
    found = planes_and_tiles.compare_products((16, 32), rows=3, budget_s=0.01)
    assert [point.dimension for point in found.points] == [16, 32]
    assert found.table().caption.startswith("3 rows of activations")
    for point in found.points:
        assert list(point.timings) == list(one_product(16))
        assert len({len(timing.times_us) for timing in point.timings.values()}) == 1


def test_without_a_compiled_kernel_it_says_so(monkeypatch):
    none = int8_rnn.FastPath(False, "no numba", 0.0)
    monkeypatch.setattr(planes_and_tiles, "fast_path", lambda: none)
    with pytest.raises(EngineError, match="no numba"):
        planes_and_tiles.compare_products((16,))


@pytest.mark.parametrize(
    "arguments", [{"widths": [32, 16]}, {"rows": 0}, {"budget_s": 0.001}, {"dimensions": [20]}]
)
def test_bad_arguments_are_named(arguments):
    name = {"dimensions": "width is 20"}.get(next(iter(arguments)), next(iter(arguments)))
    with pytest.raises(ArgumentError, match=name):
        planes_and_tiles.compare_products(**arguments)
