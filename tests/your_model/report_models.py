"""Models for the tests of the report: one with a known weakness, and kinds found in the wild."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import rnn

import recipe_helpers as rh
from recipe_helpers.recipe.latency import LatencyComparison
from recipe_helpers.recipe.timing import Ratio, Timing
from recipe_helpers.your_model import reference as beside


def made_up_latency(reference: nn.Module, candidate: nn.Module, *inputs: Any, **options: Any):
    """Stands for a measured time where the test is about something else."""
    timing, ratio = Timing((100.0,) * 8), Ratio(1.0, 1.0, 1.0)
    return LatencyComparison(timing, timing, ratio, ratio, "inconclusive", options["threads"])


def quickly(model: nn.Module, *inputs: Any, **options: Any) -> rh.Report:
    """A report that times nothing, and in which times do not count; without memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beside, "compare_latency", made_up_latency)
        return rh.report(
            model, *inputs, **{"threads": 1, "min_speedup": 0, "memory": False, **options}
        )


class Weak(nn.Module):
    """One row of the decoder is 300 times larger than the others, and is not an output."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(24, 32)
        self.bridge = nn.Linear(32, 32)
        self.decoder = nn.Linear(32, 10)
        with torch.no_grad():
            self.decoder.weight[0] *= 300

    def forward(self, x):
        return self.decoder(torch.tanh(self.bridge(self.encoder(x)[0])))[..., 1:]


def weak() -> tuple[nn.Module, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Weak().eval(), torch.randn(9, 2, 24)


class Sleeping(nn.Module):
    """Sleeps while its Linear is a float one, or while it is not."""

    def __init__(self, *, when_float: bool) -> None:
        super().__init__()
        self.linear, self.when_float = nn.Linear(64, 64), when_float

    def forward(self, x):
        if (type(self.linear) is nn.Linear) == self.when_float:
            time.sleep(0.0005)
        return self.linear(x)


class Tagger(nn.Module):
    """Tokens, packed inside."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 16, padding_idx=0)
        self.lstm = nn.LSTM(16, 16, 2, batch_first=True, bidirectional=True)
        self.drop, self.out = nn.Dropout(0.3), nn.Linear(32, 7)

    def forward(self, tokens, lengths):
        packed = rnn.pack_padded_sequence(
            self.embed(tokens), lengths, batch_first=True, enforce_sorted=False
        )
        y, _ = rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.out(self.drop(y))


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.norm = nn.GRU(8, 32, batch_first=True), nn.LayerNorm(32)
        self.out = nn.Linear(32, 3)

    def forward(self, x):
        return torch.log_softmax(self.out(self.norm(self.gru(x)[1][-1])), -1)


class Translator(nn.Module):
    """Encoder, decoder with attention, tensors made inside forward, a dict as output."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.encoder = nn.Embedding(30, 12), nn.LSTM(12, 24, batch_first=True)
        self.cell, self.out = nn.LSTMCell(12, 24), nn.Linear(24, 30)
        self.attention = nn.MultiheadAttention(24, 4, batch_first=True)

    def forward(self, source, steps=4):
        keys, (h, c) = self.encoder(self.embed(source))
        h, c, token, logits = h[0], c[0], torch.zeros(len(source), dtype=torch.long), []
        for _ in range(steps):
            h, c = self.cell(self.embed(token), (h, c))
            context, _ = self.attention(h[:, None], keys, keys)
            logits.append(self.out(context[:, 0] + h))
            token = logits[-1].argmax(-1)
        return {"logits": torch.stack(logits, 1), "state": (h, c), "tokens": token}


class Language(nn.Module):
    """Tied weights, keyword arguments, an ordered dict with a None as output."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.lstm = nn.Embedding(40, 16), nn.LSTM(16, 16, batch_first=True)
        self.head = nn.Linear(16, 40, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, input_ids, attention_mask=None):
        y = self.lstm(self.embed(input_ids))[0]
        if attention_mask is not None:
            y = y * attention_mask[..., None]
        return OrderedDict(logits=self.head(y), last_hidden_state=y, past_key_values=None)


@dataclass
class Output:
    loss: Any
    logits: torch.Tensor


class Wrapped(nn.Module):
    """Packed inputs, a dataclass as output."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.out = nn.LSTM(6, 10), nn.Linear(10, 4)

    def forward(self, packed):
        y, state = self.rnn(packed)
        return Output(None, self.out(y.data)), y, state


class Normed(nn.Module):
    """A weight norm, which torch.ao cannot convert."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
        self.lstm, self.out = nn.LSTM(8, 32), nn.Linear(32, 2)

    def forward(self, x):
        return self.out(self.lstm(torch.tanh(self.first(x)))[0])


class Masked(nn.Module):
    """A mask of infinities as a buffer; layers whose weights a fused operator reads."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.triu(torch.full((5, 5), float("-inf")), 1))
        self.transformer = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 1
        )
        self.lstm = nn.LSTM(16, 32, batch_first=True)

    def forward(self, x):
        return self.lstm(self.transformer(x, mask=self.mask))


class Cells(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.ModuleList([nn.GRUCell(8, 8), nn.RNNCell(8, 8)])
        self.register_buffer("start", torch.zeros(2, 8))

    def forward(self, x):
        state = self.start
        for step in x:
            for cell in self.cells:
                state = cell(step, state)
        return state


class Shared(nn.Module):
    """One module under two names and inside another module."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(64, 64)
        self.b = self.a
        self.sequence = nn.Sequential(self.a, nn.ReLU(), nn.Linear(64, 64))

    def forward(self, x):
        return self.b(self.sequence(self.a(x)))


class Spectrum(nn.Module):
    """Complex outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 64)

    def forward(self, x):
        return torch.fft.rfft(self.linear(x))
