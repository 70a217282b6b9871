"""Wide batches through a library's product: exact or not used, and bit for bit the reference."""

import pytest
import torch

from recipe_helpers.common.settings import threads_set
from recipe_helpers.int8 import arithmetic
from recipe_helpers.int8.fast_path import all_tiles, wide
from recipe_helpers.int8.fast_path.dots import host_instruction, is_exact as is_exact_instruction
from recipe_helpers.int8.fast_path.packing import as_matrix, pack
from recipe_helpers.int8.fast_path.quantizing import PLANES
from recipe_helpers.int8.gru import Int8GRU
from recipe_helpers.int8.lstm import Int8LSTM

from .fast_path import assert_same_bits, int8_pair, random

# Elsewhere 16-bit activations are no planes, and stay with the tiles.
HAS_PLANES = is_exact_instruction(host_instruction())
SHAPE = wide.Shape(rows=40, depth=48, outputs=128)
LIBRARY = torch._int_mm


def by_float64(one, other, out=None):
    """An exact product of integers, for machines whose library has none."""
    found = (one.double() @ other.double()).to(torch.int32)
    return found if out is None else out.copy_(found)


def saturating(one, other, out=None):
    """What `pmaddubsw` does: neighbours' products, one of them unsigned, are added in 16 bits."""
    unsigned = (one.long() + 128).unflatten(1, (-1, 2))
    pairs = torch.einsum("mkp,nkp->mnk", unsigned, other.T.long().unflatten(1, (-1, 2)))
    sums = pairs.clamp(-(2**15), 2**15 - 1).sum(2) - 128 * other.long().sum(0)
    found = sums.to(torch.int32)
    return found if out is None else out.copy_(found)


@pytest.fixture
def asked(monkeypatch):
    """The library wins every race; returns the shapes it was asked for.

    What it is asked for in earnest has been proven before, in that very shape.
    """
    shapes, proven, product = [], set(), LIBRARY if wide.is_exact(SHAPE) else by_float64

    def counted(one, other, out=None):
        shape = *one.shape, other.shape[1]
        shapes.append(shape)
        assert out is None or shape in proven
        proven.add(shape)
        return product(one, other, out=out)

    monkeypatch.setattr(torch, "_int_mm", counted)
    monkeypatch.setattr(wide, "_race", lambda *sizes: True)
    wide.is_exact.cache_clear()
    with threads_set(1):
        yield shapes
    wide.is_exact.cache_clear()


CASES = [
    ((1, 1), {}),
    ((8, 8), {}),
    ((33, 80), {"bidirectional": True}),
    ((17, 31), {"num_layers": 2, "bias": False}),
    ((40, 70), {"proj_size": 9}),
    ((300, 130), {}),
]


@pytest.mark.parametrize("bits", [None, 8])
@pytest.mark.parametrize(("sizes", "options"), CASES)
@pytest.mark.parametrize(("steps", "batch"), [(5, 16), (8, 70)])  # in chunks of 3, 3 and 2 steps
def test_every_bit_is_that_of_the_reference(steps, batch, sizes, options, bits, asked, same_tanh):
    lstm = int8_pair(*sizes, **options)[0] if bits is None else eight_bit(*sizes, **options)
    data = random(steps, batch, sizes[0])
    found = lstm(data)
    planes = 2 if bits is None else 1
    of_a_step = planes * batch, wide.padded(options.get("proj_size") or sizes[1], 16)
    assert (of_a_step in {shape[:2] for shape in asked}) == HAS_PLANES
    lstm.fast = False
    assert_same_bits(found, lstm(data))


def eight_bit(*sizes, **options):
    """An Int8LSTM with 8-bit activations whose weights are full, as on a CPU with VNNI."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        lstm = torch.nn.LSTM(*sizes, **options).eval()
    return Int8LSTM.from_float(lstm, scheme=arithmetic.eight_bit(pairs=False))


def test_a_gru_as_well(asked, same_tanh):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        gru = Int8GRU.from_float(torch.nn.GRU(24, 50).eval())
    data, state = random(6, 20, 24), random(1, 20, 50, seed=2)
    found = gru(data, state)
    assert ((40, 64, 192) in asked) == HAS_PLANES
    gru.fast = False
    for left, right in zip(found, gru(data, state), strict=True):
        assert torch.equal(left, right)


def test_calls_of_other_lengths_go_to_the_library_as_well(asked, same_tanh):
    lstm, plain = int8_pair(8, 20)
    for steps in (5, 9, 5, 40, 9):
        assert_same_bits(lstm(random(steps, 16, 8)), plain(random(steps, 16, 8)))
    inputs = {shape[0] for shape in asked} - {32}
    assert inputs == ({160, 288, 512, 256} if HAS_PLANES else set())


def test_a_row_of_nan_spoils_itself_alone(asked, same_tanh):
    lstm, plain = int8_pair(8, 20)
    data = random(4, 16, 8)
    data[1, 3, 2] = torch.nan
    found = lstm(data)
    assert bool(asked) == HAS_PLANES
    assert found[0][:, 3].isnan()[1:].all()
    assert not found[0][:, :3].isnan().any()
    assert_same_bits(found, plain(data))


def test_the_library_of_this_machine_is_exact_or_is_not_used():
    """Whatever it is: what `is_exact` says is what hard integers show."""
    generator = torch.Generator().manual_seed(5)
    signs = torch.rand(SHAPE.rows + SHAPE.outputs, SHAPE.depth, generator=generator) < 0.5
    hard = torch.where(signs, 127, -128).to(torch.int8)
    one, other = hard[: SHAPE.rows], hard[SHAPE.rows :].T
    wide.is_exact.cache_clear()
    if wide.is_exact(SHAPE):
        assert torch.equal(torch._int_mm(one, other), by_float64(one, other))


@pytest.mark.parametrize(
    "product",
    [
        saturating,
        lambda one, other, out=None: by_float64(one, other) + 1,
        lambda one, other, out=None: by_float64(one, other).flip(0),
    ],
)
def test_a_library_that_errs_is_not_used(product, monkeypatch, same_tanh):
    used = []

    def watched(*operands, out=None):
        used.append(out is not None)
        return product(*operands, out=out)

    monkeypatch.setattr(torch, "_int_mm", watched)
    monkeypatch.setattr(wide, "_race", lambda *sizes: True)
    wide.is_exact.cache_clear()
    lstm, plain = int8_pair(8, 20)
    data = random(4, 16, 8)
    found = lstm(data)
    wide.is_exact.cache_clear()
    assert bool(used) == HAS_PLANES
    assert not any(used)  # it was tried, on nobody's data
    assert_same_bits(found, plain(data))


def test_a_library_that_refuses_a_shape_is_not_used(monkeypatch):
    def refuse(*operands, out=None):
        raise RuntimeError("no such shape")

    monkeypatch.setattr(torch, "_int_mm", refuse)
    wide.is_exact.cache_clear()
    assert not wide.is_exact(SHAPE)
    wide.is_exact.cache_clear()


@pytest.mark.parametrize(("library_s", "wins"), [(1e-3, True), (1.9e-3, False), (9e-3, False)])
def test_the_library_has_to_win_the_race(library_s, wins, monkeypatch):
    """By a clock that each of the two puts forward itself."""
    clock = [0.0]

    def takes(seconds):
        def work(*arguments, out=None):
            clock[0] += seconds

        return work

    monkeypatch.setattr(all_tiles, "multiply_all", takes(2e-3))
    monkeypatch.setattr(torch, "_int_mm", takes(library_s))
    monkeypatch.setattr(wide.time, "perf_counter", lambda: clock[0])
    wide._race.cache_clear()
    assert wide._race(16, 32, 2, 4, PLANES, 0) is wins
    wide._race.cache_clear()


def test_all_tiles_are_the_whole_product():
    weights = torch.randint(-127, 128, (4 * 40, 32), dtype=torch.int8)
    packed = pack(weights, 4, "bytes")
    rows = torch.randint(0, 100, (3, 32), dtype=torch.uint8)
    sums = torch.zeros(3, 3 * 64, dtype=torch.int32)
    all_tiles.multiply_all(
        packed.product_at, 3, 4, packed.tiles.data_ptr(), 64 * 32, 8, rows.data_ptr(), 32, 3,
        sums.data_ptr(),
    )  # fmt: skip
    assert torch.equal(sums.double(), rows.double() @ as_matrix(packed).double().T)
    in_order = sums.view(3, 3, 4, 16).transpose(1, 2).reshape(3, 4, 48)[:, :, :40]
    assert torch.equal(in_order.reshape(3, -1).double(), rows.double() @ weights.double().T)


@pytest.mark.parametrize(("batch", "threads"), [(15, 1), (16, 2)])
def test_few_rows_and_several_threads_stay_with_the_tiles(batch, threads, asked):
    lstm, _ = int8_pair(8, 20)
    with threads_set(threads):
        lstm(random(3, batch, 8))
    assert not asked
    lstm(random(3, 16, 8))
    assert bool(asked) == HAS_PLANES
