"""Section 2: what the call changed, and what a quantized module stores."""

import numpy as np
import pytest
import torch
from torch import nn

import recipe_helpers as rh

ENGINES = [e for e in ("x86", "qnnpack") if e in torch.backends.quantized.supported_engines]


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


def test_each_module_is_told_converted_or_why_not(untouched):
    tagger = Tagger().eval()
    quantized = rh.quantize_dynamic(tagger)
    with untouched():
        found = rh.converted_modules(tagger, quantized)
    done = [(c.name, c.before, c.after) for c in found.converted]
    assert done == [
        ("body.0", "LSTM", "DynamicQuantizedLSTM"),
        ("body.1.0", "Linear", "DynamicQuantizedLinear"),
    ]
    expected = [
        ("", "Tagger", 5, "of its own"),
        ("embedding", "Embedding", 40, "look-up table"),
        ("mine", "MyLSTM", 4 * 4 * (4 + 4 + 2), "subclass of nn.LSTM"),
        ("norm", "LayerNorm", 12, "nn.LayerNorm"),
        ("gru", "GRUCell", 3 * 6 * (6 + 6 + 2), "GRUCell to mod"),
    ]
    for left, (name, kind, parameters, why) in zip(found.left_alone, expected, strict=True):
        assert (left.name, left.kind, left.parameters) == (name, kind, parameters)
        assert why in left.reason
    table = found.table()
    assert table.headers == ("module", "from", "to", "why")
    assert table.rows == [
        *((*row, "converted") for row in done),
        *((x.name or "(the model)", x.kind, x.kind, x.reason) for x in found.left_alone),
    ]


def test_a_model_that_is_itself_converted_or_not():
    lstm = nn.LSTM(4, 4).eval()
    found = rh.converted_modules(lstm, rh.quantize_dynamic(lstm, backend="plain"))
    assert [(c.name, c.before, c.after) for c in found.converted] == [("", "LSTM", "Int8LSTM")]
    assert found.left_alone == ()
    assert found.table().rows == [("(the model)", "LSTM", "Int8LSTM", "converted")]
    plain = nn.Sequential(nn.Linear(4, 4), nn.RNN(4, 4)).eval()
    found = rh.converted_modules(plain, rh.quantize_dynamic(plain, backend="plain"))
    assert "only nn.LSTM, nn.GRU and nn.Linear have an int8 version" in found.left_alone[0].reason
    same = rh.converted_modules(lstm, lstm)
    assert (same.converted, [x.name for x in same.left_alone]) == ((), [""])
    assert "wrap it in one" in same.left_alone[0].reason
    small = rh.quantize_dynamic(plain)
    again = rh.converted_modules(small, small)
    assert again.converted == (), "it was quantized before"


def test_torch_converts_only_the_first_name_of_a_shared_module_and_we_say_so():
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.ReLU(), shared).eval()
    found = rh.converted_modules(model, rh.quantize_dynamic(model))
    assert [c.name for c in found.converted] == ["0"]
    (left,) = found.left_alone
    assert (left.name, left.kind, left.parameters) == ("2", "Linear", 20)
    assert left.reason == "the same module under another name: only 0 was converted"


def test_a_name_that_begins_like_a_converted_one_is_another_module():
    parts = [nn.ReLU(), nn.Linear(4, 4), *(nn.ReLU() for _ in range(8)), nn.LayerNorm(4)]
    model = nn.Sequential(*parts).eval()
    found = rh.converted_modules(model, rh.quantize_dynamic(model))
    assert [c.name for c in found.converted] == ["1"]
    assert [x.name for x in found.left_alone] == ["10"]


def by_hand(weight):
    """torch.ao's int8 weights in float64: one symmetric scale, 255 steps over the range."""
    values = weight.detach().numpy().astype(np.float64)
    scale = np.abs(values).max() / 127.5
    return np.clip(np.rint(values / scale), -128, 127), scale


@pytest.mark.parametrize("engine", ENGINES)
def test_stored_weights_are_what_arithmetic_gives(engine, untouched):
    torch.manual_seed(1)
    model = nn.ModuleDict({"body": nn.LSTM(12, 12, 2), "head": nn.Linear(6, 3)}).eval()
    quantized = rh.quantize_dynamic(model, engine=engine)
    with untouched():
        stored = rh.stored_weights(quantized)
    originals = dict(model.named_parameters())
    names = [f"body.weight_{part}_l{layer}" for layer in (0, 1) for part in ("ih", "hh")]
    assert [w.name for w in stored] == [*names, "head.weight"]
    for weight in stored:
        original = originals[weight.name]
        integers, scale = by_hand(original)
        assert weight.dtype == weight.integers.dtype == torch.int8
        assert weight.integers.shape == original.shape
        assert weight.scales.tolist() == pytest.approx([scale], rel=1e-6)
        # A tie between two integers may fall either way.
        assert np.mean(weight.integers.numpy() == integers) > 0.995
        assert torch.equal(weight.dequantized(), weight.integers.float() * weight.scales)
        error = (weight.dequantized() - original).detach().abs().max()
        assert scale * 0.4 < float(error) <= scale / 2 * (1 + 1e-5)


@pytest.mark.parametrize("options", [{"weights": "per-channel"}, {"backend": "plain"}])
def test_each_row_has_its_scale_where_they_are_per_channel(options):
    model = nn.Sequential(nn.Linear(6, 3), nn.LSTM(3, 2)).eval()
    with torch.no_grad():
        model[0].weight[1] *= 100  # an outlier row
    stored = rh.stored_weights(rh.quantize_dynamic(model, **options))
    assert [weight.name for weight in stored] == ["0.weight", "1.weight_ih_l0", "1.weight_hh_l0"]
    originals = [model[0].weight, model[1].weight_ih_l0, model[1].weight_hh_l0]
    assert [len(weight.scales) for weight in stored] == [3, 8, 8]
    for weight, original in zip(stored, originals, strict=True):
        if "weights" in options:
            largest = original.detach().abs().amax(dim=1)
            assert torch.allclose(weight.scales, largest / 127.5, rtol=1e-3)
        columns = 1 if weight.columns is None else weight.columns.amax()
        error = (weight.dequantized() - original).abs()
        assert bool((error <= weight.scales[:, None] * columns * 0.501).all())


def test_a_float_model_stores_none(demo):
    assert rh.stored_weights(demo.model) == ()
    assert list(rh.quantize_dynamic(demo.model).parameters()) == []
    (alone, _) = rh.stored_weights(rh.quantize_dynamic(nn.LSTM(2, 2).eval(), backend="plain"))
    assert alone.name == "weight_ih_l0"
