"""What an answer is read as, whatever it came as."""

import numpy as np
import pytest
import torch

from recipe_helpers.common.language import Text
from recipe_helpers.exercises import answers
from recipe_helpers.exercises.verdicts import NoAnswerError, WrongAnswerError

NAME = Text("the width")


def test_a_number_is_taken_in_every_shape_that_holds_one():
    for value in (2.5, np.float32(2.5), np.array([2.5]), torch.tensor(2.5), torch.tensor([2.5])):
        assert answers.number(NAME, value) == 2.5
    for value in (3, 3.0, np.int64(3), torch.tensor([3])):
        assert answers.whole(NAME, value) == 3
    for values in ([1, 2.5], (1, 2.5), np.array([1, 2.5]), torch.tensor([1, 2.5])):
        assert answers.numbers(NAME, values).tolist() == [1, 2.5]


REFUSED = [
    (answers.number, [1.0, 2.0], "Give a finite number as the width, not something of type list."),
    (answers.number, True, "not True"),
    (answers.number, "x" * 41, "something of type str"),
    (answers.number, torch.ones(2), "a float32 tensor of shape (2,)"),
    (answers.number, float("nan"), "not NaN or infinity"),
    (answers.whole, 2.5, "Give a whole number as the width, not 2.5."),
    (answers.whole, -2.5, "not -2.5"),
    (answers.numbers, [[1.0]], "Give a list of finite numbers as the width"),
    (answers.numbers, [[1], [2, 3]], "not something of type list"),
    (answers.numbers, [], "not something of type list"),
    (answers.numbers, [True], "not something of type list"),
    (answers.numbers, [1, float("inf")], "not NaN or infinity"),
]


def test_what_is_no_number_is_told_by_name():
    for read, value, says in REFUSED:
        with pytest.raises(WrongAnswerError) as caught:
            read(NAME, value)
        assert says in str(caught.value)


def test_a_tensor_has_its_type_its_shape_and_finite_numbers():
    given = torch.ones(2, 3, requires_grad=True)
    assert not answers.tensor(NAME, given, torch.float32, (2, 3)).requires_grad
    for value, dtype, shape in (
        (given, torch.int8, ()),
        (given, torch.float32, (3, 2)),
        (torch.tensor(torch.inf), torch.float32, ()),
        ([1.0], torch.float32, ()),
    ):
        with pytest.raises(WrongAnswerError, match="the width"):
            answers.tensor(NAME, value, dtype, shape)


def test_three_dots_anywhere_are_no_answer_yet():
    for value in (..., (1, ...), [..., 1], {"a": 1, "b": ...}):
        with pytest.raises(NoAnswerError):
            answers.answered(value)
    with pytest.raises(NoAnswerError):
        answers.parts((1, ...), NAME, NAME)
    assert answers.parts([1, 2], NAME, NAME) == (1, 2)


def test_a_function_gets_copies_and_what_it_returns_is_read():
    given = torch.ones(3)
    assert answers.result(lambda x, y: x.zero_().sum() + y, given, 5) == 5
    assert given.tolist() == [1, 1, 1]
    with pytest.raises(NoAnswerError):
        answers.result(lambda x: None, given)
