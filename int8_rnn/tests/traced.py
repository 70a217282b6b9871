"""Models that are exported, with a free number of steps and a free batch."""

import pytest
import torch
from made_up import FLOATS
from torch import nn
from torch.export import Dim
from torch.torch_version import TorchVersion

import int8_rnn

FREE = {0: Dim("steps", min=2, max=4096), 1: Dim("batch", min=2, max=4096)}


class Tagger(nn.Module):
    """A recurrent layer and a linear one; the input weight has a residual row."""

    def __init__(self, kind="lstm", **options):
        super().__init__()
        self.rnn = FLOATS[kind](6, 20, **options)
        width = options.get("proj_size", 20) * (1 + options.get("bidirectional", False))
        self.out = nn.Linear(width, 5)
        with torch.no_grad():
            self.rnn.weight_ih_l0[3] *= 30

    def forward(self, x, states=None):
        y, last = self.rnn(x, states)
        return self.out(y), last


class Chain(nn.Module):
    """Both kinds, one after the other: what takes long is exported once."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first = int8_rnn.quantize(Tagger(bidirectional=True).eval()).rnn
        self.second = int8_rnn.Int8GRU.from_float(nn.GRU(40, 8).eval())

    def forward(self, x):
        return self.second(self.first(x)[0])


def exported(model):
    return torch.export.export(model, (torch.randn(9, 3, 6),), dynamic_shapes=(FREE,))


def in_plain_aten(program):
    """`to_plain_aten` of it, where this PyTorch has a loop over a free number of steps."""
    try:
        return int8_rnn.to_plain_aten(program)
    except int8_rnn.ConversionError as error:
        if TorchVersion(torch.__version__) < "2.9" and "export with a newer one" in str(error):
            pytest.skip(str(error))
        raise
