"""Wide batches through a library: the planes of all rows times all weights in one product.

Many rows at once are what matrix units are made for (AMX), and PyTorch reaches them:
`torch._int_mm` multiplies signed bytes by oneDNN. A 16-bit activation q is two of them,

    q + 32768 = 256 · high + low        high - 128 and low - 128 are signed bytes
    Σ q·w = 256 · Σ (high-128)·w + Σ (low-128)·w + 128 · Σ w

exact in int32 modulo 2^32, hence exact; the integers are those of the tiles. All else of a layer
is the compiled code of `packed_layer`, which finds the sums ready where it would multiply.

The library is believed nothing. On CPUs without VNNI it adds products in 16 bits and saturates:
so before it serves a shape it has to multiply the worst integers of that shape (`is_exact`). And
on CPUs without AMX the tiles are as fast or faster: so it has to win a race (`wins`). Both are
done once per process and shape, in some milliseconds, and no result depends on who wins.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .packed_layer import ALL, run_packed
from .packed_plans import PackedLayer, PackedPlan, Sizes
from .packed_weights import KeptMatrix
from .packing import DEPTH, padded
from .quantizing import BYTES, PLANES

FEWEST_ROWS = 16  # of a batch; below, no matrix unit is busy
CHUNK_ROWS = 256  # rows of input that one product with W_ih serves
_CLEARLY = 1.25  # how many times as fast as the tiles the library has to be
_ROUNDS = 7
_KEPT_BYTES = 1 << 26  # buffers up to this size are kept for the next call


class Shape(NamedTuple):
    """A product: so many rows of signed bytes times (outputs, depth) weights."""

    rows: int
    depth: int
    outputs: int


def planes_of(form: int) -> int:
    """How many rows of bytes a row of activations is."""
    return 2 if form == PLANES else 1


@functools.cache
def is_exact(shape: Shape) -> bool:
    """Whether the library multiplies the worst integers of this shape without a fault."""
    patterns = _worst(shape.depth)
    of_rows, of_outputs = (torch.arange(count) % len(patterns) for count in shape[::2])
    exact = (patterns.double() @ patterns.double().T).long()
    expected = exact[of_rows][:, of_outputs]
    try:
        found = torch._int_mm(patterns[of_rows], patterns[of_outputs].T)
    except RuntimeError:  # none for this shape
        return False
    return torch.equal(found.long(), expected)


def _worst(depth: int) -> Tensor:
    """Rows of extremes, alike, in turns of one, two and four, and at random: int8 (12, depth)."""
    places = torch.arange(depth)
    turns = [(places // length) % 2 == 0 for length in (1, 2, 4)]
    turns.append(torch.rand(depth, generator=torch.Generator().manual_seed(0)) < 0.5)
    alike = torch.ones(depth, dtype=torch.bool)
    signs = [one for turn in (alike, *turns) for one in (turn, ~turn)]
    rows = [torch.where(sign, 127, -128) for sign in signs]
    rows += [torch.where(turn, 127, -127) for turn in turns[:2]]
    return torch.stack(rows).to(torch.int8)


@functools.cache
def _race(rows: int, depth: int, tiles: int, vectors: int, form: int, product_at: int) -> bool:
    """Whether the library is clearly faster than the tiles at one product of these sizes."""
    from .all_tiles import multiply_all  # compiled where there is a use for it

    planes = planes_of(form)
    activations = torch.ones(planes * rows, depth, dtype=torch.int8)
    weights = torch.ones(16 * vectors * tiles, depth, dtype=torch.int8)
    sums = torch.zeros(planes * rows, len(weights), dtype=torch.int32)
    by_tiles = functools.partial(
        multiply_all, product_at, tiles, vectors, weights.data_ptr(), 16 * vectors * depth,
        depth // 4, activations.data_ptr(), planes * depth, rows, sums.data_ptr(),
    )  # fmt: skip
    by_library = functools.partial(torch._int_mm, activations, weights.T, out=sums)
    tiles_s, library_s = _least_s(by_tiles, by_library)
    return _CLEARLY * library_s < tiles_s


def _least_s(*works: Callable[[], object]) -> list[float]:
    """The least time of each, taken in turns."""
    found = []
    for _ in range(_ROUNDS + 1):  # the first warms up
        for work in works:
            start = time.perf_counter()
            work()
            found.append(time.perf_counter() - start)
    return [min(found[len(works) + index :: len(works)]) for index in range(len(works))]


def wins(layer: PackedLayer, sizes: Sizes) -> bool:
    """Whether a layer at these sizes is for the library: exact, and clearly faster.

    On one thread only: several share the tiles. And with as many rows at every step.
    """
    batch = sizes.batch_sizes[0]
    if sizes.allowed > 1 or batch < FEWEST_ROWS or len(set(sizes.batch_sizes)) > 1:
        return False
    if not hasattr(torch, "_int_mm"):
        return False
    ih, hh = layer.parts[:2]
    if not all(part and part.packed.form in (PLANES, BYTES) for part in (ih, hh)):
        return False
    depth = padded(layer.outputs, DEPTH)
    tiles, _, vectors, *_ = hh.packed.tiles.shape
    if not _race(batch, depth, tiles, vectors, hh.packed.form, hh.packed.product_at):
        return False
    return all(is_exact(shape) for shape in _shapes(layer, sizes))


def plan_for(layer: PackedLayer, sizes: Sizes) -> PackedPlan:
    """The library's where it wins, and else that of the tiles."""
    return WidePlan(layer, sizes) if wins(layer, sizes) else PackedPlan(layer, sizes)


def _shapes(layer: PackedLayer, sizes: Sizes) -> set[Shape]:
    """All products that a call at these sizes asks of the library."""
    steps, batch, outputs = len(sizes.batch_sizes), sizes.batch_sizes[0], 0
    chunk = chunk_steps(steps, batch)
    ih, hh = layer.parts[:2]
    outputs = hh.packed.row_sums.numel()
    found = {Shape(planes_of(hh.packed.form) * batch, padded(layer.outputs, DEPTH), outputs)}
    for count in {chunk, steps % chunk} - {0}:
        rows = planes_of(ih.packed.form) * count * batch
        found.add(Shape(rows, padded(layer.inputs, DEPTH), outputs))
    return found


def chunk_steps(steps: int, batch: int) -> int:
    """How many steps of input share a product."""
    return min(steps, max(1, CHUNK_ROWS // batch))


class _Side:
    """One of the two products of a plan: what is multiplied, and where the sums go."""

    def __init__(
        self, plan: PackedPlan, part: KeptMatrix, name: str, activations: str, rows: int
    ) -> None:
        from .wide_sums import fetch_bytes, fetch_planes  # compiled where there is a use for it

        form = part.packed.form
        self.planes, self.weights = planes_of(form), part.matrix.T
        outputs, depth = part.matrix.shape
        self.row_bytes = self.planes * depth
        self.q_at, self.marks_at = (
            plan.number(f"{kind}_{activations}_at") for kind in ("q", "marks")
        )
        begin = self.q_at - plan.room.ctypes.data
        held = torch.from_numpy(plan.room[begin : begin + rows * self.row_bytes])
        self.q = held.view(rows * self.planes, depth)
        self.sums = held.new_empty(rows * self.planes, outputs, dtype=torch.int32)
        vectors = part.packed.tiles.shape[2]
        fetch = fetch_planes if self.planes == 2 else fetch_bytes
        for field, number in {
            "at": self.sums.data_ptr(), "tile": 64 * vectors,
            "steps": 4 * outputs * 8 + vectors, "product": fetch.address,
        }.items():  # fmt: skip
            plan.set_number(f"{name}_{field}", number)

    def multiply(self, rows: int) -> None:
        """Multiply the first rows of activations, which have just been quantized."""
        from .wide_sums import make_signed

        make_signed(self.q_at, self.row_bytes, self.marks_at, rows, self.planes)
        count = rows * self.planes
        torch._int_mm(self.q[:count], self.weights, out=self.sums[:count])


class WidePlan(PackedPlan):
    """A plan whose two large products are the library's."""

    def __init__(self, layer: PackedLayer, sizes: Sizes) -> None:
        steps, batch = len(sizes.batch_sizes), sizes.batch_sizes[0]
        self.chunk = chunk_steps(steps, batch)
        super().__init__(layer, sizes, chunk=self.chunk)
        ih, hh = layer.parts[:2]
        assert ih is not None
        assert hh is not None
        self.input = _Side(self, ih, "ih", "x", self.chunk * batch)
        self.state = _Side(self, hh, "hh", "h", batch)
        held = self.room.nbytes + self.input.sums.nbytes + self.state.sums.nbytes
        self.reusable = held < _KEPT_BYTES

    def run(self) -> None:
        """The whole layer: products and compiled phases in turn."""
        run_packed(self.task_at, 0, 0, 1, ALL)
        phase, steps, batch = 0, len(self.sizes.batch_sizes), self.sizes.batch_sizes[0]
        for begin in range(0, steps, self.chunk):
            count = min(self.chunk, steps - begin)
            self.input.multiply(count * batch)
            for _ in range(count):
                phase += 1
                run_packed(self.task_at, 0, 1, 0, phase)
                self.state.multiply(batch)
            phase += 1
            run_packed(self.task_at, 0, 1, 0, phase)
