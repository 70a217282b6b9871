"""Section 2, quantize: PyTorch's one call with guard rails."""

import importlib.util
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

import torch
from int8_rnn.conversion import why_left_alone
from torch import nn

import int8_rnn

from ..common import checks, settings
from ..common.errors import ArgumentError, ConversionError, NothingQuantizedError
from ..common.language import N_, _
from .model import working_engine

BACKENDS = ("torch.ao", "plain")
GRANULARITIES = ("per-tensor", "per-channel")
MODULES = frozenset({nn.LSTM, nn.GRU, nn.Linear})
TORCH_AO_MODULES = (nn.LSTM, nn.Linear, nn.GRU, nn.LSTMCell, nn.GRUCell, nn.RNNCell)


def quantize_dynamic(
    model: nn.Module,
    *,
    backend: str = "torch.ao",
    weights: str | None = None,
    modules: Iterable[type[nn.Module] | str] | None = None,
    engine: str | None = None,
    activation_bits: int | None = None,
) -> nn.Module:
    """Return a dynamically quantized copy of `model`, or raise: never the float model in silence.

    With `backend="torch.ao"` this is `torch.ao.quantization.quantize_dynamic(model, modules,
    dtype=torch.qint8)` on an engine that works. With `backend="plain"` the modules become
    `rh.Int8LSTM`, `rh.Int8GRU` and `rh.Int8Linear`, which need nothing of `torch.ao`. Where
    `torch.ao` is absent, the default backend says so once and uses "plain".

    Args:
        model: an FP32 model in eval mode, on the CPU.
        backend: "torch.ao" or "plain".
        weights: one scale for a whole weight matrix ("per-tensor", what torch.ao does unless
            told) or one for each of its rows ("per-channel", what "plain" always does). None
            stands for the backend's own.
        modules: what to convert, `nn.LSTM`, `nn.GRU` and `nn.Linear` unless given: types, matched
            exactly (torch.ao can also convert the cells), or names of single modules, as
            `model.named_modules()` has them.
        engine: torch.ao's engine ("x86", "fbgemm", "qnnpack", "onednn"); None for the current
            one, or one that works.
        activation_bits: bits of inputs and hidden state alike in the plain backend: 8, which is
            faster and less exact, or 16; None for its default, inputs in as many bits as fit and
            the hidden state in 8, or for what torch.ao does.

    Raises:
        NothingQuantizedError: no module was converted.
        AlreadyQuantizedError: the model holds quantized modules.
        ModelError: the model is in training mode, on another device, of another dtype, or holds
            NaN or infinity.
        ConversionError: the backend cannot convert one of the modules.
        ArgumentError: an unknown backend, granularity or engine, or `modules` that are neither
            types nor names of modules, or `activation_bits` that the backend does not know.
    """
    checks.one_of("backend", backend, BACKENDS)
    checks.float_model("model", model)
    chosen = _types_and_names(model, modules)
    if backend == "torch.ao" and not torch_ao_available():
        _say_torch_ao_is_missing()
        backend = "plain"
    convert = _convert_plain if backend == "plain" else _convert_torch_ao
    return convert(model, weights, chosen, engine, activation_bits)


def _convert_torch_ao(
    model: nn.Module,
    weights: str | None,
    chosen: frozenset[type[nn.Module] | str],
    engine: str | None,
    activation_bits: int | None,
) -> nn.Module:
    if activation_bits is not None:
        raise ArgumentError(
            "activation_bits is {value}, but torch.ao has its own: leave it out, or use "
            'backend="plain".',
            value=repr(activation_bits),
        )
    checks.one_of("weights", weights or "per-tensor", GRANULARITIES)
    _refuse_what_torch_ao_breaks(model, chosen)
    engine = working_engine(engine)
    # torch.ao draws weights for each new module before it fills in the converted ones.
    with (
        settings.deprecations_silenced(),
        settings.engine_set(engine),
        torch.random.fork_rng(devices=[]),
    ):
        from torch.ao import quantization as ao

        per_row = weights == "per-channel"
        how = ao.per_channel_dynamic_qconfig if per_row else ao.default_dynamic_qconfig
        try:
            # A set of types, which reads better, stands for this dict with the default.
            quantized = ao.quantize_dynamic(model, dict.fromkeys(chosen, how), dtype=torch.qint8)
        except (RuntimeError, AssertionError, TypeError, ValueError, AttributeError) as error:
            raise ConversionError(
                'torch.ao failed to convert the model with {kind}: {message}; try backend="plain".',
                kind=type(error).__name__,
                message=checks.first_line(error),
            ) from error
        if engine == "qnnpack":
            _drop_ignored_reduced_range(quantized)
    if any(checks.is_quantized(part) for part in quantized.modules()):
        return quantized
    raise NothingQuantizedError(
        "model has no module that torch.ao converts: {listed}. Pass a module that contains an "
        'nn.LSTM or nn.Linear, or use backend="plain".',
        listed=_obstacles(model, plain=False),
    )


def _drop_ignored_reduced_range(quantized: nn.Module) -> None:
    """Tell qnnpack's modules not to reduce the range, which that engine does not do anyway.

    Without this, its first call writes a warning to the process's stderr that no filter stops.
    """
    dynamic, ops = torch.ao.nn.quantized.dynamic, torch.ops.quantized
    for part in quantized.modules():
        if isinstance(part, dynamic.LSTM | dynamic.GRU):
            biases = [*part.get_bias().values()]
            weights = [*map(ops.linear_prepack, part.get_weight().values(), biases)]
            for layer, packed in enumerate(part._all_weight_values):
                both = slice(2 * layer, 2 * layer + 2)  # of the input and of the hidden state
                cell = (*weights[both], *biases[both])
                packed.param = ops.make_quantized_cell_params_dynamic(*cell, False)
        elif isinstance(part, dynamic.Linear):
            part.version = 3  # the last version that did not ask for a reduced range


@cache
def torch_ao_available() -> bool:
    """Whether this PyTorch still has `torch.ao.quantization` and an engine to run it."""
    try:
        present = importlib.util.find_spec("torch.ao.quantization") is not None
    except ModuleNotFoundError:
        present = False
    return present and any(e != "none" for e in torch.backends.quantized.supported_engines)


@dataclass(frozen=True)
class LeftAlone:
    """A module that kept its own FP32 parameters, how many those are, and why."""

    name: str
    kind: str
    parameters: int
    why: str  # a message
    about: str = ""  # what stands for {name} in it

    @property
    def reason(self) -> str:
        """Why, in words."""
        return _(self.why, name=self.about) if self.about else _(self.why)

    def because(self, why: str | None) -> "LeftAlone":
        """The same for another reason, if there is one."""
        return replace(self, why=why, about="") if why else self

    def __str__(self) -> str:
        name = self.name or _("the model itself")
        return _("{name} ({kind}; {why})", name=name, kind=self.kind, why=self.reason)


def left_alone(name: str, module: nn.Module, *, plain: bool) -> LeftAlone:
    """Why a module with parameters of its own stays FP32, in the model where it has this name.

    The model itself is called "". The backend was "plain" or "torch.ao".
    """
    why, about = (why_left_alone(module), "") if plain else _unknown_to_torch_ao(name, module)
    parameters = sum(parameter.numel() for parameter in module.parameters(recurse=False))
    # The name by which `print(model)` calls a module: `DynamicQuantizedLSTM`, not `LSTM`.
    return LeftAlone(name, module._get_name(), parameters, why, about)


def _unknown_to_torch_ao(name: str, module: nn.Module) -> tuple[str, str]:
    kind = type(module)
    if not name and kind in MODULES:
        return N_("torch.ao replaces only modules inside a module, so wrap it in one"), ""
    for base in (nn.LSTM, nn.GRU, nn.Linear):
        if isinstance(module, base) and kind is not base:
            why = N_("a subclass of nn.{name}: torch.ao matches the exact type")
            return why, base.__name__
    if kind in TORCH_AO_MODULES:
        why = N_("not among the types to convert: add nn.{name} to modules")
        return why, kind.__name__
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return N_("a look-up table, not a matrix product"), ""
    if kind.__module__.startswith("torch.nn."):
        return N_("no dynamic quantization for nn.{name}"), kind.__name__
    return N_("parameters of its own, in no layer that can be converted"), ""


def _types_and_names(
    model: nn.Module, modules: Iterable[type[nn.Module] | str] | None
) -> frozenset[type[nn.Module] | str]:
    """What to convert, every name in it checked."""
    if modules is None:
        return MODULES
    if isinstance(modules, str) or not isinstance(modules, Iterable):
        raise ArgumentError(
            "modules is {value}; pass a list of types or names of modules.", value=repr(modules)
        )
    modules = tuple(modules)
    names = frozenset(name for name in modules if isinstance(name, str))
    kinds = checks.module_types("modules", [kind for kind in modules if kind not in names])
    named = dict(model.named_modules(remove_duplicate=False))
    for name in names:
        if type(named.get(name)) not in TORCH_AO_MODULES:
            found = type(named[name]).__name__ if name in named else N_("not in the model")
            raise ArgumentError(
                "modules names {name!r}, which is {found}; pass names of modules of the types "
                "{kinds}.",
                name=name,
                found=found,
                kinds=", ".join(f"nn.{kind.__name__}" for kind in TORCH_AO_MODULES),
            )
    return kinds | names


def _refuse_what_torch_ao_breaks(
    model: nn.Module, chosen: frozenset[type[nn.Module] | str]
) -> None:
    """Two options of nn.LSTM that torch.ao meets with a bare AssertionError, or at run time."""
    for name, part in model.named_modules():
        if name and type(part) in (nn.LSTM, nn.GRU) and {name, type(part)} & chosen:
            if part.bias and not part.proj_size:
                continue
            raise ConversionError(
                'torch.ao cannot run {name}, an nn.{kind} with {option}; use backend="plain".',
                name=name,
                kind=type(part).__name__,
                option=f"proj_size={part.proj_size}" if part.bias else "bias=False",
            )


class _Obstacles(tuple[LeftAlone, ...]):
    """All that was left alone; says the first of it."""

    def __str__(self) -> str:
        listed = [*map(str, self[:3]), *["..."] * (len(self) > 3)]
        return "; ".join(listed) or _("it has no parameters")


def _obstacles(model: nn.Module, *, plain: bool) -> _Obstacles:
    """The modules with parameters of their own, none of which was converted."""
    alone = (left_alone(name, part, plain=plain) for name, part in model.named_modules())
    return _Obstacles(one for one in alone if one.parameters)


def _convert_plain(
    model: nn.Module,
    weights: str | None,
    chosen: frozenset[type[nn.Module] | str],
    engine: str | None,
    activation_bits: int | None,
) -> nn.Module:
    """Convert with the plain backend, whose scales are per channel and which has no engines."""
    if engine is not None:
        raise ArgumentError(
            'engine is {value}; backend="plain" has none: leave it out.', value=repr(engine)
        )
    checks.one_of("weights", weights or "per-channel", ("per-channel",))
    for name in chosen:
        kind = type(model.get_submodule(name)) if isinstance(name, str) else name
        if kind not in MODULES:
            raise ArgumentError(
                'modules names {name}, but backend="plain" converts nn.LSTM, nn.GRU and '
                "nn.Linear alone: leave it out.",
                name=name if isinstance(name, str) else f"nn.{name.__name__}",
            )
    try:
        return int8_rnn.quantize(model, activation_bits=activation_bits, modules=chosen)
    except NothingQuantizedError as error:
        error.values = {"obstacles": _obstacles(model, plain=True)}
        raise


@cache
def _say_torch_ao_is_missing() -> None:
    warnings.warn(
        _(
            "this PyTorch has no working torch.ao.quantization; quantize_dynamic uses "
            'backend="plain" instead.'
        ),
        stacklevel=3,
    )
