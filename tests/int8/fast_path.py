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
from recipe_helpers.int8.fast_path import basics, calls, dots
from recipe_helpers.int8.gru import Int8GRU
from recipe_helpers.int8.lstm import Int8LSTM

ROOT = Path(__file__).parents[2]


def rational_tanh(x):
    """The kernel's tanh in PyTorch; float64 stands for the fused multiply-add, rounded once."""
    x = x.clamp(-basics.CLAMP.item(), basics.CLAMP.item())
    square = x * x
    p, q = (torch.full_like(x, c[0].item()) for c in (basics.TANH_P, basics.TANH_Q))
    for coefficient in basics.TANH_P[1:]:
        p = (p.double() * square.double() + coefficient.item()).float()
    for coefficient in basics.TANH_Q[1:]:
        q = (q.double() * square.double() + coefficient.item()).float()
    return x * p / q


def int8_pair(*sizes, seed=0, activation_bits=None, kind="lstm", loud_rows=False, **options):
    """An Int8LSTM (or Int8GRU) and the same one without the fast path.

    With loud rows, every ninth, the weights of the inputs have residuals.
    """
    floats, int8 = {"lstm": (nn.LSTM, Int8LSTM), "gru": (nn.GRU, Int8GRU)}[kind]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = floats(*sizes, **options).eval()
        with torch.no_grad():
            for name, weight in module.named_parameters():
                if "weight" in name:  # columns of very different size
                    weight *= torch.exp(torch.randn(weight.shape[1]))
                if "weight_ih" in name and loud_rows:
                    weight[::9] *= 50
        fast = int8.from_float(module, activation_bits=activation_bits)
    plain = copy.deepcopy(fast)
    plain.fast = False
    return fast, plain


def row_by_row(patch, wanted=True):
    """Let every LSTM run in the kernel that works row by row, or (not wanted) none."""
    patch.setattr(calls, "_row_by_row", lambda kernels, module: wanted)


def products(symmetric):
    """The kinds of packed products that this CPU can run, for one kind of activations."""
    name = dots.host_instruction()
    bytewise = ["planes" if symmetric else "bytes"] if dots.is_exact(name) else []
    return [*bytewise, "wide", "narrow"]


def random(*shape, seed=1, scale=1.0):
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def flat(result):
    output, states = result
    states = states if isinstance(states, tuple) else (states,)
    return [output.data if isinstance(output, PackedSequence) else output, *states]


def assert_same_bits(one, other):
    for left, right in zip(flat(one), flat(other), strict=True):
        assert torch.equal(left.isnan(), right.isnan())
        assert torch.equal(left.nan_to_num(), right.nan_to_num())


def assert_fast_path_ran(monkeypatch, call):
    def refuse(*arguments, **options):
        raise AssertionError("the reference ran")

    with monkeypatch.context() as patch:
        for name in ("run_layer", "run_gru_layer", "run_linear"):
            patch.setattr(arithmetic, name, refuse)
        return call()


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
