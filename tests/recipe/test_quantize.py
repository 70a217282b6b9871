"""Section 2: the call, its guard rails, and the warnings it keeps from the reader."""

import subprocess
import sys
import warnings

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common import checks, settings
from recipe_helpers.recipe import quantize as module

ENGINES = [e for e in torch.backends.quantized.supported_engines if e != "none"]

STDERR = """
import sys, warnings
import torch
from torch import nn
import recipe_helpers as rh

demo = rh.demonstration()
linear = nn.Sequential(nn.Linear(8, 8)).eval()
filters = list(warnings.filters)
for engine in torch.backends.quantized.supported_engines:
    if engine != "none":
        rh.quantize_dynamic(demo.model, engine=engine)(*demo.arguments)
        rh.quantize_dynamic(linear, engine=engine)(demo.inputs)
assert warnings.filters == filters
sys.stderr.flush()
torch.set_warn_always(True)  # PyTorch gives some warnings only once
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    torch.ao.quantization.quantize_dynamic(demo.model, {nn.LSTM}, dtype=torch.qint8)
for warning in caught:
    print(warning.category.__name__, str(warning.message).splitlines()[0])
"""


def outputs(model, *inputs):
    with torch.inference_mode():
        return model(*inputs)


def test_the_copy_is_quantized_and_the_model_is_not_touched(demo, untouched):
    before = {key: value.clone() for key, value in demo.model.state_dict().items()}
    with untouched():
        quantized = rh.quantize_dynamic(demo.model)
    assert type(quantized) is type(demo.model)
    assert type(quantized.lstm) is torch.ao.nn.quantized.dynamic.LSTM
    assert type(demo.model.lstm) is nn.LSTM
    assert not quantized.training
    after = demo.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)


STACK = nn.LSTM, nn.GRU


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.Linear])
@pytest.mark.parametrize("weights", ["per-tensor", "per-channel"])
@pytest.mark.parametrize("engine", ENGINES)
def test_it_is_the_same_call(untouched, engine, weights, kind):
    """Bit for bit what PyTorch's own call gives on that engine, with the reader's engine kept."""
    options = {"num_layers": 2, "bidirectional": True} if kind in STACK else {}
    model, inputs = nn.Sequential(kind(5, 7, **options)).eval(), torch.randn(6, 2, 5)
    with untouched():
        quantized = rh.quantize_dynamic(model, engine=engine, weights=weights)
    name = "per_channel_dynamic" if weights == "per-channel" else "default_dynamic"
    how = getattr(torch.ao.quantization, f"{name}_qconfig")
    with settings.engine_set(engine), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = torch.ao.quantization.quantize_dynamic(model, {kind: how}, dtype=torch.qint8)
        expected, found = outputs(theirs, inputs), outputs(quantized, inputs)
    pairs = zip(found, expected, strict=True) if kind in STACK else [(found, expected)]
    for left, right in pairs:
        if isinstance(left, tuple):
            left, right = torch.stack(left), torch.stack(right)
        assert torch.equal(left, right)


def test_the_current_engine_is_used_unless_told(demo):
    results = []
    for engine in ENGINES:
        told = rh.quantize_dynamic(demo.model, engine=engine)
        with settings.engine_set(engine):
            quantized = rh.quantize_dynamic(demo.model)
        results.append(outputs(quantized, *demo.arguments)[0])
        assert torch.equal(results[-1], outputs(told, *demo.arguments)[0])
    different = len({tuple(result.flatten().tolist()) for result in results})
    assert (different > 1) == ("qnnpack" in ENGINES and len(ENGINES) > 1)


@pytest.mark.parametrize("weights", [None, "per-tensor", "per-channel"])
def test_one_scale_per_matrix_or_per_row(demo, weights):
    quantized = rh.quantize_dynamic(demo.model, weights=weights)
    scales = 32 if weights == "per-channel" else 1
    assert [stored.scales.numel() for stored in rh.stored_weights(quantized)] == [scales] * 2


def test_only_the_types_named_are_converted():
    model = nn.Sequential(nn.LSTM(4, 4), nn.Linear(4, 4), nn.GRU(4, 4)).eval()

    def converted(**options):
        return [checks.is_quantized(part) for part in rh.quantize_dynamic(model, **options)]

    assert converted() == [True, True, True]
    assert converted(modules=[nn.Linear]) == [False, True, False]
    assert converted(modules={nn.GRU, nn.LSTM}) == [True, False, True]
    assert converted(modules=(nn.GRU,), weights="per-tensor") == [False, False, True]
    assert converted(modules=iter([nn.LSTM]), weights="per-channel") == [True, False, False]


def test_hidden_states_and_layers_survive(untouched):
    demo = rh.demonstration(dimension=12, layers=3, batch_size=2)
    with untouched():
        quantized = rh.quantize_dynamic(demo.model)
        found, expected = outputs(quantized, *demo.arguments), outputs(demo.model, *demo.arguments)
    for left, right in zip((found[0], *found[1]), (expected[0], *expected[1]), strict=True):
        assert left.shape == right.shape
        assert 0 < float((left - right).abs().max()) < 0.1


def test_no_warning_and_nothing_on_stderr_but_torchs_own_call_warns_twice():
    command = [sys.executable, "-W", "error", "-c", STDERR]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ran.stderr == ""
    assert ran.returncode == 0
    said = ran.stdout.splitlines()
    assert any(
        line.startswith("DeprecationWarning torch.ao.quantization is deprec") for line in said
    )
    assert any(line.startswith("UserWarning torch.quantize_per_tensor") for line in said)


def test_other_warnings_come_through(monkeypatch, demo):
    real = torch.ao.quantization.quantize_dynamic

    def warns(*args, **kwargs):
        warnings.warn("weights look odd", UserWarning, stacklevel=1)
        warnings.warn("torch.jit is deprecated", DeprecationWarning, stacklevel=1)
        return real(*args, **kwargs)

    monkeypatch.setattr(torch.ao.quantization, "quantize_dynamic", warns)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rh.quantize_dynamic(demo.model)
    assert [str(w.message) for w in caught] == ["weights look odd", "torch.jit is deprecated"]


class MyLinear(nn.Linear):
    pass


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda: nn.LSTM(8, 8), ("the model itself", "wrap it in one")),
        (lambda: nn.Linear(8, 8), ("the model itself", "wrap it in one")),
        (lambda: nn.Sequential(nn.ReLU()), ("it has no parameters",)),
        (lambda: nn.Sequential(nn.Embedding(4, 4)), ("0 (Embedding", "look-up table")),
        (lambda: nn.Sequential(nn.GRUCell(4, 4)), ("0 (GRUCell", "add nn.GRUCell to mod")),
        (lambda: nn.Sequential(MyLinear(4, 4)), ("0 (MyLinear", "a subclass of nn.Linear")),
        (lambda: nn.Sequential(nn.Conv1d(4, 4, 1)), ("0 (Conv1d", "no dynamic quantization for")),
        (lambda: nn.Sequential(*map(nn.LayerNorm, (2, 3, 4, 5))), ("0 (", "2 (", "; ...")),
    ],
)
def test_nothing_to_quantize(refuses, model, says):
    built = model().eval()
    with refuses(rh.NothingQuantizedError, *says, "nn.LSTM or nn.Linear", 'backend="plain"'):
        rh.quantize_dynamic(built)


def test_models_that_cannot_be_quantized(refuses, demo, quantized):
    with refuses(rh.AlreadyQuantizedError, "model is already quantized"):
        rh.quantize_dynamic(quantized)
    with refuses(rh.ModelError, "torch.bfloat16"):
        rh.quantize_dynamic(demo.model.to(torch.bfloat16))


@pytest.mark.parametrize(
    ("kind", "option"),
    [(nn.LSTM, {"bias": False}), (nn.GRU, {"bias": False}), (nn.LSTM, {"proj_size": 2})],
)
def test_options_that_torch_breaks_are_refused_by_name(refuses, kind, option):
    model = nn.ModuleDict({"part": kind(4, 4, **option)}).eval()
    named = "=".join(map(str, *option.items()))
    for modules in (None, ["part"]):
        with refuses(rh.ConversionError, "part", f"nn.{kind.__name__}", named, 'backend="plain"'):
            rh.quantize_dynamic(model, modules=modules)


def test_those_options_matter_only_where_they_are_converted():
    model = nn.Sequential(nn.LSTM(4, 4, bias=False), nn.Linear(4, 4, bias=False)).eval()
    quantized = rh.quantize_dynamic(model, modules=[nn.Linear])
    assert type(quantized[0]) is nn.LSTM
    assert checks.is_quantized(quantized[1])


@pytest.mark.parametrize("error", [RuntimeError, AssertionError, TypeError, ValueError])
def test_what_torch_raises_is_told_in_one_line(monkeypatch, refuses, demo, error):
    def fails(*_, **__):
        raise error("no kernel\nsecond line")

    monkeypatch.setattr(torch.ao.quantization, "quantize_dynamic", fails)
    with refuses(rh.ConversionError, f"{error.__name__}: no kernel") as caught:
        rh.quantize_dynamic(demo.model, engine="qnnpack")
    assert isinstance(caught.value.__cause__, error)


def test_a_float_model_that_torch_gives_back_is_never_passed_on(monkeypatch, refuses, demo):
    monkeypatch.setattr(torch.ao.quantization, "quantize_dynamic", lambda model, *_, **__: model)
    with refuses(rh.NothingQuantizedError):
        rh.quantize_dynamic(demo.model)


def test_an_interrupt_leaves_the_engine_alone(monkeypatch, untouched, demo):
    def interrupted(*_, **__):
        assert torch.backends.quantized.engine == "qnnpack"
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.ao.quantization, "quantize_dynamic", interrupted)
    with untouched(), pytest.raises(KeyboardInterrupt):
        rh.quantize_dynamic(demo.model, engine="qnnpack")


def test_without_torch_ao_the_plain_backend_does_it_and_says_so_once(monkeypatch, demo):
    assert rh.torch_ao_available() is True
    monkeypatch.setattr(module, "torch_ao_available", lambda: False)
    module._say_torch_ao_is_missing.cache_clear()
    with pytest.warns(UserWarning, match='quantize_dynamic uses backend="plain" instead'):
        assert isinstance(rh.quantize_dynamic(demo.model).lstm, rh.Int8LSTM)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert isinstance(rh.quantize_dynamic(demo.model).lstm, rh.Int8LSTM)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"engine": "x86"}, "engine is 'x86'; backend=\"plain\" has none"),
        ({"weights": "per-tensor"}, "weights is 'per-tensor'; pass one of 'per-channel'"),
        ({"modules": [nn.GRUCell]}, "modules names nn.GRUCell, but"),
        ({"modules": ["cell"]}, "modules names cell, but"),
    ],
)
def test_what_the_plain_backend_does_not_know(refuses, options, says):
    model = nn.ModuleDict({"lstm": nn.LSTM(4, 4), "cell": nn.GRUCell(4, 4)}).eval()
    with refuses(rh.ArgumentError, says):
        rh.quantize_dynamic(model, backend="plain", **options)
    with refuses(rh.ArgumentError, "activation_bits is 8, but torch.ao has its own"):
        rh.quantize_dynamic(model, activation_bits=8)
    eight = rh.quantize_dynamic(model, backend="plain", activation_bits=8, modules=["lstm"])
    assert isinstance(eight["lstm"], rh.Int8LSTM)
    assert type(eight["cell"]) is nn.GRUCell


def test_names_choose_single_modules(refuses):
    model = nn.Sequential(nn.LSTM(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)).eval()
    for options in ({}, {"backend": "plain"}):
        parts = rh.quantize_dynamic(model, modules=["2", nn.LSTM], **options)
        assert [checks.is_quantized(part) for part in parts] == [True, False, True]
    with refuses(rh.ArgumentError, "modules names '3', which is not in the model;"):
        rh.quantize_dynamic(model, modules=["3"])
    with refuses(rh.ArgumentError, "modules names '', which is Sequential;"):
        rh.quantize_dynamic(model, modules=[""])
