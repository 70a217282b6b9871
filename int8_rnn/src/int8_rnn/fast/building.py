"""Compile the kernels to machine code: by numba and LLVM, once for each kind of CPU."""

from __future__ import annotations

import ctypes

import llvmlite.binding as llvm
import numba
from numba import types

from . import layer  # noqa: F401, with all that it calls
from .dots import INSTRUCTION
from .llvm import COMPILED, EMITTED, FREE, MALLOC, emit
from .quantizing import OPTIONS


def build(triple: str, cpu: str, features: str) -> tuple[bytes, str, list[str]]:
    """Machine code with the function `int8_rnn_run`.

    Returns:
        An object file, the byte product that it takes, and the names of what it leaves to others:
        MALLOC and FREE, and what only numba's ways out of an error would call.
    """
    nothing = ctypes.cast(ctypes.pythonapi.Py_FatalError, ctypes.c_void_p).value
    for symbol in (*EMITTED, *COMPILED, MALLOC, FREE):  # numba finds what it will never call
        llvm.add_symbol(symbol, nothing)
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
    left = [f for f in whole.functions if f.is_declaration and not f.name.startswith("llvm.")]
    for function in left:
        if function.name not in (MALLOC, FREE):  # names that no other code of the process has
            function.name = f"int8_rnn_{function.name}"
    return machine.emit_object(whole), INSTRUCTION, [function.name for function in left]
