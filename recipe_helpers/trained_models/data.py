"""Data that comes with the environment, so that nothing is downloaded (trained models, 1 and 2).

Two data sets: scikit-learn's handwritten digits, read row by row as sequences of eight steps of
width eight; and the reference text on the Python language that CPython carries for `help()`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

import torch

from ..common.checks import positive_int
from ..common.errors import ArgumentError, extra
from ..common.language import _
from ..common.tables import Shown, Table
from ..recipe.model import SEED

UNKNOWN = "<unk>"
END_OF_PARAGRAPH = "<eop>"


@dataclass(frozen=True)
class Sequences:
    """Sequences, shape (steps, sequences, width), and one label for each, shape (sequences)."""

    inputs: torch.Tensor = field(repr=False)
    labels: torch.Tensor = field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def share_right(self, logits: torch.Tensor) -> float:
        """The fraction of the sequences whose label has the largest logit."""
        return float((logits.argmax(-1) == self.labels).float().mean())


@dataclass(frozen=True)
class Digits(Shown):
    """The digits as sequences, in two parts that share no image; brightness runs from 0 to 1."""

    train: Sequences
    test: Sequences
    seed: int

    def table(self) -> Table:
        """Numbers of sequences and their shape."""
        rows = [
            (name, f"{len(part)}", f"{part.inputs.shape[0]}", f"{part.inputs.shape[2]}")
            for name, part in ((_("training"), self.train), (_("test"), self.test))
        ]
        headers = (_("part"), _("sequences"), _("steps"), _("width"))
        return Table(headers, rows, _("Digits read row by row"))


@dataclass(frozen=True)
class ReferenceText(Shown):
    """A text as word numbers, in two parts that share no topic and no paragraph.

    `train` and `held_out` are 1-D tensors of positions in `vocabulary`, which holds words of the
    training part only; every other word is `<unk>`. Each paragraph ends with `<eop>`.
    """

    train: torch.Tensor = field(repr=False)
    held_out: torch.Tensor = field(repr=False)
    vocabulary: tuple[str, ...] = field(repr=False)

    def words(self, numbers: torch.Tensor) -> str:
        """The text that these word numbers stand for, one space between words."""
        return " ".join(self.vocabulary[number] for number in numbers.flatten().tolist())

    def numbers(self, words: str) -> torch.Tensor:
        """The numbers (words) of words that are separated by spaces.

        Raises:
            ArgumentError: there is no word, or one that the vocabulary does not know.
        """
        known = {word: number for number, word in enumerate(self.vocabulary)}
        given = words.split()
        if unknown := [word for word in given if word not in known]:
            raise ArgumentError(
                "words has {word!r}, which the vocabulary of {count} lower-case words does not "
                "know; pass other words.",
                word=unknown[0],
                count=len(known),
            )
        if not given:
            raise ArgumentError("words is {words!r}; pass at least one word.", words=words)
        return torch.tensor([known[word] for word in given])

    def table(self) -> Table:
        """Numbers of words, and how many of them the vocabulary does not know."""
        unknown = self.vocabulary.index(UNKNOWN)
        rows = [
            (name, f"{len(part):,}", f"{(part == unknown).float().mean().item():.1%}")
            for name, part in ((_("training"), self.train), (_("held out"), self.held_out))
        ]
        caption = _("Reference text, vocabulary of {count:,} words", count=len(self.vocabulary))
        return Table((_("part"), _("words"), _("unknown")), rows, caption)


def digits(seed: int = SEED, test_fraction: float = 1 / 3) -> Digits:
    """The 1797 images of `sklearn.datasets.load_digits` as sequences of 8 rows of 8 pixels.

    Args:
        seed: of the split into a training and a test part, in which every digit is as frequent
            as in the whole.
        test_fraction: between 0 and 1, the fraction of the images in the test part.

    Raises:
        ArgumentError: `test_fraction` is not a fraction that leaves both parts images of each
            digit.
    """
    with extra("notebooks"):
        from sklearn.datasets import load_digits  # a second: only where it is used
        from sklearn.model_selection import train_test_split

    _fraction("test_fraction", test_fraction)
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(
        (images / 16).astype("float32").reshape(-1, 8, 8),  # (sequences, steps, width)
        labels,
        test_size=test_fraction,
        random_state=seed,
        stratify=labels,
    )
    train, test, train_labels, test_labels = map(torch.from_numpy, parts)
    return Digits(
        Sequences(train.transpose(0, 1).contiguous(), train_labels),
        Sequences(test.transpose(0, 1).contiguous(), test_labels),
        seed,
    )


def reference_text(
    seed: int = SEED, held_out_fraction: float = 0.1, least_count: int = 3
) -> ReferenceText:
    """The topics of `pydoc_data.topics` (what `help("if")` prints) as a corpus of words.

    The topics repeat whole paragraphs of each other: a repeated paragraph is dropped, for
    otherwise the held-out part would have been seen in training. Words are lower-case runs of
    letters, digits and underscores; every other character that is no space is a word by itself.
    The text, and so every number that follows from it, changes with the version of Python.

    Args:
        seed: of the choice of the topics that are held out.
        held_out_fraction: between 0 and 1, the largest fraction of the text that is held out.
        least_count: the vocabulary knows the words that occur at least so often in training.

    Raises:
        ArgumentError: an argument is out of range.
    """
    from pydoc_data import topics

    _fraction("held_out_fraction", held_out_fraction)
    positive_int("least_count", least_count)
    return corpus(topics.topics, seed, held_out_fraction, least_count)


def corpus(
    documents: dict[str, str], seed: int, held_out_fraction: float, least_count: int
) -> ReferenceText:
    """What `reference_text` makes of any texts by name; see there for the arguments."""
    words = _distinct_paragraphs(documents)
    order = sorted(words)
    shuffled = torch.randperm(len(order), generator=torch.Generator().manual_seed(seed)).tolist()
    room = held_out_fraction * sum(map(len, words.values()))
    held_out: list[str] = []
    for position in shuffled:
        if len(words[order[position]]) <= room - len(held_out):
            held_out += words.pop(order[position])
    train = [word for name in order if name in words for word in words[name]]
    counts = Counter(train)
    known = [word for word, count in counts.most_common() if count >= least_count]
    vocabulary = (UNKNOWN, *known)
    number = {word: position for position, word in enumerate(vocabulary)}

    def numbered(part: list[str]) -> torch.Tensor:
        return torch.tensor([number.get(word, 0) for word in part])

    return ReferenceText(numbered(train), numbered(held_out), vocabulary)


def _distinct_paragraphs(documents: dict[str, str]) -> dict[str, list[str]]:
    """The words of each document, without paragraphs that an earlier one (by name) has."""
    seen: set[str] = set()
    words: dict[str, list[str]] = {}
    for name in sorted(documents):
        words[name] = []
        for paragraph in re.split(r"\n\s*\n", documents[name]):
            text = " ".join(paragraph.lower().split())
            if text and text not in seen:
                seen.add(text)
                words[name] += [*re.findall(r"\w+|[^\w\s]", text), END_OF_PARAGRAPH]
    return words


def _fraction(name: str, value: float) -> None:
    if not isinstance(value, int | float) or not 0 < value < 1:
        raise ArgumentError(
            "{name} is {value!r}; pass a number between 0 and 1, both excluded.",
            name=name,
            value=value,
        )
