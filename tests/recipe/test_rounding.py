"""The opening: numbers on a grid, checked against the same arithmetic in numpy and float64."""

import numpy as np
import pytest
import torch

import recipe_helpers as rh
from recipe_helpers.recipe import rounding

NUMBERS = torch.tensor([0.31, -1.27, 0.006, 0.84, -0.558])
X86 = [e for e in ("x86", "fbgemm") if e in torch.backends.quantized.supported_engines]


def by_hand(numbers, scale=None):
    values = numbers.numpy().astype(np.float64)
    scale = np.abs(values).max() / 127 if scale is None else scale
    integers = np.clip(np.rint(values / scale), -127, 127)
    return scale, integers, integers * scale - values


def test_the_recipes_five_numbers():
    found = rh.round_to_grid(NUMBERS)
    assert found.scale == pytest.approx(0.01)
    assert found.integers.tolist() == [31, -127, 1, 84, -56]
    assert found.integers.dtype == torch.int8
    assert found.restored.tolist() == pytest.approx([0.31, -1.27, 0.01, 0.84, -0.56])
    assert found.errors.tolist() == pytest.approx([0, 0, 0.004, 0, -0.002], abs=1e-6)
    assert found.relative == pytest.approx(0.006 / (0.31 + 1.27 + 0.006 + 0.84 + 0.558), rel=1e-4)


@pytest.mark.parametrize("scale", [None, 0.04, 0.005])
def test_it_is_the_arithmetic_of_numpy(scale, untouched):
    numbers = torch.randn(400)
    with untouched():
        found = rh.round_to_grid(numbers, scale)
    step, integers, errors = by_hand(numbers, scale)
    assert found.numbers is numbers
    assert found.scale == pytest.approx(step)
    assert np.array_equal(found.integers.numpy(), integers)
    assert found.errors.numpy() == pytest.approx(errors, abs=1e-5)
    relative = np.abs(errors).mean() / np.abs(numbers.double().numpy()).mean()
    assert found.relative == pytest.approx(relative, rel=1e-4)
    beyond = numbers.abs() > 127 * step
    assert (int(beyond.sum()) > 0) == (scale == 0.005)
    assert bool((found.integers[beyond].abs() == 127).all())
    assert float(found.errors[~beyond].abs().max()) <= step / 2 * 1.0001


def test_a_rounding_as_a_table():
    table = rh.round_to_grid(NUMBERS).table()
    assert table.caption == "scale 0.0100, half a step 0.0050"
    assert table.headers == ("number", "integer", "integer x scale", "rounding error")
    assert table.rows[2] == ("0.0060", "1", "0.0100", "+0.0040")
    assert len(table.rows) == 5


BAD_NUMBERS = [
    [0.1, 0.2],
    None,
    torch.tensor([]),
    torch.ones(2, 2),
    torch.tensor(1.0),
    torch.tensor([1, 2]),
    torch.ones(3, dtype=torch.float64),
    torch.ones(3, dtype=torch.bfloat16),
    torch.ones(3, device="meta"),
    torch.tensor([1.0, float("nan")]),
    torch.tensor([1.0, float("inf")]),
]


def test_zeros_have_no_scale_of_their_own(refuses):
    zeros = torch.zeros(3)
    with refuses(rh.ArgumentError, "numbers unlike 0"):
        rh.round_to_grid(zeros)
    assert rh.round_to_grid(zeros, 0.1).integers.tolist() == [0, 0, 0]


def test_each_batch_meets_the_fixed_scale_and_its_own(untouched):
    loud, quiet = torch.randn(300), 0.01 * torch.randn(300)
    with untouched():
        found = rh.compare_scales(loud * 2, {"loud": loud, "quiet": quiet})
    assert [batch.name for batch in found.batches] == ["loud", "quiet"]
    fixed = float((loud * 2).abs().max()) / 127
    for batch, numbers in zip(found.batches, (loud, quiet), strict=True):
        _, with_fixed, _ = by_hand(numbers, fixed)
        own, with_own, _ = by_hand(numbers)
        assert batch.fixed.scale == pytest.approx(fixed)
        assert batch.dynamic.scale == pytest.approx(own)
        assert np.array_equal(batch.fixed.integers.numpy(), with_fixed)
        assert np.array_equal(batch.dynamic.integers.numpy(), with_own)
    assert found.batches[1].fixed.relative > 20 * found.batches[1].dynamic.relative
    row = found.table().rows[1]
    quiet_batch = found.batches[1]
    assert row == (
        "quiet",
        f"{float(quiet.abs().max()):.3g}",
        f"{fixed:.3g}",
        f"{quiet_batch.fixed.relative:.1%}",
        f"{quiet_batch.dynamic.scale:.3g}",
        f"{quiet_batch.dynamic.relative:.1%}",
    )


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (-0.02, 0.01), (2.0, 5.0), (-8.0, -1.0)])
def test_the_step_of_an_activation_follows_its_range(low, high, untouched):
    """The range holds zero; 7 bits on the x86 engines, 8 on qnnpack."""
    batch = torch.linspace(low, high, 700)
    span = max(high, 0) - min(low, 0)
    before = torch.backends.quantized.engine
    for engine, levels in [*((e, 127) for e in X86), ("qnnpack", 255)]:
        if engine not in torch.backends.quantized.supported_engines:
            continue
        torch.backends.quantized.engine = engine
        try:
            with untouched():
                found = rh.activation_step(batch)
        finally:
            torch.backends.quantized.engine = before
        assert found.range == pytest.approx(span)
        assert found.step == pytest.approx(span / levels, rel=1e-3)
        assert found.levels == pytest.approx(levels, rel=1e-3)


def test_a_difference_in_the_last_digits_is_no_step(monkeypatch):
    """Vector code and the loop for what is left over may round one grid point differently."""

    class Jitters(torch.nn.Module):
        def __init__(self, quantized):
            super().__init__()
            self.quantized = quantized

        def forward(self, inputs):
            outputs = self.quantized(inputs)
            outputs[::2] *= 1 + 2**-22
            return outputs

    monkeypatch.setattr(rounding, "quantize_dynamic", lambda m: Jitters(rh.quantize_dynamic(m)))
    found = rh.activation_step(torch.linspace(-1, 3, 700))
    assert found.levels == pytest.approx(round(found.levels), rel=1e-3)
    assert round(found.levels) in (127, 255)
