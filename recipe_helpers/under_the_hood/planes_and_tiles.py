"""Under the hood: bytes, planes and tiles, which the compiled kernel of `Int8LSTM` multiplies.

`byte_planes` says in plain tensors what is computed. Here `tile_layout` shows where the kernel
keeps its weights, and `compare_products` measures what each of the steps brings, from one row of
weights after the other to planes and tiles.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType

import torch

from ..common import checks
from ..common.errors import EngineError
from ..common.language import _, plural
from ..common.tables import Shown, Table, microseconds
from ..int8.fast_path.ready import fast_path
from ..recipe.timing import Ratio, Timing, check_budget, interleave, ratio_of_rounds
from .byte_planes import ROWS, WAYS

WIDTHS = (32, 128, 256, 512, 1024)
_BUDGET_S = 0.2


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
        EngineError: there is no compiled kernel on this machine.
        ArgumentError: `depth` is no multiple of 16 from 16 to 112.
    """
    checks.one_of("depth", depth, range(16, 113, 16))
    pack, rows = _ways().in_byte_tiles, torch.arange(64)[:, None]
    numbers = (rows // 16).expand(64, depth), (rows % 16).expand(64, depth), torch.arange(depth)
    gate, unit, k = (
        tuple(pack(number.expand(64, depth).to(torch.int8)).flatten().tolist())
        for number in numbers
    )
    return TileLayout(gate, unit, k)


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
            rows.append((
                str(point.dimension), microseconds(point.timings[ROWS].median_us),
                *("-" if step is None else f"{step.median:.2f}" for step in steps),
                microseconds(min(timing.median_us for timing in point.timings.values())),
            ))  # fmt: skip
        headers = [
            _("width"), _("by rows"), _("to tiles"), _("to two planes"), _("to one plane"),
            _("the fastest"),
        ]  # fmt: skip
        caption = plural(
            "{count} row of activations times the weights of a layer; how many times as fast each "
            "step is",
            "{count} rows of activations times the weights of a layer; how many times as fast each "
            "step is",
            self.rows,
        )
        return Table(headers, rows, caption)


def compare_products(
    dimensions: Iterable[int] = WIDTHS, *, rows: int = 1, budget_s: float = _BUDGET_S
) -> Products:
    """Time one product of a layer in each of `WAYS`, in interleaved rounds, on one thread.

    - "rows": int8 weights as PyTorch stores them, each row widened and multiplied with 16 bits;
    - "tiles": the same arithmetic on weights packed in the order in which they are read;
    - "planes": tiles of bytes times two planes of bytes, the integers of the default mode;
    - "one plane": tiles of bytes times one plane, the 8-bit mode.

    A CPU that adds products of bytes only with saturation has no planes; weights bounded in pairs
    give it the last way all the same.

    Args:
        dimensions: rising widths.
        rows: of activations; 1 for a step of one sequence, more for its whole input.
        budget_s: about how long to measure at each width, in seconds.

    Raises:
        EngineError: there is no compiled kernel on this machine.
        ArgumentError: a width is no multiple of 16, `rows` is not at least 1, or `budget_s` is
            below 0.01.
    """
    widths = checks.positive_ints("dimensions", dimensions)
    check_budget(budget_s)
    ways, points = _ways(), []
    for width in widths:
        products = ways.one_product(width, rows)
        timings = interleave([product.run for product in products.values()], budget_s)
        points.append(ProductPoint(width, dict(zip(products, timings, strict=True))))
    return Products(tuple(points), rows)


def _ways() -> ModuleType:
    """The products of the compiled kernel, which is not imported before it is there."""
    state = fast_path()
    if not state.available:
        raise EngineError(state.reason)
    from . import one_product

    return one_product
