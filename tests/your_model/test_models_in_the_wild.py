"""Models of the kinds that are found in public repositories, through the whole report."""

import json

import pytest
import torch
from torch.nn.utils import rnn

import recipe_helpers as rh

from .report_models import (
    Cells,
    Classifier,
    Language,
    Masked,
    Normed,
    Spectrum,
    Tagger,
    Translator,
    Wrapped,
    quickly,
)

TOKENS = torch.tensor([[3, 9, 4, 17, 5, 2], [8, 8, 1, 2, 29, 3], [1, 2, 3, 4, 5, 6]])
PACKED = rnn.pack_sequence([torch.linspace(-1, 1, 30).view(5, 6), torch.ones(3, 6)])
STEPS = torch.linspace(-2, 2, 5 * 2 * 8).view(5, 2, 8)

CASES = {
    "tagger": (Tagger, (TOKENS, torch.tensor([6, 3, 2])), {}, {"lstm", "out"}),
    "classifier": (Classifier, (STEPS,), {}, {"gru", "out"}),
    "translator": (Translator, (TOKENS,), {"steps": 3}, {"encoder", "cell", "out"}),
    "language": (
        Language,
        (),
        {"input_ids": TOKENS, "attention_mask": torch.ones(3, 6)},
        {"lstm", "head"},
    ),
    "packed": (Wrapped, (PACKED,), {}, {"rnn", "out"}),
    "cells": (Cells, (STEPS,), {}, {"cells.0", "cells.1"}),
    "normed": (Normed, (STEPS,), {}, {"lstm", "out"}),
    "masked": (Masked, (torch.linspace(-1, 1, 160).view(2, 5, 16),), {}, {"lstm"}),
    "spectrum": (Spectrum, (torch.linspace(-1, 1, 128).view(2, 64),), {}, {"linear"}),
}
# What has an int8 version in the plain backend.
PLAIN = {"translator": {"encoder", "out"}, "cells": set()}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    kind, inputs, kwargs, expected = CASES[request.param]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = kind().eval()
    found = quickly(model, *inputs, kwargs=kwargs, min_size_ratio=0)
    return request.param, model, found, expected


def test_every_convertible_module_is_converted(case):
    name, _, found, expected = case
    for candidate in found.candidates:
        wanted = PLAIN.get(name, expected) if candidate.name == "plain" else expected
        names = {c.name for c in candidate.best.conversion.converted} if candidate.best else set()
        assert names == wanted


def test_every_output_is_compared(case):
    name, _, found, _ = case
    outputs = {
        "tagger": ["output"],
        "classifier": ["output"],
        "translator": [
            "output['logits']",
            "output['state'][0]",
            "output['state'][1]",
            "output['tokens']",
        ],
        "language": ["output['logits']", "output['last_hidden_state']"],
        "packed": ["output[0].logits", "output[1].data", "output[2][0]", "output[2][1]"],
        "masked": ["output[0]", "output[1][0]", "output[1][1]"],
    }
    for candidate in found.candidates:
        if candidate.best is not None:
            names = [tensor.name for tensor in candidate.best.outputs[0].tensors]
            assert names == outputs.get(name, ["output"])
            assert 0 < candidate.best.relative < 0.1
            assert "tokens" not in candidate.best.place  # whole numbers do not judge


def test_the_report_shows_itself(case):
    _, model, found, _ = case
    assert type(model).__name__ in str(found)
    assert json.loads(found.to_json())["model"] == type(model).__name__
    assert found.passed


def test_what_fails_as_a_whole_is_shipped_without_the_culprits():
    normed = CASES["normed"]
    found = quickly(normed[0]().eval(), *normed[1], backends=["torch.ao"], min_size_ratio=0)
    assert (found.verdict.left_float, found.passed) == (("first",), True)
    masked = CASES["masked"]
    found = quickly(masked[0]().eval(), *masked[1], backends=["torch.ao"], min_size_ratio=0)
    assert {name.rpartition(".")[2] for name in found.verdict.left_float} == {"linear1", "linear2"}
    assert "cannot run" in found.candidates[0].failure


def test_tied_weights_are_pointed_out():
    language = CASES["language"]
    found = quickly(language[0]().eval(), kwargs=language[2], backends=["plain"], min_size_ratio=0)
    assert any("embed.weight and head.weight are one tensor" in note for note in found.notes)


def test_names_convert_just_those_modules():
    model = Tagger().eval()
    for backend in ("torch.ao", "plain"):
        made = rh.quantize_dynamic(model, backend=backend, modules=["out"])
        assert [c.name for c in rh.converted_modules(model, made).converted] == ["out"]
    with pytest.raises(rh.ArgumentError, match="Embedding"):
        rh.quantize_dynamic(model, modules=["embed"])
    with pytest.raises(rh.ArgumentError, match="not in the model"):
        rh.quantize_dynamic(model, modules=["nothing"])
    with pytest.raises(rh.ArgumentError, match="cells"):
        rh.quantize_dynamic(Cells().eval(), backend="plain", modules=["cells.0"])
