"""Packed weights: their layout, the rule that notices changes, and what they hold on to."""

import copy
import gc
import io
import os
import pickle
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common.settings import threads_set
from recipe_helpers.int8.fast_path import packed_calls, packed_weights, packing, plans
from recipe_helpers.int8.fast_path.packing import Watch, pack
from recipe_helpers.int8.scheme import eight_bit

from .fast_path import assert_same_bits, int8_pair, random, run_python


@pytest.mark.parametrize(("gates", "units", "depth"), [(4, 20, 9), (3, 16, 32), (4, 1, 1)])
@pytest.mark.parametrize("kind", ["planes", "narrow"])
def test_every_weight_lies_where_the_picture_says(gates, units, depth, kind, monkeypatch):
    monkeypatch.setattr(packing, "product_at", lambda kind, vectors: 1)
    values = torch.randint(-127, 128, (gates * units, depth), dtype=torch.int8)
    packed, group = pack(values, gates, kind), 4 if kind == "planes" else 2
    blocks, room = -(-units // 16), -(-depth // 16) * 16
    assert packed.tiles.shape == (blocks, room // group, gates, 16, group)
    assert packed.row_sums.shape == (blocks, gates, 16)
    flat, seen = packed.tiles.flatten(), torch.zeros(packed.tiles.numel(), dtype=torch.bool)
    for gate in range(gates):
        for unit in range(units):
            row = values[gate * units + unit]
            assert int(packed.row_sums[unit // 16, gate, unit % 16]) == int(row.sum())
            for k in range(depth):
                step = unit // 16 * room // group + k // group
                at = ((step * gates + gate) * 16 + unit % 16) * group + k % group
                assert flat[at] == row[k]
                seen[at] = True
    assert not flat[~seen].any()


def test_a_plain_matrix_has_64_rows_in_a_tile(monkeypatch):
    monkeypatch.setattr(packing, "product_at", lambda kind, vectors: vectors)
    values = torch.randint(-127, 128, (70, 5), dtype=torch.int8)
    packed = pack(values, 1, "planes")
    assert packed.product_at == 4
    assert packed.tiles.shape == (2, 4, 4, 16, 4)
    assert torch.equal(packed.tiles[1, 0, 0, :6], values[64:, :4])
    assert torch.equal(packed.tiles[0, 1, 3, :, 0], values[48:64, 4])


# --- the watch -----------------------------------------------------------------------------------


def fresh():
    weight = torch.arange(48, dtype=torch.int8).view(6, 8).clone()
    return weight, Watch(weight)


WRITES = {
    "copy_": lambda w: w.copy_(w.flip(0)),
    "item": lambda w: w.__setitem__((0, 0), 7),
    "view": lambda w: w.view(-1)[3:].fill_(1),
    "data": lambda w: w.data.zero_(),
    "detach": lambda w: w.detach().neg_(),
    "numpy": lambda w: w.numpy().__setitem__(0, 9),
    "storage": lambda w: w.untyped_storage().fill_(2),
    "out": lambda w: torch.add(w, 1, out=w),
    "set_": lambda w: w.set_(torch.zeros(6, 8, dtype=torch.int8)),
    "other data": lambda w: setattr(w, "data", torch.zeros(6, 8, dtype=torch.int8)),
    "dlpack": lambda w: torch.from_dlpack(w).fill_(5),
}


@pytest.mark.parametrize("shares", [True, False], ids=["shared", "compared"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("inference", [True, False])
def test_no_write_goes_unnoticed(write, shares, inference, monkeypatch):
    monkeypatch.setattr(packing, "_SHARES", shares)
    with torch.inference_mode(inference):
        weight, watch = fresh()
        assert (watch.copy is None) == shares
        assert watch.unchanged(weight)
        write(weight)
    assert not watch.unchanged(weight)


READS = {
    "state_dict": lambda w: nn.ParameterDict({"w": nn.Parameter(w, False)}).state_dict(),
    "deepcopy": copy.deepcopy,
    "float": lambda w: w.float(),
    "compare": lambda w: torch.equal(w, w.clone()),
    "index": lambda w: w[2] + w[:, 1].sum(),
    "print": repr,
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reading_does_not_cost_a_new_packing(read):
    weight, watch = fresh()
    read(weight)
    assert watch.unchanged(weight)


def test_memory_that_an_array_holds_is_compared_until_it_lets_go():
    weight = torch.arange(48, dtype=torch.int8).view(6, 8).clone()
    array = weight.numpy()
    watch = Watch(weight)
    assert watch.copy is not None
    assert watch.unchanged(weight)
    array[0, 0] = 99
    assert not watch.unchanged(weight)
    watch = Watch(weight)
    del array
    assert watch.unchanged(weight)
    assert watch.copy is None
    weight.numpy()[0, 0] = 98
    assert not watch.unchanged(weight)


def test_memory_of_others_is_compared():
    array = np.zeros((4, 4), np.int8)
    weight = torch.from_numpy(array)
    watch = Watch(weight)
    assert watch.unchanged(weight)
    array[1, 1] = 1
    assert not watch.unchanged(weight)
    shared = torch.zeros(4, 4, dtype=torch.int8).share_memory_()
    watch = Watch(shared)
    assert watch.unchanged(shared)
    shared[0] = 1
    assert not watch.unchanged(shared)


def test_another_tensor_with_the_same_content_is_another_one():
    weight, watch = fresh()
    assert not watch.unchanged(weight.clone())
    assert not watch.unchanged(None)


# --- modules -------------------------------------------------------------------------------------


def test_weights_are_packed_once_and_again_only_where_they_changed(monkeypatch):
    packed, original = [], packed_weights.pack

    def watched(values, gates, kind):
        packed.append(values.shape)
        return original(values, gates, kind)

    monkeypatch.setattr(packed_weights, "pack", watched)
    fast, _ = int8_pair(5, 6, 2)
    data = random(3, 2, 5)
    for _ in range(3):
        fast(data)
    assert packed == [(24, 5), (24, 6), (24, 6), (24, 6)]
    fast.state_dict()
    fast(data)
    assert len(packed) == 4
    fast.weight_hh_l1[0, 0] += 1
    fast(data)
    assert packed[4:] == [(24, 6), (24, 6)]  # that layer


def test_a_numpy_view_that_is_kept_is_seen_at_every_call():
    fast, plain = int8_pair(5, 6)
    data = random(3, 2, 5)
    fast(data)
    view = fast.weight_hh_l0.numpy()
    for value in (1, 2, 3):
        view[:, 0] = value
        plain.weight_hh_l0.copy_(fast.weight_hh_l0)
        assert torch.allclose(fast(data)[0], plain(data)[0], atol=1e-5)


@pytest.mark.parametrize("name", ["bias_ih_l0", "weight_hh_l0_scale", "weight_ih_l0_columns"])
def test_small_tensors_are_read_anew_however_they_change(name, same_tanh):
    fast, plain = int8_pair(5, 6)
    data = random(3, 2, 5)
    fast(data)
    for change in (
        lambda m: getattr(m, name).mul_(2),
        lambda m: getattr(m, name).data.mul_(2),
        lambda m: setattr(m, name, getattr(m, name) * 2),
        lambda m: setattr(m, name, getattr(m, name).repeat_interleave(2)[::2] * 2),
        lambda m: getattr(m, name).mul_(2),
        lambda m: setattr(getattr(m, name), "data", getattr(m, name).clone() * 2),
    ):
        change(fast)
        change(plain)
        assert_same_bits(fast(data), plain(data))


def in_other_strides(module):
    weight = module.weight_hh_l0
    module.weight_hh_l0 = weight.as_strided(weight.shape, (1, len(weight)))


def with_scales_exchanged(module):
    one, other = module.weight_ih_l0_scale, module.weight_hh_l0_scale
    module.weight_ih_l0_scale, module.weight_hh_l0_scale = other, one


@pytest.mark.parametrize("change", [in_other_strides, with_scales_exchanged])
def test_tensors_at_known_addresses_in_other_places_are_seen(change, same_tanh):
    fast, plain = int8_pair(5, 6)
    data = random(3, 2, 5)
    fast(data)
    for module in (fast, plain):
        change(module)
    assert_same_bits(fast(data), plain(data))


def test_column_scales_that_come_and_go_are_seen(same_tanh):
    fast, plain = int8_pair(5, 6)
    data, columns = random(3, 2, 5), fast.weight_ih_l0_columns.clone()
    for scales in (None, columns, None):
        for module in (fast, plain):
            module.weight_ih_l0_columns = scales
        assert_same_bits(fast(data), plain(data))
    for module in (fast, plain):
        del module._buffers["weight_ih_l0_columns"]  # as in one pickled by version 1.0
    assert_same_bits(fast(data), plain(data))
    for module in (fast, plain):
        module.register_buffer("weight_ih_l0_columns", columns)
    assert_same_bits(fast(data), plain(data))


def test_another_scheme_is_another_packing(same_tanh):
    fast, plain = int8_pair(5, 6)
    data = random(3, 2, 5)
    fast(data)
    for module in (fast, plain):
        module.scheme, module.activation_bits = eight_bit(), 8
    assert_same_bits(fast(data), plain(data))


def test_copies_and_pickles_carry_no_packed_weights():
    fast, _ = int8_pair(64, 64)
    bare = len(pickle.dumps(fast))
    expected = fast(random(3, 2, 64))
    assert len(pickle.dumps(fast)) == bare
    for other in (copy.copy(fast), copy.deepcopy(fast), pickle.loads(pickle.dumps(fast))):
        assert "_fast_packed" not in vars(other)
        assert_same_bits(other(random(3, 2, 64)), expected)
    file = io.BytesIO()
    torch.save(fast, file)
    file.seek(0)
    assert_same_bits(torch.load(file, weights_only=False)(random(3, 2, 64)), expected)
    assert set(fast.state_dict()) == set(copy.deepcopy(fast).state_dict())


def test_packed_weights_go_with_their_module():
    fast, _ = int8_pair(8, 8)
    fast(random(3, 2, 8))
    (layer,) = vars(fast)["_fast_packed"].layers
    gone = weakref.ref(layer)
    gc.disable()
    try:
        del layer, fast
        assert gone() is None, "it waits for the collector of cycles"
    finally:
        gc.enable()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc of Linux")
def test_memory_stays_level_over_10_000_calls():
    printed = run_python(
        """
        import gc, os, pathlib, torch, recipe_helpers as rh

        def resident():
            gc.collect()
            pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")

        torch.set_num_threads(1)
        modules = [rh.Int8LSTM.from_float(torch.nn.LSTM(16, 24)), rh.Int8GRU(16, 24),
                   rh.Int8Linear(16, 24)]
        def calls(count):
            for call in range(count):
                for module in modules:
                    module(torch.ones(1 + call % 40, 1, 16))
                if call % 500 == 0:
                    for module in modules:
                        module.load_state_dict(module.state_dict())
        calls(1000)
        before = resident()
        calls(10_000)
        print(resident() - before)
        """
    )
    assert printed.returncode == 0, printed.stderr
    assert int(printed.stdout) < 2_000_000


def test_eight_threads_share_a_module_whose_weights_nobody_has_packed():
    fast, _ = int8_pair(20, 37)
    inputs = [random(15, 3, 20, seed=seed) for seed in range(8)]
    expected = [copy.deepcopy(fast)(data) for data in inputs]
    with threads_set(1), ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            vars(fast).pop("_fast_packed", None)
            for one, other in zip(pool.map(fast, inputs), expected, strict=True):
                assert_same_bits(one, other)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_runs_and_changes_weights_of_its_own():
    done = run_python(
        """
        import os, torch, recipe_helpers as rh
        torch.manual_seed(0)
        lstm, x = rh.Int8LSTM.from_float(torch.nn.LSTM(8, 8)), torch.randn(5, 1, 8)
        before = lstm(x)[0]
        child = os.fork()
        if child == 0:
            same = torch.equal(lstm(x)[0], before)
            lstm.weight_hh_l0.data.zero_()
            os._exit(0 if same and not torch.equal(lstm(x)[0], before) else 1)
        print(os.waitpid(child, 0)[1], torch.equal(lstm(x)[0], before))
        """
    )
    assert done.stdout.split() == ["0", "True"], done.stderr


def test_few_rows_of_a_small_layer_never_start_a_second_thread(monkeypatch):
    monkeypatch.setattr(packed_calls, "share", lambda *_: pytest.fail("it was shared"))
    for width in (8, 256):
        with threads_set(4):
            rh.Int8LSTM.from_float(nn.LSTM(width, width))(random(20, 1, width))
    per_step = 4 * 1024 * 2048
    assert plans.threads_for(4, 20 * per_step, per_step) > 1
