"""The way in through torchao, `quantize_(model, Int8RecurrentConfig(), filter_fn=...)`.

Imported only when one of the two names is asked for: torchao takes seconds to import, and is an
extra (`pip install "int8-rnn[torchao]"`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn
from torchao.core.config import AOBaseConfig
from torchao.quantization.transform_module import register_quantize_module_handler

from .conversion import COUNTERPARTS
from .errors import ModelError
from .obstacles import kind_of, obstacle
from .scheme import DEFAULT, Scheme, chosen_scheme


@dataclass
class Int8RecurrentConfig(AOBaseConfig):
    """Dynamic int8 quantization of nn.LSTM, nn.GRU and nn.Linear, in place.

    torchao asks its own filter which modules to convert, and that one takes nn.Linear alone: pass
    `filter_fn=int8_rnn.recurrent_or_linear`, or an LSTM stays in float.

    Attributes:
        scheme: where the scales come from, as in `int8_rnn.quantize`.
        activation_bits: 8 or 16 for inputs and hidden state alike, or None for the default.
    """

    scheme: Scheme = field(default=DEFAULT)
    activation_bits: int | None = None

    def __post_init__(self) -> None:
        chosen_scheme(self.scheme, self.activation_bits)


def recurrent_or_linear(module: nn.Module, name: str) -> bool:
    """A `filter_fn` for torchao: every nn.LSTM, nn.GRU and nn.Linear that can be converted.

    Args:
        module: one of the model's modules.
        name: where it stands in the model; "" is the model itself.

    Raises:
        ModelError: the model itself is one; torchao replaces only what is within a model, and
            would leave it in float in silence.
    """
    kind = kind_of(module)
    if kind is None or obstacle(module):
        return False
    if not name:
        raise ModelError(
            "model is itself an nn.{kind}, which torchao cannot replace in place; pass a module "
            "that holds it, or call int8_rnn.quantize(model).",
            kind=kind.__name__,
        )
    return True


@register_quantize_module_handler(Int8RecurrentConfig)
def _convert(module: nn.Module, config: Int8RecurrentConfig) -> nn.Module:
    """What takes the place of a module that the filter has let through."""
    kind = kind_of(module)
    if kind is None:
        return module
    how = {"scheme": config.scheme, "activation_bits": config.activation_bits}
    converted: nn.Module = COUNTERPARTS[kind].from_float(module, **how)
    return converted
