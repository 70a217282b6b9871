"""What an error means: distances and choices against loops in plain Python, and on models."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, strategies as st
from torch import nn

from recipe_helpers.your_model.promises import BROKEN, CLOSE, KEPT, judge_distance
from recipe_helpers.your_model.task_error import (
    COMPARABLE,
    ROWS,
    SETS,
    TaskError,
    named_scores,
    task_error,
)

from .report_models import quickly

POINTS = st.lists(
    st.lists(st.integers(-9, 9), min_size=3, max_size=3), min_size=2, max_size=6
).filter(lambda rows: len({tuple(row) for row in rows}) > 1)


def far_apart(rows):
    """Mean |difference| over all pairs of different rows, one number at a time."""
    pairs = list(itertools.combinations(rows, 2))
    return sum(abs(a - b) for x, y in pairs for a, b in zip(x, y, strict=True)) / (
        len(pairs) * len(rows[0])
    )


@given(POINTS)
def test_the_distance_is_that_of_all_pairs(rows):
    tensors = [torch.tensor(row, dtype=torch.float32) for row in rows]
    several = task_error("output", tensors, tensors, scores=False)
    one = task_error("output", [torch.stack(tensors)], [torch.stack(tensors)], scores=False)
    assert (several.apart, one.apart) == (SETS, ROWS)
    assert several.distance == pytest.approx(far_apart(rows))
    assert one.distance == pytest.approx(far_apart(rows))
    assert several.share == 0


def test_the_share_is_the_error_over_the_distance():
    x = [torch.tensor([[0.0, 4.0], [2.0, 2.0]]), torch.tensor([[4.0, 0.0], [2.0, 6.0]])]
    y = [x[0] + 0.5, x[1] - 0.5]
    found = task_error("output", x, y, scores=False)
    assert found.distance == (4 + 4 + 0 + 4) / 4
    assert found.share == pytest.approx(0.5 / 3)
    assert found.sqnr_db == pytest.approx(10 * math.log10((16 + 4 + 4 + 16 + 4 + 36) / 2))
    assert "16.7% of how far the outputs of different input sets are apart" in found.sentence
    assert found.same_choice is None
    assert "score" not in found.sentence


def test_sets_of_different_lengths_are_told_apart_by_their_rows():
    x = [torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[3.0, 3.0]])]
    found = task_error("output", x, x, scores=False)
    assert found.apart == ROWS
    assert found.distance == (1 + 3 + 2) / 3


@pytest.mark.parametrize("output", [torch.ones(1, 3), torch.ones(3), torch.ones(4, 3)])
def test_without_other_outputs_there_is_no_yardstick(output):
    found = task_error("output", [output], [output + 1], scores=False)
    assert found.share is found.distance is None
    assert "apart" not in found.sentence
    assert judge_distance(found) == []


def test_choices_are_counted_row_by_row_over_all_sets():
    x = [torch.tensor([[1.0, 2.0, 0.0], [5.0, 1.0, 1.0]]), torch.tensor([[0.0, 0.1, 0.2]])]
    y = [torch.tensor([[-1.0, 2.5, 0.0], [5.0, 6.0, 1.0]]), torch.tensor([[0.0, 0.3, 0.4]])]
    found = task_error("logits", x, y, scores=True)
    assert (found.same_choice, found.rows) == (pytest.approx(2 / 3), 3)
    # The rows' leads are 1, 4 and 0.1, and the second was changed.
    assert found.lead == 4
    assert "the same in 66.67% of 3 rows (the others led by at most 400.0% of" in found.sentence
    kept = task_error("logits", x, x, scores=True)
    assert (kept.same_choice, kept.lead) == (1, None)
    assert kept.sentence.endswith("the same in 100.00% of 3 rows.")


@pytest.mark.parametrize(
    ("difference", "word"), [(0.0999, "small"), (0.1, "not small"), (0.5, "comparable")]
)
def test_words_for_the_share(difference, word):
    made = TaskError("output", 30.0, 0.99, difference, 1.0, SETS, None, 0)
    assert made.sentence.endswith(f"apart: {word}.")


@pytest.mark.parametrize(("share", "state"), [(COMPARABLE - 1e-9, KEPT), (COMPARABLE, BROKEN)])
def test_an_error_as_large_as_the_distance_breaks_a_promise(share, state):
    made = TaskError("output", 30.0, 0.99, share, 1.0, SETS, None, 0)
    (promise,) = judge_distance(made)
    assert (promise.name, promise.state) == (CLOSE, state)
    assert f"{share:.1%} of the distance" in promise.sentence
    assert judge_distance(replace(made, apart=ROWS)) == []


class Head(nn.Module):
    """An LSTM, a Linear, and what makes of them an output."""

    def __init__(self, finish):
        super().__init__()
        self.lstm, self.linear, self.finish = nn.LSTM(5, 6), nn.Linear(6, 4), finish

    def forward(self, x):
        hidden = self.lstm(x)[0]
        return self.finish(hidden, self.linear(hidden))


@pytest.mark.parametrize(
    ("finish", "scores"),
    [
        (lambda hidden, linear: linear, {"output"}),
        (lambda hidden, linear: (hidden, linear), {"output[1]"}),
        (lambda hidden, linear: {"p": linear.softmax(-1)}, {"output['p']"}),
        (lambda hidden, linear: linear.log_softmax(-1), {"output"}),
        (lambda hidden, linear: torch.stack([*linear]).transpose(0, 1), {"output"}),
        (lambda hidden, linear: linear[-1].clone(), {"output"}),
        (lambda hidden, linear: linear.softmax(0), set()),
        (lambda hidden, linear: hidden, set()),
        (lambda hidden, linear: linear.relu() + 1, set()),
        (lambda hidden, linear: linear.argmax(-1), set()),
        (lambda hidden, linear: linear.mean(), set()),
    ],
)
def test_which_outputs_hold_scores(finish, scores):
    model = Head(finish).eval()
    assert set(named_scores(model, model, (torch.randn(3, 2, 5),))) == scores
    assert not any(part._forward_hooks for part in model.modules())


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
    sets = [(torch.cat([torch.ones(1, 1), torch.randn(1, 15)], 1),) for _ in range(4)]
    alone = quickly(model, *sets[0], backends=["torch.ao"], min_size_ratio=0)
    assert alone.candidates[0].whole.close
    found = quickly(model, input_sets=sets, backends=["torch.ao"], min_size_ratio=0)
    whole = found.candidates[0].whole
    assert whole.relative < 0.05
    assert whole.task.share > COMPARABLE
    assert not whole.close
    assert found.candidates[0].partly is None
    assert found.verdict.decision == "keep FP32"
    metric = quickly(
        model, input_sets=sets, backends=["torch.ao"], min_size_ratio=0, metric=lambda _: 1.0
    )
    assert metric.candidates[0].whole.close  # the caller knows better


def test_the_report_says_it_in_every_form():
    model = Head(lambda hidden, linear: linear).eval()
    ways = {"backends": ["torch.ao", "plain"], "min_size_ratio": 0, "max_relative_error": 0.006}
    found = quickly(model, torch.randn(7, 3, 5), **ways)
    assert found.verdict.candidate == "plain"
    task = found.candidates[1].best.task
    assert (task.place, task.rows, task.apart) == ("output", 21, ROWS)
    assert found.table().note == f"plain: {task.sentence}"
    assert task.sentence in str(found)
    assert task.sentence.split(";")[0] in found.to_html()
    data = found.to_dict()["candidates"][1]["whole"]["task"]
    assert data["share"] == task.share
    assert data["same_choice"] == task.same_choice
