"""Your own model: which modules hold the bytes, before and after."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ..common.errors import NothingQuantizedError
from ..common.language import Text, _
from ..common.tables import Shown, Table, in_bytes
from ..int8.onnx_runtime import OnnxModel
from ..recipe.inspection import Conversion, Converted, LeftAlone
from ..recipe.size import SizeBreakdown, SizeComparison, size_breakdown

_MOST_ROWS = 12


@dataclass(frozen=True)
class ModuleSize:
    """The numbers of one module in the two state dicts, without names and containers."""

    name: str
    kind: str
    float_bytes: int  # in the float model; weights that an earlier module holds count there
    int8_bytes: int  # in the converted model
    converted: bool


@dataclass(frozen=True)
class ModuleBytes(Shown):
    """The largest modules, and the sum over the others."""

    modules: tuple[ModuleSize, ...]
    others: int
    others_bytes: int  # in the float model

    @property
    def total_bytes(self) -> int:
        """All of the float model."""
        return sum(module.float_bytes for module in self.modules) + self.others_bytes

    def table(self) -> Table:
        """One row per module, the largest first."""
        rows = [
            (
                m.name or _("(the model)"),
                m.kind,
                f"{in_bytes(m.float_bytes)} ({m.float_bytes / max(self.total_bytes, 1):.0%})",
                in_bytes(m.int8_bytes),
                "INT8" if m.converted else _("stays FP32"),
            )
            for m in self.modules
        ]
        if self.others:
            others = _("{count:,} others", count=self.others)
            rows.append((others, "", in_bytes(self.others_bytes), "", ""))
        headers = (_("weights of"), _("type"), _("FP32 (share)"), _("converted"), "")
        return Table(headers, rows)


def bytes_by_module(model: nn.Module, quantized: nn.Module, conversion: Conversion) -> ModuleBytes:
    """Share out the payload of the two state dicts over the modules, the largest first.

    Args:
        model: the float model.
        quantized: its converted copy.
        conversion: what `converted_modules` says of the two.
    """
    now = {done.name for done in conversion.converted}
    seen: set[int] = set()  # tensors that modules share count once
    sizes = []
    for name, part in model.named_modules():
        before = 0
        for key, tensor in part.state_dict(keep_vars=True).items():
            if (name in now or "." not in key) and tensor.data_ptr() not in seen:
                before += tensor.nbytes
                seen.add(tensor.data_ptr())
        after = before
        if name in now:
            after = size_breakdown(quantized.get_submodule(name)).payload_bytes
        if before or name in now:
            sizes.append(ModuleSize(name, type(part).__name__, before, after, name in now))
    return _largest(sizes)


def described_graph(
    model: nn.Module, made: OnnxModel
) -> tuple[Conversion, SizeComparison, ModuleBytes]:
    """The products of a graph as modules, and the graph's file as a state dict.

    Raises:
        NothingQuantizedError: no product was quantized.
    """
    done = [node for node in made.nodes if node.quantized]
    left = [node for node in made.nodes if not node.quantized]
    if not done:
        raise NothingQuantizedError(
            "model has no product that ONNX Runtime quantizes; it converts LSTMs and products with "
            "constant weights."
        )
    why = Text("ONNX Runtime has no dynamic quantization for it")
    conversion = Conversion(
        tuple(Converted(node.name, "float32", node.operator) for node in done),
        tuple(LeftAlone(node.name, node.operator, node.weight_bytes // 4, why) for node in left),
    )
    int8, floats = (sum(node.weight_bytes for node in nodes) for nodes in (done, left))
    file = SizeBreakdown(int8, floats, 0, len(made.graph) - int8 - floats)
    sizes = [
        ModuleSize(n.name, n.operator, n.float_bytes, n.weight_bytes, n.quantized)
        for n in made.nodes
    ]
    return conversion, SizeComparison(size_breakdown(model), file), _largest(sizes)


def _largest(sizes: list[ModuleSize]) -> ModuleBytes:
    ordered = sorted(sizes, key=lambda one: -one.float_bytes)
    rest = ordered[_MOST_ROWS:]
    others_bytes = sum(one.float_bytes for one in rest)
    return ModuleBytes(tuple(ordered[:_MOST_ROWS]), len(rest), others_bytes)
