"""Under the hood: bytes, planes and tiles, which the compiled kernels of `Int8LSTM` multiply.

`byte_planes` and `product_by_planes` say in plain tensors what is computed, `tile_layout` shows
where a weight lies in memory, and `compare_products` measures what each of the steps brings, from
one row of weights after the other to planes and tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from int8_rnn.tiles import pack
from torch import Tensor

from int8_rnn import fast_path

from ..common import checks
from ..common.errors import ArgumentError, EngineError
from ..common.language import _, plural
from ..common.tables import Shown, Table, microseconds
from ..recipe.timing import Ratio, Timing, check_budget, interleave, ratio_of_rounds
from . import by_hand

OFFSET = 2**15  # makes a 16-bit integer an unsigned one
# Ways to multiply, each the step after the one before; see `compare_products`.
ROWS, TILES, PLANES, ONE_PLANE = "rows", "tiles", "planes", "one plane"
WAYS = (ROWS, TILES, PLANES, ONE_PLANE)
WIDTHS = (32, 128, 256, 512, 1024)
_BUDGET_S = 0.2


def byte_planes(integers: Tensor) -> tuple[Tensor, Tensor]:
    """The high and the low bytes of integers + 32768, which are 0 to 65535.

    Args:
        integers: int16 (..., K).

    Returns:
        Two uint8 tensors of that shape: integers = 256 · high + low - 32768.

    Raises:
        InputError: they are of another type.
    """
    unsigned = by_hand.integers("integers", integers, torch.int16).int() + OFFSET
    return (unsigned >> 8).to(torch.uint8), (unsigned & 255).to(torch.uint8)


def product_by_planes(integers: Tensor, weights: Tensor) -> Tensor:
    """`integers @ weights.T` from two products of unsigned with signed bytes.

    256 · Σ high·w + Σ low·w - 32768 · Σ w, all in 32 bits: what overflows on the way is a multiple
    of 2^32, so the result is right wherever it fits itself.

    Args:
        integers: int16 (..., K).
        weights: int8 (N, K).

    Returns:
        int32 (..., N).

    Raises:
        InputError: types or shapes do not fit.
    """
    by_hand.check_operands("integers", integers, torch.int16, weights)
    high, low = (plane.int() @ weights.int().T for plane in byte_planes(integers))
    return 256 * high + low - OFFSET * weights.sum(1, dtype=torch.int32)


@dataclass(frozen=True)
class TileLayout:
    """Which weight each byte of a tile is, in the order of memory; lines of 64 bytes are vectors.

    Attributes:
        gate: 0 to 3: i, f, g, o.
        unit: 0 to 15, of the tile.
        k: which element of the hidden state it is multiplied with.
    """

    gate: tuple[int, ...]
    unit: tuple[int, ...]
    k: tuple[int, ...]


def tile_layout(depth: int = 16) -> TileLayout:
    """Where the kernel keeps the weights of 16 units, found out by packing numbered ones.

    Raises:
        ArgumentError: `depth` is no multiple of 16 from 16 to 112.
    """
    checks.one_of("depth", depth, range(16, 113, 16))
    rows = torch.arange(64)[:, None]
    numbers = rows // 16, rows % 16, torch.arange(depth)
    return TileLayout(
        *(
            tuple(pack(number.expand(64, depth).to(torch.int8), 4).flatten().tolist())
            for number in numbers
        )
    )


def one_product(width: int, rows: int = 1) -> dict[str, tuple[Callable[[], None], Tensor]]:
    """A product of random numbers in each of `WAYS` that this CPU has.

    Weights are int8 (4 · width, width), on which no CPU saturates, and activations 16-bit integers
    (rows, width); one plane multiplies their high bytes alone.

    Returns:
        For each way what runs it, and the int32 sums that it writes: see `int8_rnn.fast.ways`.

    Raises:
        EngineError: there is no compiled kernel on this machine.
        ArgumentError: `width` is no multiple of 16.
    """
    if checks.positive_int("width", width) % 16:
        raise ArgumentError(
            "width is {width}; pass a multiple of 16, the units of a tile.", width=width
        )
    shape = checks.positive_int("rows", rows), width
    if not (state := fast_path()).available:
        raise EngineError(state.reason)
    from int8_rnn.fast import ways  # which needs the compiled kernels

    generator = torch.Generator().manual_seed(0)
    weights = torch.randint(-64, 65, (4 * width, width), generator=generator).to(torch.int8)
    integers = torch.randint(-OFFSET, OFFSET, shape, generator=generator).to(torch.int16)
    planes = byte_planes(integers)
    activations = {
        ROWS: (ways.ROWS, integers),
        TILES: (ways.TILES, integers),
        PLANES: (ways.PLANES, torch.cat(planes, 1)),
        ONE_PLANE: (ways.ONE_PLANE, planes[0]),
    }
    return {
        name: ways.product(way, weights, numbers)
        for name, (way, numbers) in activations.items()
        if way in ways.ways()
    }


@dataclass(frozen=True)
class ProductPoint:
    """The times of one product of a width: (4 · width, width) weights times some rows."""

    dimension: int
    timings: dict[str, Timing]  # by way, of `WAYS`, those that this CPU has

    def step(self, way: str) -> Ratio | None:
        """How many times as fast as the way before it; None where the CPU has no such way."""
        if way not in self.timings:
            return None
        before = [one for one in WAYS[: WAYS.index(way)] if one in self.timings]
        slower, faster = self.timings[before[-1]], self.timings[way]
        return ratio_of_rounds(slower.times_us, faster.times_us)


@dataclass(frozen=True)
class Products(Shown):
    """What each step from rows to planes and tiles brings, over a range of widths."""

    points: tuple[ProductPoint, ...]
    rows: int

    def table(self) -> Table:
        """A row per width: the time by rows, then for each step how many times as fast it is."""
        rows = []
        for point in self.points:
            steps = [point.step(way) for way in WAYS[1:]]
            fastest = min(timing.median_us for timing in point.timings.values())
            by_rows = microseconds(point.timings[ROWS].median_us)
            said = ["-" if step is None else f"{step.median:.2f}" for step in steps]
            rows.append((str(point.dimension), by_rows, *said, microseconds(fastest)))
        ways = (_("by rows"), _("to tiles"), _("to two planes"), _("to one plane"))
        caption = plural(
            "{count} row of activations times the weights of a layer; how many times as fast each "
            "step is",
            "{count} rows of activations times the weights of a layer; how many times as fast each "
            "step is",
            self.rows,
        )
        return Table((_("width"), *ways, _("the fastest")), rows, caption)


@checks.renamed(dimensions="widths")
def compare_products(
    widths: Iterable[int] = WIDTHS, *, rows: int = 1, budget_s: float = _BUDGET_S
) -> Products:
    """Time one product of a layer in each of `WAYS`, in interleaved rounds, on one thread.

    - "rows": int8 weights as PyTorch stores them, each row widened and multiplied with 16 bits;
    - "tiles": the same arithmetic on weights packed in the order in which they are read;
    - "planes": tiles of bytes times two planes of bytes, the integers of 16 bits;
    - "one plane": tiles of bytes times one plane, the 8-bit mode.

    A CPU that adds products of bytes only with saturation has no planes; weights bounded in pairs
    give it the last way all the same.

    Args:
        widths: rising.
        rows: of activations; 1 for a step of one sequence, more for its whole input.
        budget_s: about how long to measure at each width, in seconds.

    Raises:
        EngineError: there is no compiled kernel on this machine.
        ArgumentError: a width is no multiple of 16, `rows` is not at least 1, or `budget_s` is
            below 0.01.
    """
    check_budget(budget_s)
    points = []
    for width in checks.positive_ints("widths", widths):
        products = one_product(width, rows)
        timings = interleave([run for run, _sums in products.values()], budget_s)
        points.append(ProductPoint(width, dict(zip(products, timings, strict=True))))
    return Products(tuple(points), rows)
