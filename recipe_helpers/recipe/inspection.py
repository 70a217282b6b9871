"""Section 2, quantize: what the call changed, and what a quantized module stores."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from int8_rnn.weights import Int8Weight, Residual
from torch import nn

from int8_rnn import Int8Module, dequantize_weight

from ..common import checks
from ..common.language import N_, _
from ..common.tables import Shown, Table
from .quantize import LeftAlone, left_alone


@dataclass(frozen=True)
class Converted:
    """A module that was replaced: its name in the model, its class before and after."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Conversion(Shown):
    """What quantizing changed: `converted` modules, and those `left_alone` with the reason."""

    converted: tuple[Converted, ...]
    left_alone: tuple[LeftAlone, ...]

    def table(self) -> Table:
        """The converted modules first, then the others that have parameters."""
        whole, done = _("(the model)"), _("converted")
        rows = [(c.name or whole, c.before, c.after, done) for c in self.converted]
        rows += [(x.name or whole, x.kind, x.kind, x.reason) for x in self.left_alone]
        return Table((_("module"), _("from"), _("to"), _("why")), rows)


def converted_modules(model: nn.Module, quantized: nn.Module) -> Conversion:
    """Compare a model with its quantized copy, module by module.

    Args:
        model: the float model.
        quantized: what `quantize_dynamic` returned for it.

    Returns:
        The modules that were replaced, and each module with parameters of its own that was not.

    Raises:
        ModelError: one of the two is not a module.
    """
    checks.module("model", model)
    after = dict(checks.module("quantized", quantized).named_modules(remove_duplicate=False))
    plain = any(isinstance(part, Int8Module) for part in after.values())
    converted: list[Converted] = []
    alone: list[LeftAlone] = []
    within: tuple[str, ...] = ()  # how the names begin of what is part of a converted module
    first_name: dict[nn.Module, str] = {}
    for name, before in model.named_modules(remove_duplicate=False):
        now = after.get(name, before)
        if name.startswith(within):
            continue
        if checks.is_quantized(now) and not checks.is_quantized(before):
            converted.append(Converted(name, before._get_name(), now._get_name()))
            within += (f"{name}." if name else "",)
            first_name[before] = name
        elif (one := left_alone(name, before, plain=plain)).parameters:
            if before in first_name:
                why = N_("the same module under another name: only {name} was converted")
                one = replace(one, why=why, about=first_name[before])
            alone.append(one)
    return Conversion(tuple(converted), tuple(alone))


@dataclass(frozen=True)
class StoredWeight:
    """A weight matrix as a quantized module stores it: integers, and the scale of each row.

    The float matrix is close to `integers * scales[:, None]`, times `columns` where the columns
    have scales, too; `scales` has one element where the whole matrix shares it. What the integers
    of the coarsest rows leave over is in `residual`, where there is one.
    """

    name: str
    integers: torch.Tensor  # int8, (out, in)
    scales: torch.Tensor  # float32, (out,) or (1,)
    columns: torch.Tensor | None = None  # float32, (in,): a scale of each column, if there is one
    residual: Residual | None = None

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the stored integers."""
        return self.integers.dtype

    def dequantized(self) -> torch.Tensor:
        """The float32 matrix (out, in) that the integers stand for."""
        return dequantize_weight(self.as_weight())

    def as_weight(self) -> Int8Weight:
        """The same without a name, as `Int8LSTM` computes with it."""
        return Int8Weight(self.integers, self.scales, self.columns, self.residual)


def stored_weights(quantized: nn.Module) -> tuple[StoredWeight, ...]:
    """The int8 weight matrices of every quantized module in a model, in the model's order.

    `quantized.parameters()` lists none of them: torch.ao packs them into opaque objects.

    Raises:
        ModelError: `quantized` is not a module.
    """
    parts = checks.module("quantized", quantized).named_modules()
    return tuple(
        StoredWeight(f"{name}.{key}".removeprefix("."), *weight[:4])  # without its bias
        for name, part in parts
        for key, weight in _weights_of(part)
    )


def _weights_of(module: nn.Module) -> Iterator[tuple[str, Int8Weight]]:
    """Each int8 matrix of a quantized module itself."""
    packed = {}
    if isinstance(module, Int8Module):
        for key, weight in module.int8_weights().items():
            yield key, weight._replace(scale=weight.scale.reshape(-1))
    elif checks.is_quantized(module) and hasattr(module, "get_weight"):  # torch.ao's recurrent ones
        packed = module.get_weight()
    elif checks.is_quantized(module) and callable(getattr(module, "weight", None)):  # its Linear
        packed = {"weight": module.weight()}
    for key, weight in packed.items():
        if weight.qscheme() in (torch.per_channel_affine, torch.per_channel_symmetric):
            scales = weight.q_per_channel_scales().float()
        else:
            scales = torch.tensor([weight.q_scale()])
        yield key, Int8Weight(weight.int_repr(), scales)
