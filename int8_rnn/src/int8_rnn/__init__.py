"""INT8 LSTM, GRU and Linear for PyTorch on CPUs, quantized dynamically.

q = int8_rnn.quantize(model)          # every nn.LSTM, nn.GRU and nn.Linear in INT8
int8_rnn.save(q, "model.safetensors")
q = int8_rnn.load("model.safetensors", model)
"""

from typing import Any

from .conversion import quantize
from .errors import (
    AlreadyQuantizedError,
    ArgumentError,
    ConversionError,
    InputError,
    Int8Error,
    ModelError,
    NothingQuantizedError,
    SavedModelError,
)
from .fast import FastPath, FastPathWarning, fast_path
from .linear import Int8Linear
from .modules import Int8Module
from .obstacles import without_parametrizations
from .plain_aten import to_plain_aten
from .recurrent import Int8GRU, Int8LSTM
from .reference import quantize_activations
from .saving import load, save
from .scheme import Scheme
from .weights import dequantize_weight, quantize_weight

__version__ = "3.0.0"
__all__ = [
    "AlreadyQuantizedError",
    "ArgumentError",
    "ConversionError",
    "FastPath",
    "FastPathWarning",
    "InputError",
    "Int8Error",
    "Int8GRU",
    "Int8LSTM",
    "Int8Linear",
    "Int8Module",
    "ModelError",
    "NothingQuantizedError",
    "SavedModelError",
    "Scheme",
    "dequantize_weight",
    "fast_path",
    "load",
    "quantize",
    "quantize_activations",
    "quantize_weight",
    "save",
    "to_plain_aten",
    "without_parametrizations",
]


def __getattr__(name: str) -> Any:
    """What needs torchao, which takes seconds to import, is imported when it is asked for."""
    if name not in ("Int8RecurrentConfig", "recurrent_or_linear"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from . import torchao
    except ImportError as error:
        raise ConversionError(
            "torchao cannot be imported ({error}); install the extra: "
            'pip install "int8-rnn[torchao]".',
            error=error,
        ) from error
    return getattr(torchao, name)
