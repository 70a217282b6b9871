"""What is traced: torch.compile, torch.export, plain programs, ONNX; and torchao."""

import copy
import sys

import pytest
import torch
from made_up import (
    FLOATS,
    INT8,
    RECURRENT,
    drawn,
    every_recurrent,
    flat,
    reference,
    run_python,
    same,
)
from torch import nn
from torch.export import Dim
from torch.nn.utils.rnn import pack_sequence
from torch.torch_version import TorchVersion

import int8_rnn
from int8_rnn import ArgumentError, ConversionError, ModelError, operators, to_plain_aten

pytestmark = [
    # PyTorch's exporters use what PyTorch deprecates.
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:LSTM with projections"),
]
FREE = {0: Dim("steps", min=2, max=4096), 1: Dim("batch", min=2, max=4096)}
INPUTS = drawn(9, 3, 6, seed=0), drawn(30, 5, 6, seed=2)


class Tagger(nn.Module):
    """A recurrent layer and a linear one; the input weight has a residual row."""

    def __init__(self, kind="lstm", **options):
        super().__init__()
        self.rnn = FLOATS[kind](6, 20, **options)
        width = options.get("proj_size", 20) * (1 + options.get("bidirectional", False))
        self.out = nn.Linear(width, 5)
        with torch.no_grad():
            self.rnn.weight_ih_l0[3] *= 30

    def forward(self, x, states=None):
        y, last = self.rnn(x, states)
        return self.out(y), last


class Chain(nn.Module):
    """Both kinds, one after the other: what takes long is exported once."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first = int8_rnn.quantize(Tagger(bidirectional=True).eval()).rnn
        self.second = int8_rnn.Int8GRU.from_float(nn.GRU(40, 8).eval())

    def forward(self, x):
        return self.second(self.first(x)[0])


class Fixed(nn.Module):
    """What `Chain` has not: a projection, no bias, no columns, states, a residual of W_hh..."""

    def __init__(self):
        super().__init__()
        how = {"scheme": int8_rnn.Scheme(columns=False, hidden_bits=8), "fast": False}
        self.rnn = int8_rnn.Int8LSTM.from_float(nn.LSTM(6, 9, 2, bias=False, proj_size=4), **how)
        self.out = int8_rnn.Int8Linear.from_float(nn.Linear(4, 3), fast=False)
        name, values = "weight_hh_l1_residual", torch.full((1, 4), 100, dtype=torch.int8)
        by_hand = {name: values, f"{name}_scale": torch.ones(1), f"{name}_rows": torch.tensor([5])}
        self.rnn.load_state_dict(by_hand, strict=False)

    def forward(self, x, h, c):
        output, last = self.rnn(x, (h, c))
        return self.out(output), last


def quantized(kind="lstm", bits=None, **options):
    torch.manual_seed(1)
    return int8_rnn.quantize(Tagger(kind, **options).eval(), activation_bits=bits)


def exported(model):
    return torch.export.export(model, INPUTS[:1], dynamic_shapes=(FREE,))


def in_plain_aten(program):
    """`to_plain_aten` of it, where this PyTorch has a loop over a free number of steps."""
    try:
        return to_plain_aten(program)
    except ConversionError as error:
        if TorchVersion(torch.__version__) < "2.9" and "export with a newer one" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="module")
def chain():
    """A model, its exported program, and that one in PyTorch's own operators."""
    model = Chain().eval()
    program = exported(model)
    return model, program, in_plain_aten(program)


# -- one operator for each module --------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "bits", "options"),
    [
        ("lstm", None, {"num_layers": 2, "bidirectional": True}),
        ("lstm", 8, {"proj_size": 7}),
        ("lstm", 16, {"bias": False, "batch_first": True}),
        ("gru", None, {"bidirectional": True}),
        ("gru", 8, {"num_layers": 2}),
    ],
)
def test_an_exported_program_gives_the_same_bits_at_other_lengths_and_batches(kind, bits, options):
    model = quantized(kind, bits, **options)
    program = exported(model)
    names = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert names.count("int8_rnn.run.default") == 2, "one for each module"
    for x in INPUTS:
        assert same(program.module()(x), model(x))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [*RECURRENT, "linear"])
def test_a_bare_module_is_exported_too(kind, bias):
    module = INT8[kind].from_float(FLOATS[kind](6, 8, bias=bias).eval())
    program = exported(module)
    for x in INPUTS:
        assert same(program.module()(x), module(x))


@every_recurrent
def test_compiled_code_has_no_break_and_equal_bits(kind):
    model = quantized(kind, num_layers=2)
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    state = torch.randn(2, 3, 20)
    states = (state, 2 * state) if kind == "lstm" else state
    for x in (INPUTS[0], drawn(21, 3, 6, seed=3)):
        assert same(compiled(x, states), model(x, states))


def test_a_packed_sequence_still_runs_beside_a_compiled_call():
    """Traced step by step, and so by the reference."""
    model = quantized().rnn
    packed = pack_sequence([drawn(5, 6, seed=0), drawn(3, 6, seed=1)])
    torch.compiler.reset()
    found = torch.compile(model, backend="eager")(packed)[0].data
    assert (found - model(packed)[0].data).abs().max() < 1e-4


def test_another_process_loads_a_program_that_was_saved(chain, tmp_path):
    model, program, plain = chain
    torch.export.save(program, tmp_path / "ours.pt2")
    torch.export.save(plain, tmp_path / "plain.pt2")
    torch.save({"x": INPUTS[1], "y": model(INPUTS[1])[0]}, tmp_path / "data.pt")
    script = """
        import sys, torch
        given = torch.load(sys.argv[1] + "/data.pt", weights_only=True)
        plain = torch.export.load(sys.argv[1] + "/plain.pt2").module()
        assert (plain(given["x"])[0] - given["y"]).abs().max() < 1e-4
        assert "int8_rnn" not in sys.modules
        import int8_rnn
        ours = torch.export.load(sys.argv[1] + "/ours.pt2").module()
        assert torch.equal(ours(given["x"])[0], given["y"])
    """
    run_python(script, tmp_path)


def test_what_is_told_follows_the_weights():
    exact = int8_rnn.Int8LSTM(6, 20, scheme="exact", fast=False)
    assert "weight_ih_l0_residual_tiles" not in exact._how
    exact.load_state_dict(quantized(bits=16).rnn.state_dict())
    made, names = operators.described_module(exact._how)
    assert made.fast is False
    assert names == tuple(exact._buffers)
    assert "weight_ih_l0_residual_tiles" in names
    plain = int8_rnn.Int8LSTM(6, 20, scheme=int8_rnn.Scheme(columns=False))
    exact.load_state_dict(plain.state_dict())
    assert operators.described_module(exact._how)[0].scheme.columns is False


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [*RECURRENT, "linear"])
def test_what_is_told_makes_the_module_again(kind, bias):
    options = {"num_layers": 2, "batch_first": True, "bidirectional": True}
    options |= {"proj_size": 3} if kind == "lstm" else {}
    module = INT8[kind](5, 6, bias=bias, **(options if kind in RECURRENT else {}))
    made, names = operators.described_module(module._how)
    assert repr(made) == repr(module)
    assert (made._sizes, made.scheme) == (module._sizes, module.scheme)
    again = operators.revived([module._buffers[name] for name in names], module._how)
    assert all(again._buffers[name] is module._buffers[name] for name in module._buffers)


# -- PyTorch's own operators, and ONNX ---------------------------------------------------------


def test_a_plain_program_has_no_operator_of_ours_and_computes_the_reference(chain):
    model, program, plain = chain
    assert not [node for node in plain.graph.nodes if "int8_rnn" in str(node.target)]
    expected = reference(copy.deepcopy(model))
    for x in INPUTS:
        assert same(plain.module()(x), expected(x))
        assert same(program.module()(x), model(x))  # and the program itself is as it was
    terms = [one.dtype for name, one in program.constants.items() if name.endswith("terms")]
    assert set(terms) == {torch.int32}


def test_a_plain_program_of_fixed_sizes_too():
    model = Fixed().eval()
    given = drawn(4, 3, 6, seed=0), drawn(2, 3, 4, seed=1), drawn(2, 3, 9, seed=2)
    plain = in_plain_aten(torch.export.export(model, given))
    assert same(plain.module()(*given), model(*given))


@pytest.mark.filterwarnings("ignore")
def test_onnx_runtime_gives_the_same_at_any_length(chain, tmp_path):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    model, _, plain = chain
    torch.onnx.export(plain, (), tmp_path / "m.onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    (name,) = [one.name for one in session.get_inputs()]
    for x in INPUTS:
        found = session.run(None, {name: x.numpy()})
        for one, other in zip(found, flat(model(x)), strict=True):
            assert abs(one - other.numpy()).max() < 1e-4


def test_where_pytorch_knows_no_such_loop_one_sentence_says_so(monkeypatch, refuses):
    program = exported(int8_rnn.Int8GRU.from_float(nn.GRU(6, 8).eval()))

    def unknown(*_):
        raise NotImplementedError("no scan")

    monkeypatch.setattr(torch.ops.higher_order, "scan", unknown)
    with refuses(ConversionError, "a free number of steps (no scan); export with a newer"):
        to_plain_aten(program)


# -- torchao -----------------------------------------------------------------------------------


def test_torchao_converts_what_its_filter_lets_through(refuses):
    quantization = pytest.importorskip("torchao.quantization")
    model = nn.ModuleDict({"a": Tagger(), "b": Tagger("gru"), "c": nn.Conv1d(2, 2, 1)}).eval()
    expected = {name: int8_rnn.quantize(model[name], activation_bits=8) for name in "ab"}
    config = int8_rnn.Int8RecurrentConfig(activation_bits=8)
    quantization.quantize_(model, config, filter_fn=int8_rnn.recurrent_or_linear)
    assert type(model["c"]) is nn.Conv1d
    for name in "ab":
        assert same(model[name](INPUTS[0]), expected[name](INPUTS[0]))
    with refuses(ModelError, "itself an nn.LSTM", "int8_rnn.quantize"):
        quantization.quantize_(nn.LSTM(2, 2), config, filter_fn=int8_rnn.recurrent_or_linear)
    with refuses(ArgumentError, "activation_bits is 9"):
        int8_rnn.Int8RecurrentConfig(activation_bits=9)
    hooked = nn.Linear(2, 2)
    hooked.register_forward_hook(lambda *given: None)
    assert not int8_rnn.recurrent_or_linear(hooked, "")


def test_without_torchao_one_sentence_says_what_to_install(monkeypatch, refuses):
    monkeypatch.delitem(sys.modules, "int8_rnn.torchao", raising=False)
    monkeypatch.delattr(int8_rnn, "torchao", raising=False)
    monkeypatch.setitem(sys.modules, "torchao.core.config", None)
    with refuses(ConversionError, 'pip install "int8-rnn[torchao]"'):
        _ = int8_rnn.Int8RecurrentConfig
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = int8_rnn.nonsense
