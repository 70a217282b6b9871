"""What quantizing costs classifiers: whose answers differ, and by how much over trainings."""

import io

import pytest
import torch
from torch import nn

from recipe_helpers.common.intervals import Interval, mean_interval
from recipe_helpers.common.settings import deprecations_silenced
from recipe_helpers.recipe.claims import IN_PART
from recipe_helpers.recipe.ledger import judge
from recipe_helpers.trained_models.classification import (
    classification_accuracy,
    digit_study,
    disagreements,
)
from recipe_helpers.trained_models.data import digits
from recipe_helpers.trained_models.language_model import PerplexityComparison
from recipe_helpers.trained_models.training import train_classifier

from .made_up import FIRST, LABELS, SECOND, STUDY, Says, study

TWICE = Says([[5.0, 0, 0], [0, 1, 0], [9, 0, 0], [0, 0, 2]])  # how often it is right
NEVER = Says([[0, 5.0, 0], [0, 0, 1], [9, 0, 0], [0, 2, 0]])


def test_accuracy_is_the_fraction_named_right():
    assert classification_accuracy(FIRST, LABELS) == 0.5
    assert classification_accuracy(Says([[0, 1, 0]] * 4), LABELS) == 0.25


def test_disagreements_are_the_images_named_differently_the_surest_first():
    found = disagreements(FIRST, SECOND, LABELS)
    assert (found.labels, found.reference, found.candidate) == ((2, 0, 1), (0, 2, 1), (2, 1, 2))
    assert torch.equal(found.images, LABELS.inputs[:, [2, 3, 1]].transpose(0, 1))
    every = FIRST.logits.softmax(-1).topk(2).values.diff(dim=-1).abs().flatten().tolist()
    assert found.margins == pytest.approx([every[2], every[3], every[1]])
    assert found.typical_margin == pytest.approx(sorted(every)[1])
    assert len(disagreements(FIRST, FIRST, LABELS)) == 0


@pytest.mark.parametrize(
    ("pair", "row"),
    [
        ((TWICE, NEVER), ("3 of 4", "2", "0", "1")),
        ((NEVER, TWICE), ("3 of 4", "0", "2", "1")),
        ((FIRST, SECOND), ("3 of 4", "1", "1", "1")),
    ],
)
def test_right_answers_are_counted_for_the_model_that_gave_them(pair, row):
    assert disagreements(*pair, LABELS).table().rows == [row]


def test_a_study_reports_what_was_trained_quantized_and_saved():
    seen = []

    def progress(items, label):
        seen.append((label, items))
        return items

    found = digit_study([4, 6], [9, 3], epochs=1, progress=progress)
    runs = [(4, 9), (4, 3), (6, 9), (6, 3)]
    assert seen == [("digits", runs)]
    assert [(r.width, r.seed) for r in found.runs] == runs
    assert (found.widths, found.seeds) == ((4, 6), (3, 9))
    assert (found.hidden_sizes, found.runs[0].hidden_size) == ((4, 6), 4)
    run, data = found.runs[2], digits(9)
    model = train_classifier(data, 6, 9, epochs=1)
    with deprecations_silenced():
        quantized = torch.ao.quantization.quantize_dynamic(model, {nn.LSTM, nn.Linear})
    for kind, version in (("fp32", model), ("int8", quantized)):
        with torch.inference_mode():
            right = version(data.test.inputs).argmax(-1) == data.test.labels
        assert getattr(run, f"{kind}_accuracy") == pytest.approx(right.double().mean().item())
        file = io.BytesIO()
        torch.save(version.state_dict(), file)
        assert getattr(run, f"{kind}_bytes") == file.tell()
    assert run.difference == run.int8_accuracy - run.fp32_accuracy


def test_the_interval_over_all_widths_counts_seeds_not_runs():
    expected, overall = mean_interval([-0.01, 0.01, 0.02]), STUDY.difference()
    assert (overall.mean, overall.low) == pytest.approx((expected.mean, expected.low))
    assert STUDY.difference(8).mean == pytest.approx(0.05 / 3)
    first, second, overall_row = STUDY.table().rows
    assert first[:2] == ("4", "90.00%")
    assert second[2:] == ("91.67%", STUDY.difference(8).percent(), "4,000 bytes", "1,000 bytes")
    assert overall_row == ("all", "", "", overall.percent(), "", "")


def test_the_claim_of_kept_accuracy_is_judged_by_the_studies_of_this_room():
    lost, text = study({8: [-0.031, -0.03, -0.029]}), Interval(0.001, 0.0005, 0.0015)
    found = judge("C18", lost, PerplexityComparison(30.0, 30.03, text, 9000))
    assert found.verdict == IN_PART
    assert "-3.00" in found.measured
