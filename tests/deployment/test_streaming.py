"""Streams beside whole sequences: with a model that counts, and with quantized LSTMs."""

import pytest
import torch
from torch import nn

import recipe_helpers as rh


class Summing(nn.Module):
    """The running sum of its inputs; forgets by a given amount whenever it is called."""

    def __init__(self, forget=0.0):
        super().__init__()
        self.forget = forget

    def forward(self, x, state):
        start = torch.zeros(x.shape[1:]) if state is None else state - self.forget
        sums = start + x.cumsum(0)
        return sums, sums[-1]


def test_the_state_is_carried_and_each_step_compared():
    x = torch.arange(12.0).view(6, 2)
    assert torch.equal(torch.cat(list(rh.stream(Summing(), x))), x.cumsum(0))
    same = rh.check_streaming(Summing().eval(), x)
    assert (same.steps, same.equal_steps, same.largest_difference, same.same) == (6, 6, 0.0, True)
    # The first step has no state to forget; the sixth lost five times as much.
    other = rh.check_streaming(Summing(torch.tensor([0.25, 0.5])).eval(), x)
    assert (other.equal_steps, other.largest_difference, other.same) == (1, 2.5, False)
    assert other.table().rows == [("6", "1", "2.5")]
    nearly = rh.check_streaming(Summing(torch.tensor([1e-4, 0])).eval(), x)
    assert (nearly.equal_steps, nearly.largest_difference) == (1, pytest.approx(5e-4, rel=0.1))


@pytest.mark.parametrize("layers", [1, 2])
def test_an_int8_lstm_has_the_same_bits_and_torch_ao_has_not(layers):
    demo = rh.demonstration(dimension=48, layers=layers)
    steps = torch.randn(25, 1, 48) * torch.linspace(0.1, 3, 25).view(-1, 1, 1)
    int8 = rh.quantize_dynamic(demo.model, backend="plain")
    assert rh.check_streaming(int8, steps).same
    torch_ao = rh.check_streaming(rh.quantize_dynamic(demo.model), steps)
    assert torch_ao.equal_steps < 25
    assert torch_ao.largest_difference > 1e-4


def test_what_cannot_be_streamed(refuses):
    stateless, threefold = nn.Linear(2, 2).eval(), nn.Linear(2, 2).eval()
    stateless.forward = lambda x, state: x
    threefold.forward = lambda x, state: (x, x, x)
    for model, steps, error, says in (
        (nn.Linear(2, 2).eval(), 3, rh.InputError, "inputs do not fit model"),
        (Summing().eval(), 0, rh.InputError, "steps is empty"),
        (stateless, 3, rh.InputError, "returns its output and its state"),
        (threefold, 3, rh.InputError, "returns its output and its state"),
        (Summing(), 3, rh.ModelError, "model is in training mode"),
    ):
        with refuses(error, says):
            rh.check_streaming(model, torch.ones(steps, 2))
