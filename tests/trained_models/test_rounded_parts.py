"""One part of an LSTM on the grid of torch.ao at a time, and all of them together."""

import math

import pytest
import torch
from torch import nn

from recipe_helpers.common.language import speaking
from recipe_helpers.common.settings import engine_set, seeded
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

with seeded(11):
    TWO_LAYERS, ONE_LAYER = nn.LSTM(12, 20, num_layers=2).eval(), nn.LSTM(12, 20).eval()
    INPUTS = torch.randn(15, 3, 12)


def exact(lstm, inputs):
    with torch.inference_mode():
        return lstm(inputs)[0]


def far(one, other):
    return float((one - other).abs().mean())


def test_nothing_rounded_is_nn_lstm_and_each_part_alone_costs_something():
    expected = exact(TWO_LAYERS, INPUTS)
    assert torch.allclose(fake_quantized(TWO_LAYERS, INPUTS, []), expected, atol=1e-6)
    most = float((fake_quantized(TWO_LAYERS, INPUTS) - expected).abs().max())
    for part in PARTS:
        assert 1e-5 < far(fake_quantized(TWO_LAYERS, INPUTS, [part]), expected) < most


SIGNED = torch.rand(15, 3, 12, generator=torch.Generator().manual_seed(0)) + 2


@pytest.mark.parametrize(
    "engine", [e for e in torch.backends.quantized.supported_engines if e in ("x86", "qnnpack")]
)
@pytest.mark.parametrize(
    ("lstm", "inputs"),
    [(TWO_LAYERS, INPUTS), (ONE_LAYER, SIGNED), (ONE_LAYER, -SIGNED)],
    ids=["both signs", "above zero", "below zero"],
)
def test_everything_rounded_is_torch_ao(lstm, inputs, engine):
    """As torch.ao has it, zero is a point of every grid."""
    with engine_set(engine):
        expected = exact(quantize_dynamic(nn.Sequential(lstm).eval()), inputs)
        found = fake_quantized(lstm, inputs)
    # Far below the rounding error itself; a tie may still fall the other way on another machine.
    assert far(found, expected) < 1e-5
    assert far(found, exact(lstm, inputs)) > 1e-4


def test_weights_on_the_grid_already_lose_nothing():
    lstm, grid = nn.LSTM(12, 20).eval(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in (lstm.weight_ih_l0, lstm.weight_hh_l0):
            weight.copy_(torch.randint(-127, 128, weight.shape, generator=grid) / 512)
            weight[0, 0] = 127.5 / 512  # the largest, so that a step is 1/512
        rounded = fake_quantized(lstm, INPUTS, ["weights"])
        lstm.weight_ih_l0[0, 0] = lstm.weight_hh_l0[0, 0] = 127 / 512  # what fits into int8
        assert torch.allclose(rounded, exact(lstm, INPUTS), atol=1e-6)


def test_inputs_on_the_grid_already_lose_nothing():
    levels = torch.randint(-30, 31, (15, 3, 12), generator=torch.Generator().manual_seed(2))
    levels[0, 0, :2] = torch.tensor([-60, 67])  # 127 steps from the smallest to the largest
    inputs = levels / 16
    # One layer: a second one reads hidden states.
    found = fake_quantized(ONE_LAYER, inputs, ["inputs"])
    assert torch.allclose(found, exact(ONE_LAYER, inputs), atol=1e-5)


def test_the_hidden_state_is_rounded_from_the_second_step_on():
    found = fake_quantized(TWO_LAYERS, INPUTS[:2], ["hidden state"])
    expected = exact(TWO_LAYERS, INPUTS[:2])
    assert torch.allclose(found[0], expected[0], atol=1e-6)
    assert not torch.allclose(found[1], expected[1], atol=1e-6)


def test_sensitivity_names_every_part_and_puts_the_noise_in_decibels():
    sensitivity = sensitivity_by_part({"small": (TWO_LAYERS, INPUTS)})
    found = sensitivity.sqnr_db["small"]
    assert tuple(found) == (*PARTS, ALL, MEASURED)
    reference = exact(TWO_LAYERS, INPUTS).double()
    for part in PARTS:
        noise = fake_quantized(TWO_LAYERS, INPUTS, [part]).double() - reference
        assert found[part] == pytest.approx(20 * math.log10(reference.norm() / noise.norm()))
    assert found[ALL] == pytest.approx(found[MEASURED], abs=0.5)
    assert tuple(sensitivity.table().headers) == ("rounded", "small")
    with speaking("ko"):  # a reader's own LSTM keeps its name
        said = str(Sensitivity({"weights": found, "language model": found})).splitlines()[0]
    assert "weights" in said
    assert "언어 모델" in said


@pytest.mark.parametrize(
    ("steps", "bins", "ranges"), [(2, 20, 1), (7, 20, 6), (2000, 20, 19), (100, 2, 2)]
)
def test_positions_cover_every_step_once(steps, bins, ranges):
    # The error equals the step here, so that a mean over a range is the middle of the range.
    found = error_by_position(StepErrors(tuple(float(s) for s in range(1, steps + 1))), bins)
    assert [error for _, error in found] == pytest.approx([position for position, _ in found])
    edges = [0.0]
    for position, _ in found:
        edges.append(2 * position - 1 - edges[-1])
    assert edges == sorted(set(edges))
    assert (edges[-1], len(found)) == (steps, ranges)
