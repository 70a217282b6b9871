"""Section 2: what the call changed, and what a quantized module stores."""

import numpy as np
import pytest
import torch
from torch import nn

import recipe_helpers as rh


class MyLSTM(nn.LSTM):
    pass


class Tagger(nn.Module):
    """One of each: converted, left alone for five reasons, and parameters of its own."""

    def __init__(self):
        super().__init__()
        self.start = nn.Parameter(torch.zeros(5))
        self.embedding = nn.Embedding(10, 4)
        self.mine = MyLSTM(4, 4)
        self.body = nn.Sequential(nn.LSTM(4, 6, 2), nn.Sequential(nn.Linear(6, 3)))
        self.norm = nn.LayerNorm(6)
        self.gru = nn.GRUCell(6, 6)
        self.relu = nn.ReLU()


@pytest.fixture
def tagger():
    return Tagger().eval()


def test_each_module_is_told_converted_or_why_not(tagger, untouched):
    quantized = rh.quantize_dynamic(tagger)
    with untouched():
        found = rh.converted_modules(tagger, quantized)
    assert [(c.name, c.before, c.after) for c in found.converted] == [
        ("body.0", "LSTM", "DynamicQuantizedLSTM"),
        ("body.1.0", "Linear", "DynamicQuantizedLinear"),
    ]
    left = {x.name: x for x in found.left_alone}
    assert list(left) == ["", "embedding", "mine", "norm", "gru"]
    counts = [x.parameters for x in left.values()]
    assert counts == [5, 40, 4 * 4 * (4 + 4 + 2), 12, 3 * 6 * (6 + 6 + 2)]
    assert [x.kind for x in left.values()] == [
        "Tagger",
        "Embedding",
        "MyLSTM",
        "LayerNorm",
        "GRUCell",
    ]
    words = ["of its own", "look-up table", "subclass of nn.LSTM", "nn.LayerNorm", "GRUCell to mod"]
    for word, entry in zip(words, left.values(), strict=True):
        assert word in entry.reason


def test_the_table_names_what_was_converted_first(tagger):
    quantized = rh.quantize_dynamic(tagger)
    rows = rh.converted_modules(tagger, quantized).table().rows
    assert rows[0] == ("body.0", "LSTM", "DynamicQuantizedLSTM", "converted")
    assert [row[3] == "converted" for row in rows] == [True, True] + [False] * 5
    assert rows[2][:3] == ("(the model)", "Tagger", "Tagger")


def test_nothing_changed_is_told_as_such(demo):
    found = rh.converted_modules(demo.model, demo.model)
    assert found.converted == ()
    assert [x.name for x in found.left_alone] == ["lstm"]


def test_torch_converts_only_the_first_name_of_a_shared_module_and_we_say_so():
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.ReLU(), shared).eval()
    found = rh.converted_modules(model, rh.quantize_dynamic(model))
    assert [c.name for c in found.converted] == ["0"]
    (left,) = found.left_alone
    assert (left.name, left.kind, left.parameters) == ("2", "Linear", 20)
    assert "the same module under another name" in left.reason


def by_hand(weight):
    """torch.ao's int8 weights in float64: one symmetric scale, 255 steps over the range."""
    values = weight.detach().numpy().astype(np.float64)
    scale = np.abs(values).max() / 127.5
    return np.clip(np.rint(values / scale), -128, 127), scale


@pytest.mark.parametrize("engine", ["x86", "qnnpack"])
def test_stored_weights_are_what_arithmetic_gives(engine, untouched):
    if engine not in torch.backends.quantized.supported_engines:
        engine = None
    demo = rh.demonstration(dimension=12, layers=2)
    quantized = rh.quantize_dynamic(demo.model, engine=engine)
    with untouched():
        stored = rh.stored_weights(quantized)
    originals = dict(demo.model.named_parameters())
    names = [f"lstm.weight_{part}_l{layer}" for layer in (0, 1) for part in ("ih", "hh")]
    assert sorted(w.name for w in stored) == sorted(names)
    for weight in stored:
        original = originals[weight.name]
        integers, scale = by_hand(original)
        assert weight.dtype == weight.integers.dtype == torch.int8
        assert weight.integers.shape == original.shape
        assert weight.scales.tolist() == pytest.approx([scale], rel=1e-6)
        # A tie between two integers may fall either way.
        assert np.mean(weight.integers.numpy() == integers) > 0.995
        error = (weight.dequantized() - original).detach().abs().max()
        assert scale * 0.4 < float(error) <= scale / 2 * (1 + 1e-5)


def test_a_linear_layer_keeps_its_weight_too():
    model = nn.ModuleDict({"head": nn.Linear(6, 3)}).eval()
    (weight,) = rh.stored_weights(rh.quantize_dynamic(model))
    assert weight.name == "head.weight"
    assert np.array_equal(weight.integers.numpy(), by_hand(model["head"].weight)[0])
    assert torch.equal(weight.dequantized(), weight.integers.float() * weight.scales)


def test_each_row_has_its_scale_where_they_are_per_channel():
    model = nn.Sequential(nn.Linear(6, 3), nn.LSTM(3, 2)).eval()
    with torch.no_grad():
        model[0].weight[1] *= 100  # an outlier row
    stored = rh.stored_weights(rh.quantize_dynamic(model, weights="per-channel"))
    originals = [model[0].weight, model[1].weight_ih_l0, model[1].weight_hh_l0]
    assert [len(weight.scales) for weight in stored] == [3, 8, 8]
    for weight, original in zip(stored, originals, strict=True):
        largest = original.detach().abs().amax(dim=1)
        assert torch.allclose(weight.scales, largest / 127.5, rtol=1e-3)
        error = (weight.dequantized() - original).abs()
        assert bool((error <= weight.scales[:, None] * 0.501).all())


def test_a_float_model_stores_none(demo):
    assert rh.stored_weights(demo.model) == ()
    assert list(rh.quantize_dynamic(demo.model).parameters()) == []
