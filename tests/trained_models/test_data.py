"""The digits of scikit-learn and the topics of Python's help, each part by itself."""

import re
from pydoc_data import topics

import pytest
import torch
from sklearn.datasets import load_digits

from recipe_helpers.trained_models.data import (
    END_OF_PARAGRAPH,
    UNKNOWN,
    corpus,
    digits,
    reference_text,
)

from .made_up import data


def test_digits_are_the_images_of_scikit_learn_each_once_with_its_label():
    source, labels = load_digits(return_X_y=True)
    expected = sorted((*map(int, row), int(y)) for row, y in zip(source, labels, strict=True))
    found = []
    for part in (data().train, data().test):
        assert (part.inputs.shape, part.inputs.dtype) == ((8, len(part), 8), torch.float32)
        rows = (part.inputs * 16).round().int().transpose(0, 1).flatten(1)
        found += [(*row.tolist(), int(y)) for row, y in zip(rows, part.labels, strict=True)]
    assert sorted(found) == expected
    assert len(data().test) == 599


def test_the_fraction_is_that_of_the_test_part_and_every_digit_is_as_frequent_in_both():
    found = digits(seed=3, test_fraction=0.1)
    assert [row[:2] for row in found.table().rows] == [("training", "1617"), ("test", "180")]
    shares = [part.labels.bincount() / len(part) for part in (found.train, found.test)]
    # Stratified to within one image of each digit.
    assert torch.allclose(*shares, atol=1 / len(found.test))


@pytest.mark.parametrize(
    "part", [lambda seed: digits(seed).test.inputs, lambda seed: reference_text(seed).held_out]
)
def test_the_seed_decides_what_is_held_out(part):
    first, again, other = map(part, (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first[:50], other[:50])


@pytest.mark.parametrize(
    ("documents", "least", "train", "vocabulary"),
    [
        # "One two." of d repeats a paragraph of a, which comes first by name.
        ({"d": "One two.", "a": "One two.\n\nA shared paragraph\nover two lines."}, 1,
         "one two . <eop> a shared paragraph over two lines . <eop>", 10),
        ({"a": "x_1, x_1!\n \n\tX_1 y"}, 1, "x_1 , x_1 ! <eop> x_1 y <eop>", 6),
        ({"a": "often often often rare rare"}, 3, "often often often <unk> <unk> <unk>", 2),
        ({"a": "often often often rare rare"}, 2, "often often often rare rare <unk>", 3),
    ],
)  # fmt: skip
def test_a_corpus_small_enough_to_write_down(documents, least, train, vocabulary):
    text = corpus(documents, 0, 0.01, least)
    assert len(text.held_out) == 0
    assert text.words(text.train) == train
    assert (text.vocabulary[0], len(text.vocabulary)) == (UNKNOWN, vocabulary)


def test_held_out_words_come_from_whole_topics_and_teach_the_vocabulary_nothing():
    documents = {f"topic{i}": f"word{i} word{i} common" for i in range(20)}
    text = corpus(documents, 5, 0.25, 2)
    known = {UNKNOWN, "common", END_OF_PARAGRAPH}
    assert set(text.words(text.held_out).split()) == known
    assert set(text.vocabulary) == known | set(text.words(text.train).split())
    rows = {name: rest for name, *rest in text.table().rows}
    assert rows == {"training": ["60", "0.0%"], "held out": ["20", "50.0%"]}


def test_the_reference_text_is_pythons_own_less_its_repetitions():
    text = reference_text(held_out_fraction=0.1)
    paragraphs = {
        " ".join(paragraph.lower().split())
        for topic in topics.topics.values()
        for paragraph in re.split(r"\n\s*\n", topic)
        if paragraph.strip()
    }
    words = sum(len(re.findall(r"\w+|[^\w\s]", paragraph)) + 1 for paragraph in paragraphs)
    assert len(text.train) + len(text.held_out) == words
    assert 0.08 * words < len(text.held_out) <= 0.1 * words
    assert int(text.train.max()) == len(text.vocabulary) - 1 == len(set(text.vocabulary)) - 1
    assert int(text.train.bincount()[1:].min()) == 3
    numbers = text.train[:50]
    assert torch.equal(text.numbers(text.words(numbers)), numbers)
