from .common.errors import (
    AlreadyQuantizedError,
    ArgumentError,
    ConversionError,
    EngineError,
    InputError,
    ModelError,
    NothingQuantizedError,
    RecipeError,
    SavedModelError,
)
from .common.progress import progress_bar
from .common.settings import silence_deprecations
from .explorer.measurement import Choice, measure_choice
from .explorer.panel import explore, explore_static
from .int8.arithmetic import Scheme, quantize_activations
from .int8.fast_path.ready import FastPathWarning, fast_path
from .int8.linear import Int8Linear
from .int8.lstm import Int8LSTM
from .int8.saving import load_int8, save_int8
from .recipe import plots
from .recipe.accuracy import (
    compare_outputs,
    error_over_seeds,
    error_over_steps,
    named_tensors,
    paired_outputs,
)
from .recipe.claims import CLAIMS, Finding
from .recipe.costs import step_costs
from .recipe.inspection import Conversion, StoredWeight, converted_modules, stored_weights
from .recipe.latency import compare_latency, latency_sweep
from .recipe.ledger import Ledger, judge
from .recipe.model import (
    SEED,
    Demonstration,
    LSTMModel,
    Machine,
    demonstration,
    machine,
    working_engine,
)
from .recipe.operators import count_operators
from .recipe.quantize import quantize_dynamic, torch_ao_available
from .recipe.rounding import Rounding, activation_step, compare_scales, round_to_grid
from .recipe.size import compare_size, size_breakdown, size_sweep, state_dict_bytes
from .trained_models.classification import classification_accuracy, digit_study, disagreements
from .trained_models.data import digits, reference_text
from .trained_models.fragility import (
    feature_unit_cliff,
    loud_passage_cliff,
    unread_unit_cliff,
    with_long_memory,
    with_unread_unit,
)
from .trained_models.language_model import compare_perplexity, generate_text, size_by_part
from .trained_models.rounded_parts import fake_quantized, sensitivity_by_part
from .trained_models.training import (
    DigitClassifier,
    LanguageModel,
    hidden_states,
    in_streams,
    train_classifier,
    train_language_model,
    tutorial_language_model,
)
from .under_the_hood.by_hand import compare_by_hand, relative_error
from .under_the_hood.causes_of_speed import compare_gains
from .under_the_hood.float_lstm import FusedFloatLSTM
from .under_the_hood.saturation import engine_product, saturated_share, saturating_product
from .under_the_hood.schemes import compare_schemes
from .under_the_hood.stress_test import stress_test
from .your_model.report import Report, report

__all__ = [
    "CLAIMS",
    "SEED",
    "AlreadyQuantizedError",
    "ArgumentError",
    "Choice",
    "Conversion",
    "ConversionError",
    "Demonstration",
    "DigitClassifier",
    "EngineError",
    "FastPathWarning",
    "Finding",
    "FusedFloatLSTM",
    "InputError",
    "Int8LSTM",
    "Int8Linear",
    "LSTMModel",
    "LanguageModel",
    "Ledger",
    "Machine",
    "ModelError",
    "NothingQuantizedError",
    "RecipeError",
    "Report",
    "Rounding",
    "SavedModelError",
    "Scheme",
    "StoredWeight",
    "activation_step",
    "classification_accuracy",
    "compare_by_hand",
    "compare_gains",
    "compare_latency",
    "compare_outputs",
    "compare_perplexity",
    "compare_scales",
    "compare_schemes",
    "compare_size",
    "converted_modules",
    "count_operators",
    "demonstration",
    "digit_study",
    "digits",
    "disagreements",
    "engine_product",
    "error_over_seeds",
    "error_over_steps",
    "explore",
    "explore_static",
    "fake_quantized",
    "fast_path",
    "feature_unit_cliff",
    "generate_text",
    "hidden_states",
    "in_streams",
    "judge",
    "latency_sweep",
    "load_int8",
    "loud_passage_cliff",
    "machine",
    "measure_choice",
    "named_tensors",
    "paired_outputs",
    "plots",
    "progress_bar",
    "quantize_activations",
    "quantize_dynamic",
    "reference_text",
    "relative_error",
    "report",
    "round_to_grid",
    "saturated_share",
    "saturating_product",
    "save_int8",
    "sensitivity_by_part",
    "silence_deprecations",
    "size_breakdown",
    "size_by_part",
    "size_sweep",
    "state_dict_bytes",
    "step_costs",
    "stored_weights",
    "stress_test",
    "torch_ao_available",
    "train_classifier",
    "train_language_model",
    "tutorial_language_model",
    "unread_unit_cliff",
    "with_long_memory",
    "with_unread_unit",
    "working_engine",
]

__version__: str
