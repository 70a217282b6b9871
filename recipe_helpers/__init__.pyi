# The public names of the package, by the file that defines each.

from .classroom.comparison import ClassComparison as ClassComparison
from .classroom.reading import compare_ledgers as compare_ledgers
from .classroom.survey import survey as survey
from .common.errors import (
    AlreadyQuantizedError as AlreadyQuantizedError,
    ArgumentError as ArgumentError,
    ConversionError as ConversionError,
    EngineError as EngineError,
    InputError as InputError,
    MissingExtraError as MissingExtraError,
    ModelError as ModelError,
    NothingQuantizedError as NothingQuantizedError,
    RecipeError as RecipeError,
    SavedModelError as SavedModelError,
    SurveyError as SurveyError,
)
from .common.int8 import (
    FastPathWarning as FastPathWarning,
    Int8GRU as Int8GRU,
    Int8Linear as Int8Linear,
    Int8LSTM as Int8LSTM,
    Scheme as Scheme,
    fast_path as fast_path,
    load_int8 as load_int8,
    quantize_activations as quantize_activations,
    save_int8 as save_int8,
    without_parametrizations as without_parametrizations,
)
from .common.language import use_language as use_language
from .common.onnx_runtime import (
    OnnxModel as OnnxModel,
    export_onnx as export_onnx,
    quantize_onnx as quantize_onnx,
)
from .common.progress import progress_bar as progress_bar
from .common.settings import silence_deprecations as silence_deprecations
from .deployment.decision import (
    decide_deployment as decide_deployment,
    measure_option as measure_option,
)
from .deployment.serving import measure_load as measure_load, serving as serving
from .deployment.streaming import check_streaming as check_streaming, stream as stream
from .exercises.checking import check as check
from .explorer.measurement import Choice as Choice, measure_choice as measure_choice
from .explorer.panel import explore as explore, explore_static as explore_static
from .recipe import plots as plots
from .recipe.accuracy import (
    compare_outputs as compare_outputs,
    error_over_seeds as error_over_seeds,
    error_over_steps as error_over_steps,
    named_tensors as named_tensors,
    paired_outputs as paired_outputs,
)
from .recipe.claims import CLAIMS as CLAIMS, Finding as Finding
from .recipe.compare import Comparison as Comparison, compare as compare
from .recipe.costs import count_operators as count_operators, step_costs as step_costs
from .recipe.inspection import (
    Conversion as Conversion,
    StoredWeight as StoredWeight,
    converted_modules as converted_modules,
    stored_weights as stored_weights,
)
from .recipe.latency import compare_latency as compare_latency, latency_sweep as latency_sweep
from .recipe.ledger import Ledger as Ledger, judge as judge, measure_ledger as measure_ledger
from .recipe.memory import compare_memory as compare_memory, memory_sweep as memory_sweep
from .recipe.model import (
    SEED as SEED,
    Demonstration as Demonstration,
    LSTMModel as LSTMModel,
    Machine as Machine,
    demonstration as demonstration,
    machine as machine,
    working_engine as working_engine,
)
from .recipe.quantize import (
    quantize_dynamic as quantize_dynamic,
    torch_ao_available as torch_ao_available,
)
from .recipe.rounding import (
    Rounding as Rounding,
    activation_step as activation_step,
    compare_scales as compare_scales,
    round_to_grid as round_to_grid,
)
from .recipe.size import (
    compare_size as compare_size,
    size_breakdown as size_breakdown,
    size_sweep as size_sweep,
    state_dict_bytes as state_dict_bytes,
)
from .trained_models.classification import (
    classification_accuracy as classification_accuracy,
    digit_study as digit_study,
    disagreements as disagreements,
)
from .trained_models.data import digits as digits, reference_text as reference_text
from .trained_models.fragility import (
    feature_unit_cliff as feature_unit_cliff,
    loud_passage_cliff as loud_passage_cliff,
    unread_unit_cliff as unread_unit_cliff,
    with_long_memory as with_long_memory,
    with_unread_unit as with_unread_unit,
)
from .trained_models.language_model import (
    compare_perplexity as compare_perplexity,
    generate_text as generate_text,
    size_by_part as size_by_part,
)
from .trained_models.rounded_parts import (
    fake_quantized as fake_quantized,
    sensitivity_by_part as sensitivity_by_part,
)
from .trained_models.training import (
    DigitClassifier as DigitClassifier,
    LanguageModel as LanguageModel,
    hidden_states as hidden_states,
    in_streams as in_streams,
    train_classifier as train_classifier,
    train_language_model as train_language_model,
    tutorial_language_model as tutorial_language_model,
)
from .under_the_hood.by_hand import (
    compare_by_hand as compare_by_hand,
    engine_product as engine_product,
    relative_error as relative_error,
    saturated_share as saturated_share,
    saturating_product as saturating_product,
)
from .under_the_hood.causes_of_speed import (
    FusedFloatLSTM as FusedFloatLSTM,
    compare_gains as compare_gains,
)
from .under_the_hood.planes_and_tiles import (
    byte_planes as byte_planes,
    compare_products as compare_products,
    product_by_planes as product_by_planes,
    tile_layout as tile_layout,
)
from .under_the_hood.schemes import (
    compare_schemes as compare_schemes,
    stress_test as stress_test,
)
from .your_model.findings import Report as Report
from .your_model.report import report as report

__version__: str
