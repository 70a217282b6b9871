"""The runtimes that `peers.py` compares: each a callable on the same LSTM and inputs."""

from __future__ import annotations

import atexit
import functools
import importlib
import importlib.util
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recipe_helpers.common.settings import deprecations_silenced
from recipe_helpers.int8.lstm import Int8LSTM
from recipe_helpers.recipe.size import state_dict_bytes

OURS, EIGHT_BIT = "Int8LSTM", "Int8LSTM 8-bit"
SHARED, EARLIER = "Int8LSTM, 2 threads", "Int8LSTM before"
TORCH = ("torch FP32", "torch.ao INT8", "torch.ao INT8 per channel")
ONNX_FLOAT = "ONNX Runtime FP32"
ONNX_INT8 = ("ONNX Runtime INT8", "ONNX Runtime INT8 reduced")  # per channel, both
PEERS = (*TORCH, ONNX_FLOAT, *ONNX_INT8)


@dataclass(frozen=True)
class Case:
    """One row of the comparison."""

    width: int
    batch: int = 1
    threads: int = 1
    layers: int = 1
    steps: int = 20

    @property
    def title(self) -> str:
        """The case in words."""
        plain = f"width {self.width}, batch {self.batch}, threads {self.threads}"
        more = f", {self.layers} layers, {self.steps} steps"
        return plain + more * (self.layers > 1)

    @property
    def macs(self) -> int:
        """Multiply-adds of one call."""
        return self.steps * self.batch * self.layers * 8 * self.width**2

    @property
    def bytes_per_call(self) -> int:
        """int8 weights read if W_hh is read at every step and W_ih once."""
        return self.layers * 4 * self.width**2 * (self.steps + 1)


@dataclass(frozen=True)
class Contender:
    """A runtime ready to run: what to call, what came out, how large its file is."""

    name: str
    call: Callable[[], Any]
    output: np.ndarray  # (steps, batch, width)
    file_bytes: int
    threads: int


class Recurrent(nn.Module):
    """An LSTM inside a module, which is where torch.ao looks for one."""

    def __init__(self, lstm: nn.Module) -> None:
        super().__init__()
        self.lstm = lstm

    def forward(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Any]:
        """The outputs and the final state."""
        return self.lstm(inputs, (hidden, cell))


def make(case: Case, *, with_onnx: bool, before: Path | None = None) -> list[Contender]:
    """All contenders on one LSTM with PyTorch's own initialization and normal inputs.

    `before` is a checkout of an earlier version of this repository, which takes part, too.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(29592)
        model = Recurrent(nn.LSTM(case.width, case.width, case.layers)).eval()
        inputs = torch.randn(case.steps, case.batch, case.width)
        state = [torch.randn(case.layers, case.batch, case.width) for _ in range(2)]
    arguments = (inputs, *state)
    found = [
        torch_contender(name, made, arguments, 2 if name == SHARED else case.threads)
        for name, made in torch_models(model, case, before)
    ]
    return found + list(onnx_contenders(model, arguments, case.threads)) if with_onnx else found


def torch_models(
    model: Recurrent, case: Case, before: Path | None
) -> Iterator[tuple[str, nn.Module]]:
    """Ours first, then the float model and what torch.ao makes of it."""
    from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

    exact = Recurrent(Int8LSTM.from_float(model.lstm))
    yield OURS, exact
    yield EIGHT_BIT, Recurrent(Int8LSTM.from_float(model.lstm, activation_bits=8))
    if (case.batch, case.threads) == (1, 1) and (os.cpu_count() or 1) > 1:
        yield SHARED, exact
    if before is not None:
        yield EARLIER, Recurrent(lstm_of(before).from_float(model.lstm))
    yield TORCH[0], model
    with deprecations_silenced():
        yield TORCH[1], quantize_dynamic(model, {nn.LSTM}, dtype=torch.qint8)
        yield TORCH[2], quantize_dynamic(model, {nn.LSTM: per_channel_dynamic_qconfig})


@functools.cache
def lstm_of(folder: Path) -> Any:
    """The Int8LSTM of another checkout, imported beside ours under another name.

    From a copy: numba writes the name of the package into the code that it keeps.
    """
    name, copy = "recipe_helpers_before", tempfile.mkdtemp()
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    leave = shutil.ignore_patterns("__pycache__")
    package = Path(shutil.copytree(folder / "recipe_helpers", Path(copy, name), ignore=leave))
    found = importlib.util.spec_from_file_location(
        name, package / "__init__.py", submodule_search_locations=[str(package)]
    )
    sys.modules[name] = importlib.util.module_from_spec(found)
    found.loader.exec_module(sys.modules[name])
    return importlib.import_module(f"{name}.int8.lstm").Int8LSTM


def torch_contender(
    name: str, model: Recurrent, arguments: tuple[Tensor, ...], threads: int
) -> Contender:
    """A model of PyTorch; its file is what torch.save makes of its state_dict."""
    lstm, (inputs, hidden, cell) = model.lstm, arguments  # called itself, as ONNX Runtime is
    state = hidden, cell
    with torch.inference_mode(), deprecations_silenced():
        output = lstm(inputs, state)[0].numpy()
        size = state_dict_bytes(model)
    return Contender(name, lambda: lstm(inputs, state), output, size, threads)


def onnx_contenders(
    model: nn.Module, arguments: tuple[Tensor, ...], threads: int
) -> Iterator[Contender]:
    """ONNX Runtime on the exported model; weights are packed when the session is made."""
    import onnxruntime
    from onnxruntime.quantization import quantize_dynamic

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    feed = {name: x.numpy() for name, x in zip(("x", "h", "c"), arguments, strict=True)}
    names = (ONNX_FLOAT, *ONNX_INT8)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{index}.onnx") for index in range(3)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter that needs no compiler is the older one
            torch.onnx.export(model, arguments, paths[0], dynamo=False, input_names=list(feed))
        logging.disable(logging.WARNING)
        try:
            for path, reduced in zip(paths[1:], (False, True), strict=True):
                quantize_dynamic(paths[0], path, per_channel=True, reduce_range=reduced)
        finally:
            logging.disable(logging.NOTSET)
        for name, path in zip(names, paths, strict=True):
            session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
            output = session.run(None, feed)[0]
            size = path.stat().st_size
            call = lambda session=session: session.run(None, feed)  # noqa: E731
            yield Contender(name, call, output, size, threads)
