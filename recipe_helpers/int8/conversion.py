"""Convert the LSTM, GRU and Linear modules of a model to int8 in plain tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from typing import Any

from torch import nn

from ..common import checks
from ..common.errors import ModelError, NothingQuantizedError
from ..common.language import Text
from ..common.wording import as_text, joined
from .arithmetic import DEFAULT, Scheme, as_scheme
from .gru import Int8GRU
from .linear import Int8Linear, obstacle
from .lstm import Int8LSTM

_COUNTERPARTS: dict[type[nn.Module], Any] = {
    nn.LSTM: Int8LSTM,
    nn.GRU: Int8GRU,
    nn.Linear: Int8Linear,
}
# Their fast paths hand the float weights of their children to one fused operator.
_READERS = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


def convert_modules(
    model: nn.Module,
    chosen: Collection[type[nn.Module] | str] = tuple(_COUNTERPARTS),
    scheme: Scheme | str = DEFAULT,
) -> nn.Module:
    """Return a copy of `model` in which every LSTM, GRU and Linear is an int8 one.

    The model itself may be one; subclasses count, unless they override forward. A module used at
    two places stays one module. What is converted is never copied in float: memory holds the
    original and the int8 weights, no more. A weight tied to another module's (an embedding's, say)
    is converted all the same and the tie is lost: the other module keeps its float weight.

    Args:
        model: A float32 model; left as it is.
        chosen: Which of these types to convert, or the names of single modules.
        scheme: Where the scales come from; a `Scheme` or its name.

    Raises:
        NothingQuantizedError: The model has no module to convert.
        ModelError: A weight is not float32, or holds NaN or infinity.
        ArgumentError: The scheme's activation bits would overflow int32 in some layer.
    """
    scheme = as_scheme(scheme)
    checks.module("model", model)
    parents = [part for part in model.modules() if isinstance(part, _READERS)]
    read = {id(child) for parent in parents for child in parent.children()}
    converted = {}
    for name, part in model.named_modules():
        kind = next((kind for kind in _COUNTERPARTS if isinstance(part, kind)), None)
        if kind is None or not {kind, name} & {*chosen} or id(part) in read or obstacle(part):
            continue
        try:
            converted[id(part)] = _COUNTERPARTS[kind].from_float(part, scheme=scheme)
        except ModelError as error:
            said = as_text(error)
            raise ModelError(
                Text("model.{name}: {error}", name=name, error=said) if name else said
            ) from None
    if not converted:
        _refuse(model)
    # deepcopy takes what its memo holds for the copy already made, wherever it is referred to.
    return copy.deepcopy(model, converted)


def why_left_alone(module: nn.Module) -> Text:
    """Why `convert_modules` leaves a module with parameters of its own alone, in a few words."""
    if isinstance(module, tuple(_COUNTERPARTS)):
        return obstacle(module) or Text(
            "not among the types to convert, or its parent reads its weight"
        )
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        return Text("only nn.LSTM, nn.GRU and nn.Linear have an int8 version in plain tensors")
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return Text("a look-up table, not a matrix product")
    return Text("parameters of its own, in no layer that can be converted")


def named_obstacles(model: nn.Module, why: Callable[[str, nn.Module], str]) -> Text:
    """The first modules with parameters of their own, each with the reason that `why` gives."""
    found: list[str] = [
        Text(
            "{name} ({kind}; {why})",
            name=name or Text("the model itself"),
            kind=type(part).__name__,
            why=why(name, part),
        )
        for name, part in model.named_modules()
        if any(True for parameter in part.parameters(recurse=False))
    ]
    if not found:
        return Text("it has no parameters")
    return joined(found if len(found) <= 3 else [*found[:3], "..."], "; ")


def _refuse(model: nn.Module) -> None:
    obstacles = named_obstacles(model, lambda name, part: why_left_alone(part))
    raise NothingQuantizedError(
        Text(
            "model has no module to convert: {obstacles}; pass one that holds an nn.LSTM, nn.GRU "
            "or nn.Linear.",
            obstacles=obstacles,
        )
    )
