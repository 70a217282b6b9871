"""Your own model: which modules hold the bytes, before and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from ..common.language import _
from ..common.tables import Shown, Table, in_bytes
from ..recipe.inspection import Conversion
from ..recipe.size import size_breakdown

MOST_ROWS = 12


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

    def table(self) -> Table:
        """One row per module, the largest first."""
        total = sum(m.float_bytes for m in self.modules) + self.others_bytes
        rows = [
            (
                m.name or _("(the model)"),
                m.kind,
                f"{in_bytes(m.float_bytes)} ({m.float_bytes / max(total, 1):.0%})",
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
    sizes = sorted(_own_bytes(model, now), key=lambda entry: -entry[2])
    shown = []
    for name, part, before in sizes[:MOST_ROWS]:
        after = before
        if name in now:
            after = size_breakdown(quantized.get_submodule(name)).payload_bytes
        shown.append(ModuleSize(name, type(part).__name__, before, after, name in now))
    rest = sizes[MOST_ROWS:]
    return ModuleBytes(tuple(shown), len(rest), sum(before for *_name, before in rest))


def _own_bytes(model: nn.Module, whole: set[str]) -> Iterator[tuple[str, nn.Module, int]]:
    """Name, module and bytes of each module with tensors of its own, shared ones counted once."""
    seen: set[int] = set()
    for name, part in model.named_modules():
        count = 0
        for tensor in part.state_dict(keep_vars=True).values() if name in whole else _own(part):
            if tensor.data_ptr() not in seen:
                count += tensor.numel() * tensor.element_size()
                seen.add(tensor.data_ptr())
        if count or name in whole:
            yield name, part, count


def _own(part: nn.Module) -> Iterator[torch.Tensor]:
    yield from part.parameters(recurse=False)
    for name, buffer in part.named_buffers(recurse=False):
        if name not in part._non_persistent_buffers_set:
            yield buffer
