"""The opening: numbers on a grid, checked against the same arithmetic in numpy and float64."""

import numpy as np
import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common import settings
from recipe_helpers.recipe import rounding

NUMBERS = torch.tensor([0.31, -1.27, 0.006, 0.84, -0.558])
LEVELS = {"x86": 127, "fbgemm": 127, "qnnpack": 255}  # 7 bits on the x86 engines, 8 on qnnpack
ENGINES = [e for e in LEVELS if e in torch.backends.quantized.supported_engines]


def assert_is(found, numbers, scale=None):
    """The grid of these numbers, in numpy's float64."""
    values = numbers.numpy().astype(np.float64)
    scale = np.abs(values).max() / 127 if scale is None else scale
    integers = np.clip(np.rint(values / scale), -127, 127)
    errors = integers * scale - values
    assert found.scale == pytest.approx(scale)
    assert np.array_equal(found.integers.numpy(), integers)
    assert found.errors.numpy() == pytest.approx(errors, abs=1e-5)
    assert found.relative == pytest.approx(np.abs(errors).mean() / np.abs(values).mean(), rel=1e-4)


def test_the_recipes_five_numbers():
    found = rh.round_to_grid(NUMBERS)
    assert found.integers.tolist() == [31, -127, 1, 84, -56]
    assert found.integers.dtype == torch.int8
    assert found.restored.tolist() == pytest.approx([0.31, -1.27, 0.01, 0.84, -0.56])
    table = found.table()
    assert table.caption == "scale 0.0100, half a step 0.0050"
    assert table.headers == ("number", "integer", "integer x scale", "rounding error")
    assert table.rows[2] == ("0.0060", "1", "0.0100", "+0.0040")
    assert len(table.rows) == 5
    assert rh.round_to_grid(torch.zeros(3), 0.1).integers.tolist() == [0, 0, 0]


@pytest.mark.parametrize("scale", [None, 0.04, 0.005])
def test_it_is_the_arithmetic_of_numpy(scale, untouched):
    numbers = torch.randn(400)
    with untouched():
        found = rh.round_to_grid(numbers, scale)
    assert_is(found, numbers, scale)
    beyond = numbers.abs() > 127 * found.scale
    assert bool(beyond.any()) == (scale == 0.005)
    assert float(found.errors[~beyond].abs().max()) <= found.scale / 2 * 1.0001


def test_each_batch_meets_the_fixed_scale_and_its_own(untouched):
    loud, quiet = torch.randn(300), 0.01 * torch.randn(300)
    with untouched():
        found = rh.compare_scales(loud * 2, {"loud": loud, "quiet": quiet})
    fixed = float((loud * 2).abs().max()) / 127
    for batch, numbers in zip(found.batches, (loud, quiet), strict=True):
        assert_is(batch.fixed, numbers, fixed)
        assert_is(batch.dynamic, numbers)
    assert [batch.name for batch in found.batches] == ["loud", "quiet"]
    batch = found.batches[1]
    assert found.table().rows[1] == (
        "quiet", f"{float(quiet.abs().max()):.3g}", f"{fixed:.3g}", f"{batch.fixed.relative:.1%}",
        f"{batch.dynamic.scale:.3g}", f"{batch.dynamic.relative:.1%}",
    )  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (-0.02, 0.01), (2.0, 5.0), (-8.0, -1.0)])
def test_the_step_of_an_activation_follows_its_range(low, high, engine, untouched):
    """The range holds zero."""
    with settings.engine_set(engine), untouched():
        found = rh.activation_step(torch.linspace(low, high, 700))
    assert found.range == pytest.approx(max(high, 0) - min(low, 0))
    assert found.step == pytest.approx(found.range / LEVELS[engine], rel=1e-3)
    assert found.levels == pytest.approx(LEVELS[engine], rel=1e-3)


class Jitters(nn.Module):
    """Vector code and the loop for what is left over may round one grid point differently."""

    def __init__(self, model):
        super().__init__()
        self.quantized = rh.quantize_dynamic(model)

    def forward(self, inputs):
        outputs = self.quantized(inputs)
        outputs[::2] *= 1 + 2**-22
        return outputs


def test_a_gap_between_numbers_and_a_difference_in_the_last_digits_are_no_step(monkeypatch):
    numbers = torch.cat([torch.linspace(-1, 1, 600), torch.tensor([3.0])])
    assert round(rh.activation_step(numbers).levels) in LEVELS.values()
    monkeypatch.setattr(rounding, "quantize_dynamic", Jitters)
    found = rh.activation_step(torch.linspace(-1, 3, 700))
    assert found.levels == pytest.approx(round(found.levels), rel=1e-3)
    assert round(found.levels) in LEVELS.values()
