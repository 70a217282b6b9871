"""Models: one with a known weakness, and kinds from the wild."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


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


class Model(nn.Module):
    """Modules and buffers by their names, and a function of this model that is its forward."""

    def __init__(self, forward, **parts):
        super().__init__()
        for name, part in parts.items():
            if isinstance(part, torch.Tensor):
                self.register_buffer(name, part)
            else:
                self.add_module(name, part)
        self._forward = forward
        self.eval()

    def forward(self, *args, **kwargs):
        return self._forward(self, *args, **kwargs)


def linear():
    return nn.Sequential(nn.Linear(64, 64)).eval(), torch.linspace(-1, 1, 128).view(2, 64)


def translator():
    """Encoder, decoder with attention, tensors made inside forward, a dict as output."""

    def forward(model, source, steps=4):
        keys, (h, c) = model.encoder(model.embed(source))
        h, c, token, logits = h[0], c[0], torch.zeros(len(source), dtype=torch.long), []
        for _ in range(steps):
            h, c = model.cell(model.embed(token), (h, c))
            context, _ = model.attention(h[:, None], keys, keys)
            logits.append(model.out(context[:, 0] + h))
            token = logits[-1].argmax(-1)
        return {"logits": torch.stack(logits, 1), "state": (h, c), "tokens": token}

    return Model(
        forward,
        embed=nn.Embedding(30, 12),
        encoder=nn.LSTM(12, 24, batch_first=True),
        cell=nn.LSTMCell(12, 24),
        out=nn.Linear(24, 30),
        attention=nn.MultiheadAttention(24, 4, batch_first=True),
    )


def language():
    """Tied weights, keyword arguments, an ordered dict with a None as output."""

    def forward(model, input_ids, attention_mask):
        y = model.lstm(model.embed(input_ids))[0] * attention_mask[..., None]
        return OrderedDict(logits=model.head(y), last_hidden_state=y, past_key_values=None)

    lstm, head = nn.LSTM(16, 16, batch_first=True), nn.Linear(16, 40, bias=False)
    made = Model(forward, embed=nn.Embedding(40, 16), lstm=lstm, head=head)
    head.weight = made.embed.weight
    return made


@dataclass
class Output:
    loss: Any
    logits: torch.Tensor


def packed():
    """Packed inputs, two layers in two directions, a dataclass as output."""

    def forward(model, sequence):
        y, state = model.rnn(sequence)
        return Output(None, model.out(y.data)), y, state

    return Model(forward, rnn=nn.LSTM(6, 10, 2, bidirectional=True), out=nn.Linear(20, 4))


def normed():
    """A weight norm, which torch.ao cannot convert."""
    first = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
    return Model(
        lambda model, x: model.out(model.gru(torch.tanh(model.first(x)))[0]),
        **{"first": first, "gru": nn.GRU(8, 32), "out": nn.Linear(32, 2)},
    )


def masked():
    """A mask of infinities as a buffer; layers whose weights a fused operator reads."""
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    return Model(
        lambda model, x: model.lstm(model.transformer(x, mask=model.mask)),
        mask=torch.triu(torch.full((5, 5), float("-inf")), 1),
        transformer=nn.TransformerEncoder(layer, 1),
        lstm=nn.LSTM(16, 32, batch_first=True),
    )


def cells():
    def forward(model, x):
        state = x.new_zeros(2, 8)
        for step in x:
            for cell in model.cells:
                state = cell(step, state)
        return state

    return Model(forward, cells=nn.ModuleList([nn.GRUCell(8, 8), nn.RNNCell(8, 8)]))


def shared():
    """One module under two names and inside another module; complex outputs."""
    a = nn.Linear(64, 64)
    parts = {"a": a, "b": a, "sequence": nn.Sequential(a, nn.ReLU(), nn.Linear(64, 64))}
    return Model(lambda model, x: torch.fft.rfft(model.b(model.sequence(model.a(x)))), **parts)
