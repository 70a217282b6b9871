"""Modules, inputs and oracles that several tests need."""

import copy
import io
import json
import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from int8_rnn.weights import Int8Weight
from torch import nn
from torch.nn.utils.rnn import PackedSequence

import int8_rnn
from int8_rnn import scheme

DATA = Path(__file__).parent / "data"
FLOATS = {"lstm": nn.LSTM, "gru": nn.GRU, "linear": nn.Linear}
INT8 = {"lstm": int8_rnn.Int8LSTM, "gru": int8_rnn.Int8GRU, "linear": int8_rnn.Int8Linear}
RECURRENT = ("lstm", "gru")
SCHEMES = {"default": scheme.DEFAULT, "exact": scheme.EXACT, "8 bits": scheme.EIGHT_BIT}
PAIRS = int8_rnn.Scheme(activation_bits=8, symmetric=False, pairs=True)
OPTIONS = {
    "plain": {},
    "no bias": {"bias": False},
    "layers": {"num_layers": 3, "dropout": 0.5},
    "bidirectional": {"num_layers": 2, "bidirectional": True, "bias": False},
    "projection": {"proj_size": 4},
    "everything": {"num_layers": 2, "bidirectional": True, "proj_size": 3},
}

every_kind = pytest.mark.parametrize("kind", FLOATS)
every_recurrent = pytest.mark.parametrize("kind", RECURRENT)
every_scheme = pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)

SEEDS = st.integers(0, 10**6)
# Float32 rows: zeros, subnormals, constant rows, anything between.
ROWS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 9)),
    elements=st.floats(-(2.0**66), 2.0**66, width=32)
    | st.floats(-(2.0**-120), 2.0**-120, width=32)
    | st.just(0.0),
)


class Case(NamedTuple):
    """One kind of recurrent module with one set of options."""

    kind: str
    options: dict

    def float_module(self, inputs=6, hidden=7, **more):
        return FLOATS[self.kind](inputs, hidden, **self.options, **more).eval()

    def pair(self, inputs=6, hidden=7, *, scheme="default", fast=False, **more):
        module = self.float_module(inputs, hidden, **more)
        return module, INT8[self.kind].from_float(module, scheme=scheme, fast=fast)

    def state(self, module, batch):
        """Initial states as the module takes them."""
        count = module.num_layers * (1 + module.bidirectional)
        widths = [module.proj_size or module.hidden_size, module.hidden_size]
        states = tuple(torch.randn(count, batch, width) for width in widths)
        return states if self.kind == "lstm" else states[0]


CASES = {
    f"{kind}-{name}": Case(kind, options)
    for kind in RECURRENT
    for name, options in OPTIONS.items()
    if kind == "lstm" or "proj_size" not in options
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def flat(result):
    """Output and final states in a row; the rows of a PackedSequence."""
    if isinstance(result, torch.Tensor):
        return [result]
    output, states = result
    states = states if isinstance(states, tuple) else (states,)
    return [output.data if isinstance(output, PackedSequence) else output, *states]


def same(one, other):
    """Whether two results are equal to the bit, NaN included."""
    pairs = list(zip(flat(one), flat(other), strict=True))
    return all(torch.equal(a.isnan(), b.isnan()) for a, b in pairs) and all(
        torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs
    )


def map_states(function, states):
    """Do something to each initial state of an LSTM, or to the one of a GRU."""
    return tuple(map(function, states)) if isinstance(states, tuple) else function(states)


def made(kind, seed=0, fast=False, loud=True, scheme="default"):
    """An int8 module of a seed; if loud, with residuals and columns that differ."""
    torch.manual_seed(seed)
    module = FLOATS[kind](*((20, 130) if kind == "linear" else (20, 37, 2))).eval()
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if loud and name.startswith("weight") and "hh" not in name:
                weight[::9] *= 50
                weight[:, ::5] /= 100
    return INT8[kind].from_float(module, fast=fast, scheme=scheme)


def given(kind):
    """An input for `made(kind)`."""
    return torch.linspace(-1, 1, 5 * 3 * 20).view(5, 3, 20).sin()


def copied(state):
    return {name: value.clone() for name, value in state.items()}


def equal_states(one, other):
    return one.keys() == other.keys() and all(
        one[key].dtype == other[key].dtype and torch.equal(one[key], other[key]) for key in one
    )


def torch_saved(state):
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def torch_loaded(state):
    return torch.load(io.BytesIO(torch_saved(state)), weights_only=True)


def relative_error(ours, exact):
    """Mean |ours - exact| / mean |exact|."""
    return float((ours - exact).abs().mean() / exact.abs().mean())


def drawn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def kinds(model):
    return {name: type(part).__name__ for name, part in model.named_modules()}


def numpy_linear(x, weight, bits, affine):
    """What `reference.py` documents, in a few lines of numpy, row by row."""
    columns = np.ones(x.shape[1]) if weight.columns is None else weight.columns.numpy()
    w, scale = weight.values.numpy().astype(np.int64), weight.scale.numpy()
    bias = np.float32(0) if weight.bias is None else weight.bias.numpy()
    results = []
    for row in x.numpy() * columns.astype(np.float32):
        if affine:
            low, high = min(float(row.min()), 0.0), max(float(row.max()), 0.0)
            exact = max((high - low) / (2**bits - 1), 2.0**-126)
            zero, step = np.rint(-low / exact), np.float32(exact)
            inverse = np.float32(1) / step
            q = np.rint((row.astype(np.float64) * inverse + zero).astype(np.float32))
            q = np.clip(q, 0, 2**bits - 1) - zero
        else:
            most = 2 ** (bits - 1) - 1
            step = max(np.abs(row).max() / np.float32(most), np.float32(2.0**-126))
            q = np.rint(row * (np.float32(1) / step))
        sums = w @ q.astype(np.int64)
        results.append(sums.astype(np.float32) * (step * scale) + bias)
    found = np.stack(results)
    if weight.residual is not None:
        rows, values, of_rows = weight.residual
        again = Int8Weight(values, of_rows, weight.columns)
        found[:, rows.numpy()] += numpy_linear(x, again, bits, affine)
    return found


def exact_run(module, *inputs):
    """What the float module gives in float64, as `flat` has it."""
    double = copy.deepcopy(module).double()
    with torch.inference_mode():
        return flat(double(*(map_states(lambda x: x.double(), x) for x in inputs)))


def torch_ao(module):
    """What torch.ao makes of a module, on the engine that the scheme "torch.ao" follows."""
    from torch.ao.quantization import quantize_dynamic

    before, torch.backends.quantized.engine = torch.backends.quantized.engine, "fbgemm"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return quantize_dynamic(nn.Sequential(module), {type(module)})[0]
    finally:
        torch.backends.quantized.engine = before


def run_python(code, *arguments, **environment):
    """Run Python code in a process of its own; it must succeed. Returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout


# -- models that are saved -------------------------------------------------------------------

X = torch.arange(30.0).reshape(5, 2, 3).sin()


class Weak(nn.Module):
    """All kinds of modules, a residual, columns that differ, and a module that stays float."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.LSTM(3, 6, 2, bidirectional=True, proj_size=4)
        self.bridge = nn.GRU(8, 5, bias=False)
        self.norm = nn.LayerNorm(5)
        self.decoder = nn.Linear(5, 70)
        with torch.no_grad():
            self.encoder.weight_ih_l0[::7] *= 50
            self.decoder.weight[:, 1] /= 100

    def forward(self, x):
        return self.decoder(self.norm(self.bridge(self.encoder(x)[0])[0]))


def reference(model):
    for part in model.modules():
        if isinstance(part, int8_rnn.Int8Module):
            part.fast = False
    return model


def same_output(one, other):
    return torch.equal(reference(one)(X), reference(other)(X))


def metadata(path):
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size])["__metadata__"]
