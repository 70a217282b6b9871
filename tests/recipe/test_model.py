"""Section 1: the recipe's model and inputs, drawn in its order, and the machine they run on."""

import platform
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common import settings
from recipe_helpers.common.language import speaking
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
    torch.testing.assert_close(demo.model.lstm.state_dict(), expected, rtol=0, atol=0)


def test_the_recipe_is_drawn_from_its_seed_in_its_order(untouched):
    with untouched():
        assert_drawn(rh.demonstration(), 29592)
        demo = rh.demonstration(width=3, layers=2, sequence_length=5, batch_size=4, seed=-7)
    assert_drawn(demo, -7, width=3, layers=2, steps=5, batch=4)
    for seed in (2**64 - 1, -(2**63)):
        assert_drawn(rh.demonstration(seed=seed), seed)
    with settings.default_dtype_set(torch.float64), untouched():
        demo = rh.demonstration()
    assert_drawn(demo, rh.SEED)


def test_the_model_is_ready_to_measure_and_hands_its_state_to_the_lstm(demo):
    assert (type(demo.model), type(demo.model.lstm)) == (LSTMModel, nn.LSTM)
    assert not any(part.training for part in demo.model.modules())
    assert demo.arguments == (demo.inputs, demo.hidden)
    for given in (demo.arguments, (demo.inputs,)):
        torch.testing.assert_close(demo.model(*given), demo.model.lstm(*given), rtol=0, atol=0)


def engines(monkeypatch, current, *supported):
    """Let PyTorch claim these engines, as it does on other platforms."""
    found = SimpleNamespace(engine=current, supported_engines=list(supported))
    monkeypatch.setattr(torch.backends, "quantized", found)


@pytest.mark.parametrize(
    ("current", "supported", "wanted"),
    [
        ("qnnpack", ("none", "x86", "qnnpack"), "qnnpack"),
        ("none", ("none", "qnnpack"), "qnnpack"),  # macOS
        ("none", ("qnnpack", "none", "onednn", "fbgemm", "x86"), "x86"),
        ("none", ("onednn", "qnnpack", "fbgemm"), "fbgemm"),
        ("none", ("onednn", "qnnpack"), "qnnpack"),
        ("none", ("onednn",), "onednn"),
    ],
)
def test_working_engine_keeps_the_current_one_or_finds_one(
    monkeypatch, refuses, current, supported, wanted
):
    engines(monkeypatch, current, *supported)
    assert rh.working_engine() == rh.machine().engine == wanted
    assert rh.working_engine(supported[-1]) == supported[-1]
    with refuses(rh.ArgumentError, "engine is 'none'"):
        rh.working_engine("none")


def test_no_engine_at_all(monkeypatch, refuses):
    engines(monkeypatch, "none", "none")
    with refuses(rh.EngineError, torch.__version__, 'backend="plain"'):
        rh.working_engine()
    assert rh.machine().engine == "none"


def test_the_machine_is_this_one(untouched):
    with settings.threads_set(3), untouched():
        machine = rh.machine()
    system = f"{platform.system()} {platform.machine()}"
    assert (machine.torch_version, machine.system) == (torch.__version__, system)
    assert machine.python_version == platform.python_version()
    assert (machine.engine, machine.threads) == (torch.backends.quantized.engine, 3)
    assert [row[1] for row in machine.table().rows] == [*map(str, vars(machine).values())]
    assert [row[0] for row in machine.table().rows] == [
        "PyTorch", "Python", "system", "CPU", "vector instructions", "quantized engine", "threads",
    ]  # fmt: skip
    with speaking("ko"):
        for used, said in (("AVX2, with VNNI", "AVX2, VNNI 있음"), ("AVX2", "AVX2")):
            assert replace(machine, vector_instructions=used).table().rows[4][1] == said


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
    ("machine", "found", "held_to", "says"),
    [
        ("x86_64", {"avx2": True, "avx_vnni": False}, "", ", without VNNI"),
        ("x86_64", {"avx_vnni": True}, "", ", with VNNI"),
        ("AMD64", {"avx512_vnni": True}, "", ", with VNNI"),
        ("x86_64", {}, "", ""),
        ("arm64", {"avx_vnni": True}, "", ""),
        # FBGEMM may be held to fewer instructions.
        ("x86_64", {"avx_vnni": True}, "AVX2", ", without VNNI"),
        ("x86_64", {"avx_vnni": True}, "avx512", ", without VNNI"),
        ("x86_64", {"avx_vnni": True}, "AVX512_E1", ", with VNNI"),
    ],
)
def test_vnni_is_told_where_it_is_known_and_may_be_used(monkeypatch, machine, found, held_to, says):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    monkeypatch.setenv("FBGEMM_ENABLE_INSTRUCTIONS", held_to)
    used = torch.backends.cpu.get_cpu_capability()
    assert rh.machine().vector_instructions == used + says
