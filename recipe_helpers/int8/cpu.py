"""What the CPU can do that decides how weights are bounded."""

from __future__ import annotations

import functools
import platform

import torch


@functools.cache
def has_u8s8_dot() -> bool:
    """Whether this CPU sums products of unsigned and signed bytes in 32 bits, without saturation.

    On x86 that is VNNI, which is asked for together with AVX-512 as PyTorch does. Every ARM CPU of
    64 bits can: those without `sdot` widen to 16 bits first. `ATEN_CPU_CAPABILITY=avx2` makes an
    x86 CPU count as one without, as it does for PyTorch's own kernels.
    """
    if platform.machine().lower() in ("arm64", "aarch64"):
        return True
    if not torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "AMX")):
        return False
    probe = getattr(torch.cpu, "_is_vnni_supported", None)
    return bool(probe()) if probe is not None else False
