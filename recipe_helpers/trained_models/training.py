"""Two small models and how they are trained (trained models, sections 1 and 2).

Both give the same weights for the same seed on one machine; on another processor sums are taken
in another order, and the trained weights differ a little. One thread trains: sums keep their order,
and a busy second core costs more than it gives.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ..common.checks import positive_int, renamed
from ..common.language import N_
from ..common.progress import Progress, silent
from ..common.settings import seeded, threads_set
from .data import SEED, Digits, ReferenceText

Hidden = tuple[torch.Tensor, torch.Tensor]


class DigitClassifier(nn.Module):
    """An LSTM that reads an image row by row, and a linear layer that names the digit."""

    def __init__(self, hidden_size: int, width: int = 8, classes: int = 10) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, hidden_size)
        self.head = nn.Linear(hidden_size, classes)

    def forward(self, inputs: torch.Tensor, steps: int | None = None) -> torch.Tensor:
        """Logits (sequences, classes) after `steps` steps, by default after the last.

        The LSTM reads all of `inputs`, shape (steps, sequences, width), in one call either way.
        """
        output, _ = self.lstm(inputs)
        return self.head(output[-1 if steps is None else steps - 1])


class LanguageModel(nn.Module):
    """Embedding, LSTM, linear decoder: the shape and the names of PyTorch's advanced tutorial.

    Source: pytorch.org/tutorials/advanced/dynamic_quantization_tutorial.html, class LSTMModel.
    """

    def __init__(
        self, words: int, embedding: int, hidden_size: int, layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(words, embedding)
        self.rnn = nn.LSTM(embedding, hidden_size, layers)
        self.decoder = nn.Linear(hidden_size, words)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)

    def forward(
        self, words: torch.Tensor, hidden: Hidden | None = None
    ) -> tuple[torch.Tensor, Hidden]:
        """Logits of the next word (steps, batch, words) and the hidden and cell state."""
        output, hidden = self.rnn(self.drop(self.encoder(words)), hidden)
        return self.decoder(self.drop(output)), hidden


def tutorial_language_model() -> LanguageModel:
    """The advanced tutorial's model at its full size, untrained: 28 million parameters."""
    return LanguageModel(words=33278, embedding=512, hidden_size=256, layers=5).eval()


@renamed(hidden_size="width")
def train_classifier(
    data: Digits, width: int, seed: int = SEED, epochs: int = 30
) -> DigitClassifier:
    """Train a `DigitClassifier` on the training part of `data`, with Adam; returned in eval mode.

    Args:
        data: digits as sequences.
        width: of the LSTM (`hidden_size` in version 2.0).
        seed: of the first weights and of the order of the images.
        epochs: how often every image is seen, in batches of 64.

    Raises:
        ArgumentError: `width` or `epochs` is no whole number of at least 1.
    """
    positive_int("width", width)
    positive_int("epochs", epochs)
    inputs, labels = data.train.inputs, data.train.labels
    with threads_set(1), seeded(seed), torch.inference_mode(False):
        model = DigitClassifier(width, inputs.shape[2])
        batches = [b for _ in range(epochs) for b in torch.randperm(len(labels)).split(64)]
        optimizer = torch.optim.Adam(model.parameters())
        schedule = _one_cycle(optimizer, 0.02, len(batches))
        for batch in batches:
            optimizer.zero_grad()
            cross_entropy(model(inputs[:, batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@renamed(hidden_size="width")
def train_language_model(
    text: ReferenceText,
    seed: int = SEED,
    embedding: int = 96,
    width: int = 192,
    epochs: int = 4,
    progress: Progress = silent,
) -> LanguageModel:
    """Train a `LanguageModel` of one layer to name the next word; returned in eval mode.

    As in the advanced tutorial the text is cut into 20 streams that are read side by side, 35
    words at a time, and the hidden state is carried from one piece to the next (truncated
    backpropagation through time). Adam with a one-cycle learning rate needs fewer epochs than
    the tutorial's plain gradient descent.

    Args:
        text: the corpus; only its training part is read.
        seed: of the first weights and of the dropout.
        embedding: width of the embedding.
        width: of the LSTM (`hidden_size` in version 2.0).
        epochs: how often the text is read.
        progress: wraps the loop over the pieces, for example `rh.progress_bar`.

    Raises:
        ArgumentError: a size or `epochs` is no whole number of at least 1.
    """
    for name, value in (("embedding", embedding), ("width", width), ("epochs", epochs)):
        positive_int(name, value)
    with threads_set(1), seeded(seed), torch.inference_mode(False):
        streams = in_streams(text.train, 20)
        starts = list(range(0, len(streams) - 1, 35)) * epochs
        model = LanguageModel(len(text.vocabulary), embedding, width, dropout=0.2)
        optimizer = torch.optim.Adam(model.parameters())
        schedule = _one_cycle(optimizer, 0.01, len(starts))
        hidden: Hidden | None = None
        for start in progress(starts, N_("training")):
            piece = streams[start : start + 36]
            logits, hidden = model(piece[:-1], hidden if start else None)
            hidden = (hidden[0].detach(), hidden[1].detach())
            optimizer.zero_grad()
            cross_entropy(logits.flatten(0, 1), piece[1:].flatten()).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            schedule.step()
    return model.eval()


def in_streams(words: torch.Tensor, streams: int) -> torch.Tensor:
    """A text (words) cut into parts of the same length, side by side: (steps, streams)."""
    length = len(words) // positive_int("streams", streams, most=max(len(words), 1))
    return words[: length * streams].view(streams, length).t().contiguous()


def hidden_states(model: LanguageModel) -> nn.Sequential:
    """The part of a language model, float or quantized, that returns the LSTM's hidden states."""
    return nn.Sequential(model.encoder, model.rnn).eval()


def _one_cycle(
    optimizer: torch.optim.Optimizer, peak: float, steps: int
) -> torch.optim.lr_scheduler.OneCycleLR:
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=peak, total_steps=steps, pct_start=0.2
    )
