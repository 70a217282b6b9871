"""What is traced: torch.compile, torch.export, programs without the package, ONNX, torchao."""

import copy
import itertools
import subprocess
import sys
import textwrap
import warnings

import pytest
import torch
from torch import nn
from torch.export import Dim
from torch.nn.utils.rnn import pack_sequence

import int8_rnn
from int8_rnn import ConversionError, ModelError, operators

# PyTorch's exporters use what PyTorch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

FREE = {"x": {0: Dim("steps", min=2, max=4096), 1: Dim("batch", min=2, max=4096)}}


class Tagger(nn.Module):
    """A recurrent layer and a linear one; the input weight has a residual row."""

    def __init__(self, kind="LSTM", **options):
        super().__init__()
        self.rnn = getattr(nn, kind)(6, 20, **options)
        width = options.get("proj_size", 20) * (1 + options.get("bidirectional", False))
        self.out = nn.Linear(width, 5)
        with torch.no_grad():
            self.rnn.weight_ih_l0[3] *= 30

    def forward(self, x, states=None):
        y, last = self.rnn(x, states)
        return self.out(y), last


def quantized(kind="LSTM", bits=None, **options):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return int8_rnn.quantize(Tagger(kind, **options).eval(), activation_bits=bits)


def exported(model):
    return torch.export.export(model, (inputs(),), dynamic_shapes=FREE)


def inputs(steps=9, batch=3, seed=0):
    return torch.randn(steps, batch, 6, generator=torch.Generator().manual_seed(seed))


def flat(result):
    output, states = result
    return [output, *(states if isinstance(states, tuple) else (states,))]


def same(one, other):
    return all(itertools.starmap(torch.equal, zip(flat(one), flat(other), strict=True)))


KINDS = [
    ("LSTM", None, {"num_layers": 2, "bidirectional": True}),
    ("LSTM", 8, {"proj_size": 7}),
    ("LSTM", 16, {"bias": False, "batch_first": True}),
    ("GRU", None, {"bidirectional": True}),
    ("GRU", 8, {"num_layers": 2}),
]


@pytest.mark.parametrize(("kind", "bits", "options"), KINDS)
def test_an_exported_program_gives_the_same_bits_at_other_lengths_and_batches(kind, bits, options):
    model = quantized(kind, bits, **options)
    program = exported(model)
    names = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert names.count("int8_rnn.run.default") == 2
    with torch.no_grad():
        for x in (inputs(), inputs(30, 5, seed=2)):
            assert same(program.module()(x), model(x))


class Chain(nn.Module):
    """Both kinds, one after the other: what takes long is exported once."""

    def __init__(self):
        super().__init__()
        self.first = quantized("LSTM", bidirectional=True).rnn
        self.second = int8_rnn.Int8GRU.from_float(nn.GRU(40, 8).eval())

    def forward(self, x):
        return self.second(self.first(x)[0])


@pytest.fixture(scope="module")
def chain():
    """The model, its exported program, and that one in PyTorch's own operators."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Chain().eval()
        program = exported(model)
        return model, program, int8_rnn.to_plain_aten(program)


def test_a_plain_program_has_no_operator_of_ours_and_computes_the_reference(chain):
    model, program, plain = chain
    assert not [node for node in plain.graph.nodes if "int8_rnn" in str(node.target)]
    reference = copy.deepcopy(model)
    reference.first.fast = reference.second.fast = False
    with torch.no_grad():
        for x in (inputs(), inputs(30, 5, seed=2)):
            assert same(plain.module()(x), reference(x))
            assert same(program.module()(x), model(x))  # and the program itself is as it was


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_compiled_code_has_no_break_and_equal_bits(kind):
    model = quantized(kind, num_layers=2)
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    state = torch.randn(2, 3, 20)
    states = (state, 2 * state) if kind == "LSTM" else state
    with torch.no_grad():
        for x in (inputs(), inputs(21, 3, seed=3)):
            assert same(compiled(x, states), model(x, states))


def test_a_packed_sequence_still_runs_beside_a_compiled_call():
    model = quantized().rnn
    packed = pack_sequence([inputs(5)[:, 0], inputs(3)[:, 0]])
    torch.compiler.reset()
    with torch.no_grad():
        found = torch.compile(model, backend="eager")(packed)[0].data
        # Traced step by step, and so by the reference.
        assert (found - model(packed)[0].data).abs().max() < 1e-4


def test_another_process_loads_a_program_that_was_saved(chain, tmp_path):
    model, program, plain = chain
    torch.export.save(program, tmp_path / "ours.pt2")
    torch.export.save(plain, tmp_path / "plain.pt2")
    x = inputs(12, 4, seed=5)
    with torch.no_grad():
        torch.save({"x": x, "y": model(x)[0]}, tmp_path / "data.pt")
    script = f"""
        import sys, torch
        given = torch.load(r"{tmp_path / "data.pt"}", weights_only=True)
        plain = torch.export.load(r"{tmp_path / "plain.pt2"}").module()
        assert (plain(given["x"])[0] - given["y"]).abs().max() < 1e-4
        assert "int8_rnn" not in sys.modules
        import int8_rnn
        ours = torch.export.load(r"{tmp_path / "ours.pt2"}").module()
        assert torch.equal(ours(given["x"])[0], given["y"])
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.filterwarnings("ignore")
def test_onnx_runtime_gives_the_same_at_any_length(chain, tmp_path):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    model, _, plain = chain
    torch.onnx.export(plain, (), tmp_path / "m.onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    (name,) = [one.name for one in session.get_inputs()]
    with torch.no_grad():
        for x in (inputs(), inputs(17, 2, seed=4)):
            found = session.run(None, {name: x.numpy()})
            for one, other in zip(found, flat(model(x)), strict=True):
                assert abs(one - other.numpy()).max() < 1e-4


def test_what_is_told_follows_the_weights():
    exact = int8_rnn.Int8LSTM(6, 20, scheme="exact")
    assert "weight_ih_l0_residual_tiles" not in exact._how
    exact.load_state_dict(quantized(bits=16).rnn.state_dict())
    assert "weight_ih_l0_residual_tiles" in exact._how
    made, names = operators.described_module(exact._how)
    assert (made.hidden_bits, made.input_size) == (exact.hidden_bits, 6)
    assert len(names) == sum(one is not None for one in exact._buffers.values())


def test_torchao_converts_what_its_filter_lets_through():
    quantization = pytest.importorskip("torchao.quantization")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = nn.ModuleDict({"a": Tagger(), "b": Tagger("GRU"), "c": nn.Conv1d(2, 2, 1)}).eval()
    expected = {name: int8_rnn.quantize(model[name], activation_bits=8) for name in "ab"}
    config = int8_rnn.Int8RecurrentConfig(activation_bits=8)
    quantization.quantize_(model, config, filter_fn=int8_rnn.recurrent_or_linear)
    assert type(model["c"]) is nn.Conv1d
    with torch.no_grad():
        for name in "ab":
            assert same(model[name](inputs()), expected[name](inputs()))
    with pytest.raises(ModelError, match=r"itself an nn\.LSTM.*int8_rnn\.quantize"):
        quantization.quantize_(nn.LSTM(2, 2), config, filter_fn=int8_rnn.recurrent_or_linear)


def test_without_torchao_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "int8_rnn.torchao", raising=False)
    monkeypatch.delattr(int8_rnn, "torchao", raising=False)
    monkeypatch.setitem(sys.modules, "torchao.core.config", None)
    with pytest.raises(ConversionError, match=r"pip install \"int8-rnn\[torchao\]\""):
        _ = int8_rnn.Int8RecurrentConfig
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = int8_rnn.nonsense
