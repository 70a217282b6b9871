"""What an answer is read as, whatever it came as."""

import numpy as np
import pytest
import torch

from recipe_helpers.exercises import answers
from recipe_helpers.exercises.verdicts import NoAnswerError, WrongAnswerError

NAME = "the width"
INTEGERS, FLOATS = answers.tensor(torch.int8), answers.tensor(torch.float32, (3, 2))


def test_a_number_is_taken_in_every_shape_that_holds_one():
    for value in (2.5, np.float32(2.5), np.array([2.5]), torch.tensor(2.5), torch.tensor([2.5])):
        assert answers.number(NAME, value) == 2.5
    for value in (3, 3.0, np.int64(3), torch.tensor([3])):
        assert answers.whole(NAME, value) == 3
    for values in ([1, 2.5], (1, 2.5), np.array([1, 2.5]), torch.tensor([1, 2.5])):
        assert answers.numbers(NAME, values).tolist() == [1, 2.5]
    given = torch.ones(3, 2, requires_grad=True)
    assert answers.number(NAME, given[0, 0]) == 1
    assert not FLOATS(NAME, given).requires_grad


REFUSED = [
    (answers.number, [1.0, 2.0], "Give a finite number as the width, not something of type list."),
    (answers.number, True, "not True"),
    (answers.number, "x" * 38, f"not '{'x' * 38}'"),  # forty signs with its quotes
    (answers.number, "x" * 39, "something of type str"),
    (answers.number, None, "not None"),
    (answers.number, 1j, "something of type complex"),
    (answers.number, torch.ones(2), "a float32 tensor of shape (2,)"),
    (answers.number, float("nan"), "not NaN or infinity"),
    (answers.whole, 2.5, "Give a whole number as the width, not 2.5."),
    (answers.whole, -2.5, "not -2.5"),
    (answers.numbers, [[1.0]], "Give a list of finite numbers as the width"),
    (answers.numbers, [[1], [2, 3]], "not something of type list"),
    (answers.numbers, [], "not something of type list"),
    (answers.numbers, [True], "not something of type list"),
    (answers.numbers, 1.0, "not 1.0"),
    (answers.numbers, [1, float("inf")], "not NaN or infinity"),
    (INTEGERS, torch.ones(2), "Give a tensor of type int8 as the width, not a float32 tensor"),
    (INTEGERS, torch.ones(2).int(), "not a int32 tensor"),
    (FLOATS, torch.ones(2, 3), "Give a tensor of shape (3, 2) as the width"),
    (FLOATS, torch.full((3, 2), torch.inf), "Give finite numbers as the width, not NaN"),
    (FLOATS, [1.0], "not something of type list"),
    (answers.function, 3, "Give the function itself, without calling it as the width, not 3."),
]


@pytest.mark.parametrize(("read", "value", "says"), REFUSED)
def test_what_is_something_else_is_told_by_name(read, value, says):
    with pytest.raises(WrongAnswerError) as caught:
        read(NAME, value)
    assert says in str(caught.value)


WANTED = {"the width": answers.whole, "the scale": answers.anything}


@pytest.mark.parametrize("value", [..., (1, ...), [..., 1], {"a": 1, "b": ...}])
def test_three_dots_anywhere_are_no_answer_yet(value):
    with pytest.raises(NoAnswerError):
        answers.answered(value)
    with pytest.raises(NoAnswerError):
        answers.parts((1, ...), WANTED)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ((1.5, 2), "Give a whole number as the width, not 1.5."),
        ((1, 2, 3), "Give the width and the scale as the answer, not 3 parts."),
        ({1, 2}, "Give the width and the scale as the answer, not something of type set."),
    ],
)
def test_parts_are_read_each_by_its_reader_and_under_its_name(value, says):
    assert answers.parts([2.0, None], WANTED) == [2, None]
    with pytest.raises(WrongAnswerError) as caught:
        answers.parts(value, WANTED)
    assert str(caught.value) == says


def test_a_function_gets_copies_and_what_it_returns_is_read():
    given = torch.ones(3)
    assert answers.result(lambda x, y: x.zero_().sum() + y, given, 5) == 5
    assert given.tolist() == [1, 1, 1]
    with pytest.raises(NoAnswerError):
        answers.result(lambda x: None, given)
    with pytest.raises(WrongAnswerError, match=r"The function raised TypeError: unsup.*\."):
        answers.result(lambda x: x + "a", 1)
