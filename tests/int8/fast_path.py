"""What the tests of the fast path share: pairs of modules, and the kernel's tanh in PyTorch."""

import copy
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from recipe_helpers.int8 import arithmetic
from recipe_helpers.int8.fast_path import rows
from recipe_helpers.int8.lstm import Int8LSTM

ROOT = Path(__file__).parents[2]


def rational_tanh(x):
    """The kernel's tanh, one float32 operation of PyTorch after the other."""
    x = x.clamp(-rows._CLAMP.item(), rows._CLAMP.item())
    square = x * x
    p, q = (torch.full_like(x, c[0].item()) for c in (rows._P, rows._Q))
    for coefficient in rows._P[1:]:
        p = p * square + coefficient.item()
    for coefficient in rows._Q[1:]:
        q = q * square + coefficient.item()
    return x * p / q


def int8_pair(*sizes, seed=0, **options):
    """An Int8LSTM and the same one without the fast path."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        lstm = nn.LSTM(*sizes, **options).eval()
        with torch.no_grad():
            for name, weight in lstm.named_parameters():
                if "weight" in name:  # columns of very different size
                    weight *= torch.exp(torch.randn(weight.shape[1]))
        fast = Int8LSTM.from_float(lstm)
    plain = copy.deepcopy(fast)
    plain.fast = False
    return fast, plain


def random(*shape, seed=1, scale=1.0):
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def flat(result):
    output, (hidden, cell) = result
    return [output.data if isinstance(output, PackedSequence) else output, hidden, cell]


def assert_same_bits(one, other):
    for left, right in zip(flat(one), flat(other), strict=True):
        assert torch.equal(left.isnan(), right.isnan())
        assert torch.equal(left.nan_to_num(), right.nan_to_num())


def assert_fast_path_ran(monkeypatch, call):
    def refuse(*arguments, **options):
        raise AssertionError("the reference ran")

    with monkeypatch.context() as patch:
        patch.setattr(arithmetic, "run_layer", refuse)
        return call()


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
