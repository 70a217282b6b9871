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
from recipe_helpers.trained_models.training import DigitClassifier

from ..korean import in_both
from .made_up import classifier, data

FACTORS = (1, 1024)
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


def test_an_unread_unit_changes_no_answer(model, images):
    plain, loud = with_unread_unit(model), with_unread_unit(model, 1024.0)
    assert loud.lstm.hidden_size == 17
    assert torch.allclose(logits(plain, images), logits(model, images), atol=1e-4)
    assert torch.equal(logits(plain, images), logits(loud, images))


def test_the_unread_unit_is_loud_and_unread(model):
    loud = with_unread_unit(model, 64.0)
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        before = getattr(model.lstm, name).unflatten(0, (4, 16))
        after = getattr(loud.lstm, name).unflatten(0, (4, 17))
        columns = before.shape[2] if before.ndim == 3 else None
        assert torch.equal(after[:, :16, ..., :columns] if columns else after[:, :16], before)
        if columns:
            assert torch.equal(after[:, 16, :columns], 64 * before[:, 0])
    assert not loud.lstm.weight_hh_l0[:, 16].any()
    assert not loud.head.weight[:, 16].any()


def test_a_unit_of_measurement_changes_no_answer(model, images):
    changed, sequences = change_unit_of_feature(model, images, 3, 1024.0)
    assert torch.equal(sequences.inputs[..., 3], 1024 * images.inputs[..., 3])
    assert torch.equal(sequences.inputs[..., 4], images.inputs[..., 4])
    assert torch.equal(logits(changed, sequences), logits(model, images))
    assert not torch.equal(logits(model, sequences), logits(model, images))


def test_rescaling_brings_every_feature_near_one(model, images):
    changed, sequences = change_unit_of_feature(model, images, 3, 2.0**9)
    better, same = rescale_features(changed, sequences)
    largest = same.inputs.abs().amax((0, 1))
    assert bool((largest[largest > 0] >= 0.5).all())
    assert bool((largest <= 2).all())
    assert torch.equal(logits(better, same), logits(model, images))


def test_rescaling_leaves_a_feature_of_zeros(model, images):
    inputs = images.inputs.clone()
    inputs[..., 0] = 0
    better, same = rescale_features(model, Sequences(inputs, images.labels))
    assert bool(torch.isfinite(same.inputs).all())
    assert torch.equal(better.lstm.weight_ih_l0[:, 0], model.lstm.weight_ih_l0[:, 0])


def test_per_channel_weights_survive_the_unread_unit(model, images):
    cliff = unread_unit_cliff(model, images, FACTORS)
    right = classification_accuracy(model, images)
    assert cliff.factors == FACTORS
    assert cliff.fp32_unchanged
    assert cliff.accuracies[FP32] == pytest.approx((right, right), abs=1e-6)
    assert cliff.accuracies[PER_TENSOR][0] == pytest.approx(right, abs=SAME)
    assert cliff.accuracies[PER_TENSOR][1] < GUESSING
    for version in (PER_CHANNEL, PLAIN):
        assert cliff.accuracies[version] == pytest.approx((right, right), abs=SAME)


def test_rescaling_or_scales_of_columns_cure_bad_units(model, images):
    cliff = feature_unit_cliff(model, images, FACTORS)
    right = classification_accuracy(model, images)
    assert cliff.fp32_unchanged
    assert cliff.accuracies[PER_TENSOR][1] < GUESSING
    assert cliff.accuracies[PER_CHANNEL][1] < GUESSING
    assert cliff.accuracies[PLAIN] == pytest.approx((right, right), abs=SAME)
    assert cliff.accuracies[RESCALED] == pytest.approx((right, right), abs=SAME)


def test_a_loud_passage_changes_the_past_in_int8_alone(model, images):
    cliff = loud_passage_cliff(model, images, FACTORS)
    right = classification_accuracy(model, images)
    apart = classification_accuracy(quantize_dynamic(model), images)
    assert cliff.fp32_unchanged
    assert cliff.accuracies[FP32] == pytest.approx((right, right), abs=1e-6)
    assert cliff.accuracies[APART] == pytest.approx((apart, apart))
    assert cliff.accuracies[PER_CHANNEL][1] < GUESSING
    assert cliff.accuracies[PLAIN] == pytest.approx((right, right), abs=SAME)


def test_what_follows_an_image_is_the_next_one_brighter(model, images, monkeypatch):
    seen: list[torch.Tensor] = []

    def recorded(model, sequences, steps):
        seen.append(sequences.inputs)
        return {FP32: torch.zeros(len(sequences), 10)}

    monkeypatch.setattr(fragility, "_all_logits", recorded)
    loud_passage_cliff(model, images, (4,))
    assert torch.equal(seen[0][:8], images.inputs)
    assert torch.equal(seen[0][8:, :-1], 4 * images.inputs[:, 1:])


def test_a_changed_float_function_is_reported(model, images):
    def versions(factor):
        return {FP32: logits(model, images) * factor}

    cliff = fragility._cliff("factor", (1, 2), images, versions)
    assert not cliff.fp32_unchanged
    assert "NOT the same" in str(cliff)


def test_a_cliff_shows_every_factor_and_version(model, images):
    table = unread_unit_cliff(model, images, (1, 2)).table()
    assert tuple(table.headers) == ("factor", FP32, PER_TENSOR, PER_CHANNEL, PLAIN)
    assert [row[0] for row in table.rows] == ["1", "2"]


def test_open_forget_gates_make_a_long_memory():
    model = demonstration().model
    changed = with_long_memory(model, bias=6.0)
    difference = changed.lstm.bias_ih_l0 - model.lstm.bias_ih_l0
    # PyTorch's order of the gates: input, forget, cell, output.
    assert difference.tolist() == pytest.approx([0] * 8 + [6] * 8 + [0] * 16)
    state = (torch.zeros(1, 1, 8), torch.ones(1, 1, 8))
    with torch.inference_mode():
        kept = changed(torch.zeros(50, 1, 8), state)[1][1]
        lost = model(torch.zeros(50, 1, 8), state)[1][1]
    assert float(kept.abs().mean()) > 10 * float(lost.abs().mean())


def test_what_the_factor_multiplies_is_said_when_it_is_shown():
    model = DigitClassifier(2, width=3).eval()
    found = loud_passage_cliff(model, Sequences(torch.rand(2, 4, 3), torch.zeros(4)), [1, 2])
    english, korean = in_both(lambda: found.table().caption)
    assert english == "Accuracy against factor on the brightness of what follows"
    assert korean == "뒤따르는 이미지의 밝기에 곱한 배수에 따른 정확도"
