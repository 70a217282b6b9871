"""Weights as tiles, spoken of as rows: state dicts, parts of them, what is refused, old ones."""

import pytest
import torch
from made_up import (
    INT8,
    equal_states,
    every_kind,
    given,
    made,
    same,
    torch_loaded,
)
from safetensors.torch import load, save
from torch import nn

from int8_rnn import ArgumentError, Int8LSTM, Scheme

every_assign = pytest.mark.parametrize("assign", [True, False])


def built(kind, **how):
    """The same sizes as `made`, by the constructor."""
    return INT8[kind](*((20, 130) if kind == "linear" else (20, 37, 2)), **how)


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


@pytest.mark.parametrize("module", [nn.LSTM(3, 20), nn.GRU(3, 20), nn.Linear(3, 70)])
def test_the_order_of_the_integers_is_that_of_the_float_weights(module):
    """Rows and columns of different sizes show where each weight has gone."""
    int8 = INT8[type(module).__name__.lower()].from_float(module)
    for name, parameter in module.named_parameters():
        if name.startswith("weight"):
            stored = getattr(int8, name) * getattr(int8, f"{name}_scale")[:, None]
            stored = stored * getattr(int8, f"{name}_columns")
            assert float((stored - parameter.detach()).abs().max()) < 0.01
        else:
            assert torch.equal(getattr(int8, name), parameter)


@every_kind
@pytest.mark.parametrize("container", ["torch", "safetensors"])
@every_assign
def test_the_state_round_trips_to_the_bit(kind, container, assign, fast):
    int8, other = made(kind, fast=fast), built(kind, fast=fast)
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
def test_nothing_that_is_given_out_or_taken_in_is_the_memory_of_the_module(kind):
    int8 = made(kind)
    for start in ("default", Scheme(columns=False)):  # with and without columns of its own
        other = built(kind, scheme=start)
        taken = int8.state_dict()
        other.load_state_dict(taken)
        before, expected = int8.state_dict(), other(given(kind))
        with torch.no_grad():
            for state in (taken, int8.state_dict(), other.state_dict()):
                [tensor.zero_() for tensor in state.values()]
            for weight in other.int8_weights().values():
                [part.zero_() for part in (*weight[:3], *(weight.residual or ()), weight.bias)]
            for name in taken:
                if name not in other._buffers:  # as columns and rows of residuals are
                    getattr(other, name).zero_()
        assert equal_states(other.state_dict(), before)
        assert same(other(given(kind)), expected)


@every_kind
def test_only_a_state_changes_a_weight(kind, refuses):
    int8 = made(kind)
    name = "weight" if kind == "linear" else "weight_hh_l1"
    before = int8(given(kind))
    for key in (name, f"{name}_scale", f"{name}_residual_rows"):
        with refuses(ArgumentError, f"{key} is stored in the order of", f"({{'{key}': ...}}, str"):
            setattr(int8, key, torch.zeros(1))
    int8.load_state_dict({name: torch.zeros_like(getattr(int8, name))}, strict=False)
    assert not getattr(int8, name).any()
    assert not same(int8(given(kind)), before)
    with pytest.raises(AttributeError, match="weight_zz"):
        int8.weight_zz  # noqa: B018


@every_kind
def test_a_part_of_a_state_changes_that_part_alone(kind, fast):
    int8, other = made(kind, 1, fast), made(kind, 2, fast)
    bias = "bias" if kind == "linear" else "bias_ih_l1"
    state, new = int8.state_dict(), other.state_dict()
    found = int8.load_state_dict({bias: new[bias]}, strict=False)
    always = {key for key in state if "_residual" not in key and not key.endswith("_columns")}
    assert set(found.missing_keys) == always - {bias}
    assert equal_states(int8.state_dict(), {**state, bias: new[bias]})
    assert int8.scheme.columns, "its columns are still there"
    # What belongs to integers goes with them.
    weight = "weight" if kind == "linear" else "weight_ih_l0"
    part = {key: new[key] for key in new if key.startswith(weight)}
    int8.load_state_dict(part, strict=False)
    assert equal_states(int8.state_dict(), {**state, bias: new[bias], **part})
    int8.load_state_dict({weight: new[weight]}, strict=False)
    for gone in ("columns", "residual", "residual_rows", "residual_scale"):
        assert getattr(int8, f"{weight}_{gone}") is None


# The end of a name, and what takes the tensor's place.
WRONG = {
    "shape": ("", lambda tensor: tensor[:, 1:]),
    "rows": ("", lambda tensor: tensor[1:]),
    "dtype": ("", lambda tensor: tensor.float()),
    "no tensor": ("", lambda tensor: [1, 2]),
    "scale": ("_scale", lambda tensor: tensor[:1]),
    "scale's dtype": ("_scale", lambda tensor: tensor.double()),
    "columns": ("_columns", lambda tensor: torch.ones(99)),
    "columns' dtype": ("_columns", lambda tensor: tensor.half()),
    "bias": ("bias", lambda tensor: torch.ones(3)),
}


@every_kind
@pytest.mark.parametrize("wrong", WRONG)
@every_assign
def test_a_state_that_does_not_fit_is_refused_with_its_name_and_changes_nothing(
    kind, wrong, assign
):
    model = nn.ModuleDict({"part": made(kind, 1)})
    before, expected = model.state_dict(), model["part"](given(kind))
    end, change = WRONG[wrong]
    name = "part.weight" if kind == "linear" else "part.weight_ih_l1"
    name = name.replace("weight", "bias") if end == "bias" else name + end
    state = nn.ModuleDict({"part": made(kind, 2)}).state_dict()
    state[name] = change(state[name])
    words = rf"{name} is a .*; this module takes a (int8|float32) tensor of shape \("
    for strict in (True, False):
        with pytest.raises(RuntimeError, match=words):
            model.load_state_dict(state, strict=strict, assign=assign)
    assert equal_states(model.state_dict(), before)
    assert same(model["part"](given(kind)), expected)


@every_kind
def test_every_fault_of_a_state_is_told(kind):
    int8 = made(kind)
    names = list(int8.int8_weights())
    wrong = {name: torch.zeros(1) for name in names}
    with pytest.raises(RuntimeError) as caught:
        int8.load_state_dict(wrong, strict=False)
    assert [name for name in names if f"{name} is a float32 tensor" not in str(caught.value)] == []


@every_kind
def test_missing_and_unexpected_names_are_refused_if_strict(kind):
    model = nn.ModuleDict({"part": made(kind, loud=False)})
    state = model.state_dict()
    # The columns of a single weight are all columns there are: version 1.0 knew none.
    for name in [key for key in state if key != "part.weight_columns"]:
        fewer = {key: value for key, value in state.items() if key != name}
        with pytest.raises(RuntimeError, match=rf'Missing key\(s\) in state_dict: "{name}"'):
            model.load_state_dict(fewer)
    model.load_state_dict(state)
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "part.weight_zz"'):
        model.load_state_dict({**state, "part.weight_zz": torch.ones(1)})
    found = model.load_state_dict({"part.weight_zz": torch.ones(1)}, strict=False)
    assert found.unexpected_keys == ["part.weight_zz"]
    assert equal_states(model.state_dict(), state)


# Of a residual, by the end of a name: what takes the tensor's place, None for nothing at all.
BROKEN = [
    ("_scale", lambda scale: None),
    ("_rows", lambda rows: None),
    ("_rows", lambda rows: rows + 148 - int(rows[-1])),  # the last one is just too large
    ("_rows", lambda rows: rows - int(rows[0]) - 1),  # the first one just too small
    ("_rows", lambda rows: rows.flip(0)),
    ("_rows", lambda rows: torch.cat([rows[:1], rows[:1], rows[2:]])),
    ("_rows", lambda rows: rows.int()),
    ("_rows", lambda rows: rows[1:]),
    ("_rows", lambda rows: rows[None]),
    ("", lambda values: values[:, 1:]),
    ("", lambda values: values.float()),
    ("_scale", lambda scale: scale.double()),
    ("_scale", lambda scale: scale[:, None]),
]


@pytest.mark.parametrize(("end", "change"), BROKEN)
def test_a_residual_that_cannot_be_is_refused(end, change):
    int8 = made("lstm")
    before, name = int8.state_dict(), f"weight_ih_l0_residual{end}"
    state = {**before, name: change(before[name])}
    if state[name] is None:
        del state[name]
    with pytest.raises(RuntimeError, match=r"the residual of weight_ih_l0 is .* numbers below 148"):
        int8.load_state_dict(state)
    assert equal_states(int8.state_dict(), before)


def test_a_residual_of_no_rows_is_refused_and_one_of_all_rows_taken():
    int8 = made("lstm")
    state, start = int8.state_dict(), "weight_ih_l0_residual"
    none = {key: value[:0] for key, value in state.items() if key.startswith(start)}
    with pytest.raises(RuntimeError, match="the residual of weight_ih_l0 is"):
        int8.load_state_dict({**state, **none})
    every = {
        f"{start}_rows": torch.arange(148),
        start: torch.ones(148, 20, dtype=torch.int8),
        f"{start}_scale": torch.linspace(1, 2, 148),
    }
    int8.load_state_dict({**state, **every})
    assert equal_states(int8.state_dict(), {**state, **every})


@every_kind
def test_without_memory_there_are_shapes_and_a_clear_word(kind):
    module = made(kind).to("meta")
    for name, tensor in module.state_dict().items():
        assert tensor.device.type == "meta"
        assert tensor.shape == made(kind).state_dict()[name].shape
    with pytest.raises(RuntimeError, match="is on the device meta and has no memory; pass assign"):
        module.load_state_dict(made(kind).state_dict())
