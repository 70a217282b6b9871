"""Programs without the package: PyTorch's own operators, and ONNX."""

import copy

import pytest
import torch
from made_up import drawn, flat, reference, same
from torch import nn
from traced import exported, in_plain_aten

import int8_rnn
from int8_rnn import ConversionError

# PyTorch's exporters use what PyTorch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def test_a_plain_program_has_no_operator_of_ours_and_computes_the_reference(chain):
    model, program, plain = chain
    assert not [node for node in plain.graph.nodes if "int8_rnn" in str(node.target)]
    expected = reference(copy.deepcopy(model))
    with torch.no_grad():
        for x in (drawn(9, 3, 6, seed=0), drawn(30, 5, 6, seed=2)):
            assert same(plain.module()(x), expected(x))
            assert same(program.module()(x), model(x))  # and the program itself is as it was
    terms = [one.dtype for name, one in program.constants.items() if name.endswith("terms")]
    assert set(terms) == {torch.int32}


class Fixed(nn.Module):
    """What `chain` has not: a projection, no bias, no columns, states, a residual of W_hh..."""

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


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_other_modules_and_fixed_sizes_too():
    model = Fixed().eval()
    given = drawn(4, 3, 6, seed=0), drawn(2, 3, 4, seed=1), drawn(2, 3, 9, seed=2)
    plain = in_plain_aten(torch.export.export(model, given))
    with torch.no_grad():
        assert same(plain.module()(*given), model(*given))


@pytest.mark.filterwarnings("ignore")
def test_onnx_runtime_gives_the_same_at_any_length(chain, tmp_path):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    model, _, plain = chain
    torch.onnx.export(plain, (), tmp_path / "m.onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    (name,) = [one.name for one in session.get_inputs()]
    with torch.no_grad():
        for x in (drawn(9, 3, 6, seed=0), drawn(17, 2, 6, seed=4)):
            found = session.run(None, {name: x.numpy()})
            for one, other in zip(found, flat(model(x)), strict=True):
                assert abs(one - other.numpy()).max() < 1e-4


def test_where_pytorch_knows_no_such_loop_one_sentence_says_so(monkeypatch, refuses):
    model = int8_rnn.Int8GRU.from_float(nn.GRU(6, 8).eval())
    program = exported(model)

    def unknown(*_):
        raise NotImplementedError("no scan")

    monkeypatch.setattr(torch.ops.higher_order, "scan", unknown)
    with refuses(ConversionError, "a free number of steps (no scan); export with a newer"):
        int8_rnn.to_plain_aten(program)
