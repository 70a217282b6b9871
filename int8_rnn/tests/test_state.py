"""What the modules store, and how it travels: state dicts, copies, dtypes, memory, processes."""

from pathlib import Path

import pytest
import torch
from made_up import INT8, equal_states, every_kind, given, made, same, torch_loaded
from safetensors.torch import load, save
from torch import nn

from int8_rnn import ArgumentError, Int8LSTM, Scheme, quantize

DATA = Path(__file__).parent / "data"


def built(kind, fast):
    """The same sizes as `made`, by the constructor."""
    sizes = (20, 130) if kind == "linear" else (20, 37, 2)
    return INT8[kind](*sizes, fast=fast)


# -- the state dict --------------------------------------------------------------------------


def test_the_state_is_named_and_shaped_as_in_pytorch():
    lstm = nn.LSTM(5, 6, 2, bidirectional=True, proj_size=4)
    int8 = Int8LSTM.from_float(lstm)
    floats, state = lstm.state_dict(), int8.state_dict()
    weights = [name for name in floats if "weight" in name]
    extras = {f"{name}_{of}" for name in weights for of in ("scale", "columns")}
    assert set(state) == {*floats, *extras}
    for name, tensor in state.items():
        integer = name in weights
        assert tensor.dtype == (torch.int8 if integer else torch.float32)
        assert tensor.is_contiguous()
        if name in floats:
            assert tensor.shape == floats[name].shape
    assert not list(int8.parameters())
    per_tensor = Int8LSTM.from_float(lstm, scheme=Scheme("tensor")).state_dict()
    assert per_tensor["weight_hr_l1_reverse_scale"].shape == (1,)


def test_the_order_of_the_integers_is_that_of_the_float_weights():
    """Rows and columns of different sizes show where each weight has gone."""
    for kind, module in (
        ("lstm", nn.LSTM(3, 20)),
        ("gru", nn.GRU(3, 20)),
        ("linear", nn.Linear(3, 70)),
    ):
        int8 = INT8[kind].from_float(module)
        for name, parameter in module.named_parameters():
            if name.startswith("weight"):
                stored = getattr(int8, name) * getattr(int8, f"{name}_scale")[:, None]
                stored = stored * getattr(int8, f"{name}_columns")
                assert float((stored - parameter.detach()).abs().max()) < 0.01
            else:
                assert torch.equal(getattr(int8, name), parameter)


@every_kind
@pytest.mark.parametrize("container", ["torch", "safetensors"])
@pytest.mark.parametrize("assign", [True, False])
def test_the_state_round_trips_to_the_bit(kind, container, assign, fast):
    int8, other = made(kind, fast=fast), built(kind, fast)
    state = int8.state_dict()
    assert any("residual" in name for name in state)
    bare = other.state_dict()
    other(given(kind))
    other.load_state_dict(
        torch_loaded(state) if container == "torch" else load(save(state)), assign=assign
    )
    assert same(other(given(kind)), int8(given(kind)))
    assert equal_states(other.state_dict(), state)
    other.load_state_dict(bare, assign=assign)  # which has no residual
    assert set(other.state_dict()) == set(bare)


@every_kind
def test_attributes_are_the_tensors_of_the_state_and_only_a_state_changes_them(kind, refuses):
    int8 = made(kind)
    for name, tensor in int8.state_dict().items():
        assert torch.equal(getattr(int8, name), tensor)
    name = "weight" if kind == "linear" else "weight_hh_l1"
    before = int8(given(kind))
    with torch.no_grad():
        getattr(int8, name).zero_()
        int8.state_dict()[name].zero_()
    assert same(int8(given(kind)), before)
    with refuses(ArgumentError, f"{name} is stored in the order of the kernels", "load_state_dict"):
        setattr(int8, name, torch.zeros(1))
    zeros = torch.zeros_like(getattr(int8, name))
    int8.load_state_dict({name: zeros}, strict=False)
    assert not getattr(int8, name).any()
    assert not same(int8(given(kind)), before)
    with pytest.raises(AttributeError, match="weight_zz"):
        int8.weight_zz  # noqa: B018


def plain_keys(state):
    """What every state has: integers, scales and biases."""
    return [key for key in state if "_residual" not in key and not key.endswith("_columns")]


@every_kind
def test_a_part_of_a_state_changes_that_part_alone(kind, fast):
    int8, other = made(kind, 1, fast), made(kind, 2, fast)
    bias = "bias" if kind == "linear" else "bias_ih_l1"
    state, new = int8.state_dict(), other.state_dict()
    found = int8.load_state_dict({bias: new[bias]}, strict=False)
    assert set(found.missing_keys) == {key for key in plain_keys(state) if key != bias}
    assert equal_states(int8.state_dict(), {**state, bias: new[bias]})
    # What belongs to integers goes with them.
    weight = "weight" if kind == "linear" else "weight_ih_l0"
    int8.load_state_dict({key: new[key] for key in new if key.startswith(weight)}, strict=False)
    expected = {**state, bias: new[bias]} | {key: new[key] for key in new if key.startswith(weight)}
    assert equal_states(int8.state_dict(), expected)


WRONG = {
    "shape": lambda state, name: {**state, name: state[name][:, 1:]},
    "dtype": lambda state, name: {**state, name: state[name].float()},
    "no tensor": lambda state, name: {**state, name: [1, 2]},
    "scale": lambda state, name: {**state, f"{name}_scale": state[f"{name}_scale"][:1]},
    "scale's dtype": lambda state, name: {
        **state,
        f"{name}_scale": state[f"{name}_scale"].double(),
    },
    "columns": lambda state, name: {**state, f"{name}_columns": torch.ones(99)},
    "bias": lambda state, name: {**state, name.replace("weight", "bias"): torch.ones(3)},
}


@every_kind
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("assign", [True, False])
def test_a_state_that_does_not_fit_is_refused_with_its_name(kind, wrong, assign):
    model = nn.ModuleDict({"part": made(kind)})
    name = "part.weight" if kind == "linear" else "part.weight_ih_l0"
    state = wrong(model.state_dict(), name)
    with pytest.raises(RuntimeError, match=r"part\.\w+ is a .*; this module takes a"):
        model.load_state_dict(state, assign=assign)
    with pytest.raises(RuntimeError, match=r"this module takes a"):
        model.load_state_dict(state, strict=False, assign=assign)


@every_kind
def test_missing_and_unexpected_names_are_refused_if_strict(kind):
    model = nn.ModuleDict({"part": made(kind, loud=False)})
    state = model.state_dict()
    # The columns of a single weight are all columns there are: version 1.0 knew none.
    for name in [key for key in state if key != "part.weight_columns"]:
        fewer = {key: value for key, value in state.items() if key != name}
        with pytest.raises(RuntimeError, match=rf'Missing key\(s\) in state_dict: "{name}"'):
            model.load_state_dict(fewer)
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "part.weight_zz"'):
        model.load_state_dict({**state, "part.weight_zz": torch.ones(1)})
    found = model.load_state_dict({"part.weight_zz": torch.ones(1)}, strict=False)
    assert found.unexpected_keys == ["part.weight_zz"]
    assert equal_states(model.state_dict(), state)


def broken_residuals(state):
    """States whose residual cannot be, by what is wrong."""
    rows, values, scale = (f"weight_ih_l0_residual{part}" for part in ("_rows", "", "_scale"))
    yield {name: tensor for name, tensor in state.items() if name != scale}
    for name, tensor in (
        (rows, state[rows] + 148),
        (rows, state[rows] - 50),
        (rows, state[rows].flip(0)),
        (rows, state[rows].int()),
        (rows, state[rows][1:]),
        (rows, state[rows][None]),
        (values, state[values][:, 1:]),
        (values, state[values].float()),
        (scale, state[scale].double()),
        (scale, state[scale][:, None]),
    ):
        yield {**state, name: tensor}
    yield {**state, rows: state[rows][:0], values: state[values][:0], scale: state[scale][:0]}


def test_a_residual_that_cannot_be_is_refused():
    int8 = made("lstm")
    states = list(broken_residuals(int8.state_dict()))
    assert len(states) == 12
    before = int8.state_dict()
    for state in states:
        with pytest.raises(RuntimeError, match="the residual of weight_ih_l0 is"):
            int8.load_state_dict(state)
        assert torch.equal(int8.weight_ih_l0_residual, before["weight_ih_l0_residual"])


class OfVersion10(nn.Module):
    """The model whose state and file version 1.0 wrote."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 4, 2, bidirectional=True), nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.lstm(x)[0])


@pytest.mark.parametrize("assign", [True, False])
def test_a_state_of_version_1_0_loads_which_knew_no_columns(assign):
    old = torch.load(DATA / "version_1_0.pt", weights_only=True)
    floats = OfVersion10().eval()
    with torch.no_grad():
        floats.lstm.weight_ih_l0[:, 1] *= 100
    model = quantize(floats, activation_bits=16)
    inputs = torch.arange(30.0).reshape(5, 2, 3).sin()
    newer, expected = model.state_dict(), model(inputs)
    assert model.lstm.weight_ih_l0_columns.min() < 1
    model.load_state_dict(old["state"], assign=assign)
    torch.testing.assert_close(model(inputs), old["output"], rtol=0, atol=2e-4)
    assert model.lstm.weight_ih_l0_columns is None
    assert not model.lstm.scheme.columns
    assert set(model.state_dict()) == set(old["state"])
    model.load_state_dict(newer, assign=assign)
    assert torch.equal(model(inputs), expected)
    assert model.lstm.scheme.columns
