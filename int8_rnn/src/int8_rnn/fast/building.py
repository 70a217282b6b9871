"""Compile the kernels to machine code: by numba and LLVM, once for each kind of CPU."""

from __future__ import annotations

import ctypes

import llvmlite.binding as llvm
import numba

from . import layer  # noqa: F401, with all that it calls
from .dots import INSTRUCTION, TILES
from .llvm import COMPILED, EMITTED, OURS, emit
from .quantizing import OPTIONS


def build(triple: str, cpu: str, features: str) -> tuple[bytes, str]:
    """An object file with all routines, which wants OURS, and its byte product."""
    nothing = ctypes.cast(ctypes.pythonapi.Py_FatalError, ctypes.c_void_p).value
    for symbol in (*EMITTED, *COMPILED, *OURS):  # numba finds what it will never call
        llvm.add_symbol(symbol, nothing)
    target = llvm.Target.from_triple(triple)
    machine = target.create_target_machine(cpu, features, 3, "default", "jitdefault")
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    whole = llvm.parse_assembly(emit())
    passes.getModulePassManager().run(whole, passes)
    for symbol, (signature, function) in COMPILED.items():
        made = numba.cfunc(signature, **OPTIONS)(function)
        part = llvm.parse_assembly(made.inspect_llvm())
        part.get_function(made.native_name).name = symbol
        whole.link_in(part)
    # What is left are numba's ways out of an error, which no kernel takes.
    for left in [*whole.functions, *whole.global_variables]:
        if left.is_declaration and not left.name.startswith(("llvm.", *OURS)):
            _define(whole, left)
    return machine.emit_object(whole), INSTRUCTION + "+amx" * TILES


def _define(whole: llvm.ModuleRef, left: llvm.ValueRef) -> None:
    """Give a name a meaning, under one that no other code of the process has."""
    left.name = f"int8_rnn_{left.name}"
    code = f"@{left.name} = global i8 0"
    if left.is_function:
        code = f"define void @{left.name}() {{\n  unreachable\n}}"
    whole.link_in(llvm.parse_assembly(code))
