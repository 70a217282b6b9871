"""What the checks compare with: computed here once more, by none of the helpers that solve tasks.

Numbers are rounded in NumPy and in float64, files are written by `torch.save`, and torch.ao is
called as PyTorch documents it.
"""

from __future__ import annotations

import copy
import io
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..common import settings
from ..recipe.model import working_engine
from .verdicts import WrongAnswer

Array = np.ndarray


def file_bytes(model: nn.Module) -> int:
    """How long the file of a state dict is."""
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return len(buffer.getvalue())


def torch_ao_copy(model: nn.Module) -> nn.Module:
    """The model quantized by PyTorch's own call."""
    with (
        settings.deprecations_silenced(),
        settings.engine_set(working_engine()),
        torch.random.fork_rng(devices=[]),
    ):
        try:
            from torch.ao.quantization import quantize_dynamic
        except ImportError:
            raise WrongAnswer(
                "This exercise is about torch.ao.quantization, which PyTorch {version} no longer "
                "has: it cannot be checked here.",
                version=torch.__version__,
            ) from None
        return quantize_dynamic(model, {nn.LSTM, nn.Linear}, dtype=torch.qint8)


def relative_error(outputs: Tensor, exact: Tensor) -> float:
    """Mean |difference| / mean |exact|."""
    return float((outputs.double() - exact.double()).abs().mean() / exact.double().abs().mean())


def in_float64(lstm: nn.LSTM, inputs: Tensor) -> Tensor:
    """The outputs of an LSTM, computed in float64."""
    with torch.inference_mode():
        return copy.deepcopy(lstm).double()(inputs.double())[0]


def rounded_alone(lstm: nn.LSTM, inputs: Tensor) -> dict[str, float]:
    """The error of the outputs where one matrix is put on an int8 grid and all else is exact."""
    exact, errors = in_float64(lstm, inputs), {}
    for name, weight in lstm.named_parameters():
        if weight.ndim == 2:
            changed = copy.deepcopy(lstm).double()
            values = weight.detach().double()
            scale = values.abs().max() / 127
            with torch.no_grad():
                changed.get_parameter(name).copy_((values / scale).round() * scale)
                errors[name] = relative_error(changed(inputs.double())[0], exact)
    return errors


# --- one step of a dynamically quantized LSTM, in NumPy -----------------------------------------


@dataclass(frozen=True)
class How:
    """How a step is computed; every field but its default is a mistake that can be recognized."""

    levels: int = 127  # of the activations; 0 for none: nothing is rounded
    zero_point: bool = True  # whether the correction for it is made
    recurrent: bool = True  # whether the hidden state is rounded as well
    weights: bool = True  # whether the weights are rounded
    largest: float = 127.5  # what the largest weight stands for
    biases: int = 2  # how many of the two are added
    gates: str = "ifgo"  # the order in which the rows of a matrix are read


def _affine(values: Array, levels: int) -> tuple[Array, float, int]:
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    scale = (high - low) / levels or 1.0
    zero = round(-low / scale)
    return np.clip(np.rint(values / scale + zero), 0, levels).astype(np.int64), scale, zero


def _product(values: Array, weight: Array, how: How, rounded: bool) -> Array:
    """Values (batch, K) times weight (N, K), in int64 where both are rounded."""
    if not how.levels or not rounded:
        return values @ weight.T
    scale_w = np.abs(weight).max() / how.largest
    integers_w = np.clip(np.rint(weight / scale_w), -128, 127).astype(np.int64)
    integers, scale, zero = _affine(values, how.levels)
    if not how.weights:
        return (integers - zero) * scale @ weight.T
    sums = integers @ integers_w.T
    if how.zero_point:
        sums -= zero * integers_w.sum(axis=1)
    return sums * (scale * scale_w)


def lstm_step(
    lstm: nn.LSTM, x: Tensor, hidden: Tensor, cell: Tensor, how: How
) -> tuple[Array, Array]:
    """The next hidden and cell state (batch, width), in float64, of one step of one layer."""
    w_ih, w_hh, b_ih, b_hh = (p.detach().double().numpy() for p in lstm.all_weights[0])
    inputs, h, c = (part.detach().double().numpy() for part in (x, hidden, cell))
    sums = _product(inputs, w_ih, how, True) + _product(h, w_hh, how, how.recurrent)
    sums += (b_ih if how.biases else 0) + (b_hh if how.biases > 1 else 0)
    gates = dict(zip(how.gates, np.split(sums, 4, axis=1), strict=True))
    i, f, o = (1 / (1 + np.exp(-gates[name])) for name in "ifo")
    c = f * c + i * np.tanh(gates["g"])
    return o * np.tanh(c), c
