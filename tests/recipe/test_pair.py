"""The recipe's pair of models, made alike by every sweep, and the names that widths had before."""

import pytest
import torch

import recipe_helpers as rh
from recipe_helpers.recipe.pair import Point, Sweep, make_pair, sweep


def test_a_pair_is_the_recipe_in_fp32_and_int8(untouched):
    sizes = {"width": 6, "layers": 2, "sequence_length": 5, "batch_size": 3, "seed": 4}
    with untouched():
        pair = make_pair(weights="per-channel", **sizes)
    demo = rh.demonstration(**sizes)
    made, expected = pair.model.state_dict(), demo.model.state_dict()
    torch.testing.assert_close(dict(made), dict(expected), rtol=0, atol=0)
    torch.testing.assert_close(pair.arguments, demo.arguments, rtol=0, atol=0)
    assert pair.both == (pair.model, pair.quantized, *pair.arguments)
    first = rh.stored_weights(pair.quantized)[0]
    assert torch.allclose(first.dequantized(), demo.model.lstm.weight_ih_l0, atol=0.01)
    assert first.scales.numel() == 24
    assert pair.parameters == sum(p.numel() for p in demo.model.parameters())
    assert pair.macs == 5 * 3 * 2 * (24 * 6 + 24 * 6)


@pytest.mark.parametrize("engine", ["qnnpack", "onednn"])
def test_the_engine_reaches_the_quantizer(engine):
    if engine in torch.backends.quantized.supported_engines:
        pair = make_pair(engine=engine)
        expected = rh.quantize_dynamic(pair.model, engine=engine)(*pair.arguments)[0]
        assert torch.equal(pair.quantized(*pair.arguments)[0], expected)


def test_a_sweep_measures_the_pair_of_each_width(refuses):
    points = sweep(iter([4, 12]), lambda pair: pair, batch_size=5, backend="plain")
    for width, point in zip((4, 12), points, strict=True):
        products = 2 * 4 * width * width
        assert (point.width, point.dimension) == (width, width)
        assert (point.macs, point.parameters) == (20 * 5 * products, products + 2 * 4 * width)
        assert isinstance(point.comparison.quantized.lstm, rh.Int8LSTM)
        assert point.comparison.arguments[0].shape == (20, 5, width)
    found = Sweep((Point(4, 1, 2, "a"), Point(12, 3, 4, "b")))
    assert found.widths == found.dimensions == (4, 12)
    assert found.at(12) is found.points[1]
    with refuses(rh.ArgumentError, "width is 8; the sweep has [4, 12]"):
        found.at(8)


def test_the_names_of_before_still_stand_for_width():
    assert torch.equal(rh.demonstration(width=6).inputs, rh.demonstration(dimension=6).inputs)
    assert rh.LSTMModel(input_dimension=3, dimension=5).lstm.weight_ih_l0.shape == (20, 3)
    assert rh.size_sweep(dimensions=[4]) == rh.size_sweep([4])
    for measure in (rh.latency_sweep, rh.memory_sweep, rh.measure_ledger):
        with pytest.raises(rh.ArgumentError, match="widths is empty"):
            measure(dimensions=[])
    with pytest.raises(rh.ArgumentError, match="width is 0"):
        rh.step_costs(dimension=0)
