from __future__ import annotations

import re
from pydoc_data import topics

import pytest
import torch
from sklearn.datasets import load_digits

from recipe_helpers.common.errors import ArgumentError
from recipe_helpers.trained_models.data import (
    END_OF_PARAGRAPH,
    UNKNOWN,
    corpus,
    digits,
    reference_text,
)

from ..korean import error_in_both

DOCUMENTS = {
    "a": "One two.\n\nA shared paragraph\nover two lines.",
    "b": "A shared   paragraph over two lines.\n\nOne one three!",
    "c": "One two three four.",
    "d": "One two.",
}


def test_digits_are_the_images_of_scikit_learn_each_once_with_its_label() -> None:
    data = digits()
    source, labels = load_digits(return_X_y=True)
    expected = sorted((*map(int, row), int(y)) for row, y in zip(source, labels, strict=True))
    found = []
    for part in (data.train, data.test):
        assert part.inputs.shape == (8, len(part), 8)
        assert part.inputs.dtype == torch.float32
        for i in range(len(part)):
            pixels = (part.inputs[:, i] * 16).round().int().flatten().tolist()
            found.append((*pixels, int(part.labels[i])))
    assert sorted(found) == expected


def test_every_digit_is_as_frequent_in_both_parts() -> None:
    data = digits(seed=3)
    shares = [part.labels.bincount() / len(part) for part in (data.train, data.test)]
    # Stratified to within one image of each digit.
    assert torch.allclose(*shares, atol=1 / len(data.test))


def test_the_seed_decides_the_split_and_nothing_else_does() -> None:
    torch.manual_seed(0)
    first = digits(seed=1).test
    torch.manual_seed(1)
    again, other = digits(seed=1).test, digits(seed=2).test
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(first.labels, again.labels)
    assert not torch.equal(first.labels, other.labels)


def test_the_fraction_is_that_of_the_test_part() -> None:
    data = digits(test_fraction=0.1)
    assert len(data.test) == 180
    assert len(data.train) == 1797 - 180
    assert "180" in str(data)


@pytest.mark.parametrize("fraction", [0, 1, -0.5, "half", None])
def test_an_impossible_fraction_is_refused(fraction: object) -> None:
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        digits(test_fraction=fraction)
    with pytest.raises(ArgumentError, match="held_out_fraction"):
        reference_text(held_out_fraction=fraction)


def test_a_corpus_small_enough_to_write_down() -> None:
    text = corpus({"d": DOCUMENTS["d"], "a": DOCUMENTS["a"]}, 0, 0.01, 1)
    # "One two." of d repeats a paragraph of a, which comes first by name.
    assert len(text.held_out) == 0
    assert text.words(text.train) == "one two . <eop> a shared paragraph over two lines . <eop>"


def test_a_repeated_paragraph_is_kept_once() -> None:
    text = corpus(DOCUMENTS, 0, 0.3, 1)
    every = f"{text.words(text.train)} {text.words(text.held_out)}"
    assert every.count(END_OF_PARAGRAPH) == 4


def test_held_out_words_come_from_whole_topics_and_teach_the_vocabulary_nothing() -> None:
    documents = {f"topic{i}": f"word{i} word{i} common" for i in range(20)}
    text = corpus(documents, 5, 0.25, 2)
    assert len(text.held_out) == 5 * 4
    assert len(text.train) == 15 * 4
    held_out = text.words(text.held_out).split()
    assert set(held_out) == {UNKNOWN, "common", END_OF_PARAGRAPH}
    assert set(text.vocabulary) - {UNKNOWN, "common", END_OF_PARAGRAPH} == {
        word for word in text.words(text.train).split() if word.startswith("word")
    }


def test_rare_words_are_unknown() -> None:
    text = corpus({"a": "often often often rare"}, 0, 0.01, 3)
    assert text.vocabulary == (UNKNOWN, "often")
    assert text.words(text.train) == f"often often often {UNKNOWN} {UNKNOWN}"


def test_the_reference_text_is_pythons_own_less_its_repetitions() -> None:
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
    assert int(text.train.max()) == len(text.vocabulary) - 1
    assert int(text.held_out.max()) < len(text.vocabulary)
    assert len(set(text.vocabulary)) == len(text.vocabulary)


def test_the_seed_decides_what_is_held_out() -> None:
    first, again, other = (reference_text(seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.held_out, again.held_out)
    assert not torch.equal(first.held_out[:50], other.held_out[:50])


def test_words_and_numbers_are_inverse() -> None:
    text = reference_text()
    numbers = text.train[:50]
    assert torch.equal(text.numbers(text.words(numbers)), numbers)


@pytest.mark.parametrize(("words", "said"), [("the Qwertz", "Qwertz"), ("", "at least one")])
def test_words_that_have_no_number_are_refused(words: str, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        reference_text().numbers(words)


def test_an_error_in_korean() -> None:
    first, second = error_in_both(ArgumentError, lambda: digits(test_fraction=2))
    assert first.startswith("test_fraction의 값: 2. 0보다 크고")
    assert second.startswith("test_fraction is 2; pass")
