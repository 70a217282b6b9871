"""Convert the LSTM, GRU and Linear modules of a model to int8."""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

from torch import nn

from . import checks
from .errors import N_, NothingQuantizedError
from .linear import Int8Linear
from .obstacles import kind_of, obstacle
from .recurrent import Int8GRU, Int8LSTM
from .scheme import DEFAULT, Scheme, chosen_scheme

COUNTERPARTS: dict[type[nn.Module], Any] = {
    nn.LSTM: Int8LSTM,
    nn.GRU: Int8GRU,
    nn.Linear: Int8Linear,
}
# Their fast paths hand the float weights of their children to one fused operator.
_READERS = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


def quantize(
    model: nn.Module,
    *,
    activation_bits: int | None = None,
    scheme: Scheme | str = DEFAULT,
    modules: Collection[type[nn.Module] | str] = tuple(COUNTERPARTS),
) -> nn.Module:
    """Return a copy of `model` in which every LSTM, GRU and Linear is an int8 one.

    The model itself may be one; subclasses count, unless they override forward. A module used at
    two places stays one module. What is converted is never copied in float: memory holds the
    original and the int8 weights, no more. A weight tied to another module's (an embedding's, say)
    is converted all the same and the tie is lost: the other module keeps its float weight.

    Args:
        model: A float32 model; left as it is.
        activation_bits: Bits of inputs and hidden state alike, 8 or 16; None for the default,
            inputs in as many as fit and the hidden state in 8.
        scheme: Where the scales come from; a `Scheme` or its name.
        modules: Which of these types to convert, or the names of single modules.

    Raises:
        NothingQuantizedError: The model has no module to convert.
        ModelError: A weight is not float32, or holds NaN or infinity.
        ArgumentError: The scheme's bits would overflow int32 in some layer, or `activation_bits`
            stands beside a scheme with bits of its own.
    """
    scheme = chosen_scheme(scheme, activation_bits)
    checks.module("model", model)
    parents = [part for part in model.modules() if isinstance(part, _READERS)]
    read = {id(child) for parent in parents for child in parent.children()}
    converted = {}
    for name, part in model.named_modules():
        kind = kind_of(part)
        if kind is None or not {kind, name} & {*modules} or id(part) in read or obstacle(part):
            continue
        prefix = f"model.{name}." if name else "model."
        converted[id(part)] = COUNTERPARTS[kind]._from_float(part, scheme, prefix)
    if not converted:
        raise NothingQuantizedError(
            "model has no module to convert: {obstacles}; pass one that holds an nn.LSTM, nn.GRU "
            "or nn.Linear.",
            obstacles=_obstacles(model),
        )
    # deepcopy takes what its memo holds for the copy already made, wherever it is referred to.
    return copy.deepcopy(model, converted)


def why_left_alone(module: nn.Module) -> str:
    """Why `quantize` leaves a module with parameters of its own alone, in a few words."""
    if kind_of(module) is not None:
        unchosen = N_("not among the types to convert, or its parent reads its weight")
        return obstacle(module) or unchosen
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        return N_("only nn.LSTM, nn.GRU and nn.Linear have an int8 version")
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return N_("a look-up table, not a matrix product")
    return N_("parameters of its own, in no layer that can be converted")


def _obstacles(model: nn.Module) -> str:
    """The first modules with parameters of their own, and why each is left alone."""
    found = [
        f"{name or 'the model itself'} ({type(part).__name__}; {why_left_alone(part)})"
        for name, part in model.named_modules()
        if any(True for parameter in part.parameters(recurse=False))
    ]
    return "; ".join(found[:3] + ["..."] * (len(found) > 3)) or "it has no parameters"
