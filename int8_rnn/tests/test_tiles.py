"""How weights lie in memory: every element in its place, padding of zeros, and back."""

import pytest
import torch
from hypothesis import given, strategies as st
from int8_rnn.tiles import pack, pack_terms, unpack, unpack_terms

shapes = st.tuples(st.sampled_from([1, 3, 4]), st.integers(1, 140), st.integers(1, 40))


def matrix(gates, units, depth):
    return torch.randint(-128, 128, (gates * units, depth), dtype=torch.int8)


@given(shapes)
def test_every_element_is_where_the_kernels_read_it(shape):
    gates, units, depth = shape
    values = matrix(*shape)
    tiles = pack(values, gates)
    per_tile = 16 if gates > 1 else 64
    vectors = gates if gates > 1 else 4
    assert tiles.dtype == torch.int8
    assert tiles.is_contiguous()
    assert tiles.shape == (-(-units // per_tile), -(-depth // 16) * 4, vectors, 16, 4)
    row, column = torch.meshgrid(torch.arange(len(values)), torch.arange(depth), indexing="ij")
    gate, unit = row // units, row % units
    vector = gate if gates > 1 else row % 64 // 16
    tile = unit // 16 if gates > 1 else row // 64
    found = tiles[tile, column // 4, vector, unit % 16 if gates > 1 else row % 16, column % 4]
    assert torch.equal(found, values)
    assert tiles.count_nonzero() == values.count_nonzero(), "all else is 0"
    back = unpack(tiles, *values.shape, gates)
    assert torch.equal(back, values)
    assert back.is_contiguous()
    assert back.untyped_storage().nbytes() == back.nbytes, "a file holds no padding"
    back.zero_()
    assert tiles.count_nonzero() == values.count_nonzero(), "memory of its own"


@given(shapes)
def test_terms_follow_the_order_of_the_sums_and_keep_every_bit(shape):
    gates, units, _ = shape
    values = matrix(*shape)
    scale, sums = torch.rand(len(values)), values.sum(1, dtype=torch.int32)
    terms = pack_terms([scale, sums], gates)
    block = 16 if gates > 1 else 64
    assert terms.shape == (2, gates * -(-units // block) * block)
    again = unpack_terms(terms[0], len(values), gates)
    assert torch.equal(again, scale)
    assert again.untyped_storage().nbytes() == again.nbytes, "a file holds no padding"
    assert torch.equal(unpack_terms(terms[1], len(values), gates).view(torch.int32), sums)
    assert terms.dtype == torch.int32, "no bits that look like NaN"
    row = len(values) - 1
    place = (gates - 1) * (terms.shape[1] // gates) + units - 1
    assert terms[1, place] == sums[row]
    assert terms.count_nonzero() <= len(values) * 2, "padding is 0"


@pytest.mark.parametrize("gates", [1, 3, 4])
def test_both_ways_can_be_exported(gates):
    class Both(torch.nn.Module):
        def forward(self, values):
            return unpack(pack(values, gates), *values.shape, gates)

    values = matrix(gates, 18, 5)
    program = torch.export.export(Both(), (values,)).module()
    assert torch.equal(program(-values), -values)
