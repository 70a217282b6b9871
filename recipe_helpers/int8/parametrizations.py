"""Models whose weights are computed at each call, and the same models with plain weights."""

from __future__ import annotations

import copy
from typing import cast

from torch import nn
from torch.nn.utils import parametrize

from ..common import checks


def parametrized(model: nn.Module) -> tuple[str, ...]:
    """The names of the modules whose weights `torch.nn.utils.parametrize` computes at each call."""
    return tuple(name for name, part in model.named_modules() if parametrize.is_parametrized(part))


def without_parametrizations(model: nn.Module) -> nn.Module:
    """A copy in which every parametrized weight is the plain one that it is now.

    Weight norm, spectral norm and other parametrizations compute a weight from other tensors at
    each call. A quantized module stores its weight once, so the computation must come to an end
    before; for inference nothing changes.

    Args:
        model: any module; it stays as it is.

    Raises:
        ModelError: `model` is no module.
    """
    checks.module("model", model)
    # An LSTM keeps what it computed with a gradient, and such tensors refuse to be copied.
    computed = (
        tensor
        for part in model.modules()
        if isinstance(part, nn.RNNBase)
        for tensor in part._flat_weights
        if tensor is not None and not tensor.is_leaf
    )
    plain = copy.deepcopy(model, {id(tensor): tensor.detach().clone() for tensor in computed})
    for name in parametrized(plain):
        part = plain.get_submodule(name)
        # A copied module shares its class with the original, and removal changes the class.
        own = type(part)
        part.__class__ = type(own.__name__, own.__bases__, dict(own.__dict__))
        for weight in [*cast(nn.ModuleDict, part.parametrizations)]:
            parametrize.remove_parametrizations(part, weight, leave_parametrized=True)
        if isinstance(part, nn.RNNBase):
            # Its own list of weights still holds what the parametrization put there.
            part._init_flat_weights()
    return plain
