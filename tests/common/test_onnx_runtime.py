"""Models in ONNX Runtime: called as before, quantized, and with the traps that are known."""

import copy
import logging
import pickle
import platform
import threading
import warnings
from typing import NamedTuple

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common import onnx_runtime
from recipe_helpers.recipe.accuracy import compare_recorded

X = torch.randn(7, 2, 12, generator=torch.Generator().manual_seed(1))


class State(NamedTuple):
    hidden: torch.Tensor
    cell: torch.Tensor


class Tagger(nn.Module):
    """An LSTM, a GRU and a Linear; several inputs, and outputs in a dict."""

    def __init__(self):
        super().__init__()
        self.lstm, self.gru, self.linear = nn.LSTM(12, 16), nn.GRU(16, 8), nn.Linear(8, 4)

    def forward(self, x, *, state=None, scale=1.0):
        y, state = self.lstm(x, state)
        return {"scores": scale * self.linear(self.gru(y)[0]), "state": State(*state)}


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Tagger().eval()


@pytest.fixture(scope="module")
def made(model):
    """The model for inputs of one size, and what making it left of the process's own."""
    root = logging.getLogger()
    before = root.manager.disable, root.handlers[:], root.filters[:], root.level
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        made = rh.quantize_onnx(model, X)
    assert told == []
    assert (root.manager.disable, root.handlers, root.filters, root.level) == before
    return made


def test_it_is_called_like_the_model_and_returns_the_same_shape(model):
    state = torch.randn(1, 2, 16), torch.randn(1, 2, 16)
    made = rh.quantize_onnx(model, X, kwargs={"scale": 2.0, "state": state})
    # Other inputs, in another order of keywords, give their own outputs.
    for x, given in ((X, state), (2 * X, tuple(2 * part for part in state))):
        found, expected = (one(x, state=given, scale=2.0) for one in (made, model))
        assert type(found["state"]) is State
        tensors = compare_recorded(expected, found).tensors
        assert len(tensors) == 3
        assert all(one.relative < 0.03 for one in tensors)


class Two(nn.Module):
    """Takes keywords alone, one of them for nothing."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, *, b, a, unused):
        return self.linear(a) - 9 * b


def test_keywords_are_told_apart_by_their_names():
    model, a, b = Two().eval(), torch.randn(2, 4), torch.randn(2, 4)
    made = rh.export_onnx(model, kwargs={"unused": a, "b": b, "a": a})
    expected = model(a=a, b=b, unused=b)
    assert torch.allclose(made(a=a, b=b, unused=b), expected, atol=1e-5)
    assert torch.allclose(made(unused=b, b=b, a=a), expected, atol=1e-5)


def test_what_was_quantized_is_told_and_what_was_not(model, made):
    nodes = {node.operator: node for node in made.nodes}
    assert [node.quantized for node in made.nodes].count(True) == 2
    lstm, gru = nodes["DynamicQuantizeLSTM"], nodes["GRU"]
    assert (lstm.quantized, gru.quantized) == (True, False)  # it says nothing of the GRU itself
    floats = [sum(p.numel() for p in part.parameters()) for part in (model.gru, model.lstm)]
    assert gru.weight_bytes == gru.float_bytes == 4 * floats[0]
    assert lstm.float_bytes == 4 * floats[1]
    int8 = sum(p.numel() for n, p in model.lstm.named_parameters() if "weight" in n)
    assert int8 <= lstm.weight_bytes < 2 * int8


@pytest.mark.parametrize("vnni", [True, False])
def test_weights_have_seven_bits_where_sums_would_saturate(monkeypatch, vnni):
    monkeypatch.setattr(onnx_runtime, "has_vnni", lambda: vnni)
    made = rh.quantize_onnx(nn.Sequential(nn.Linear(64, 8)).eval(), torch.randn(2, 64))
    arrays = onnx.load_model_from_string(made.graph).graph.initializer
    (integers,) = (
        onnx.numpy_helper.to_array(one)
        for one in arrays
        if one.data_type == onnx.TensorProto.INT8 and len(one.dims) == 2
    )
    assert (abs(integers.astype(int)).max() > 64) == vnni
    assert [8] in [list(one.dims) for one in arrays if "scale" in one.name], "one for each channel"


@pytest.mark.parametrize(
    ("machine", "capability", "vnni", "exact"),
    [
        ("aarch64", "DEFAULT", False, True),
        ("arm64", "DEFAULT", False, True),
        ("x86_64", "AVX512", True, True),
        ("x86_64", "AVX512", False, False),
        ("x86_64", "AVX2", True, False),
    ],
)
def test_where_sums_of_products_stay_exact(monkeypatch, machine, capability, vnni, exact):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    found = {"avx512_vnni": vnni}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert onnx_runtime.has_vnni() == exact


def test_sizes_that_differ_between_inputs_are_left_open(model, made):
    shorter, wider = X[:4], X.repeat(1, 2, 1)
    with pytest.raises(Exception, match="nvalid"):
        made(shorter)
    free = rh.quantize_onnx(model, X, others=[((shorter,), {}), ((wider,), {})])
    for x in (shorter, wider):
        assert rh.compare_outputs(model, free, x).relative < 0.03


def test_it_is_copied_pickled_and_saved(made, tmp_path):
    wanted = made(X)["scores"]
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other._sessions == {}
        assert torch.equal(other(X)["scores"], wanted)
    made.save(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    written = torch.tensor(session.run(None, {"input_0": X.numpy()})[0])
    torch.testing.assert_close(written, wanted, rtol=0, atol=1e-2)


def test_it_runs_on_the_threads_of_pytorch(made):
    asked = copy.deepcopy(made)
    for threads in (1, 3):
        torch.set_num_threads(threads)
        asked(X)
        options = asked._sessions[threads].get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)
    torch.set_num_threads(1)
    assert len(asked._sessions) == 2


def test_only_the_thread_that_exports_is_silenced(caplog):
    with onnx_runtime._silence():
        logging.warning("advice")
        other = threading.Thread(target=logging.warning, args=["of another thread"])
        other.start()
        other.join()
    logging.warning("afterwards")
    assert [record.message for record in caplog.records] == ["of another thread", "afterwards"]


class Odd(nn.Module):
    """Returns more than tensors, or cannot be traced."""

    def __init__(self, forward):
        super().__init__()
        self.linear, self.run = nn.Linear(4, 4), forward

    def forward(self, x):
        return self.run(self.linear(x))


def test_what_cannot_be_converted_is_refused(refuses, monkeypatch):
    x, linear = torch.randn(2, 4), nn.Linear(4, 4)
    named = Odd(lambda y: (y, "name")).eval()
    complex_inside = Odd(lambda y: torch.linalg.eigvals(y @ y.T).real).eval()
    with refuses(rh.ConversionError, "more than tensors", "let it return tensors"):
        rh.quantize_onnx(named, x)
    with refuses(rh.ConversionError, "ONNX Runtime's way failed with", "keep the other backends"):
        rh.quantize_onnx(complex_inside, x)
    with refuses(rh.ModelError, "model is in training mode"):
        rh.quantize_onnx(linear, x)
    monkeypatch.setattr(onnx_runtime, "_NEEDED", ("onnx", "no_such_runtime"))
    with refuses(rh.ConversionError, "no_such_runtime cannot be imported", "[onnx]"):
        rh.quantize_onnx(linear.eval(), x)
