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
    """Every tensor that the model returns."""
    with torch.inference_mode():
        return [tensor for _, tensor in rh.named_tensors(model(*inputs))]


def converted(model, **options):
    return [checks.is_quantized(part) for part in rh.quantize_dynamic(model, **options)]


def test_the_copy_is_quantized_and_the_model_is_not_touched(demo, untouched):
    before = {key: value.clone() for key, value in demo.model.state_dict().items()}
    with untouched():
        quantized = rh.quantize_dynamic(demo.model)
    assert type(quantized) is type(demo.model)
    assert type(quantized.lstm) is torch.ao.nn.quantized.dynamic.LSTM
    assert type(demo.model.lstm) is nn.LSTM
    assert not quantized.training
    torch.testing.assert_close(dict(demo.model.state_dict()), before, rtol=0, atol=0)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.Linear])
@pytest.mark.parametrize("weights", [None, "per-tensor", "per-channel"])
@pytest.mark.parametrize("engine", ENGINES)
def test_it_is_the_same_call(untouched, engine, weights, kind):
    """Bit for bit what PyTorch's own call gives on that engine, whether asked for or current."""
    options = {} if kind is nn.Linear else {"num_layers": 2, "bidirectional": True}
    model, inputs = nn.Sequential(kind(5, 7, **options)).eval(), torch.randn(6, 2, 5)
    with untouched():
        found = outputs(rh.quantize_dynamic(model, engine=engine, weights=weights), inputs)
    name = "per_channel_dynamic" if weights == "per-channel" else "default_dynamic"
    how = getattr(torch.ao.quantization, f"{name}_qconfig")
    with settings.engine_set(engine), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = torch.ao.quantization.quantize_dynamic(model, {kind: how}, dtype=torch.qint8)
        current = outputs(rh.quantize_dynamic(model, weights=weights), inputs)
        expected = outputs(theirs, inputs)
    assert all(map(torch.equal, found, expected))
    assert all(map(torch.equal, current, expected))
    close = zip(found, outputs(model, inputs), strict=True)
    assert all(0 < float((x - y).abs().max()) < 0.1 for x, y in close)


@pytest.mark.parametrize("weights", ["per-tensor", "per-channel"])
def test_types_and_names_choose_what_is_converted(refuses, weights):
    model = nn.Sequential(nn.LSTM(4, 4), nn.Linear(4, 4), nn.GRU(4, 4), nn.Linear(4, 4)).eval()
    assert converted(model, weights=weights) == [True] * 4
    assert converted(model, modules=[nn.Linear]) == [False, True, False, True]
    assert converted(model, modules={nn.GRU, nn.LSTM}) == [True, False, True, False]
    for options in ({"weights": weights}, {"backend": "plain"}):
        names = iter(["3", nn.LSTM])
        assert converted(model, modules=names, **options) == [True, False, False, True]
    with refuses(rh.ArgumentError, "modules names '4', which is not in the model;"):
        rh.quantize_dynamic(model, modules=["4"])
    with refuses(rh.ArgumentError, "modules names '', which is Sequential;"):
        rh.quantize_dynamic(model, modules=[""])


def test_no_warning_and_nothing_on_stderr_but_torchs_own_call_warns_twice():
    command = [sys.executable, "-W", "error", "-c", STDERR]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "\nDeprecationWarning torch.ao.quantization is deprec" in f"\n{ran.stdout}"
    assert "\nUserWarning torch.quantize_per_tensor" in f"\n{ran.stdout}"


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
        (nn.LSTM(8, 8), "the model itself (LSTM; torch.ao replaces only modules inside a module"),
        (nn.Linear(8, 8), "the model itself (Linear; torch.ao replaces only modules inside a"),
        (nn.Sequential(nn.ReLU()), "it has no parameters"),
        (nn.Sequential(nn.Embedding(4, 4)), "0 (Embedding; a look-up table"),
        (nn.Sequential(nn.GRUCell(4, 4)), "0 (GRUCell; not among the types to convert: add nn."),
        (nn.Sequential(MyLinear(4, 4)), "0 (MyLinear; a subclass of nn.Linear"),
        (nn.Sequential(nn.Conv1d(4, 4, 1)), "0 (Conv1d; no dynamic quantization for nn.Conv1d)."),
        (nn.Sequential(*map(nn.LayerNorm, (2, 3, 4, 5))), "nn.LayerNorm); ..."),
        (nn.Sequential(*map(nn.LayerNorm, (2, 3, 4))), "nn.LayerNorm). Pass a module"),
    ],
)
def test_nothing_to_quantize(refuses, model, says):
    with refuses(rh.NothingQuantizedError, says, "nn.LSTM or nn.Linear", 'backend="plain"'):
        rh.quantize_dynamic(model.eval())


@pytest.mark.parametrize(
    ("kind", "option"),
    [(nn.LSTM, {"bias": False}), (nn.GRU, {"bias": False}), (nn.LSTM, {"proj_size": 2})],
)
def test_options_that_torch_breaks_are_refused_where_they_are_converted(refuses, kind, option):
    model = nn.ModuleDict({"part": kind(4, 4, **option), "head": nn.Linear(4, 4)}).eval()
    named = "=".join(map(str, *option.items()))
    for modules in (None, ["part"]):
        with refuses(rh.ConversionError, "part", f"nn.{kind.__name__}", named, 'backend="plain"'):
            rh.quantize_dynamic(model, modules=modules)
    assert type(rh.quantize_dynamic(model, modules=[nn.Linear])["part"]) is kind


class Fails:
    """PyTorch's own call, which raises this error, or gives back the float model."""

    def __init__(self, error=None):
        self.error = error

    def __call__(self, model, *_, **__):
        assert torch.backends.quantized.engine == "qnnpack"
        if self.error is not None:
            raise self.error("no kernel\nsecond line")
        return model


@pytest.mark.parametrize(
    ("error", "told", "says"),
    [
        *((one, rh.ConversionError, f"{one.__name__}: no kernel;")
          for one in (RuntimeError, AssertionError, TypeError, ValueError, AttributeError)),
        (None, rh.NothingQuantizedError, "model has no module that torch.ao converts"),
    ],
)  # fmt: skip
def test_a_failure_is_told_and_no_float_model_is_passed_on(
    monkeypatch, refuses, demo, error, told, says
):
    monkeypatch.setattr(torch.ao.quantization, "quantize_dynamic", Fails(error))
    with refuses(told, says) as caught:
        rh.quantize_dynamic(demo.model, engine="qnnpack")
    assert isinstance(caught.value.__cause__, error or type(None))


def test_an_interrupt_leaves_the_engine_alone(monkeypatch, untouched, demo):
    monkeypatch.setattr(torch.ao.quantization, "quantize_dynamic", Fails(KeyboardInterrupt))
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
        ({"activation_bits": 9}, "activation_bits is 9;"),
        ({"activation_bits": 8, "backend": "torch.ao"}, "is 8, but torch.ao has its own"),
    ],
)
def test_what_a_backend_does_not_know(refuses, options, says):
    model = nn.ModuleDict({"lstm": nn.LSTM(4, 4), "cell": nn.GRUCell(4, 4)}).eval()
    with refuses(rh.ArgumentError, says):
        rh.quantize_dynamic(model, **{"backend": "plain", **options})


def test_the_plain_backend_computes_in_as_many_bits_as_it_is_asked(demo):
    for bits in (8, 16):
        found = rh.quantize_dynamic(demo.model, backend="plain", activation_bits=bits)
        assert f"Int8LSTM(8, 8, activation_bits={bits}" in repr(found)
