"""Your own model: what ONNX Runtime made of it, in the terms of the other conversions."""

from __future__ import annotations

from torch import nn

from ..common.errors import NothingQuantizedError
from ..common.language import Text
from ..int8.onnx_runtime import OnnxModel
from ..recipe.inspection import Conversion, Converted, LeftAlone
from ..recipe.size import SizeBreakdown, SizeComparison, size_breakdown
from .module_bytes import ModuleBytes, ModuleSize

_FLOAT_BYTES = 4
LEFT = Text("ONNX Runtime has no dynamic quantization for it")


def described(model: nn.Module, made: OnnxModel) -> tuple[Conversion, SizeComparison, ModuleBytes]:
    """The products of the graph as modules, and the graph's file as a state dict.

    Raises:
        NothingQuantizedError: no product was quantized.
    """
    done = [node for node in made.nodes if node.quantized]
    left = [node for node in made.nodes if not node.quantized]
    if not done:
        raise NothingQuantizedError(
            Text(
                "model has no product that ONNX Runtime quantizes; it converts LSTMs and products "
                "with constant weights."
            )
        )
    conversion = Conversion(
        tuple(Converted(node.name, "float32", node.operator) for node in done),
        tuple(
            LeftAlone(node.name, node.operator, node.weight_bytes // _FLOAT_BYTES, LEFT)
            for node in left
        ),
    )
    int8, floats = (sum(node.weight_bytes for node in nodes) for nodes in (done, left))
    file = SizeBreakdown(int8, floats, 0, len(made.graph) - int8 - floats)
    sizes = sorted(
        (
            # Biases, a small part, are counted as if they had been shrunk, too.
            ModuleSize(
                node.name,
                node.operator,
                node.weight_bytes * (_FLOAT_BYTES if node.quantized else 1),
                node.weight_bytes,
                node.quantized,
            )
            for node in made.nodes
        ),
        key=lambda one: -one.float_bytes,
    )
    size = SizeComparison(size_breakdown(model), file)
    return conversion, size, ModuleBytes(tuple(sizes), 0, 0)
