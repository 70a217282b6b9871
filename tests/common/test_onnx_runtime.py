"""Models in ONNX Runtime: called as before, quantized, and with the traps that are known."""

import copy
import logging
import pickle
import threading
import warnings

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common import onnx_runtime


class Tagger(nn.Module):
    """An LSTM, a GRU and a Linear; several inputs, and outputs in a dict."""

    def __init__(self):
        super().__init__()
        self.lstm, self.gru, self.linear = nn.LSTM(12, 16), nn.GRU(16, 8), nn.Linear(8, 4)

    def forward(self, x, *, state=None, scale=1.0):
        y, (h, c) = self.lstm(x, state)
        return {"scores": scale * self.linear(self.gru(y)[0]), "state": (h, c)}


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Tagger().eval()


@pytest.fixture
def inputs():
    x, h, c = torch.randn(7, 2, 12), torch.randn(1, 2, 16), torch.randn(1, 2, 16)
    return x, {"scale": 2.0, "state": (h, c)}


def test_it_is_called_like_the_model_and_returns_the_same_shape(model, inputs):
    x, kwargs = inputs
    made = rh.quantize_onnx(model, x, kwargs=kwargs)
    with torch.inference_mode():
        found, wanted = made(x, **kwargs), model(x, **kwargs)
    assert found.keys() == wanted.keys()
    assert isinstance(found["state"], tuple)
    for one, other in zip(
        (found["scores"], *found["state"]), (wanted["scores"], *wanted["state"]), strict=True
    ):
        assert one.shape == other.shape
        assert float((one - other).abs().mean() / other.abs().mean()) < 0.03
    # Other inputs, in another order of keywords, give their own outputs.
    state = tuple(2 * part for part in kwargs["state"])
    again = made(2 * x, state=state, scale=2.0)["state"][1]
    with torch.inference_mode():
        exact = model(2 * x, state=state, scale=2.0)["state"][1]
    assert float((again - exact).abs().mean() / exact.abs().mean()) < 0.03


def test_keywords_are_told_apart_by_their_names():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, *, b, a):
            return self.linear(a) - 9 * b

    model, a, b = Two().eval(), torch.randn(2, 4), torch.randn(2, 4)
    made = rh.export_onnx(model, kwargs={"b": b, "a": a})
    for given in ({"a": a, "b": b}, {"b": b, "a": a}):
        assert torch.allclose(made(**given), model(a=a, b=b), atol=1e-5)


def test_what_was_quantized_is_told_and_what_was_not(model, inputs):
    made = rh.quantize_onnx(model, inputs[0])
    operators = {node.operator: node.quantized for node in made.nodes}
    assert operators["DynamicQuantizeLSTM"] is True
    assert operators["GRU"] is False  # ONNX Runtime leaves it, and says nothing
    assert sum(node.quantized for node in made.nodes) == 2
    (gru,) = (node for node in made.nodes if node.operator == "GRU")
    floats = sum(p.numel() for p in model.gru.parameters())
    assert gru.weight_bytes == 4 * floats
    int8 = sum(p.numel() for n, p in model.lstm.named_parameters() if "weight" in n)
    (lstm,) = (node for node in made.nodes if node.operator == "DynamicQuantizeLSTM")
    assert int8 <= lstm.weight_bytes < 2 * int8


@pytest.mark.parametrize("vnni", [True, False])
def test_weights_have_seven_bits_where_sums_would_saturate(monkeypatch, vnni):
    monkeypatch.setattr(onnx_runtime, "has_vnni", lambda: vnni)
    linear = nn.Sequential(nn.Linear(64, 8)).eval()
    made = rh.quantize_onnx(linear, torch.randn(2, 64))
    graph = onnx.load_model_from_string(made.graph).graph
    integers = [
        onnx.numpy_helper.to_array(one)
        for one in graph.initializer
        if one.data_type == onnx.TensorProto.INT8 and len(one.dims) == 2
    ]
    assert len(integers) == 1
    largest = abs(integers[0].astype(int)).max()
    assert (largest > 64) == vnni
    # A scale for each of the eight channels.
    assert [8] in [list(one.dims) for one in graph.initializer if "scale" in one.name]


def test_sizes_that_differ_between_inputs_are_left_open(model):
    x, shorter = torch.randn(7, 2, 12), torch.randn(4, 2, 12)
    fixed = rh.quantize_onnx(model, x)
    with pytest.raises(Exception, match="nvalid"):
        fixed(shorter)
    free = rh.quantize_onnx(model, x, others=[((x,), {}), ((shorter,), {})])
    assert free(shorter)["scores"].shape == (4, 2, 4)
    assert rh.compare_outputs(model, free, shorter).relative < 0.03


def test_it_is_copied_pickled_saved_and_runs_on_the_threads_of_pytorch(model, inputs, tmp_path):
    x = inputs[0]
    made = rh.quantize_onnx(model, x)
    wanted = made(x)["scores"]
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert torch.equal(other(x)["scores"], wanted)
    made.save(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    written = torch.tensor(session.run(None, {"input_0": x.numpy()})[0])
    torch.testing.assert_close(written, wanted, rtol=0, atol=1e-2)
    assert set(made._sessions) == {torch.get_num_threads()}
    for threads in (1, 3):
        options = made._session(threads).get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)


def test_nothing_of_the_process_changes(model, inputs):
    root = logging.getLogger()
    before = root.manager.disable, root.handlers[:], root.filters[:], root.level
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        rh.quantize_onnx(model, inputs[0])
    assert told == []
    assert (root.manager.disable, root.handlers, root.filters, root.level) == before


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
    linear.eval()
    monkeypatch.setattr(onnx_runtime, "_NEEDED", ("onnx", "no_such_runtime"))
    with refuses(rh.ConversionError, "no_such_runtime cannot be imported", "[onnx]"):
        rh.quantize_onnx(linear, x)
