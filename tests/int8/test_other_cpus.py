"""Kernels for CPUs other than this one: forced by the name numba compiles for, or read as code."""

import platform

import llvmlite.binding as llvm
import numpy as np
import pytest
from llvmlite import ir

from recipe_helpers.int8.fast_path import dots

from .fast_path import run_python

X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"


def triples():
    """The families of CPUs that this LLVM can make code for."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    found = []
    for triple in (X86, ARM):
        try:
            llvm.Target.from_triple(triple)
        except RuntimeError:
            continue
        found.append(triple)
    return found


CPUS = [
    (X86, "znver4", "vpdpbusd512"),
    (X86, "icelake-server", "vpdpbusd512"),
    (X86, "sapphirerapids", "vpdpbusd512"),
    (X86, "alderlake", "vpdpbusd256"),
    (X86, "znver3", "pmaddubsw"),
    (X86, "skylake-avx512", "pmaddubsw"),
    (X86, "x86-64", None),
    (ARM, "neoverse-v1", "usdot"),
    (ARM, "apple-m2", "usdot"),
    (ARM, "apple-m1", "sdot"),
    (ARM, "neoverse-n1", "sdot"),
    (ARM, "cortex-a72", None),
]
HERE = [cpu for cpu in CPUS if cpu[0] in triples()]


@pytest.mark.parametrize(("triple", "cpu", "name"), HERE)
def test_the_byte_product_of_a_cpu_is_found(triple, cpu, name):
    assert dots.instruction(triple, cpu, "") == name
    assert dots.is_exact(name) == (name not in (None, "pmaddubsw"))


def test_a_family_of_cpus_that_nobody_knows_has_none():
    assert dots.instruction("riscv64-unknown-linux-gnu", "generic", "") is None


@pytest.mark.parametrize(("triple", "cpu", "name"), [cpu for cpu in HERE if cpu[2]])
def test_the_code_for_it_has_that_instruction_and_nothing_slow(triple, cpu, name):
    """One step: 64 products take as many instructions as vectors of the CPU hold 16 int32."""
    module = ir.Module()
    vector = ir.VectorType(ir.IntType(32), 16)
    function = ir.Function(module, ir.FunctionType(vector, [vector] * 3), "f")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(dots.add_dot(builder, name, *function.args))
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, opt=3)
    code = machine.emit_assembly(llvm.parse_assembly(str(module)))
    count = {"vpdpbusd512": 1, "vpdpbusd256": 2, "usdot": 4, "sdot": 8, "pmaddubsw": 2}[name]
    count = 1 if cpu == "skylake-avx512" else count
    assert code.count(name.removesuffix("512").removesuffix("256") + "\t") == count
    assert not any(slow in code for slow in ("pmulld", "pmovsx", "sshll", "smull"))


def test_signed_bytes_on_both_sides_give_the_same_sums():
    """The identity behind `sdot`, with its two products of int8."""
    draw = np.random.default_rng(0)
    a, w = draw.integers(0, 256, 1000), draw.integers(-128, 128, 1000)
    flipped = (a ^ 0x80).astype(np.uint8).view(np.int8).astype(int)
    assert (flipped * w - np.int8(-128).astype(int) * w == a * w).all()


CHECK = """
    import copy, itertools, torch
    from torch import nn
    import recipe_helpers as rh
    from recipe_helpers.int8.fast_path import dots, packing, packed_weights
    from tests.int8.fast_path import assert_same_bits, int8_pair, random, rational_tanh

    seen, original = set(), packed_weights.kind_for
    def watched(*given):
        seen.add(original(*given))
        return original(*given)
    packed_weights.kind_for = watched
    tanh, torch.tanh = torch.tanh, rational_tanh
    packing._WIDENED_BYTES = 30_000
    for bits, kind, pairs in itertools.product((None, 8), ("lstm", "gru"), (True, False)):
        for sizes in ((9, 37), (70, 130)):
            fast, plain = int8_pair(*sizes, kind=kind, activation_bits=bits, bidirectional=True)
            if not pairs:
                for module in (fast, plain):
                    module.weight_hh_l0[:, :2] = -128 if bits else -127
            for x in (random(5, 3, sizes[0]), torch.ones(2, 1, sizes[0]), random(2, 5, sizes[0])):
                assert_same_bits(fast(x), plain(x))
    for bits in (None, 8):
        linear, x = rh.Int8Linear.from_float(nn.Linear(33, 70), activation_bits=bits), random(9, 33)
        fast = linear(x)
        linear.fast = False
        assert torch.equal(fast, linear(x))
    for width, batch in ((16, 3), (16, 40), (1024, 1)):
        lstm, x = rh.Int8LSTM.from_float(nn.LSTM(8, width)), random(3, batch, 8)
        fast = lstm(x)
        print(width, batch, "packed" if "_fast_packed" in vars(lstm) else "row by row")
        lstm.fast = False
        assert_same_bits(fast, lstm(x))
    print(dots.host_instruction(), sorted(seen))
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names an x86 CPU")
def test_code_for_a_cpu_with_avx2_alone_gives_the_same_bits():
    """8-bit weights are bounded in pairs there (PyTorch is told so, too), or are widened."""
    done = run_python(
        CHECK, NUMBA_CPU_NAME="znver3", NUMBA_CPU_FEATURES="", ATEN_CPU_CAPABILITY="avx2"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "16 3 packed",
        "16 40 packed",
        "1024 1 row by row",
        "pmaddubsw ['bytes', 'narrow', 'wide']",
    ]
