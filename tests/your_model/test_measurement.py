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
from recipe_helpers.recipe.memory import LESS
from recipe_helpers.your_model import measurement

from .made_up import (
    Cells,
    Classifier,
    Language,
    Masked,
    Normed,
    Shared,
    Spectrum,
    Tagger,
    Translator,
    Wrapped,
    quickly,
    speed,
    weak,
    weak_report,
)

TOKENS = torch.tensor([[3, 9, 4, 17, 5, 2], [8, 8, 1, 2, 29, 3], [1, 2, 3, 4, 5, 6]])
PACKED = rnn.pack_sequence([torch.linspace(-1, 1, 30).view(5, 6), torch.ones(3, 6)])
STEPS = torch.linspace(-2, 2, 5 * 2 * 8).view(5, 2, 8)
MB = 1_000_000


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


def test_the_sensitivity_of_a_module_is_the_error_of_converting_it_alone(found):
    model, x = weak()
    measured = found.candidate("torch.ao").sensitivity.modules
    assert measured[0].name == "decoder"
    assert [m.relative for m in measured] == sorted([m.relative for m in measured], reverse=True)
    assert {m.name: m.kind for m in measured} == {
        "encoder": "LSTM", "bridge": "Linear", "decoder": "Linear"
    }  # fmt: skip
    for one in measured:
        alone = rh.quantize_dynamic(model, modules=[one.name])
        assert one.relative == pytest.approx(relative(model, alone, x), rel=1e-4)


def test_the_culprit_is_left_fp32_and_the_rest_is_built_and_measured(found):
    model, x = weak()
    candidate = found.candidate("torch.ao")
    assert [p.name for p in candidate.whole.broken] == ["nearly the same output"]
    assert candidate.left_float == ("decoder",)
    rest = rh.quantize_dynamic(model, modules=["encoder", "bridge"])
    assert candidate.partly.relative == pytest.approx(relative(model, rest, x), rel=1e-4)
    assert candidate.partly.size.candidate_bytes == rh.state_dict_bytes(rest)
    (left,) = candidate.partly.conversion.left_alone
    assert left.name == "decoder"
    assert left.reason.startswith("left FP32: alone it costs a relative error of ")


def test_only_what_was_asked_for_is_converted():
    model, x = weak()
    for modules, names in (
        ([nn.LSTM], {"encoder"}),
        (["bridge", "encoder"], {"bridge", "encoder"}),
    ):
        whole = quickly(model, x, modules=modules, backends=["plain"]).candidates[0].whole
        assert {done.name for done in whole.conversion.converted} == names


def test_many_modules_are_not_all_measured_alone(monkeypatch):
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(30)], nn.Linear(4, 5)).eval()
    found = quickly(model, torch.ones(1, 4), backends=["plain"], min_size_ratio=0)
    sensitivity = found.candidates[0].sensitivity
    assert (len(sensitivity.modules), sensitivity.not_measured) == (24, 7)
    assert "30" in {one.name for one in sensitivity.modules}, "the largest ones are"
    assert "7 smaller modules were not measured alone" in str(found)
    monkeypatch.setattr(measurement, "LONGEST_S", 0)
    found = quickly(model, torch.ones(1, 4), backends=["plain"], min_size_ratio=0)
    assert len(found.candidates[0].sensitivity.modules) == 1


# --- kinds of models ------------------------------------------------------------------------------

# model, inputs, keywords, what torch.ao converts, what the plain backend does, outputs
CASES = {
    "tagger": (Tagger, (TOKENS, torch.tensor([6, 3, 2])), {}, "lstm out", "lstm out", ["output"]),
    "classifier": (Classifier, (STEPS,), {}, "gru out", "gru out", ["output"]),
    "translator": (Translator, (TOKENS,), {"steps": 3}, "encoder cell out", "encoder out",
                   ["output['logits']", "output['state'][0]", "output['state'][1]",
                    "output['tokens']"]),
    "language": (Language, (), {"input_ids": TOKENS, "attention_mask": torch.ones(3, 6)},
                 "lstm head", "lstm head", ["output['logits']", "output['last_hidden_state']"]),
    "packed": (Wrapped, (PACKED,), {}, "rnn out", "rnn out",
               ["output[0].logits", "output[1].data", "output[2][0]", "output[2][1]"]),
    "cells": (Cells, (STEPS,), {}, "cells.0 cells.1", "", ["output"]),
    "normed": (Normed, (STEPS,), {}, "lstm out", "lstm out", ["output"]),
    "masked": (Masked, (torch.linspace(-1, 1, 160).view(2, 5, 16),), {}, "lstm", "lstm",
               ["output[0]", "output[1][0]", "output[1][1]"]),
    "spectrum": (Spectrum, (torch.linspace(-1, 1, 128).view(2, 64),), {}, "linear", "linear",
                 ["output"]),
    "shared": (Shared, (torch.linspace(-1, 1, 128).view(2, 64),), {}, "a sequence.0 sequence.2",
               "a b sequence.0 sequence.2", ["output"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_models_of_many_kinds(case):
    kind, inputs, kwargs, torch_ao, plain, outputs = CASES[case]
    model = kind().eval()
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
    if case == "language":
        assert any("embed.weight and head.weight are one tensor" in note for note in found.notes)
    if case == "normed":
        assert found.candidate("torch.ao").left_float == ("first",)
        assert any(note.startswith("first: a parametrization") for note in found.notes)
    if case == "masked":
        torch_ao = found.candidate("torch.ao")
        assert {name[-7:] for name in torch_ao.left_float} == {"linear1", "linear2"}
        assert "cannot run on inputs that the float model takes: " in torch_ao.failure


class Biasless(nn.Module):
    """An LSTM that torch.ao cannot run, and perhaps a Linear behind it."""

    def __init__(self, *behind):
        super().__init__()
        self.rnn, self.behind = nn.LSTM(24, 32, bias=False), nn.Sequential(*behind)

    def forward(self, x):
        return self.behind(self.rnn(x)[0])


def test_what_one_backend_cannot_run_is_left_to_the_others():
    found = quickly(Biasless(nn.Linear(32, 256)).eval(), weak()[1])
    for name in ("torch.ao", "torch.ao-per-channel"):
        candidate = found.candidate(name)
        assert "bias=False" in candidate.failure
        assert candidate.whole is None
        assert candidate.left_float == ("rnn",)
        assert [done.name for done in candidate.partly.conversion.converted] == ["behind.0"]
        assert "fails when converted: torch.ao" in candidate.partly.conversion.left_alone[0].reason
    assert found.candidate("plain").whole.close
    alone = quickly(Biasless().eval(), weak()[1], backends=["torch.ao"])
    assert not alone.passed
    assert alone.to_html().count("<img") == 0
    assert alone.to_dict()["candidates"][0]["whole"] is None


def test_a_bare_lstm_is_told_to_be_wrapped():
    lstm, x = nn.LSTM(64, 64).eval(), torch.randn(5, 2, 64)
    with pytest.raises(rh.NothingQuantizedError, match="wrap it"):
        quickly(lstm, x, backends=["torch.ao"])
    found = quickly(lstm, x)
    assert found.verdict.candidate == "plain"
    assert "wrap it" in found.candidate("torch.ao").failure


class Offset(nn.Module):
    """All of its outputs are large and nearly the same: a small error hides what they say."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 8)
        with torch.no_grad():
            self.linear.weight *= 3e-3
            self.linear.weight[:, 0] = 4

    def forward(self, x):
        return self.linear(x)


def test_an_error_that_hides_the_inputs_is_not_shipped_however_small():
    model = Offset().eval()
    given = {"backends": ["torch.ao"], "min_size_ratio": 0}
    inputs = [(torch.cat([torch.ones(1, 1), torch.randn(1, 15)], 1),) for _ in range(4)]
    assert quickly(model, *inputs[0], **given).candidates[0].whole.close
    found = quickly(model, input_sets=inputs, **given)
    whole = found.candidates[0].whole
    assert whole.relative < 0.05
    assert not whole.close
    assert (found.candidates[0].partly, found.passed) == (None, False)
    judged = quickly(model, input_sets=inputs, metric=lambda _: 1.0, **given)
    assert judged.candidates[0].whole.close  # the caller knows better


def test_a_stored_error_holds_nothing_of_the_place_where_it_was_raised():
    class Held:
        """Something large in a frame."""

    def fail():
        held = Held()
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
        return speed(low, low + 0.4, threads=threads)

    monkeypatch.setattr(measurement, "compare_latency", timed)
    model, x = weak()
    given = {"backends": ["plain"], "memory": False, "budget_s": 0.1, "threads": 2}
    found = rh.report(model, x, **given)
    assert [budget for _, budget in asked] == pytest.approx(budgets)
    assert [threads for threads, _ in asked] == [2, 1, 2][: len(budgets)]
    assert [one.threads for one in found.candidates[0].whole.latencies] == [2, 1]


class Wide(nn.Module):
    """4 MB of weights, and a forward with a keyword."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1000, 1000)

    def forward(self, x, *, times):
        return times * self.linear(x)


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


def test_memory_is_measured_beside_the_float_model_which_is_measured_once():
    given = {"kwargs": {"times": 2.0}, "memory": True, "backends": ["torch.ao", "plain"]}
    found = quickly(Wide().eval(), torch.randn(2, 1000), **given)
    for candidate in found.candidates:
        memory = candidate.whole.memory
        assert memory.reference.payload_bytes == 4 * (1_000_000 + 1000)
        assert memory.candidate.payload_bytes < 1.1 * MB
        assert memory.loaded == LESS
        assert memory.reference is found.candidates[0].whole.memory.reference
    column = found.table().headers.index("memory, MB")
    assert [row[column].split(" -> ")[0][0] for row in found.table().rows] == ["4"] * 2
    assert "held once loaded" in found.to_html()
    assert found.to_dict()["candidates"][0]["whole"]["memory"]["loaded"] == LESS


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
        return -relative(model, candidate, x)

    found = quickly(model, x, metric=metric, backends=["torch.ao", "plain"], max_metric_drop=0.02)
    assert found.reference_metric == 0
    assert found.error_limit is None
    assert found.candidate("plain").whole.metric == pytest.approx(
        -found.candidate("plain").whole.relative, rel=1e-4
    )
    mended = found.candidate("torch.ao")
    assert mended.left_float == ("decoder",)
    assert -0.02 <= mended.partly.metric < 0 < 0.02 < -mended.whole.metric
    both = quickly(model, x, metric=lambda _: 1.0, backends=["torch.ao"], max_relative_error=1e-9)
    assert not both.passed


def test_what_a_metric_does_to_its_model_is_not_seen_by_the_others():
    model, x = weak()

    def metric(candidate):
        candidate.train()
        return 1.0

    assert quickly(model, x, metric=metric, backends=["plain"]).passed
