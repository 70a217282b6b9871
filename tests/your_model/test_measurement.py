"""Every conversion beside the float model, each module alone, and the mended rest."""

import gc
import threading
import weakref

import pytest
import torch
from torch import nn
from torch.nn.utils import rnn

import recipe_helpers as rh
from recipe_helpers.common.errors import ConversionError
from recipe_helpers.recipe.memory import LESS, MemoryUse
from recipe_helpers.your_model import measurement

from . import models
from .made_up import quickly, speed, weak_report
from .models import Model, weak

TOKENS = torch.tensor([[3, 9, 4, 17, 5, 2], [8, 8, 1, 2, 29, 3], [1, 2, 3, 4, 5, 6]])
PACKED = rnn.pack_sequence([torch.linspace(-1, 1, 30).view(5, 6), torch.ones(3, 6)])
STEPS = torch.linspace(-2, 2, 5 * 2 * 8).view(5, 2, 8)


@pytest.fixture
def found():
    return weak_report()


def relative(model, other, x):
    """The definition, once more and by hand."""
    with torch.inference_mode():
        before, after = model(x).double(), other(x).double()
    return float((after - before).abs().mean() / before.abs().mean())


# --- a model with a known weakness ----------------------------------------------------------------


def test_every_conversion_is_measured_against_the_same_float_model(found):
    model, x = weak()
    ways = {
        "torch.ao": rh.quantize_dynamic(model),
        "torch.ao-per-channel": rh.quantize_dynamic(model, weights="per-channel"),
        "plain": rh.quantize_dynamic(model, backend="plain"),
    }
    assert [candidate.name for candidate in found.candidates] == list(ways)
    for name, quantized in ways.items():
        whole = found.candidate(name).whole
        assert whole.relative == pytest.approx(relative(model, quantized, x), rel=1e-4)
        sizes = rh.state_dict_bytes(model), rh.state_dict_bytes(quantized)
        assert (whole.size.reference_bytes, whole.size.candidate_bytes) == sizes


def test_each_module_is_converted_alone_and_the_rest_without_the_culprit(found):
    model, x = weak()
    torch_ao = found.candidate("torch.ao")
    alone = torch_ao.sensitivity.modules
    assert [m.relative for m in alone] == sorted([m.relative for m in alone], reverse=True)
    kinds = {"encoder": "LSTM", "bridge": "Linear", "decoder": "Linear"}
    assert ({m.name: m.kind for m in alone}, alone[0].name) == (kinds, "decoder")
    for one in alone:
        converted = rh.quantize_dynamic(model, modules=[one.name])
        assert one.relative == pytest.approx(relative(model, converted, x), rel=1e-4)
    assert [p.name for p in torch_ao.whole.broken] == ["nearly the same output"]
    assert torch_ao.left_float == ("decoder",)
    rest = rh.quantize_dynamic(model, modules=["encoder", "bridge"])
    assert torch_ao.partly.relative == pytest.approx(relative(model, rest, x), rel=1e-4)
    assert torch_ao.partly.size.candidate_bytes == rh.state_dict_bytes(rest)


@pytest.mark.parametrize(
    ("modules", "names"), [([nn.LSTM], {"encoder"}), (["bridge", "encoder"], {"bridge", "encoder"})]
)
def test_only_what_was_asked_for_is_converted(modules, names):
    whole = quickly(*weak(), modules=modules, backends=["plain"]).candidates[0].whole
    assert {done.name for done in whole.conversion.converted} == names


def test_many_modules_are_not_all_measured_alone(monkeypatch):
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(30)], nn.Linear(4, 5)).eval()
    given = {"backends": ["plain"], "min_size_ratio": 0}
    sensitivity = quickly(model, torch.ones(1, 4), **given).candidates[0].sensitivity
    assert (len(sensitivity.modules), sensitivity.not_measured) == (24, 7)
    assert "30" in {one.name for one in sensitivity.modules}, "the largest ones are"
    monkeypatch.setattr(measurement, "LONGEST_S", 0)
    found = quickly(model, torch.ones(1, 4), **given)
    assert len(found.candidates[0].sensitivity.modules) == 1


# --- kinds of models ------------------------------------------------------------------------------

STATE = ["output['state'][0]", "output['state'][1]"]
# inputs, keywords, what torch.ao converts, what the plain backend does, outputs
CASES = {
    "translator": ((TOKENS,), {"steps": 3}, "encoder cell out", "encoder out",
                   ["output['logits']", *STATE, "output['tokens']"]),
    "language": ((), {"input_ids": TOKENS, "attention_mask": torch.ones(3, 6)},
                 "lstm head", "lstm head", ["output['logits']", "output['last_hidden_state']"]),
    "packed": ((PACKED,), {}, "rnn out", "rnn out",
               ["output[0].logits", "output[1].data", "output[2][0]", "output[2][1]"]),
    "cells": ((STEPS,), {}, "cells.0 cells.1", "", ["output"]),
    "normed": ((STEPS,), {}, "gru out", "gru out", ["output"]),
    "masked": ((torch.linspace(-1, 1, 160).view(2, 5, 16),), {}, "lstm", "lstm",
               ["output[0]", "output[1][0]", "output[1][1]"]),
    "shared": ((torch.linspace(-1, 1, 128).view(2, 64),), {}, "a sequence.0 sequence.2",
               "a b sequence.0 sequence.2", ["output"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_models_of_many_kinds(case):
    inputs, kwargs, torch_ao, plain, outputs = CASES[case]
    model = getattr(models, case)()
    found = quickly(model, *inputs, kwargs=kwargs, min_size_ratio=0, max_relative_error=0.1)
    assert found.passed
    for candidate in found.candidates:
        best = candidate.best
        names = {c.name for c in best.conversion.converted} if best else set()
        assert names == set((plain if candidate.name == "plain" else torch_ao).split())
        if best is not None:
            assert [tensor.name for tensor in best.outputs[0].tensors] == outputs
            assert 0 < best.relative < 0.1
            assert "tokens" not in best.place  # whole numbers do not judge
    torch_ao, notes = found.candidate("torch.ao"), " ".join(found.notes)
    assert ("embed.weight and head.weight are one tensor" in notes) is (case == "language")
    assert ("first: a parametrization" in notes) is (case == "normed")
    left = {"normed": {"first"}, "masked": {"linear1", "linear2"}}
    assert {name[-7:] for name in torch_ao.left_float} == left.get(case, set())
    if case == "masked":
        assert "cannot run on inputs that the float model takes: " in torch_ao.failure


def biasless(*behind):
    """An LSTM that torch.ao cannot run, and perhaps a Linear behind it."""
    parts = {"rnn": nn.LSTM(24, 32, bias=False), "behind": nn.Sequential(*behind)}
    return Model(lambda model, x: model.behind(model.rnn(x)[0]), **parts)


def test_what_one_backend_cannot_run_is_left_to_the_others():
    found = quickly(biasless(nn.Linear(32, 256)), weak()[1])
    for name in ("torch.ao", "torch.ao-per-channel"):
        candidate = found.candidate(name)
        assert "bias=False" in candidate.failure
        assert (candidate.whole, candidate.left_float) == (None, ("rnn",))
        assert [done.name for done in candidate.partly.conversion.converted] == ["behind.0"]
        assert "fails when converted: torch.ao" in candidate.partly.conversion.left_alone[0].reason
    assert found.candidate("plain").whole.close
    alone = quickly(biasless(), weak()[1], backends=["torch.ao"])
    assert (alone.passed, alone.to_html().count("<img")) == (False, 0)
    assert alone.to_dict()["candidates"][0]["whole"] is None


def test_a_bare_lstm_is_told_to_be_wrapped():
    lstm, x = nn.LSTM(64, 64).eval(), torch.randn(5, 2, 64)
    with pytest.raises(rh.NothingQuantizedError, match="wrap it"):
        quickly(lstm, x, backends=["torch.ao"])
    found = quickly(lstm, x)
    assert found.verdict.candidate == "plain"
    assert "wrap it" in found.candidate("torch.ao").failure


def test_an_error_that_hides_the_inputs_is_not_shipped_however_small():
    """All outputs are large and nearly the same: a small error hides what they say."""
    model = nn.Sequential(nn.Linear(16, 8)).eval()
    with torch.no_grad():
        model[0].weight *= 3e-3
        model[0].weight[:, 0] = 4
    given = {"backends": ["torch.ao"], "min_size_ratio": 0}
    inputs = [(torch.cat([torch.ones(1, 1), torch.randn(1, 15)], 1),) for _ in range(4)]
    assert quickly(model, *inputs[0], **given).candidates[0].whole.close
    found = quickly(model, input_sets=inputs, **given)
    whole = found.candidates[0].whole
    assert (whole.relative < 0.05, whole.close) == (True, False)
    assert (found.candidates[0].partly, found.passed) == (None, False)
    judged = quickly(model, input_sets=inputs, metric=lambda _: 1.0, **given)
    assert judged.candidates[0].whole.close  # the caller knows better


def test_a_stored_error_holds_nothing_of_the_place_where_it_was_raised():
    def fail():
        held = torch.ones(1)
        seen.append(weakref.ref(held))
        raise ConversionError("{name} failed.", name="it")

    seen = []
    try:
        fail()
    except ConversionError as error:
        stored = measurement.kept(error)
    gc.collect()
    assert seen[0]() is None
    assert (type(stored), str(stored)) == (ConversionError, "it failed.")


# --- times, memory, metric ------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "budgets"), [(0.9, [0.1, 0.1, 0.4]), (1.5, [0.1, 0.1])])
def test_a_time_that_is_open_is_measured_once_more_for_longer(monkeypatch, low, budgets):
    asked = []

    def timed(reference, candidate, *inputs, threads, budget_s):
        assert type(reference.bridge) is nn.Linear is not type(candidate.bridge)
        asked.append((threads, budget_s))
        return speed(low, low + 0.4 + 0.01 * len(asked), threads=threads)

    monkeypatch.setattr(measurement, "compare_latency", timed)
    found = rh.report(*weak(), backends=["plain"], memory=False, budget_s=0.1, threads=2)
    assert asked == [*zip((2, 1, 2), map(pytest.approx, budgets), strict=False)]
    latencies = found.candidates[0].whole.latencies
    assert [one.threads for one in latencies] == [2, 1]
    assert latencies[0].speedup.high == low + 0.4 + 0.01 * (3 if len(asked) == 3 else 1)


def test_memory_is_measured_beside_the_float_model_which_is_measured_once(monkeypatch):
    weighed = []

    def weigh(name, model, *inputs):
        weighed.append(model(*inputs).mean().item())
        return MemoryUse(0, 4_000_000 // len(weighed), 2_000_000, 0)

    monkeypatch.setattr(measurement, "memory_use", weigh)
    model = Model(lambda model, x, *, times: times * model.linear(x), linear=nn.Linear(8, 8))
    x = torch.randn(2, 8)
    given = {"kwargs": {"times": 2.0}, "memory": True, "backends": ["torch.ao", "plain"]}
    found = quickly(model, x, **given)
    expected = model(x, times=2.0).mean().item()
    assert weighed == [expected, *(pytest.approx(expected, abs=0.05) for _ in range(2))]
    assert expected not in weighed[1:]
    first, second = (candidate.whole.memory for candidate in found.candidates)
    assert (first.loaded, first.reference) == (LESS, second.reference)
    assert (first.candidate.loaded_bytes, second.candidate.loaded_bytes) == (2_000_000, 1_333_333)
    column = found.table().headers.index("memory, MB")
    assert [row[column].split(" -> ")[0][0] for row in found.table().rows] == ["6"] * 2
    assert "held once loaded" in found.to_html()


class Locked(nn.Module):
    """Can be copied, but not sent to another process."""

    def __init__(self):
        super().__init__()
        self.linear, self.lock = nn.Linear(8, 8), threading.Lock()

    def __deepcopy__(self, memo):
        made = Locked().eval()
        made.load_state_dict(self.state_dict())
        return made

    def forward(self, x):
        return self.linear(x)


def test_a_model_that_stays_at_home_is_reported_without_memory():
    found = quickly(Locked().eval(), torch.randn(2, 8), memory=True)
    assert all(candidate.whole.memory is None for candidate in found.candidates)
    (note,) = found.notes
    assert note.startswith("Memory was not measured: model cannot be sent to a process of its")
    assert "held once loaded" not in found.to_html()


def test_the_metric_sees_each_model_and_judges():
    model, x = weak()

    def metric(candidate):
        assert not torch.is_grad_enabled()
        candidate.train()  # is not seen by the others
        return -relative(model, candidate, x)

    found = quickly(model, x, metric=metric, backends=["torch.ao", "plain"], max_metric_drop=0.02)
    assert (found.reference_metric, found.error_limit) == (0, None)
    whole = found.candidate("plain").whole
    assert whole.metric == pytest.approx(-whole.relative, rel=1e-4)
    mended = found.candidate("torch.ao")
    assert mended.left_float == ("decoder",)
    assert -0.02 <= mended.partly.metric < 0 < 0.02 < -mended.whole.metric
    both = quickly(model, x, metric=lambda _: 1.0, backends=["torch.ao"], max_relative_error=1e-9)
    assert not both.passed
