"""Compile the kernels to machine code: numba and LLVM, once for each kind of CPU."""

from __future__ import annotations

import ctypes

import llvmlite.binding as llvm
import numba
from numba import types

from . import layer
from .llvm import COMPILED, EMITTED, emit
from .products import OPTIONS

ENTRY = "int8_rnn_run"


def build(triple: str, cpu: str, features: str) -> tuple[bytes, list[str]]:
    """An object file with the function ENTRY, and the names of all that it leaves to others."""
    assert layer
    for symbol in (*EMITTED, *COMPILED):  # numba wants to find what it will never call
        llvm.add_symbol(symbol, ctypes.cast(ctypes.pythonapi.Py_FatalError, ctypes.c_void_p).value)
    target = llvm.Target.from_triple(triple)
    machine = target.create_target_machine(cpu, features, 3, "default", "jitdefault")
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    whole = llvm.parse_assembly(emit())
    passes.getModulePassManager().run(whole, passes)
    for symbol, (count, function) in COMPILED.items():
        made = numba.cfunc(types.void(*[types.int64] * count), **OPTIONS)(function)
        part = llvm.parse_assembly(made.inspect_llvm())
        part.get_function(made.native_name).name = symbol
        whole.link_in(part)
    whole.verify()
    names = [f.name for f in whole.functions if f.is_declaration and not f.name.startswith("llvm.")]
    return machine.emit_object(whole), names
