"""Helpers of the recipe on dynamic quantization of LSTMs; the notebooks import it as `rh`.

Names are loaded when first used, so that `import recipe_helpers` costs next to nothing beside
`import torch`, and matplotlib, ipywidgets and numba are imported only by those who use them.
"""

from __future__ import annotations

import importlib
from typing import Any

# Public name -> the module that defines it.
_HOME = {
    name: module
    for module, names in {
        "errors": (
            "RecipeError ArgumentError ModelError AlreadyQuantizedError NothingQuantizedError "
            "InputError ConversionError EngineError SavedModelError"
        ),
        "settings": "silence_deprecations",
        "exploration": "Choice measure_choice",
        "explorer": "explore explore_static",
        "model": "demonstration machine working_engine LSTMModel Demonstration Machine SEED",
        "quantize": "quantize_dynamic torch_ao_available",
        "inspection": "converted_modules stored_weights Conversion StoredWeight",
        "size": "state_dict_bytes size_breakdown compare_size size_sweep",
        "latency": "compare_latency latency_sweep",
        "operators": "count_operators",
        "costs": "step_costs",
        "rounding": "round_to_grid compare_scales activation_step Rounding",
        # Not "report": a submodule of that name would hide the function.
        "reports": "report Report",
        "saving": "save_int8 load_int8",
        "claims": "CLAIMS Finding Ledger judge",
        "data": "digits reference_text",
        "training": (
            "train_classifier train_language_model tutorial_language_model DigitClassifier "
            "LanguageModel hidden_states in_streams"
        ),
        "bars": "progress_bar",
        "classification": "classification_accuracy disagreements digit_study",
        "language": "compare_perplexity generate_text size_by_part",
        "fragility": (
            "unread_unit_cliff feature_unit_cliff loud_passage_cliff with_unread_unit "
            "with_long_memory"
        ),
        "rounded_parts": "sensitivity_by_part fake_quantized",
        "accuracy": (
            "compare_outputs paired_outputs error_over_steps error_over_seeds named_tensors"
        ),
        "integers": "Scheme quantize_activations",
        "int8_linear": "Int8Linear",
        "int8_lstm": "Int8LSTM",
        "fused": "fast_path FastPathWarning",
        "fused_float": "FusedFloatLSTM",
        "by_hand": "compare_by_hand relative_error",
        "saturation": "saturating_product saturated_share engine_product",
        "choices": "compare_schemes",
        "stress": "stress_test",
        "gains": "compare_gains",
    }.items()
    for name in names.split()
}

__all__ = [*_HOME, "plots"]
__version__ = "1.0.0"


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    elif name == "plots":
        value = importlib.import_module(".plots", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
