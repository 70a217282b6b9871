"""Section 1: the recipe's model and inputs, drawn in its order, and the machine they run on."""

import platform
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.recipe import model
from recipe_helpers.recipe.model import LSTMModel


def assert_drawn(demo, seed, width=8, layers=1, steps=20, batch=1):
    """Inputs, hidden state, cell state, model: the published order, from one seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        assert torch.equal(demo.inputs, torch.randn(steps, batch, width))
        assert torch.equal(demo.hidden[0], torch.randn(layers, batch, width))
        assert torch.equal(demo.hidden[1], torch.randn(layers, batch, width))
        expected = nn.LSTM(width, width, layers).state_dict()
    found = demo.model.state_dict()
    assert list(found) == [f"lstm.{key}" for key in expected]
    assert all(torch.equal(found[f"lstm.{key}"], value) for key, value in expected.items())


def test_the_recipe_is_drawn_from_its_seed_in_its_order(untouched):
    with untouched():
        demo = rh.demonstration()
    assert_drawn(demo, 29592)
    assert rh.SEED == 29592
    with untouched():
        demo = rh.demonstration(width=3, layers=2, sequence_length=5, batch_size=4, seed=-7)
    assert_drawn(demo, -7, width=3, layers=2, steps=5, batch=4)
    for seed in (2**64 - 1, -(2**63)):
        assert_drawn(rh.demonstration(seed=seed), seed)
    torch.set_default_dtype(torch.float64)
    try:
        demo = rh.demonstration()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert_drawn(demo, 29592)


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


def engines(monkeypatch, current, *supported):
    """Let PyTorch claim these engines, as it does on other platforms."""
    found = SimpleNamespace(engine=current, supported_engines=list(supported))
    monkeypatch.setattr(torch.backends, "quantized", found)


def test_working_engine_keeps_the_current_one(monkeypatch, untouched, refuses):
    engines(monkeypatch, "qnnpack", "none", "x86", "qnnpack")
    with untouched():
        assert rh.working_engine() == "qnnpack"
        assert rh.working_engine("x86") == "x86"
    with refuses(rh.ArgumentError, "engine is 'none'", "'x86', 'qnnpack'"):
        rh.working_engine("none")


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


def test_the_machine_is_this_one(untouched):
    torch.set_num_threads(3)
    with untouched():
        machine = rh.machine()
    torch.set_num_threads(1)
    system = f"{platform.system()} {platform.machine()}"
    assert (machine.torch_version, machine.system) == (torch.__version__, system)
    assert machine.python_version == platform.python_version()
    assert (machine.engine, machine.threads) == (torch.backends.quantized.engine, 3)
    assert torch.backends.cpu.get_cpu_capability() in machine.vector_instructions
    assert machine.cpu.strip()
    shown = machine.table().rows
    assert [row[1] for row in shown] == [*map(str, vars(machine).values())]
    assert [row[0] for row in shown] == [
        "PyTorch", "Python", "system", "CPU", "vector instructions", "quantized engine", "threads",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("system", "cpuinfo", "brand", "name"),
    [
        ("Linux", "processor\t: 0\nmodel name\t: A CPU\nmodel name\t: B\n", "", "A CPU"),
        ("Linux", "processor\t: 0\n", "Apple", "arm64"),
        ("Darwin", "", "Apple M9\n", "Apple M9"),
        ("Darwin", "model name\t: A CPU\n", "", "arm64"),
        ("Windows", "model name\t: A CPU\n", "Apple", "Intel64"),
    ],
)
def test_the_cpu_by_its_name(monkeypatch, system, cpuinfo, brand, name):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "processor", lambda: "Intel64")
    monkeypatch.setattr(model.Path, "read_text", lambda *_, **__: cpuinfo)
    monkeypatch.setattr(model.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=brand))
    assert rh.machine().cpu == name


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
