"""Each construction leaves the float answers as they are; what is lost is lost in INT8."""

import pytest
import torch

from recipe_helpers.recipe.model import demonstration
from recipe_helpers.recipe.quantize import quantize_dynamic
from recipe_helpers.trained_models import fragility
from recipe_helpers.trained_models.classification import classification_accuracy
from recipe_helpers.trained_models.data import Sequences
from recipe_helpers.trained_models.fragility import (
    APART,
    FP32,
    PER_CHANNEL,
    PER_TENSOR,
    PLAIN,
    RESCALED,
    change_unit_of_feature,
    feature_unit_cliff,
    loud_passage_cliff,
    rescale_features,
    unread_unit_cliff,
    with_long_memory,
    with_unread_unit,
)

from ..korean import in_both
from .made_up import classifier, data

# Two trainings or roundings of one classifier differ by a few of 599 images: 3 points are 18.
SAME = 0.03
GUESSING = 0.2  # ten classes; a model that always gives one answer is right for 0.1


@pytest.fixture
def images():
    return data().test


@pytest.fixture
def model():
    return classifier()


def logits(model, sequences):
    with torch.inference_mode():
        return model(sequences.inputs)


def test_an_unread_unit_is_loud_and_changes_no_answer(model, images):
    plain, loud = with_unread_unit(model), with_unread_unit(model, 64.0)
    assert torch.allclose(logits(plain, images), logits(model, images), atol=1e-4)
    assert torch.equal(logits(plain, images), logits(loud, images))
    for name, before in model.lstm.named_parameters():
        gates = getattr(loud.lstm, name).unflatten(0, (4, 17))
        if name == "weight_hh_l0":
            assert not gates[..., 16].any()
            gates = gates[..., :16]
        assert torch.equal(gates[:, :16], before.unflatten(0, (4, 16)))
        assert torch.equal(gates[:, 16], 64 * gates[:, 0])
    assert not loud.head.weight[:, 16].any()


def test_a_unit_of_measurement_changes_no_answer_and_rescaling_brings_it_back(model, images):
    changed, sequences = change_unit_of_feature(model, images, 7, 2.0**9)
    assert torch.equal(sequences.inputs[..., 7], 2**9 * images.inputs[..., 7])
    assert torch.equal(sequences.inputs[..., 6], images.inputs[..., 6])
    better, same = rescale_features(changed, sequences)
    assert torch.equal(logits(changed, sequences), logits(model, images))
    assert torch.equal(logits(better, same), logits(model, images))
    assert not torch.equal(logits(model, sequences), logits(model, images))
    largest = same.inputs.abs().amax((0, 1))
    assert largest.max() <= 2
    assert largest[largest > 0].min() >= 0.5


def test_rescaling_is_by_powers_of_two_and_leaves_a_feature_of_zeros(model, images):
    inputs = images.inputs.clone()
    inputs[..., 0] = 0
    inputs[..., 1] *= 0.3
    better, same = rescale_features(model, Sequences(inputs, images.labels))
    assert same.inputs.isfinite().all()
    factors = (better.lstm.weight_ih_l0 / model.lstm.weight_ih_l0).detach()
    assert torch.equal(factors, factors[:1].expand_as(factors))
    assert set(factors[0].frexp().mantissa.tolist()) == {0.5}
    assert factors[0, 0] == 1 > factors[0, 1]


@pytest.mark.parametrize(
    ("cliff", "ruined", "unharmed"),
    [
        (unread_unit_cliff, {PER_TENSOR}, {PER_CHANNEL, PLAIN}),
        (feature_unit_cliff, {PER_TENSOR, PER_CHANNEL}, {PLAIN, RESCALED}),
        (loud_passage_cliff, {PER_TENSOR, PER_CHANNEL}, {PLAIN, APART}),
    ],
)
def test_what_a_factor_ruins_and_what_stands_it(cliff, ruined, unharmed, model, images):
    found = cliff(model, images, (1, 1024))
    right = classification_accuracy(model, images)
    assert found.factors == (1, 1024)
    assert found.fp32_unchanged
    assert found.accuracies.keys() == {FP32, *ruined, *unharmed}
    assert found.accuracies[FP32] == pytest.approx((right, right), abs=1e-6)
    for version, (first, last) in found.accuracies.items():
        assert first == pytest.approx(right, abs=SAME)
        assert last < GUESSING if version in ruined else last == pytest.approx(right, abs=SAME)
    if APART in unharmed:
        apart = classification_accuracy(quantize_dynamic(model), images)
        assert found.accuracies[APART] == pytest.approx((apart, apart))
    table = found.table()
    assert tuple(table.headers) == ("factor", *found.versions)
    assert [row[0] for row in table.rows] == ["1", "1024"]
    english, korean = in_both(lambda: found.table().caption)
    assert english == f"Accuracy against {found.cause}"
    assert found.cause not in korean


def test_each_cliff_hands_on_what_it_multiplies(model, images, monkeypatch):
    seen = []

    def recorded(model, sequences, steps=None):
        seen.append((model, sequences.inputs, steps))
        return {FP32: torch.zeros(len(sequences), 10)}

    monkeypatch.setattr(fragility, "_all_logits", recorded)
    loud_passage_cliff(model, images, (4,))
    feature_unit_cliff(model, images, (4,))
    feature_unit_cliff(model, images, (4,), feature=5)
    (_, both, steps), (_, third, _), (_, changed, _) = seen
    assert steps == 8
    assert torch.equal(both[:8], images.inputs)
    assert torch.equal(both[8:, :-1], 4 * images.inputs[:, 1:]), "the next image, brighter"
    assert torch.equal(third[..., 3], 4 * images.inputs[..., 3])
    assert torch.equal(changed[..., 5], 4 * images.inputs[..., 5])


def test_a_changed_float_function_is_reported(model, images):
    def versions(factor):
        return {FP32: logits(model, images) * factor}

    cliff = fragility._cliff("factor", (1, 2), images, versions)
    assert not cliff.fp32_unchanged
    assert "NOT the same" in str(cliff)


def test_open_forget_gates_make_a_long_memory():
    model = demonstration().model
    changed = with_long_memory(model, bias=6.0)
    difference = changed.lstm.bias_ih_l0 - model.lstm.bias_ih_l0
    # PyTorch's order of the gates: input, forget, cell, output.
    assert difference.tolist() == pytest.approx([0] * 8 + [6] * 8 + [0] * 16)
