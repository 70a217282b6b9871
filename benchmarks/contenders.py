"""The runtimes that `peers.py` compares: each a callable on the same layers and inputs.

A contender that is not installed, or has no kernel for a case, is left out of its row. Every
session is made, and its weights are packed, before the first call that is timed.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import struct
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import int8_rnn

OURS = ("default", "16 bits", "8 bits")  # `activation_bits` of None, 16 and 8
TORCH = ("torch FP32", "torch.ao", "torch.ao per channel")
ONNX = ("ONNX Runtime FP32", "ONNX Runtime", "ONNX Runtime reduced range")
NCNN, OPENVINO = "ncnn", "OpenVINO with NNCF"
FLOAT = (TORCH[0], ONNX[0])  # every other peer computes with int8 weights


@dataclass(frozen=True)
class Case:
    """One row of the comparison."""

    kind: str  # "LSTM" or "GRU"
    inputs: int
    width: int
    batch: int = 1
    threads: int = 1
    layers: int = 1
    steps: int = 20

    def __str__(self) -> str:
        sizes = f"{self.inputs} -> {self.width}" if self.inputs != self.width else f"{self.width}"
        layers = f" x {self.layers}" * (self.layers > 1)
        threads = f", {self.threads} threads" * (self.threads > 1)
        return f"{self.kind} {sizes}{layers}, batch {self.batch}{threads}"


@dataclass(frozen=True)
class Contender:
    """A runtime ready to run: what to call, and what came out, (steps, batch, width)."""

    name: str
    call: Callable[[], Any]
    output: np.ndarray


class Recurrent(nn.Module):
    """A recurrent layer inside a module, which is where torch.ao looks for one."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor) -> Tensor:
        """The output of every step; the states begin at zero."""
        return self.layer(inputs)[0]


def contenders(case: Case) -> list[Contender]:
    """All that can run a case, ours first, on weights as PyTorch initializes them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(29592)
        layer = getattr(nn, case.kind)(case.inputs, case.width, case.layers)
        inputs = torch.randn(case.steps, case.batch, case.inputs)
    model = Recurrent(layer).eval()
    found = list(_of_torch(model, inputs))
    if _installed("onnx", "onnxruntime"):
        found += _of_onnx_runtime(model, inputs, case)
    if _installed("ncnn") and case.kind == "LSTM" and case.batch == 1:
        found.append(_of_ncnn(layer, inputs, case))
    # OpenVINO's own oneDNN obeys this variable, too, and then has no LSTM.
    if "ONEDNN_MAX_CPU_ISA" not in os.environ and _installed("openvino", "nncf", "onnx"):
        found.append(_of_openvino(model, inputs, case))
    return found


def _installed(*names: str) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in names)


def _of_torch(model: Recurrent, inputs: Tensor) -> Iterator[Contender]:
    from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

    kind = type(model.layer)
    models: dict[str, nn.Module] = {
        name: int8_rnn.quantize(model, activation_bits=bits)
        for name, bits in zip(OURS, (None, 16, 8), strict=True)
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch.ao is deprecated
        models[TORCH[0]] = model
        models[TORCH[1]] = quantize_dynamic(model, {kind}, dtype=torch.qint8)
        models[TORCH[2]] = quantize_dynamic(model, {kind: per_channel_dynamic_qconfig})
    for name, made in models.items():
        output = made(inputs).numpy()
        # The layer itself: other runtimes pay for no module around it.
        yield Contender(name, lambda layer=made.layer: layer(inputs), output)


def _exported(model: nn.Module, inputs: Tensor, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that makes an operator LSTM is the older one
        torch.onnx.export(model, (inputs,), str(path), dynamo=False, input_names=["inputs"])


def _of_onnx_runtime(model: nn.Module, inputs: Tensor, case: Case) -> Iterator[Contender]:
    """Its dynamic quantization, per channel, with weights of eight and of seven bits."""
    import onnxruntime
    from onnxruntime.quantization import quantize_dynamic

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = case.threads, 1
    feed = {"inputs": inputs.numpy()}
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{index}.onnx") for index in range(len(ONNX))]
        _exported(model, inputs, paths[0])
        quantizer = logging.getLogger()
        before = quantizer.level
        quantizer.setLevel(logging.ERROR)
        try:
            for path, reduced in zip(paths[1:], (False, True), strict=True):
                quantize_dynamic(paths[0], path, per_channel=True, reduce_range=reduced)
        finally:
            quantizer.setLevel(before)
        # It quantizes no GRU: the file is the float one again.
        count = len(ONNX) if case.kind == "LSTM" else 1
        for name, path in zip(ONNX[:count], paths, strict=False):
            session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
            output = session.run(None, feed)[0]
            yield Contender(name, lambda run=session.run: run(None, feed), output)


def _of_openvino(model: nn.Module, inputs: Tensor, case: Case) -> Contender:
    """NNCF's static quantization, calibrated on the very inputs of the row."""
    import nncf
    import openvino

    nncf.set_log_level(logging.ERROR)
    array = inputs.numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "float.onnx")
        _exported(model, inputs, path)
        floats = openvino.Core().read_model(path)
    quantized = nncf.quantize(floats, nncf.Dataset([array]), subset_size=1)
    settings = {"INFERENCE_NUM_THREADS": case.threads, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.compile_model(quantized, "CPU", settings).create_infer_request()
    output = next(iter(request.infer([array]).values())).copy()
    return Contender(OPENVINO, lambda: request.infer([array], share_inputs=True), output)


def _of_ncnn(lstm: nn.LSTM, inputs: Tensor, case: Case) -> Contender:
    import ncnn

    with tempfile.TemporaryDirectory() as folder:
        param, weights = Path(folder, "lstm.param"), Path(folder, "lstm.bin")
        param.write_text(_ncnn_graph(lstm))
        weights.write_bytes(b"".join(_ncnn_weights(lstm)))
        net = ncnn.Net()
        net.opt.num_threads = case.threads
        net.load_param(str(param))
        net.load_model(str(weights))
    mat = ncnn.Mat(np.ascontiguousarray(inputs[:, 0].numpy()))

    def call() -> Any:
        extractor = net.create_extractor()
        extractor.input("x0", mat)
        return extractor.extract(f"x{lstm.num_layers}")[1]

    return Contender(NCNN, call, np.array(call())[:, None])


def _ncnn_graph(lstm: nn.LSTM) -> str:
    """The text format of ncnn: one line for each layer, with the sizes by their numbers."""
    lines = [
        f"LSTM lstm{k} 1 1 x{k} x{k + 1} 0={lstm.hidden_size} "
        f"1={getattr(lstm, f'weight_ih_l{k}').numel()} 2=0 8=2"
        for k in range(lstm.num_layers)
    ]
    count = len(lines) + 1
    return "\n".join(["7767517", f"{count} {count}", "Input x0 0 1 x0", *lines]) + "\n"


def _ncnn_weights(lstm: nn.LSTM) -> Iterator[bytes]:
    """The binary format of ncnn, as its own `ncnn2int8` writes it, which its wheel does not bring.

    For each layer W_ih, the biases, W_hh, then the scales of the two, 127 / max |row|; the gates in
    the order i, f, o, g. Source: `src/layer/lstm.cpp` and `src/modelbin.cpp` of
    https://github.com/Tencent/ncnn.
    """
    for k in range(lstm.num_layers):
        matrices, scales = {}, {}
        for part in ("ih", "hh"):
            rows = _in_order_of_ncnn(getattr(lstm, f"weight_{part}_l{k}"))
            scales[part] = 127 / rows.abs().amax(dim=1, keepdim=True)
            matrices[part] = (rows * scales[part]).round().clamp(-127, 127).to(torch.int8)
        bias = _in_order_of_ncnn(getattr(lstm, f"bias_ih_l{k}") + getattr(lstm, f"bias_hh_l{k}"))
        yield _ncnn_int8(matrices["ih"])
        yield struct.pack("<I", 0) + bias.numpy().tobytes()
        yield _ncnn_int8(matrices["hh"])
        yield scales["ih"].numpy().tobytes() + scales["hh"].numpy().tobytes()


def _in_order_of_ncnn(stacked: Tensor) -> Tensor:
    i, f, g, o = stacked.detach().chunk(4)
    return torch.cat([i, f, o, g])


def _ncnn_int8(values: Tensor) -> bytes:
    content = values.numpy().tobytes()
    return struct.pack("<I", 0x000D4B38) + content + bytes(-len(content) % 4)
