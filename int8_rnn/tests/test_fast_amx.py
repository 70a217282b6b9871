"""Batches, which AMX multiplies where there is AMX: the same sums as everywhere else."""

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import llvmlite.binding as binding
import numpy as np
import pytest
import torch
from int8_rnn.fast import amx, llvm, loading, products, records, ways
from int8_rnn.fast.ready import FastPath

import int8_rnn
from int8_rnn import tiles

X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
# 1 to 16 columns of four are left after the last 16 of them.
DEPTHS = 16, 64, 80, 112, 128, 176, 256, 320, 400
ROWS = *range(1, 50), 63, 64, 65, 80


def product(form, gates, depth, rows):
    """The sums that the kernels give, and those that they should give."""
    planes = 2 if form == records.PLANES else 1
    weights = torch.randint(-64, 65, (16 * gates * 3, depth)).to(torch.int8)
    bytes_of = torch.randint(0, 256, (rows, planes, depth)).to(torch.uint8)
    held, given = tiles.pack(weights, gates), bytes_of.flatten(1)
    w = np.zeros(1, records.WEIGHT)
    w["tiles_at"], w["tile_bytes"], w["tiles"] = held.data_ptr(), held[0].numel(), len(held)
    w["steps"], w["form"], w["vectors"], w["q_bytes"] = depth // 4, form, gates, planes * depth
    # Beside what one tile writes lies what the next one writes over.
    sums = torch.full((rows, len(held), 4, 16), 7, dtype=torch.int32)
    numbers = given.data_ptr() - records.MARK, rows, sums.data_ptr(), 256 * len(held)
    loading.load().multiply_all(w.ctypes.data, *numbers)
    factors = torch.tensor([256.0, 1.0][-planes:], dtype=torch.float64)
    wanted = torch.einsum("p,rpd,od->ro", factors, bytes_of.double(), weights.double())
    wanted = wanted.to(torch.int32).view(rows, gates, len(held), 16).transpose(1, 2)
    assert gates == 4 or bool((sums[:, :, gates:] == 7).all()), "nothing else is written"
    return sums[:, :, :gates], wanted


@pytest.mark.parametrize("gates", [3, 4])
@pytest.mark.parametrize("depth", DEPTHS)
def test_any_number_of_rows_and_columns(gates, depth):
    """As Python's own threads ask for them, two at a time: registers belong to a thread."""
    assert int8_rnn.fast_path().available
    for form in {records.PLANES, records.BYTES}.intersection(ways.ways()):  # what this CPU has
        with ThreadPoolExecutor(2) as pool:
            for found, wanted in pool.map(partial(product, form, gates, depth), ROWS):
                assert torch.equal(found, wanted), (form, len(found))


def test_the_registers_are_shared_with_pytorch():
    """Whatever shape one leaves them in, the other finds its own."""
    lstm, x = int8_rnn.Int8LSTM.from_float(torch.nn.LSTM(80, 80)), torch.randn(3, 40, 80)
    number, small = torch.randn(64, 64).bfloat16(), torch.ones(64, 64, dtype=torch.int8)
    tasks = lambda: lstm(x)[0], lambda: number @ number, lambda: torch._int_mm(small, small)
    expected = [task() for task in tasks]
    for _ in range(3):
        for task, same in zip(tasks, expected, strict=True):
            assert torch.equal(task(), same)


def test_code_for_it_is_for_cpus_and_systems_that_have_it(monkeypatch):
    """Linux is asked for it; where it refuses, features and so the key of the code are others."""
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+amx-int8,+avx2,+amx-tile")
    features, keys = {True: "+amx-int8,+avx2,+amx-tile", False: "-amx-int8,+avx2,-amx-tile"}, set()
    for answer in features:
        monkeypatch.setattr(loading, "_may_use_tiles", lambda triple, answer=answer: answer)
        assert loading.host()[2] == features[answer]
        keys.add(loading.key())
    assert len(keys) == 2
    monkeypatch.undo()
    assert not loading._may_use_tiles(ARM)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not loading._may_use_tiles(X86)


def test_the_instruction_that_is_told_says_whether_there_is_such_code():
    has = "+amx-int8" in loading.host()[2].split(",")
    told = int8_rnn.fast_path().instruction
    assert told.endswith("+amx") == (has and told.startswith("vpdpbusd512"))
    shown = str(FastPath(True, "", 0.1, "vpdpbusd512+amx"))
    assert shown == "int8 modules run compiled code, made ready in 0.10 s, with vpdpbusd512+amx."


@pytest.mark.parametrize("has", [True, False])
def test_the_code_has_the_instructions(has, monkeypatch):
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    try:
        target = binding.Target.from_triple(X86)
    except RuntimeError:
        pytest.skip("LLVM without x86")
    for module in (amx, products):
        monkeypatch.setattr(module, "TILES", has)
    for symbol in [*llvm.EMITTED]:
        if "multiply" not in symbol and "registers" not in symbol:
            monkeypatch.delitem(llvm.EMITTED, symbol)
    machine = target.create_target_machine(cpu="sapphirerapids", opt=1)
    code = machine.emit_assembly(binding.parse_assembly(llvm.emit()))
    # Two planes of 4 and of 3 vectors, one of 4 and of 3; and all again for what is left.
    assert code.count("tdpbusd\t") == has * 2 * (8 + 6 + 4 + 3)
    assert code.count("ldtilecfg") == code.count("tilerelease") == has
