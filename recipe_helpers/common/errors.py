"""The exceptions of this package: each says what came, what was expected and what to do."""

from __future__ import annotations


class RecipeError(Exception):
    """Base class of every error that this package raises on purpose."""


class ArgumentError(RecipeError, ValueError):
    """A keyword argument is out of range or unknown (a width of zero, an unknown engine)."""


class ModelError(RecipeError, ValueError):
    """The model cannot be used as it is (training mode, another device, another dtype, NaN)."""


class AlreadyQuantizedError(ModelError):
    """The model holds quantized modules already."""


class NothingQuantizedError(ModelError):
    """No module would be converted; plain PyTorch returns the float model in silence here."""


class InputError(RecipeError, ValueError):
    """The inputs do not fit the model."""


class ConversionError(RecipeError, RuntimeError):
    """The backend failed to convert the model, or converts it to one that cannot run."""


class EngineError(RecipeError, RuntimeError):
    """No quantized engine of PyTorch works on this machine."""


class SavedModelError(RecipeError, ValueError):
    """The file is not one that `save_int8` wrote, is damaged, or belongs to another model."""
