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
    assert [(c.name, c.before, c.after) for c in found.converted] == [
        ("body.0", "LSTM", "DynamicQuantizedLSTM"),
        ("body.1.0", "Linear", "DynamicQuantizedLinear"),
    ]
    assert [(x.name, x.kind, x.parameters, x.reason) for x in found.left_alone] == [
        ("", "Tagger", 5, "parameters of its own, in no layer that can be converted"),
        ("embedding", "Embedding", 40, "a look-up table, not a matrix product"),
        ("mine", "MyLSTM", 160, "a subclass of nn.LSTM: torch.ao matches the exact type"),
        ("norm", "LayerNorm", 12, "no dynamic quantization for nn.LayerNorm"),
        ("gru", "GRUCell", 252, "not among the types to convert: add nn.GRUCell to modules"),
    ]
    table = found.table()
    assert table.headers == ("module", "from", "to", "why")
    assert table.rows[:3] == [
        ("body.0", "LSTM", "DynamicQuantizedLSTM", "converted"),
        ("body.1.0", "Linear", "DynamicQuantizedLinear", "converted"),
        ("(the model)", "Tagger", "Tagger", found.left_alone[0].reason),
    ]


def test_a_model_that_is_itself_converted_or_not():
    lstm, rnn = nn.LSTM(4, 4).eval(), nn.Sequential(nn.Linear(4, 4), nn.RNN(4, 4)).eval()
    found = rh.converted_modules(lstm, rh.quantize_dynamic(lstm, backend="plain"))
    assert found.table().rows == [("(the model)", "LSTM", "Int8LSTM", "converted")]
    same = rh.converted_modules(lstm, lstm)
    assert (same.converted, [x.name for x in same.left_alone]) == ((), [""])
    assert "wrap it in one" in same.left_alone[0].reason
    (left,) = rh.converted_modules(rnn, rh.quantize_dynamic(rnn, backend="plain")).left_alone
    assert left.reason == "only nn.LSTM, nn.GRU and nn.Linear have an int8 version"
    small = rh.quantize_dynamic(rnn)
    assert rh.converted_modules(small, small).converted == (), "it was quantized before"


def test_names_alike_are_other_modules_and_a_second_name_is_not_converted():
    """Torch converts only the first name of a module that is shared."""
    shared = nn.Linear(4, 4)
    model = nn.Sequential(nn.ReLU(), shared, *[nn.ReLU()] * 8, nn.LayerNorm(4), shared).eval()
    found = rh.converted_modules(model, rh.quantize_dynamic(model))
    assert [c.name for c in found.converted] == ["1"]
    assert [(x.name, x.kind, x.parameters) for x in found.left_alone] == [
        ("10", "LayerNorm", 8),
        ("11", "Linear", 20),
    ]
    says = "the same module under another name: only 1 was converted"
    assert found.left_alone[1].reason == says


@pytest.mark.parametrize("engine", ENGINES)
def test_stored_weights_are_what_arithmetic_gives(engine, untouched):
    """One symmetric scale, 255 steps over the range, in numpy's float64."""
    torch.manual_seed(1)
    model = nn.ModuleDict({"body": nn.LSTM(12, 12, 2), "head": nn.Linear(6, 3)}).eval()
    quantized = rh.quantize_dynamic(model, engine=engine)
    with untouched():
        stored = rh.stored_weights(quantized)
    originals = dict(model.named_parameters())
    names = [f"body.weight_{part}_l{layer}" for layer in (0, 1) for part in ("ih", "hh")]
    assert [w.name for w in stored] == [*names, "head.weight"]
    for weight in stored:
        values = originals[weight.name].detach().numpy().astype(np.float64)
        scale = np.abs(values).max() / 127.5
        integers = np.clip(np.rint(values / scale), -128, 127)
        assert weight.dtype == weight.integers.dtype == torch.int8
        assert weight.scales.tolist() == pytest.approx([scale], rel=1e-6)
        # A tie between two integers may fall either way.
        assert np.mean(weight.integers.numpy() == integers) > 0.995
        assert torch.equal(weight.dequantized(), weight.integers.float() * weight.scales)
        error = np.abs(weight.dequantized().numpy() - values).max()
        assert scale * 0.4 < error <= scale / 2 * (1 + 1e-5)


@pytest.mark.parametrize("options", [{"weights": "per-channel"}, {"backend": "plain"}])
def test_each_row_has_its_scale_where_they_are_per_channel(options):
    model = nn.Sequential(nn.Linear(6, 3), nn.LSTM(3, 2)).eval()
    with torch.no_grad():
        model[0].weight[1] *= 100  # an outlier row
    stored = rh.stored_weights(rh.quantize_dynamic(model, **options))
    originals = dict(model.named_parameters())
    assert [weight.name for weight in stored] == [name for name in originals if "weight" in name]
    for weight in stored:
        original = originals[weight.name].detach()
        assert len(weight.scales) == len(original)
        if "weights" in options:
            largest = original.abs().amax(dim=1)
            assert torch.allclose(weight.scales, largest / 127.5, rtol=1e-3)
        columns = 1 if weight.columns is None else weight.columns.amax()
        error = (weight.dequantized() - original).abs()
        assert bool((error <= weight.scales[:, None] * columns * 0.501).all())


def test_what_stores_none_and_a_module_without_a_name(demo, quantized):
    assert rh.stored_weights(demo.model) == ()
    assert list(quantized.parameters()) == []
    (alone, _) = rh.stored_weights(rh.quantize_dynamic(nn.LSTM(2, 2).eval(), backend="plain"))
    assert alone.name == "weight_ih_l0"
