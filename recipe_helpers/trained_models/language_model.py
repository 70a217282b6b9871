"""What quantizing costs a language model, and what it saves (trained models, section 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ..common import checks
from ..common.errors import InputError
from ..common.intervals import Interval, mean_interval
from ..common.language import N_, _
from ..common.settings import seeded, threads_set
from ..common.tables import Shown, Table, in_bytes
from ..recipe.size import size_breakdown
from .data import UNKNOWN, ReferenceText
from .training import in_streams

_STREAMS, _PIECE = 10, 35  # the advanced tutorial's evaluation batch and length of a piece


@dataclass(frozen=True)
class PerplexityComparison(Shown):
    """How well two language models foretell the same held-out words."""

    reference: float  # perplexity: exp of the mean loss
    candidate: float
    difference_nats: Interval  # loss per word, candidate less reference
    words: int

    @property
    def relative(self) -> Interval:
        """Candidate / reference perplexity less 1, with its interval."""
        d = self.difference_nats
        return Interval(*(math.expm1(x) for x in (d.mean, d.low, d.high)))

    def table(self) -> Table:
        """Both perplexities, the difference per word, the ratio."""
        d = self.difference_nats
        nats = _("{mean:+.5f} ({low:+.5f} to {high:+.5f})", mean=d.mean, low=d.low, high=d.high)
        rows = [
            (_("perplexity, FP32"), f"{self.reference:.3f}"),
            (_("perplexity, INT8"), f"{self.candidate:.3f}"),
            (_("INT8 - FP32, nats per word (95 %)"), nats),
            (_("change of the perplexity, % (95 %)"), self.relative.percent()),
        ]
        return Table(("", _("{count:,} held-out words", count=self.words)), rows)


def compare_perplexity(
    reference: nn.Module, candidate: nn.Module, words: torch.Tensor
) -> PerplexityComparison:
    """Score every next word of a text under two language models.

    The text is read as ten streams in pieces of 35 words, the hidden state carried along, as the
    advanced tutorial evaluates. Neighbouring words share their context, so that the interval is
    taken over the means of the pieces, not over single words.

    Args:
        reference: the model to compare with, in eval mode; called with (words, hidden).
        candidate: the model in question, in eval mode.
        words: (words), whole numbers that the models know.

    Raises:
        ModelError: a model is in training mode or holds NaN.
        InputError: there are fewer than 40 words, or they do not fit a model.
    """
    if len(words) < 4 * _STREAMS:
        raise InputError(
            "words has {count} elements; pass at least {least} words.",
            count=len(words),
            least=4 * _STREAMS,
        )
    with threads_set(1):  # so small a model gains nothing from a second thread
        before = _losses("reference", reference, words)
        after = _losses("candidate", candidate, words)
    pieces = [piece.mean(0) for piece in (after - before).split(_PIECE)]
    return PerplexityComparison(
        reference=float(before.mean().exp()),
        candidate=float(after.mean().exp()),
        difference_nats=mean_interval(torch.cat(pieces).tolist()),
        words=before.numel(),
    )


def _losses(name: str, model: nn.Module, words: torch.Tensor) -> torch.Tensor:
    """The loss in nats of each next word, (steps, streams), in float64."""
    checks.runnable_model(name, model)
    streams = in_streams(words, _STREAMS)
    hidden, losses = None, []
    for start in range(0, len(streams) - 1, _PIECE):
        piece = streams[start : start + _PIECE + 1]
        logits, hidden = checks.runs(name, model, (piece[:-1], hidden))
        flat = cross_entropy(logits.double().flatten(0, 1), piece[1:].flatten(), reduction="none")
        losses.append(flat.view(-1, _STREAMS))
    return torch.cat(losses)


def generate_text(
    model: nn.Module, text: ReferenceText, prompt: str, words: int = 40, seed: int = 0
) -> str:
    """Continue a prompt word by word, drawing each word from the model's probabilities.

    The draw adds Gumbel noise to the logits and takes the largest (the Gumbel-max trick). The
    noise depends on the seed alone, so that two models with equal logits write the same text,
    and two that differ a little part where their choice was close.

    Args:
        model: a language model in eval mode; called with (words, hidden).
        text: the corpus whose vocabulary the model knows.
        prompt: words of that vocabulary, separated by spaces.
        words: how many words to add.
        seed: of the noise.

    Raises:
        ArgumentError: a word of the prompt is unknown, or `words` is not at least 1.
        ModelError: the model is in training mode or holds NaN.
    """
    checks.positive_int("words", words)
    checks.runnable_model("model", model)
    given = text.numbers(prompt)
    with seeded(seed):
        noise = -torch.empty(words, len(text.vocabulary)).exponential_().log()
    noise[:, text.vocabulary.index(UNKNOWN)] = -math.inf  # nobody wants to read that word
    chosen: list[torch.Tensor] = []
    step, hidden = given.view(-1, 1), None
    for row in noise:
        logits, hidden = checks.runs("model", model, (step, hidden))
        step = (logits[-1, 0] + row).argmax().view(1, 1)
        chosen.append(step)
    return text.words(torch.cat([given.view(-1, 1), *chosen]))


@dataclass(frozen=True)
class PartSize:
    """The numbers that one part of a model stores, before and after quantizing."""

    name: str
    parameters: int
    reference_bytes: int
    candidate_bytes: int

    @property
    def ratio(self) -> float:
        """Bytes before / bytes after."""
        return self.reference_bytes / self.candidate_bytes


@dataclass(frozen=True)
class PartSizes(Shown):
    """Where the bytes of a model lie, part by part; file overhead is left out."""

    parts: tuple[PartSize, ...]

    @property
    def candidate_bytes(self) -> int:
        """All bytes after quantizing."""
        return sum(part.candidate_bytes for part in self.parts)

    @property
    def ratio(self) -> float:
        """All bytes before / all bytes after."""
        return sum(part.reference_bytes for part in self.parts) / self.candidate_bytes

    def table(self) -> Table:
        """One row per part: parameters, bytes, ratio, share of the quantized whole."""
        rows = [
            (
                part.name,
                f"{part.parameters:,}",
                in_bytes(part.reference_bytes),
                in_bytes(part.candidate_bytes),
                _("{ratio:.2f} to 1", ratio=part.ratio),
                f"{part.candidate_bytes / self.candidate_bytes:.0%}",
            )
            for part in self.parts
        ]
        headers = (_("part"), _("parameters"), "FP32", "INT8", _("ratio"), _("share of INT8"))
        note = _("All parts together: {ratio:.2f} to 1.", ratio=self.ratio)
        return Table(headers, rows, "", note)


def size_by_part(reference: nn.Module, candidate: nn.Module) -> PartSizes:
    """Compare the numbers that each child of two models stores.

    Raises:
        ModelError: one of the two is not a module.
        InputError: the candidate lacks a child that holds parameters in the reference.
    """
    checks.module("reference", reference)
    after = dict(checks.module("candidate", candidate).named_children())
    parts = []
    for name, child in reference.named_children():
        if parameters := sum(p.numel() for p in child.parameters()):
            if name not in after:
                raise InputError(
                    "candidate has no {name}, only {children}; pass two versions of one model.",
                    name=name,
                    children=", ".join(after) or N_("nothing"),
                )
            sizes = [size_breakdown(part).payload_bytes for part in (child, after[name])]
            parts.append(PartSize(name, parameters, *sizes))
    return PartSizes(tuple(parts))
