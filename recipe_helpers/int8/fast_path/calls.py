"""The Python side of the fast path: buffers, threads, and the way back where there is none.

`run_layers` and `run_linear` do what `run_layer` and `run_linear` in `arithmetic.py` do, in equal
integers; `kernels.py` holds the compiled code.
"""

from __future__ import annotations

import functools
import itertools
import os
import struct
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...common.tables import Shown, Table
from .. import arithmetic
from ..arithmetic import DEFAULT, Int8Weight, Scheme, State

# Below this many multiply-adds in a layer, and in one step, a second thread costs more than it
# brings: handing the work over takes some 20 µs, and meeting after each step 1 µs.
_WORTH_A_THREAD = 4_000_000
_WORTH_A_SHARE = 60_000
_BLOCKS_PER_THREAD = 4
_CHUNK_ROWS = 64  # rows of input that one pass over W_ih serves
_LANES, _COLUMNS = 16, 4  # as in kernels.py
# W_hh is widened to int16 where the copy, of two bytes a weight, stays in a core's second cache
# beside the rest, and where the steps repay it.
_WIDENED_WEIGHTS = 1 << 17
_WIDENED_STEPS = 4
_KEPT_BYTES = 1 << 20  # working buffers up to this size are kept for the next call
_ADDRESSES = struct.Struct("@14q")  # the part of a Task that differs from call to call
ARITHMETIC = ("float", "weights", "integer")  # the kinds of kernels.py


class FastPathWarning(UserWarning):
    """The compiled fast path is not to be had; the reference in plain torch runs instead."""


@dataclass(frozen=True)
class FastPath(Shown):
    """Whether `rh.Int8LSTM` runs compiled code, and what getting it ready has cost.

    Attributes:
        available: Whether it does.
        reason: Why not, and what to do about it; empty if it does.
        ready_s: Seconds spent on importing numba and on compiling, or on loading what an earlier
            process has compiled.
    """

    available: bool
    reason: str
    ready_s: float

    def table(self) -> Table:
        """One row."""
        state = "compiled" if self.available else "reference in plain torch"
        row = [state, f"{self.ready_s:.1f} s"]
        return Table(["Int8LSTM runs", "made ready in"], [row], note=self.reason)


@functools.cache
def fast_path() -> FastPath:
    """Make the fast path ready, if it is not yet, and say how that went."""
    start = time.perf_counter()
    try:
        from . import kernels  # noqa: F401

        reason = ""
    except ImportError as error:
        reason = (
            f"{error}: the plain reference runs, more slowly; for the compiled fast path "
            'call pip install "recipe-helpers[fast]".'
        )
    except Exception as error:  # whatever a compiler can meet on a machine we have not seen
        reason = f"numba cannot compile here ({type(error).__name__}: {error}); the reference runs."
    return FastPath(not reason, reason, time.perf_counter() - start)


@functools.cache
def compiled() -> ModuleType | None:
    """The compiled code, or None after having said once, in a FastPathWarning, why not."""
    state = fast_path()
    if not state.available:
        warnings.warn(state.reason, FastPathWarning, stacklevel=2)
        return None
    from . import kernels

    return kernels


def _plain(*tensors: Tensor) -> bool:
    """Whether these are ordinary float32 tensors in the CPU's memory."""
    return all(type(x) is Tensor and x.dtype is torch.float32 and x.is_cpu for x in tensors)


def run_lstm(
    module: Any, data: Any, hx: Any, arithmetic: str = "integer"
) -> tuple[Tensor, State] | None:
    """The usual call of an Int8LSTM without detours; None where it is an unusual or a wrong one.

    Usual is a batch of sequences, steps first; all else goes through the checks of the module.
    """
    if type(data) is not Tensor or data.dim() != 3 or module.batch_first or not data.numel():
        return None
    steps, batch, inputs = data.shape
    suffixes = suffixes_of(module.num_layers, module.bidirectional)
    if inputs != module.input_size:
        return None
    if hx is not None:
        if type(hx) is not tuple or len(hx) != 2 or not _plain(*hx):
            return None
        widths = module.proj_size or module.hidden_size, module.hidden_size
        shapes = [(len(suffixes), batch, width) for width in widths]
        if [part.shape for part in hx] != shapes:
            return None
    most = module.scheme.largest_integer(module.activation_bits)
    return run_layers(module._buffers, suffixes, data, (batch,) * steps, hx, most, arithmetic)


@functools.cache
def suffixes_of(layers: int, bidirectional: bool) -> tuple[str, ...]:
    """`_l0`, `_l0_reverse`, `_l1` ... as nn.LSTM names its layers and directions."""
    ends = ("", "_reverse") if bidirectional else ("",)
    return tuple(f"_l{layer}{end}" for layer in range(layers) for end in ends)


def run_layers(
    tensors: Mapping[str, Tensor | None],
    suffixes: Sequence[str],
    data: Tensor,
    batch_sizes: tuple[int, ...],
    state: State | None,
    most: int,
    arithmetic: str = "integer",
) -> tuple[Tensor, State] | None:
    """All layers of an LSTM, one after the other; None where the reference has to do it.

    Every call looks its tensors up anew: nothing is kept that a changed weight would outdate.

    Args:
        tensors: The buffers of an Int8LSTM by their names (or the parameters of an nn.LSTM).
        suffixes: `_l0`, `_l0_reverse`, `_l1` ... in the order of the layers; a layer that is
            reversed follows the other direction of the same layer.
        data: float32 (rows, inputs), as in `integers.run_layer`, or (steps, batch, inputs).
        batch_sizes: Rows of each step.
        state: Initial hidden (suffixes, batch, outputs) and cell (suffixes, batch, hidden); zeros
            if None.
        most: The largest integer of a quantized activation.
        arithmetic: "integer"; "float" for float32 weights; "weights" for int8 weights that are
            multiplied as floats.
    """
    kernels = compiled()
    if kernels is None or not data.numel() or not _plain(data):
        return None
    kind = ARITHMETIC.index(arithmetic)
    batch, (gates, outputs) = batch_sizes[0], tensors[f"weight_hh{suffixes[0]}"].shape
    hidden = gates // 4
    h = data.new_empty(len(suffixes), batch, outputs)
    c = data.new_empty(len(suffixes), batch, hidden)
    if state is not None:
        state = state[0].contiguous(), state[1].contiguous()
        h0, c0 = state[0].data_ptr(), state[1].data_ptr()
    h1, c1 = h.data_ptr(), c.data_ptr()
    directions = 2 if suffixes[-1].endswith("_reverse") else 1
    allowed = torch.get_num_threads()
    for index, suffix in enumerate(suffixes):
        reverse = index % directions
        if not reverse:
            x = data.contiguous()
            data = x.new_empty(*x.shape[:-1], directions * outputs)
        addresses, keep = _addresses(tensors, suffix)
        key = (kind, most, batch_sizes, x.shape[-1], hidden, outputs, reverse, directions, allowed)
        spare = _spare_plans(key)
        plan = spare.pop() if spare else _Plan(*key)
        at_h, at_c = 4 * index * batch * outputs, 4 * index * batch * hidden
        _ADDRESSES.pack_into(
            plan.task.data, 0, x.data_ptr(), data.data_ptr() + 4 * reverse * outputs,
            h0 + at_h if state else 0, c0 + at_c if state else 0, h1 + at_h, c1 + at_c, *addresses,
        )  # fmt: skip
        if plan.threads == 1:
            kernels.prepare(plan.task_at)
            kernels.run(plan.task_at, 0, 1)
            if plan.small:
                spare.append(plan)
        else:
            _share(kernels, plan, (x, data, h, c, state, keep))
    return data, (h, c)


class _Plan:
    """The part of a `Task` that follows from the sizes, and its working buffers.

    One call at a time uses a plan, and gives it back; helpers may come late, hence a plan for
    several threads serves once.
    """

    def __init__(
        self, kind: int, most: int, batch_sizes: tuple[int, ...], inputs: int, hidden: int,
        outputs: int, reverse: int, directions: int, allowed: int,
    ) -> None:  # fmt: skip
        kernels = compiled()
        self.first = np.fromiter(itertools.accumulate(batch_sizes, initial=0), np.int64)
        steps, batch = len(batch_sizes), batch_sizes[0]
        chunk = min(steps, max(1, _CHUNK_ROWS // batch))
        work = 4 * hidden * (inputs + outputs) * int(self.first[-1])
        self.threads = _threads(allowed, work, work // steps)
        self.blocks = (
            1 if self.threads == 1 else min(self.threads * _BLOCKS_PER_THREAD, -(-hidden // 4))
        )
        widened = self.threads == 1 and _widened(kind, steps, batch, 4 * hidden * outputs)
        rows = chunk * batch
        ends = _ends(_sizes(kind, inputs, outputs, hidden, rows, batch, self.blocks, widened))
        self.room = torch.empty(ends[-1] + 64, dtype=torch.int8, device="cpu").numpy()
        start = -(-self.room.ctypes.data // 64) * 64
        self.task = np.array(
            [0] * 14 + [
                kind, most, steps, batch, inputs, hidden, outputs, outputs != hidden, reverse,
                chunk, self.blocks, widened, directions * outputs, kernels.product.address,
                self.first.ctypes.data, *(start + end for end in ends[:-1]),
            ], np.int64,
        )  # fmt: skip
        self.task_at = self.task.ctypes.data
        self.small = ends[-1] < _KEPT_BYTES


@functools.lru_cache(maxsize=64)
def _spare_plans(key: tuple[Any, ...]) -> list[_Plan]:
    """Plans for these sizes that no call is using; popping and appending are atomic."""
    return []


@functools.cache
def _names(suffix: str) -> tuple[str, ...]:
    weights = [f"weight_{part}{suffix}" for part in ("ih", "hh", "hr")]
    return (
        *weights,
        *(f"{name}_scale" for name in weights),
        f"bias_ih{suffix}",
        f"bias_hh{suffix}",
    )


def _addresses(tensors: Mapping[str, Tensor | None], suffix: str) -> tuple[list[int], list[Tensor]]:
    """The addresses of one layer's tensors in the order of `Task`, 0 where there is none."""
    keep, addresses = [], []
    for name in _names(suffix):
        tensor = tensors.get(name)
        if tensor is None:
            addresses.append(0)
            continue
        tensor = tensor if tensor.is_contiguous() else tensor.contiguous()
        keep.append(tensor)
        addresses.append(tensor.data_ptr())
    return addresses, keep


def run_linear(
    data: Tensor, weight: Int8Weight, bias: Tensor | None, bits: int, scheme: Scheme = DEFAULT
) -> Tensor:
    """A linear layer; arguments and results are those of `integers.run_linear`."""
    if not len(data) or not _plain(data) or compiled() is None:
        return arithmetic.run_linear(data, weight, bias, bits, scheme)
    kernels = compiled()
    (rows, inputs), outputs = data.shape, len(weight.values)
    data, values = data.contiguous(), weight.values.contiguous()
    bias = None if bias is None else bias.contiguous()
    y = data.new_empty(rows, outputs)
    depth, held = _depth(inputs), min(rows, _CHUNK_ROWS)
    ends = _ends((outputs * _LANES * (inputs < _LANES), 2 * held * depth, 4 * held))
    room = data.new_empty(ends[-1], dtype=torch.int8)
    start = room.data_ptr()
    kernels.linear(
        kernels.product.address, scheme.largest_integer(bits), data.data_ptr(), rows, inputs,
        values.data_ptr(), weight.scale.data_ptr(), outputs, 0 if bias is None else bias.data_ptr(),
        y.data_ptr(), *[start + end for end in ends[:-1]],
    )  # fmt: skip
    return y


def _depth(width: int) -> int:
    return -(-width // _LANES) * _LANES


def _sizes(
    kind: int, inputs: int, outputs: int, hidden: int, rows: int, batch: int, blocks: int,
    widened: bool,
) -> tuple[int, ...]:  # fmt: skip
    """Bytes of the working buffers in the order of `Task`; `rows` of input share a product."""
    row = _LANES * (4 if ARITHMETIC[kind] == "float" else 1)
    element = 2 if ARITHMETIC[kind] == "integer" else 4
    projected = outputs != hidden
    return (
        4 * hidden * row * (inputs < _LANES),
        8 * hidden * max(outputs, _LANES) if widened else 4 * hidden * row * (outputs < _LANES),
        outputs * row * (projected and hidden < _LANES),
        rows * _depth(inputs) * element,
        4 * rows,
        batch * _depth(outputs) * element,
        4 * batch,
        batch * _depth(hidden) * element * projected,
        4 * batch * projected,
        4 * batch * hidden * projected,
        16 * rows * hidden,
        16 * batch * hidden,
        8 * (16 + blocks),
    )


def _widened(kind: int, steps: int, batch: int, weights: int) -> bool:
    """Whether one thread widens a W_hh of so many weights first."""
    few = batch < _COLUMNS  # more rows of activations share the sign extension
    fits = weights <= _WIDENED_WEIGHTS and steps >= _WIDENED_STEPS
    return ARITHMETIC[kind] == "integer" and few and fits


def _ends(sizes: Iterable[int]) -> tuple[int, ...]:
    """Where parts of these sizes begin if each lies on cache lines of its own."""
    return tuple(itertools.accumulate((-(-size // 64) * 64 for size in sizes), initial=0))


def _threads(allowed: int, work: int, work_per_step: int) -> int:
    if allowed == 1 or work < _WORTH_A_THREAD:
        return 1
    return max(1, min(allowed, work_per_step // _WORTH_A_SHARE))


@functools.cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(
        max_workers=max(1, (os.cpu_count() or 2) - 1), thread_name_prefix="int8-lstm"
    )


if hasattr(os, "register_at_fork"):
    # A child process has none of its parent's threads: it makes its own.
    os.register_at_fork(after_in_child=_helpers.cache_clear)


def _share(kernels: ModuleType, plan: _Plan, keep: tuple[Any, ...]) -> None:
    """Run a layer here and on helpers, each beginning with its own share of the blocks.

    A helper that comes late finds the layer done; it holds the buffers until then.
    """
    kernels.prepare(plan.task_at)
    own = -(-plan.blocks // plan.threads)
    for helper in range(1, plan.threads):
        try:
            _helpers().submit(_help, kernels.run, plan, helper * own % plan.blocks, own, keep)
        except RuntimeError:  # the interpreter is shutting down
            break
    kernels.run(plan.task_at, 0, own)


def _help(run: Any, plan: _Plan, start: int, own: int, keep: tuple[Any, ...]) -> None:
    run(plan.task_at, start, own)
