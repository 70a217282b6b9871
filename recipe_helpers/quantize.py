"""Section 2, quantize: PyTorch's one call with guard rails."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterable
from functools import cache

import torch
from torch import nn

from . import checks, settings
from .errors import ArgumentError, ConversionError, NothingQuantizedError
from .model import working_engine

BACKENDS = ("torch.ao", "plain")
GRANULARITIES = ("per-tensor", "per-channel")
MODULES = frozenset({nn.LSTM, nn.Linear})
_ALSO_CONVERTIBLE = (nn.LSTM, nn.Linear, nn.GRU, nn.LSTMCell, nn.GRUCell, nn.RNNCell)


def quantize_dynamic(
    model: nn.Module,
    *,
    backend: str = "torch.ao",
    weights: str | None = None,
    modules: Iterable[type[nn.Module]] | None = None,
    engine: str | None = None,
) -> nn.Module:
    """Return a dynamically quantized copy of `model`, or raise: never the float model in silence.

    With `backend="torch.ao"` this is `torch.ao.quantization.quantize_dynamic(model, modules,
    dtype=torch.qint8)` on an engine that works. With `backend="plain"` the modules become
    `rh.Int8LSTM` and `rh.Int8Linear`, which need nothing of `torch.ao`. Where `torch.ao` is
    absent, the default backend says so once and uses "plain".

    Args:
        model: an FP32 model in eval mode, on the CPU.
        backend: "torch.ao" or "plain".
        weights: one scale for a whole weight matrix ("per-tensor", what torch.ao does unless
            told) or one for each of its rows ("per-channel", what "plain" always does). None
            stands for the backend's own.
        modules: the types to convert, `nn.LSTM` and `nn.Linear` unless given. torch.ao can also
            convert `nn.GRU` and the cells; a type is matched exactly.
        engine: torch.ao's engine ("x86", "fbgemm", "qnnpack", "onednn"); None for the current
            one, or one that works.

    Raises:
        NothingQuantizedError: no module was converted.
        AlreadyQuantizedError: the model holds quantized modules.
        ModelError: the model is in training mode, on another device, of another dtype, or holds
            NaN or infinity.
        ConversionError: the backend cannot convert one of the modules.
        ArgumentError: an unknown backend, granularity or engine.
    """
    checks.one_of("backend", backend, BACKENDS)
    checks.float_model("model", model)
    if backend == "torch.ao" and not torch_ao_available():
        _say_torch_ao_is_missing()
        backend = "plain"
    if backend == "plain":
        return _convert_plain(model, weights, modules, engine)
    checks.one_of("weights", weights or "per-tensor", GRANULARITIES)
    kinds = frozenset(MODULES if modules is None else modules)
    _refuse_what_torch_ao_breaks(model, kinds)
    with (
        settings.deprecations_silenced(),
        settings.engine_set(working_engine(engine)),
        torch.random.fork_rng(devices=[]),  # torch.ao draws weights that it then replaces
    ):
        from torch.ao.quantization import per_channel_dynamic_qconfig
        from torch.ao.quantization import quantize_dynamic as torch_quantize_dynamic

        chosen = set(kinds)
        if weights == "per-channel":
            chosen = dict.fromkeys(kinds, per_channel_dynamic_qconfig)
        try:
            quantized = torch_quantize_dynamic(model, chosen, dtype=torch.qint8)
        except (RuntimeError, AssertionError, TypeError, ValueError, AttributeError) as error:
            raise ConversionError(
                f"torch.ao failed to convert the model with {type(error).__name__}: {error}; "
                'try backend="plain".'
            ) from error
        _drop_ignored_reduced_range(quantized)
    _refuse_nothing(model, quantized)
    return quantized


@cache
def torch_ao_available() -> bool:
    """Whether this PyTorch still has `torch.ao.quantization` and an engine to run it."""
    try:
        present = importlib.util.find_spec("torch.ao.quantization") is not None
    except ModuleNotFoundError:
        present = False
    return present and any(e != "none" for e in torch.backends.quantized.supported_engines)


def why_not_converted(module: nn.Module, *, root: bool, plain: bool) -> str:
    """Why a module with parameters of its own stays FP32, in a few words.

    Args:
        module: the module that was left alone.
        root: whether it is the model itself rather than a part of it.
        plain: whether the backend was "plain" rather than "torch.ao".
    """
    kind = type(module)
    if plain:
        from . import convert

        return convert.why_left_alone(module)
    if root and kind in MODULES:
        return "torch.ao replaces only modules inside a module, so wrap it in one"
    for base in (nn.LSTM, nn.GRU, nn.Linear):
        if isinstance(module, base) and kind is not base:
            return f"a subclass of nn.{base.__name__}: torch.ao matches the exact type"
    if kind in _ALSO_CONVERTIBLE:
        return f"not among the types to convert: add nn.{kind.__name__} to modules"
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return "a look-up table, not a matrix product"
    if kind.__module__.startswith("torch.nn."):
        return f"no dynamic quantization for nn.{kind.__name__}"
    return "parameters of its own, in no layer that can be converted"


def _refuse_what_torch_ao_breaks(model: nn.Module, kinds: frozenset[type[nn.Module]]) -> None:
    """Two options of nn.LSTM that torch.ao meets with a bare AssertionError, or at run time."""
    for name, part in model.named_modules():
        if name and type(part) in kinds & {nn.LSTM, nn.GRU}:
            here = f"torch.ao cannot run {name}, an nn.{type(part).__name__}"
            if not part.bias:
                raise ConversionError(f'{here} with bias=False; use backend="plain".')
            if part.proj_size:
                raise ConversionError(
                    f'{here} with proj_size={part.proj_size}; use backend="plain".'
                )


def _refuse_nothing(model: nn.Module, quantized: nn.Module) -> None:
    if any(checks.is_quantized(part) for part in quantized.modules()):
        return
    found = [
        f"{name or 'the model itself'} ({type(part).__name__}; "
        f"{why_not_converted(part, root=not name, plain=False)})"
        for name, part in model.named_modules()
        if any(True for _ in part.parameters(recurse=False))
    ]
    listed = "; ".join(found[:3]) + ("; ..." if len(found) > 3 else "")
    raise NothingQuantizedError(
        f"model has no module that torch.ao converts: {listed or 'it has no parameters'}. "
        'Pass a module that contains an nn.LSTM or nn.Linear, or use backend="plain".'
    )


def _drop_ignored_reduced_range(quantized: nn.Module) -> None:
    """Tell qnnpack's modules not to reduce the range, which that engine does not do anyway.

    Without this, its first call writes a warning to the process's stderr that no filter stops.
    """
    if torch.backends.quantized.engine != "qnnpack":
        return
    remake = torch.ops.quantized.make_quantized_cell_params_dynamic
    for part in quantized.modules():
        for packed in getattr(part, "_all_weight_values", ()):
            _, biases, _, _, weights = packed.param.__getstate__()[0]
            packed.param = remake(*weights, *biases, False)
        if isinstance(part, torch.ao.nn.quantized.dynamic.Linear):
            part.version = 3  # the last version that did not ask for a reduced range


def _convert_plain(
    model: nn.Module,
    weights: str | None,
    modules: Iterable[type[nn.Module]] | None,
    engine: str | None,
) -> nn.Module:
    """Convert with the plain backend, whose scales are per channel and which has no engines."""
    if engine is not None:
        raise ArgumentError(f'engine is {engine!r}; backend="plain" has none: leave it out.')
    checks.one_of("weights", weights or "per-channel", ("per-channel",))
    kinds = MODULES if modules is None else frozenset(modules)
    if unknown := [kind.__name__ for kind in kinds - MODULES]:
        raise ArgumentError(
            f'modules names {", ".join(sorted(unknown))}; backend="plain" converts '
            "nn.LSTM and nn.Linear."
        )
    from . import convert

    return convert.convert_modules(model, kinds)


@cache
def _say_torch_ao_is_missing() -> None:
    warnings.warn(
        "this PyTorch has no working torch.ao.quantization; "
        'quantize_dynamic uses backend="plain" instead.',
        stacklevel=3,
    )
