"""The exceptions of this package: each says what came, what was expected and what to do."""

from __future__ import annotations


class RecipeError(Exception):
    """Base class of every error that this package raises on purpose.

    Its message is English. Where another language is spoken and the message is a `language.Text`,
    it is said in that language first, and in English, for a search, on a line of its own.
    """

    def __str__(self) -> str:
        said = super().__str__()
        english = getattr(self.args[0], "english", said) if self.args else said
        return said if said == english else f"{said}\n{english}"


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


class SurveyError(RecipeError, RuntimeError):
    """A measurement of a survey failed on a worker, or lost one worker after the other."""
