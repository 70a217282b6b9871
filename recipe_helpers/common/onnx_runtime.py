"""The same model outside PyTorch: exported to ONNX, quantized dynamically, run by ONNX Runtime.

For the question of what leaving PyTorch would bring. The result is a module again, so that
everything which measures a module measures this, too. It needs the extra `onnx`.
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
import platform
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from int8_rnn.files import write_atomically
from torch import Tensor, nn

from . import checks
from .errors import ConversionError

_NEEDED = ("onnx", "onnxruntime")
_FLOAT_PRODUCTS = ("LSTM", "GRU", "RNN", "MatMul", "Gemm", "Conv")
_ADDED = ("_scale", "_zero_point")
_INT8_PRODUCTS = ("DynamicQuantizeLSTM", "MatMulInteger", "DynamicQuantizeMatMul", "ConvInteger")


class OnnxNode(NamedTuple):
    """A product with weights in the graph: its name, its operator, and the bytes of its weights."""

    name: str
    operator: str
    weight_bytes: int
    quantized: bool
    float_bytes: int  # what the same numbers take in FP32


class OnnxModel(nn.Module):
    """A graph of ONNX that ONNX Runtime runs on the CPU, called like the model it was made from.

    It runs on as many threads as PyTorch uses when it is called; its threads sleep between calls.

    Attributes:
        graph: the file's bytes.
        nodes: its products with weights, quantized or not.
    """

    def __init__(self, graph: bytes, names: Sequence[str], outputs: Any) -> None:
        super().__init__()
        # In `outputs`, the number of each tensor stands in its place.
        self.graph, self._names, self._outputs = graph, tuple(names), outputs
        self.nodes = tuple(_products(graph))
        self._sessions: dict[int, Any] = {}
        self.eval()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the graph; the inputs are tensors in the places of those it was exported with."""
        tensors = [leaf for leaf in _leaves(_given(args, kwargs)) if isinstance(leaf, Tensor)]
        session = self._session(torch.get_num_threads())
        wanted = {one.name for one in session.get_inputs()}
        named = zip(self._names, tensors, strict=True)
        feed = {name: x.detach().numpy() for name, x in named if name in wanted}
        found = [torch.from_numpy(array) for array in session.run(None, feed)]
        return _with_leaves(self._outputs, found.__getitem__)

    def save(self, path: str | Path) -> None:
        """Write the graph into a file for `onnxruntime.InferenceSession`, whole or not at all."""
        write_atomically(Path(path), self.graph)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_sessions": {}}  # sessions belong to a process

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxModel:
        return OnnxModel(self.graph, self._names, self._outputs)

    def _session(self, threads: int) -> Any:
        if threads not in self._sessions:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
            options.log_severity_level = 3  # errors
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            self._sessions[threads] = onnxruntime.InferenceSession(
                self.graph, options, providers=["CPUExecutionProvider"]
            )
        return self._sessions[threads]


Others = Sequence[tuple[tuple[Any, ...], Mapping[str, Any]]]


def export_onnx(
    model: nn.Module, *inputs: Any, kwargs: Mapping[str, Any] | None = None, others: Others = ()
) -> OnnxModel:
    """Export a float model to ONNX as it is; arguments and errors are those of `quantize_onnx`."""
    return _exported(model, [(inputs, kwargs or {}), *others], quantize=False)


def quantize_onnx(
    model: nn.Module, *inputs: Any, kwargs: Mapping[str, Any] | None = None, others: Others = ()
) -> OnnxModel:
    """Export a model to ONNX and quantize it as ONNX Runtime does: dynamically, per channel.

    Weights get seven bits on a CPU without VNNI, where sums of products of full 8-bit integers
    would saturate in silence (ONNX Runtime's `reduce_range`).

    Args:
        model: an FP32 model in eval mode, on the CPU.
        *inputs: what its forward is called with. The graph is traced: it does what the model did
            with these, and takes inputs of these sizes.
        kwargs: keyword arguments of its forward.
        others: further inputs as (positional, keyword) pairs; where their sizes differ, the graph
            takes any size.

    Raises:
        ModelError: `model` is no float model in eval mode on the CPU.
        ConversionError: the extra is not installed, or the model cannot be exported or quantized.
    """
    return _exported(model, [(inputs, kwargs or {}), *others], quantize=True)


def _exported(model: nn.Module, calls: Others, *, quantize: bool) -> OnnxModel:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConversionError(
            '{names} cannot be imported; install the extra: pip install "recipe-helpers[onnx]".',
            names=", ".join(missing),
        )
    checks.float_model("model", model)
    flat, *others = (_Flat(model, *call) for call in calls)
    outputs = checks.runs("model", flat, flat.tensors)
    if not all(isinstance(one, Tensor) for one in _leaves(outputs)):
        raise ConversionError(
            "the model returns more than tensors in tuples, lists and dicts; ONNX has no such "
            "outputs: let it return tensors."
        )
    names = [f"input_{index}" for index in range(len(flat.tensors))]
    with tempfile.TemporaryDirectory() as folder, _silence():
        path = Path(folder, "model.onnx")
        try:
            torch.onnx.export(
                flat,
                flat.tensors,
                path,
                dynamo=False,  # the exporter that needs no compiler
                input_names=names,
                dynamic_axes=_free_sizes(names, flat.tensors, [one.tensors for one in others]),
            )
            if quantize:
                from onnxruntime.quantization import quantize_dynamic

                quantize_dynamic(path, path, per_channel=True, reduce_range=not has_vnni())
        except Exception as error:
            raise ConversionError(
                "ONNX Runtime's way failed with {kind}: {message}; keep the other backends.",
                kind=type(error).__name__,
                message=checks.first_line(error),
            ) from error
        numbers = itertools.count()
        places = _with_leaves(outputs, lambda leaf: next(numbers))
        return OnnxModel(path.read_bytes(), names, places)


class _Flat(nn.Module):
    """A model called with the tensors of its arguments alone, wherever they stand in them.

    The exporter knows neither keyword-only arguments nor numbers among the inputs.
    """

    def __init__(self, model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        super().__init__()
        self.model = model
        self._given = _given(args, kwargs)
        self.tensors = tuple(leaf for leaf in _leaves(self._given) if isinstance(leaf, Tensor))
        self.eval()

    def forward(self, *tensors: Tensor) -> Any:
        """Call the model with these tensors in the places of its own."""
        new = iter(tensors)
        args, kwargs = _with_leaves(
            self._given, lambda leaf: next(new) if isinstance(leaf, Tensor) else leaf
        )
        return self.model(*args, **kwargs)


def _given(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """The arguments of a call, keywords in the order of their names."""
    return tuple(args), dict(sorted(kwargs.items()))


def _leaves(value: Any) -> list[Any]:
    """What stands in tuples, lists and dicts, one after the other."""
    found: list[Any] = []
    _with_leaves(value, found.append)
    return found


def _with_leaves(value: Any, new: Callable[[Any], Any]) -> Any:
    """The same tuples, lists and dicts with another leaf in the place of each."""
    if isinstance(value, dict):
        return {key: _with_leaves(part, new) for key, part in value.items()}
    if not isinstance(value, list | tuple):
        return new(value)
    parts = [_with_leaves(part, new) for part in value]
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)


def _free_sizes(
    names: Sequence[str], tensors: Sequence[Tensor], others: Sequence[Sequence[Tensor]]
) -> dict[str, dict[int, str]]:
    """The dimensions of each input that differ between the sets of inputs, with a name each."""
    free: dict[str, dict[int, str]] = {}
    for other in others:
        for name, one, another in zip(names, tensors, other, strict=False):
            for axis, sizes in enumerate(zip(one.shape, another.shape, strict=False)):
                if sizes[0] != sizes[1]:
                    free.setdefault(name, {})[axis] = f"{name}_{axis}"
    return free


def _products(graph: bytes) -> Iterator[OnnxNode]:
    import onnx

    model = onnx.load_model_from_string(graph)
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    for node in model.graph.node:
        held = {name: arrays[name] for name in node.input if name in arrays}
        weights = sum(array.nbytes for array in held.values())
        # What the quantizer has added is no part of the FP32 model.
        floats = 4 * sum(a.size for name, a in held.items() if not name.endswith(_ADDED))
        if weights and node.op_type in (*_FLOAT_PRODUCTS, *_INT8_PRODUCTS):
            name, quantized = node.name.removeprefix("/model"), node.op_type in _INT8_PRODUCTS
            yield OnnxNode(name, node.op_type, weights, quantized, floats)


@contextmanager
def _silence() -> Iterator[None]:
    """Neither the older exporter's warnings nor the quantizer's advice, which this thread hears."""
    root, here = logging.getLogger(), threading.get_ident()
    handlers = root.handlers[:]

    def of_others(record: logging.LogRecord) -> bool:
        return record.thread != here

    root.addFilter(of_others)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeFilter(of_others)
        root.handlers[:] = handlers  # the first word to a root without a handler brings one


def has_vnni() -> bool:
    """Whether sums of products of full 8-bit integers stay exact in ONNX Runtime's kernels.

    An older PyTorch cannot tell; `ATEN_CPU_CAPABILITY=avx2` makes a CPU count as one without.
    """
    if platform.machine().lower() in ("arm64", "aarch64"):
        return True  # it widens, where it has no instruction for them
    asked = torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "AMX"))
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return asked and bool(capabilities.get("avx512_vnni"))
