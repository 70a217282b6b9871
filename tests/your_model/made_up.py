"""Results that nobody measured, and models: one with a known weakness, and kinds from the wild."""

import dataclasses
import functools
import itertools
import types
import typing
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import rnn

import recipe_helpers as rh
from recipe_helpers.common.checks import Description
from recipe_helpers.recipe.inspection import Conversion, Converted
from recipe_helpers.recipe.latency import LatencyComparison
from recipe_helpers.recipe.size import SizeBreakdown, SizeComparison
from recipe_helpers.recipe.timing import FASTER, Ratio, Timing, judge
from recipe_helpers.your_model import measurement
from recipe_helpers.your_model.candidates import Candidate, Measured, ModuleError, Sensitivity
from recipe_helpers.your_model.promises import Limits
from recipe_helpers.your_model.task_error import ROWS, SETS, TaskError


def filled(kind, numbers=None):
    """An instance of a type, every number in it another one, every text as well."""
    numbers = itertools.count(1) if numbers is None else numbers
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return filled(next(one for one in arguments if one is not type(None)), numbers)
    if origin is tuple:
        kinds = arguments[:1] * 3 if ... in arguments else arguments
        return tuple(filled(one, numbers) for one in kinds)
    if kind is Description:
        return Description(f"text {next(numbers)}")
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        made = {f.name: filled(hints[f.name], numbers) for f in dataclasses.fields(kind)}
        known = {LatencyComparison: {"verdict": FASTER}, TaskError: {"apart": SETS}}
        return kind(**made | known.get(kind, {}))
    number = next(numbers)
    if issubclass(kind, Exception):
        return kind(f"error {number}")
    return {int: number, float: number + 0.5, str: f"text {number}", bool: True}[kind]


@functools.cache
def filled_report():
    return filled(rh.Report)


_filled = functools.cache(filled)


def speed(low, high, noise=1.0, threads=2):
    """Times that were taken, with this interval of the speed-up."""
    speedup, control = Ratio((low + high) / 2, low, high), Ratio(1.0, 1 / noise, noise)
    timing = Timing((100.0,) * 8)
    return LatencyComparison(timing, timing, speedup, control, judge(speedup, control), threads)


def measured(relative, low, high, size_ratio=3.0, limits=None, names=("lstm",), **fields):
    """One int8 model of these figures."""
    before, after = (SizeBreakdown(0, round(1e5 * n), 0, 0) for n in (size_ratio, 1))
    task = TaskError("output", 30.0, 0.99, relative, None, ROWS)
    made = {
        "made": Conversion(tuple(Converted(name, "LSTM", "Int8LSTM") for name in names), ()),
        "left": (),
        "size": SizeComparison(before, after),
        "latencies": (speed(low, high),),
        "relative": relative,
        "outputs": _filled(Measured).outputs[:1],
        "tasks": (task,),
        "choices": None,
        "metric": None,
        "reference_metric": None,
        "memory_error": None,
        "limits": limits or Limits(),
    }
    return replace(_filled(Measured), **made | fields)


def candidate(name, whole=None, partly=None, left=()):
    """A conversion; with `left`, these modules are left FP32 in `partly`."""
    if left:
        partly = replace(partly, left=tuple(ModuleError(one, "LSTM", 0.9) for one in left))
    return Candidate(name, None, whole, replace(_filled(Sensitivity), not_measured=0), partly)


NAMES = ["torch.ao", "torch.ao-per-channel", "plain"]
# Made-up measurements, and what an expert would say of them:
# error, the speed-up's interval, FP32 bytes / INT8 bytes, limits that the caller set -> the advice
TABLE = [
    ("much smaller, as fast", 0.01, (0.95, 1.05), 3.8, {}, "ship INT8"),
    ("much smaller and faster", 0.01, (1.8, 2.2), 3.8, {}, "ship INT8"),
    ("a little smaller, clearly faster", 0.01, (1.15, 1.3), 1.2, {}, "ship INT8"),
    ("just small enough", 0.01, (0.95, 1.05), 1.5, {}, "ship INT8"),
    ("not quite small enough", 0.01, (0.95, 1.05), 1.49, {}, "keep FP32"),
    ("1.04 times smaller, not told apart in time", 0.01, (0.98, 1.03), 1.04, {}, "keep FP32"),
    ("a little faster, but within the noise of 1.1", 0.01, (1.03, 1.3), 1.04, {}, "keep FP32"),
    ("much smaller but slower", 0.01, (0.4, 0.5), 3.8, {}, "keep FP32"),
    ("much smaller but slower, where time does not matter", 0.01, (0.4, 0.5), 3.8,
     {"min_speedup": 0}, "ship INT8"),
    ("a little smaller, where time does not matter", 0.01, (0.4, 0.5), 1.2, {"min_speedup": 0},
     "keep FP32"),
    ("faster and larger", 0.01, (1.8, 2.2), 0.9, {}, "keep FP32"),
    ("faster and larger, where size does not matter", 0.01, (1.8, 2.2), 0.9,
     {"min_size_ratio": 0}, "ship INT8"),
    ("as fast, where size does not matter", 0.01, (0.98, 1.03), 3.8, {"min_size_ratio": 0},
     "keep FP32"),
    ("the gain that was asked for", 0.01, (0.95, 1.05), 1.25, {"min_size_ratio": 1.2}, "ship INT8"),
    ("less than was asked for", 0.01, (1.8, 2.2), 2.9, {"min_size_ratio": 3}, "keep FP32"),
    ("much smaller, but the output is ruined", 0.4, (1.8, 2.2), 3.8, {}, "keep FP32"),
    ("another idea of a gain", 0.01, (0.95, 1.05), 1.25, {"worth_size_ratio": 1.2}, "ship INT8"),
]  # fmt: skip


def made_up_latency(reference: nn.Module, candidate: nn.Module, *inputs: Any, **options: Any):
    """Stands for a measured time where the test is about something else."""
    return speed(1.0, 1.0, threads=options["threads"])


def quickly(model: nn.Module, *inputs: Any, **options: Any) -> rh.Report:
    """A report that times nothing, and in which times do not count; without memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measurement, "compare_latency", made_up_latency)
        return rh.report(
            model, *inputs, **{"threads": 1, "min_speedup": 0, "memory": False, **options}
        )


@functools.cache
def weak_report():
    """Two of three conversions of the weak model keep within 2 %, one is mended."""
    model, x = weak()
    return quickly(model, x, max_relative_error=0.02)


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


class Doubled(nn.Module):
    def __init__(self, part) -> None:
        super().__init__()
        self.part = part

    def forward(self, x):
        return 2 * self.part(x)
