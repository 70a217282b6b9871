"""Section 1: the recipe's model and inputs, drawn in its order, and the machine they run on."""

import platform
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.recipe.model import LSTMModel


def drawn_by_hand(seed, width=8, layers=1, steps=20, batch=1):
    """Inputs, hidden state, cell state, model: the published order, from one seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inputs = torch.randn(steps, batch, width)
        hidden = torch.randn(layers, batch, width)
        cell = torch.randn(layers, batch, width)
        return inputs, hidden, cell, nn.LSTM(width, width, layers)


def assert_is(demo, inputs, hidden, cell, lstm):
    assert torch.equal(demo.inputs, inputs)
    assert torch.equal(demo.hidden[0], hidden)
    assert torch.equal(demo.hidden[1], cell)
    found = demo.model.state_dict()
    assert list(found) == [f"lstm.{key}" for key in lstm.state_dict()]
    for key, value in lstm.state_dict().items():
        assert torch.equal(found[f"lstm.{key}"], value)


def test_the_recipe_is_drawn_from_its_seed_in_its_order(untouched):
    with untouched():
        demo = rh.demonstration()
    assert_is(demo, *drawn_by_hand(29592))
    assert rh.SEED == 29592


def test_every_size_and_the_seed_are_arguments(untouched):
    with untouched():
        demo = rh.demonstration(width=3, layers=2, sequence_length=5, batch_size=4, seed=-7)
    assert_is(demo, *drawn_by_hand(-7, width=3, layers=2, steps=5, batch=4))


def test_the_default_dtype_changes_nothing():
    torch.set_default_dtype(torch.float64)
    try:
        demo = rh.demonstration()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert_is(demo, *drawn_by_hand(29592))


def test_the_model_is_ready_to_measure(demo):
    assert isinstance(demo.model, LSTMModel)
    assert type(demo.model.lstm) is nn.LSTM
    assert not demo.model.training
    assert not demo.model.lstm.training
    assert demo.arguments[0] is demo.inputs
    assert demo.arguments[1] is demo.hidden


def test_the_hidden_state_reaches_the_lstm(demo):
    output, (hidden, cell) = demo.model(*demo.arguments)
    expected = demo.model.lstm(demo.inputs, demo.hidden)
    assert torch.equal(output, expected[0])
    assert torch.equal(hidden, expected[1][0])
    assert torch.equal(cell, expected[1][1])
    without, _ = demo.model(demo.inputs)
    zeros = torch.zeros_like(demo.hidden[0])
    assert torch.equal(without, demo.model(demo.inputs, (zeros, zeros))[0])
    assert not torch.allclose(output, without)


@pytest.mark.parametrize("seed", [2**64 - 1, -(2**63)])
def test_the_outermost_seeds(seed):
    assert torch.equal(rh.demonstration(seed=seed).inputs, drawn_by_hand(seed)[0])


def engines(monkeypatch, current, *supported):
    """Let PyTorch claim these engines, as it does on other platforms."""
    found = SimpleNamespace(engine=current, supported_engines=list(supported))
    monkeypatch.setattr(torch.backends, "quantized", found)


def test_working_engine_keeps_the_current_one(monkeypatch, untouched):
    engines(monkeypatch, "qnnpack", "none", "x86", "qnnpack")
    with untouched():
        assert rh.working_engine() == "qnnpack"
        assert rh.working_engine("x86") == "x86"


@pytest.mark.parametrize(
    ("supported", "wanted"),
    [
        (("none", "qnnpack"), "qnnpack"),  # macOS
        (("qnnpack", "none", "onednn", "fbgemm", "x86"), "x86"),
        (("onednn", "qnnpack", "fbgemm"), "fbgemm"),
        (("onednn", "qnnpack"), "qnnpack"),
        (("onednn",), "onednn"),
    ],
)
def test_working_engine_finds_one_where_pytorch_starts_with_none(monkeypatch, supported, wanted):
    engines(monkeypatch, "none", *supported)
    assert rh.working_engine() == wanted
    assert rh.machine().engine == wanted


def test_no_engine_at_all(monkeypatch, refuses):
    engines(monkeypatch, "none", "none")
    with refuses(rh.EngineError, torch.__version__, 'backend="plain"'):
        rh.working_engine()
    assert rh.machine().engine == "none"


@pytest.mark.parametrize("engine", ["cuda", "none", "", 3])
def test_an_unknown_engine_is_refused_with_the_list(monkeypatch, refuses, engine):
    engines(monkeypatch, "x86", "none", "x86", "qnnpack")
    with refuses(rh.ArgumentError, f"engine is {engine!r}", "'x86', 'qnnpack'"):
        rh.working_engine(engine)


def test_the_machine_is_this_one(untouched):
    torch.set_num_threads(3)
    with untouched():
        machine = rh.machine()
    torch.set_num_threads(1)
    assert machine.torch_version == torch.__version__
    assert machine.python_version == platform.python_version()
    assert machine.system == f"{platform.system()} {platform.machine()}"
    assert machine.cpu.strip()
    assert machine.engine == torch.backends.quantized.engine
    assert machine.threads == 3
    assert torch.backends.cpu.get_cpu_capability() in machine.vector_instructions
    shown = dict(machine.table().rows)
    assert shown["PyTorch"] == torch.__version__
    assert shown["quantized engine"] == machine.engine
    assert shown["threads"] == "3"
    assert shown["CPU"] == machine.cpu
    assert shown["vector instructions"] == machine.vector_instructions


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"avx2": True, "avx_vnni": False, "avx512_vnni": False}, ", without VNNI"),
        ({"avx_vnni": True}, ", with VNNI"),
        ({"avx512_vnni": True}, ", with VNNI"),
        ({}, ""),
    ],
)
def test_vnni_is_told_only_where_it_is_known(monkeypatch, found, says):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    used = torch.backends.cpu.get_cpu_capability()
    assert rh.machine().vector_instructions == used + says
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert rh.machine().vector_instructions == used


@pytest.mark.parametrize(
    ("held_to", "says"),
    [("AVX2", "without"), ("avx512", "without"), ("AVX512_E1", "with"), ("", "with")],
)
def test_vnni_counts_only_where_fbgemm_may_use_it(monkeypatch, held_to, says):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx_vnni": True}, raising=False)
    monkeypatch.setenv("FBGEMM_ENABLE_INSTRUCTIONS", held_to)
    assert rh.machine().vector_instructions.endswith(f", {says} VNNI")
