"""One part of an LSTM on the grid of torch.ao at a time, and all of them together."""

import math

import pytest
import torch
from torch import nn

from recipe_helpers.common.language import speaking
from recipe_helpers.recipe.accuracy import StepErrors
from recipe_helpers.recipe.quantize import quantize_dynamic
from recipe_helpers.trained_models.rounded_parts import (
    ALL,
    MEASURED,
    PARTS,
    Sensitivity,
    error_by_position,
    fake_quantized,
    sensitivity_by_part,
)


@pytest.fixture
def lstm():
    torch.manual_seed(11)
    return nn.LSTM(12, 20, num_layers=2).eval()


@pytest.fixture
def inputs():
    torch.manual_seed(12)
    return torch.randn(15, 3, 12)


def exact(lstm, inputs):
    with torch.inference_mode():
        return lstm(inputs)[0]


def test_nothing_rounded_is_nn_lstm(lstm, inputs):
    assert torch.allclose(fake_quantized(lstm, inputs, []), exact(lstm, inputs), atol=1e-6)


def test_everything_rounded_is_torch_ao(lstm, inputs):
    with torch.inference_mode():
        expected = quantize_dynamic(nn.Sequential(lstm).eval())(inputs)[0]
    found = fake_quantized(lstm, inputs)
    # Far below the rounding error itself; a tie may still fall the other way on another machine.
    assert float((found - expected).abs().mean()) < 1e-5
    assert float((found - exact(lstm, inputs)).abs().mean()) > 1e-4


def test_weights_on_the_grid_already_lose_nothing(inputs):
    lstm = nn.LSTM(12, 20).eval()
    grid = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in (lstm.weight_ih_l0, lstm.weight_hh_l0):
            weight.copy_(torch.randint(-127, 128, weight.shape, generator=grid) / 512)
            weight[0, 0] = 127.5 / 512  # the largest, so that a step is 1/512
    rounded = fake_quantized(lstm, inputs, ["weights"])
    with torch.no_grad():
        lstm.weight_ih_l0[0, 0] = lstm.weight_hh_l0[0, 0] = 127 / 512  # what fits into int8
    assert torch.allclose(rounded, exact(lstm, inputs), atol=1e-6)


def test_inputs_on_the_grid_already_lose_nothing(lstm):
    lstm = nn.LSTM(12, 20).eval()  # one layer: a second one reads hidden states
    levels = torch.randint(-30, 31, (15, 3, 12), generator=torch.Generator().manual_seed(2))
    levels[0, 0, :2] = torch.tensor([-60, 67])  # 127 steps from the smallest to the largest
    inputs = levels / 16
    assert torch.allclose(fake_quantized(lstm, inputs, ["inputs"]), exact(lstm, inputs), atol=1e-5)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_alone_costs_something(lstm, inputs, part):
    found = fake_quantized(lstm, inputs, [part])
    error = float((found - exact(lstm, inputs)).abs().mean())
    assert 1e-5 < error < float((fake_quantized(lstm, inputs) - exact(lstm, inputs)).abs().max())


def test_the_grid_of_inputs_of_one_sign_reaches_to_zero():
    """As torch.ao has it: zero is a point of every grid."""
    lstm = nn.LSTM(12, 20).eval()
    for inputs in (2 + torch.rand(15, 3, 12), -2 - torch.rand(15, 3, 12)):
        with torch.inference_mode():
            expected = quantize_dynamic(nn.Sequential(lstm).eval())(inputs)[0]
        assert float((fake_quantized(lstm, inputs) - expected).abs().mean()) < 1e-5


def test_the_hidden_state_is_rounded_from_the_second_step_on(lstm):
    inputs = torch.randn(2, 1, 12)
    found, expected = fake_quantized(lstm, inputs, ["hidden state"]), exact(lstm, inputs)
    assert torch.allclose(found[0], expected[0], atol=1e-6)
    assert not torch.allclose(found[1], expected[1], atol=1e-6)


def test_sensitivity_names_every_part_and_puts_the_noise_in_decibels(lstm, inputs):
    found = sensitivity_by_part({"small": (lstm, inputs)})
    assert set(found.sqnr_db["small"]) == {*PARTS, ALL, MEASURED}
    reference = exact(lstm, inputs).double()
    noise = fake_quantized(lstm, inputs, ["weights"]).double() - reference
    expected = 20 * math.log10(float(reference.norm() / noise.norm()))
    assert found.sqnr_db["small"]["weights"] == pytest.approx(expected)
    assert found.sqnr_db["small"][ALL] == pytest.approx(found.sqnr_db["small"][MEASURED], abs=0.5)
    assert found.sqnr_db["small"][ALL] < min(found.sqnr_db["small"][part] for part in PARTS) + 1
    assert tuple(found.table().headers) == ("rounded", "small")


@pytest.mark.parametrize("steps", [2, 7, 100, 2000])
def test_positions_cover_every_step_once(steps):
    relatives = tuple(float(step) for step in range(1, steps + 1))
    found = error_by_position(StepErrors(relatives))
    positions = [position for position, _ in found]
    assert positions == sorted(set(positions))
    # The error equals the step here, so that a mean over a range is the middle of the range.
    assert all(error == pytest.approx(position) for position, error in found)
    edges = [0.0]
    for position in positions:
        edges.append(2 * position - 1 - edges[-1])
    assert edges[-1] == steps


def test_in_korean_a_readers_own_lstm_keeps_its_name():
    found = dict.fromkeys((*PARTS, ALL, MEASURED), 40.0)
    with speaking("ko"):
        said = str(Sensitivity({"weights": found, "language model": found})).splitlines()[0]
    assert "weights" in said
    assert "언어 모델" in said
