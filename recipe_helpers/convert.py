"""Convert every LSTM and Linear of a model to int8 in plain tensors."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from torch import nn

from .checks import module as checked_module
from .errors import ModelError
from .int8_linear import Int8Linear, why_left_alone
from .int8_lstm import Int8LSTM
from .integers import DEFAULT, Scheme, as_scheme

_COUNTERPARTS = {nn.LSTM: Int8LSTM, nn.Linear: Int8Linear}
_CANDIDATES = (nn.RNNBase, nn.RNNCellBase, nn.Linear, nn.MultiheadAttention)
# Their fast paths hand the float weights of their children to one fused operator.
_READERS = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


def convert_modules(model: nn.Module, scheme: Scheme | str = DEFAULT) -> nn.Module:
    """A copy of `model` in which every `nn.LSTM` and `nn.Linear` is an int8 one.

    The model itself may be one. A module used at two places stays one module. What is converted is
    never copied in float, so that memory holds the original and the int8 weights, no more. A
    weight tied to another module's (an embedding's, say) is converted all the same and the tie is
    lost: the other module keeps its float weight. `left_alone` says what is not converted, and why.

    Raises:
        ModelError: A weight is not float32, or holds NaN or infinity.
        ArgumentError: The scheme's activation bits would overflow int32 in some layer.
    """
    scheme = as_scheme(scheme)
    kept = {id(part) for _, part, _ in _left_alone(checked_module("model", model))}
    converted = {}
    for name, part in model.named_modules():
        kind = next((kind for kind in _COUNTERPARTS if isinstance(part, kind)), None)
        if kind is None or id(part) in kept:
            continue
        try:
            converted[id(part)] = _COUNTERPARTS[kind].from_float(part, scheme=scheme)
        except ModelError as error:
            raise ModelError(f"model.{name}: {error}" if name else str(error)) from None
    # deepcopy takes whatever its memo holds for the copy already made, wherever it is referred to.
    return copy.deepcopy(model, converted)


def left_alone(model: nn.Module) -> dict[str, str]:
    """Name and reason of every recurrent or linear module that `convert_modules` leaves alone."""
    return {name: reason for name, _, reason in _left_alone(model)}


def _left_alone(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    read = {
        id(part): f"belongs to an nn.{kind.__name__}, which reads its float weight"
        for kind in _READERS
        for parent in model.modules()
        if isinstance(parent, kind)
        for part in parent.children()
    }
    for name, part in model.named_modules():
        if isinstance(part, _CANDIDATES):
            reason = why_left_alone(part) or read.get(id(part))
            if reason:
                yield name, part, reason
