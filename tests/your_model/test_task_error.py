"""What an error means: distances and choices against loops in plain Python."""

import itertools
import math

import pytest
import torch
from hypothesis import given, strategies as st

import recipe_helpers as rh
from recipe_helpers.your_model.task_error import (
    ROWS,
    SETS,
    Recorded,
    TaskError,
    compare_choices,
)

POINTS = st.lists(
    st.lists(st.integers(-9, 9), min_size=3, max_size=3), min_size=2, max_size=6
).filter(lambda rows: len({tuple(row) for row in rows}) > 1)


def far_apart(rows):
    """Mean |difference| over all pairs of different rows, one number at a time."""
    pairs = list(itertools.combinations(rows, 2))
    return sum(abs(a - b) for x, y in pairs for a, b in zip(x, y, strict=True)) / (
        len(pairs) * len(rows[0])
    )


def errors(before, after=None, scores=None):
    return Recorded(before, scores).errors(before if after is None else after)


@given(POINTS)
def test_the_distance_is_that_of_all_pairs(rows):
    tensors = [torch.tensor(row, dtype=torch.float32) for row in rows]
    several, one = errors(tensors).task, errors([torch.stack(tensors)]).task
    assert (several.apart, one.apart) == (SETS, ROWS)
    assert several.distance == pytest.approx(far_apart(rows))
    assert one.distance == pytest.approx(far_apart(rows))
    assert several.share == 0


def test_of_very_many_rows_some_are_looked_at_and_the_distance_is_nearly_the_same():
    rows = torch.randn(1800, 3, dtype=torch.float64)
    expected = float(torch.cdist(rows, rows, p=1).sum()) / (1800 * 1799 * 3)
    found = errors([rows]).task.distance
    assert found == pytest.approx(expected, rel=0.1)
    assert found != pytest.approx(expected, rel=1e-9)
    few = torch.randn(999, 3, dtype=torch.float64)  # fewer than twice 500: all
    exact = float(torch.cdist(few, few, p=1).sum()) / (999 * 998 * 3)
    assert errors([few]).task.distance == pytest.approx(exact, rel=1e-9)


def test_the_share_is_the_error_over_the_distance():
    x = [torch.tensor([[0.0, 4.0], [2.0, 2.0]]), torch.tensor([[4.0, 0.0], [2.0, 6.0]])]
    found = errors(x, [x[0] + 0.5, x[1] - 0.5])
    assert found.task.distance == (4 + 4 + 0 + 4) / 4
    assert found.task.share == pytest.approx(0.5 / 3)
    assert found.task.sqnr_db == pytest.approx(10 * math.log10((16 + 4 + 4 + 16 + 4 + 36) / 2))
    assert "16.7% of how far the outputs of different input sets are apart" in found.meaning
    assert found.choices is None
    assert "score" not in found.meaning


def test_sets_of_different_lengths_are_told_apart_by_their_rows():
    x = [torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[3.0, 3.0]])]
    found = errors(x).task
    assert (found.apart, found.distance) == (ROWS, (1 + 3 + 2) / 3)
    other_width = [*x, torch.tensor([[9.0]])]  # no row of the others' kind
    assert errors(other_width).task.distance == found.distance


@pytest.mark.parametrize("output", [torch.ones(1, 3), torch.ones(3), torch.ones(4, 3)])
def test_without_other_outputs_there_is_no_yardstick(output):
    found = errors([output], [output + 1]).task
    assert found.share is found.distance is None
    assert "apart" not in found.sentence


@pytest.mark.parametrize("apart", [SETS, ROWS])
def test_words_for_the_share(apart):
    words = {0.0999: "small", 0.1: "not small", 0.4999: "not small", 0.5: "comparable"}
    for difference, word in words.items():
        sentence = TaskError("output", 30.0, 0.99, difference, 1.0, apart).sentence
        assert sentence.endswith(f"apart: {word}.")
        assert ("input sets" in sentence) is (apart == SETS)


# --- which tensor counts --------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, -1])
def test_all_speaks_of_the_output_with_the_largest_error(order):
    before = [{"a": torch.ones(2, 3), "b": torch.arange(6.0).view(2, 3)}]
    after = [{"a": torch.ones(2, 3) * 1.01, "b": before[0]["b"] * 1.5}]
    before, after = ([dict(list(one[0].items())[::order])] for one in (before, after))
    found = errors(before, after)
    assert found.relative == pytest.approx(0.5)
    assert found.place == found.task.place == "output['b']"
    assert [task.place for task in found.tasks] == ["output['b']", "output['a']"]
    assert found.meaning.startswith("In output['b']: SQNR 6.0 dB")


@pytest.mark.parametrize("worst", [0, 1, 2])
def test_the_largest_error_of_several_sets_names_its_set(worst):
    before = [torch.ones(2, 3) for _ in range(3)]
    after = [x * (1.3 if place == worst else 1.1) for place, x in enumerate(before)]
    found = errors(before, after)
    assert found.relative == pytest.approx(0.3)
    assert found.place == f"output of input set {worst + 1}"
    assert [one.relative > 0.2 for one in found.outputs] == [i == worst for i in range(3)]


def test_nan_is_the_largest_error_of_all():
    x = torch.ones(2, 3)
    for after in ((x * 9, x * math.nan), (x * math.nan, x * 9)):
        found = errors([(x, x)], [after])
        assert math.isnan(found.relative)
        assert found.place == f"output[{0 if after[0].isnan().any() else 1}]"


def test_whole_numbers_count_only_where_there_is_nothing_else():
    whole, x = torch.tensor([[1, 2]]), torch.ones(1, 2)
    found = errors([(whole, x)], [(whole * 3, x * 1.1)])
    assert found.place == "output[1]"
    assert found.relative == pytest.approx(0.1)
    assert errors([whole], [whole * 3]).relative == 2
    turned = torch.tensor([[1 + 1j, 1 - 1j]])
    assert errors([(whole, turned)], [(whole, 1.5 * turned)]).relative == pytest.approx(0.5)


def test_another_structure_is_refused():
    with pytest.raises(rh.InputError, match="reference returns"):
        errors([torch.ones(2)], [torch.ones(3)])


# --- choices --------------------------------------------------------------------------------------


def test_choices_are_counted_row_by_row_over_all_sets():
    x = [torch.tensor([[1.0, 2.0, 0.0], [5.0, 1.0, 1.0]]), torch.tensor([[0.0, 0.1, 0.2]])]
    y = [torch.tensor([[-1.0, 2.5, 0.0], [5.0, 6.0, 1.0]]), torch.tensor([[0.0, 0.3, 0.4]])]
    found = compare_choices("logits", x, y)
    assert (found.place, found.same, found.rows) == ("logits", pytest.approx(2 / 3), 3)
    # The rows' leads are 1, 4 and 0.1, and the second was changed.
    assert found.lead == 4
    assert "the same in 66.67% of 3 rows (the others led by at most 400.0% of" in found.sentence
    kept = compare_choices("logits", x, x)
    assert (kept.same, kept.lead) == (1, None)
    assert kept.sentence == "In logits the highest score is the same in 100.00% of 3 rows."


def test_the_largest_lead_of_those_that_changed_counts_if_there_are_leads():
    x = torch.tensor([[0.0, 1.0], [0.0, 4.0], [0.0, 2.0]])
    y = torch.tensor([[9.0, 1.0], [9.0, 4.0], [0.0, 2.0]])
    assert compare_choices("output", [x], [y]).lead == 2  # 4 over the median of 1, 4, 2
    equal = torch.zeros(3, 2)
    assert compare_choices("output", [equal], [y]).lead is None


def test_the_caller_says_which_output_holds_scores():
    x = (torch.ones(4, 1), torch.eye(4), torch.tensor(1.0))
    y = (torch.ones(4, 1), torch.eye(4)[[0, 1, 2, 2]], torch.tensor(1.0))
    found = errors([x], [y], "output[1]")
    assert (found.choices.place, found.choices.same) == ("output[1]", 0.75)
    assert "In output[1] the highest score is the same in 75.00% of 4 rows" in found.meaning
    for name in ("output[0]", "output[2]", "output", "logits"):
        with pytest.raises(rh.ArgumentError, match=r"scores is .*: output\[1\]\."):
            Recorded([x], name)
    with pytest.raises(rh.ArgumentError, match="this model has none"):
        Recorded([torch.ones(3, 1)], "output")
