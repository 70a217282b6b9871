"""What stands against converting a module, and parametrizations, which can be removed before."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.utils import parametrize

from .checks import module as checked_module
from .errors import N_, ModelError


def kind_of(module: object) -> type[nn.Module] | None:
    """Which of nn.LSTM, nn.GRU and nn.Linear this is, if any."""
    return next((one for one in (nn.LSTM, nn.GRU, nn.Linear) if isinstance(module, one)), None)


def require_plain(name: str, module: object, kind: type[nn.Module]) -> None:
    """ModelError unless `module` is of this kind and nothing stands against converting it."""
    if not isinstance(module, kind):
        raise ModelError(
            "{name} is a {kind}; pass a torch.nn.{wanted}.",
            name=name,
            kind=type(module).__name__,
            wanted=kind.__name__,
        )
    if reason := obstacle(module):
        raise ModelError(
            "{name}, a {kind}, has to stay in float: {reason}.",
            name=name,
            kind=type(module).__name__,
            reason=reason,
        )


def obstacle(module: nn.Module) -> str | None:
    """What stands against converting this LSTM, GRU or Linear; None if nothing does."""
    kind: Any = kind_of(module)
    if isinstance(module, NonDynamicallyQuantizableLinear):
        return N_("its float weight is read by the nn.MultiheadAttention it belongs to")
    if isinstance(module, nn.modules.lazy.LazyModuleMixin):
        return N_("it is lazy and has no weights before its first input")
    if parametrize.is_parametrized(module):
        return N_("a parametrization computes its weights: without_parametrizations removes it")
    if type(module).forward is not kind.forward or "forward" in vars(module):
        return N_("it overrides the forward of its kind, which a conversion would drop")
    if module._forward_pre_hooks or module._forward_hooks:
        return N_("it has forward hooks, which a conversion would drop")
    if not all(parameter.numel() for parameter in module.parameters()):
        return N_("it has an empty weight")
    return None


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
    checked_module("model", model)
    memo: dict[int, Any] = {}
    for part in [*model.modules()]:
        # An LSTM keeps what it computed with a gradient, and such tensors refuse to be copied.
        for tensor in getattr(part, "_flat_weights", ()) if isinstance(part, nn.RNNBase) else ():
            if isinstance(tensor, Tensor) and not tensor.is_leaf:
                memo[id(tensor)] = tensor.detach().clone()
        if parametrize.is_parametrized(part):
            # Without weights yet; deepcopy takes it for the copy, wherever the part is referred to.
            kind: Any = parametrize.type_before_parametrizations(part)
            memo[id(part)] = kind.__new__(kind)
    for part in [*model.modules()]:
        if parametrize.is_parametrized(part):
            _fill_in(memo[id(part)], part, memo)
    return copy.deepcopy(model, memo)


def _fill_in(made: nn.Module, part: nn.Module, memo: dict[int, Any]) -> None:
    """Make of an empty module what `part` is, its parametrized weights as they are now."""
    state = {**vars(part), "_modules": {**part._modules}}
    # On a copy that does not train: else spectral norm moves on when it is asked for its weight.
    lists = copy.deepcopy(state["_modules"].pop("parametrizations")).eval()
    made.__setstate__(copy.deepcopy(state, memo))
    for name in lists:
        weight = lists[name]().detach().clone()
        if any(True for _ in lists[name].parameters(recurse=False)):
            setattr(made, name, nn.Parameter(weight))
        else:
            made.register_buffer(name, weight)
