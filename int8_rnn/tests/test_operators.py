"""What is traced: torch.compile, torch.export, programs in other processes."""

import pytest
import torch
from made_up import FLOATS, INT8, RECURRENT, drawn, every_recurrent, run_python, same
from torch.nn.utils.rnn import pack_sequence
from traced import Tagger, exported

import int8_rnn
from int8_rnn import operators

# PyTorch's exporters use what PyTorch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def quantized(kind="lstm", bits=None, **options):
    torch.manual_seed(1)
    return int8_rnn.quantize(Tagger(kind, **options).eval(), activation_bits=bits)


KINDS = [
    ("lstm", None, {"num_layers": 2, "bidirectional": True}),
    ("lstm", 8, {"proj_size": 7}),
    ("lstm", 16, {"bias": False, "batch_first": True}),
    ("gru", None, {"bidirectional": True}),
    ("gru", 8, {"num_layers": 2}),
]


@pytest.mark.parametrize(("kind", "bits", "options"), KINDS)
def test_an_exported_program_gives_the_same_bits_at_other_lengths_and_batches(kind, bits, options):
    model = quantized(kind, bits, **options)
    program = exported(model)
    names = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert names.count("int8_rnn.run.default") == 2, "one for each module"
    with torch.no_grad():
        for x in (drawn(9, 3, 6, seed=0), drawn(30, 5, 6, seed=2)):
            assert same(program.module()(x), model(x))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [*RECURRENT, "linear"])
def test_a_bare_module_is_exported_too(kind, bias):
    module = INT8[kind].from_float(FLOATS[kind](6, 8, bias=bias).eval())
    program = exported(module)
    for x in (drawn(9, 3, 6, seed=0), drawn(5, 4, 6, seed=2)):
        assert same(program.module()(x), module(x))


@every_recurrent
def test_compiled_code_has_no_break_and_equal_bits(kind):
    model = quantized(kind, num_layers=2)
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    state = torch.randn(2, 3, 20)
    states = (state, 2 * state) if kind == "lstm" else state
    with torch.no_grad():
        for x in (drawn(9, 3, 6, seed=0), drawn(21, 3, 6, seed=3)):
            assert same(compiled(x, states), model(x, states))


def test_a_packed_sequence_still_runs_beside_a_compiled_call():
    model = quantized().rnn
    packed = pack_sequence([drawn(5, 6, seed=0), drawn(3, 6, seed=1)])
    torch.compiler.reset()
    with torch.no_grad():
        found = torch.compile(model, backend="eager")(packed)[0].data
        # Traced step by step, and so by the reference.
        assert (found - model(packed)[0].data).abs().max() < 1e-4


def test_another_process_loads_a_program_that_was_saved(chain, tmp_path):
    model, program, plain = chain
    torch.export.save(program, tmp_path / "ours.pt2")
    torch.export.save(plain, tmp_path / "plain.pt2")
    x = drawn(12, 4, 6, seed=5)
    with torch.no_grad():
        torch.save({"x": x, "y": model(x)[0]}, tmp_path / "data.pt")
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
    assert "weight_ih_l0_residual_tiles" in exact._how
    made, names = operators.described_module(exact._how)
    assert (made.hidden_bits, made.input_size, made.fast) == (exact.hidden_bits, 6, False)
    assert names == tuple(exact._buffers)
    plain = int8_rnn.Int8LSTM(6, 20, scheme=int8_rnn.Scheme(columns=False))
    exact.load_state_dict(plain.state_dict())
    assert operators.described_module(exact._how)[0].scheme.columns is False


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [*RECURRENT, "linear"])
def test_what_is_told_makes_the_module_again(kind, bias):
    options = {"num_layers": 2, "batch_first": True, "bidirectional": True, "bias": bias}
    module = {
        "lstm": lambda: int8_rnn.Int8LSTM(5, 6, **options, proj_size=3),
        "gru": lambda: int8_rnn.Int8GRU(5, 6, **options),
        "linear": lambda: int8_rnn.Int8Linear(5, 6, bias=bias),
    }[kind]()
    made, names = operators.described_module(module._how)
    assert repr(made) == repr(module)
    assert made._sizes == module._sizes
    again = operators.revived([module._buffers[name] for name in names], module._how)
    assert all(again._buffers[name] is module._buffers[name] for name in module._buffers)
