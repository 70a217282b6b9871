"""Section 2: the call, its guard rails, and the warnings it keeps from the reader."""

import subprocess
import sys
import warnings

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common import checks

ENGINES = [e for e in torch.backends.quantized.supported_engines if e != "none"]
X86_ENGINES = [e for e in ENGINES if e != "qnnpack"]

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


@pytest.mark.parametrize("engine", ENGINES)
def test_it_is_the_same_call(demo, untouched, engine):
    """Bit for bit what PyTorch's own call gives on that engine, with the reader's engine kept."""
    with untouched():
        ours = outputs(rh.quantize_dynamic(demo.model, engine=engine), *demo.arguments)
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = engine
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = torch.ao.quantization.quantize_dynamic(
                demo.model, {nn.LSTM, nn.Linear}, dtype=torch.qint8
            )
            expected = outputs(theirs, *demo.arguments)
    finally:
        torch.backends.quantized.engine = before
    for found, wanted in zip((ours[0], *ours[1]), (expected[0], *expected[1]), strict=True):
        assert torch.equal(found, wanted)


def test_the_current_engine_is_used_unless_told(demo):
    before = torch.backends.quantized.engine
    results = {
        e: outputs(rh.quantize_dynamic(demo.model, engine=e), *demo.arguments)[0]
        for e in ("qnnpack", before)
    }
    torch.backends.quantized.engine = "qnnpack"
    try:
        quantized = rh.quantize_dynamic(demo.model)
    finally:
        torch.backends.quantized.engine = before
    assert torch.equal(outputs(quantized, *demo.arguments)[0], results["qnnpack"])
    if before != "qnnpack":
        assert not torch.equal(*results.values())


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


def spoilt(kind, demo):
    model = demo.model
    if kind == "training":
        return model.train()
    if kind == "meta":
        return model.to("meta")
    if kind == "bfloat16":
        return model.to(torch.bfloat16)
    if kind == "NaN":
        with torch.no_grad():
            model.lstm.weight_hh_l0[3, 1] = torch.nan
        return model
    if kind == "quantized":
        return rh.quantize_dynamic(model)
    return "model"


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("training", rh.ModelError, "model is in training mode"),
        ("meta", rh.ModelError, "lstm.weight_ih_l0 on the device meta"),
        ("bfloat16", rh.ModelError, "torch.bfloat16"),
        ("NaN", rh.ModelError, "NaN or infinity in lstm.weight_hh_l0"),
        ("quantized", rh.AlreadyQuantizedError, "model is already quantized"),
        ("no module", rh.ModelError, "model is of type str"),
    ],
)
def test_models_that_cannot_be_quantized(refuses, demo, kind, error, says):
    model = spoilt(kind, demo)
    with refuses(error, says):
        rh.quantize_dynamic(model)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("option", [{"bias": False}, {"proj_size": 2}])
def test_options_that_torch_breaks_are_refused_by_name(refuses, kind, option):
    if kind is nn.GRU and "proj_size" in option:
        return  # nn.GRU has no such option
    model = nn.ModuleDict({"part": kind(4, 4, **option)}).eval()
    named = "=".join(map(str, *option.items()))
    with refuses(rh.ConversionError, "part", f"nn.{kind.__name__}", named, 'backend="plain"'):
        rh.quantize_dynamic(model, modules=[nn.LSTM, nn.GRU, nn.Linear])


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


def test_torch_ao_is_here():
    assert rh.torch_ao_available() is True
