"""Which modules hold the bytes: counted by hand from the shapes."""

import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.your_model.candidates import bytes_by_module, described_graph

from .made_up import Language, Masked, Shared, weak


def by_module(model, **options):
    quantized = rh.quantize_dynamic(model, **options)
    conversion = rh.converted_modules(model, quantized)
    return bytes_by_module(model, quantized, conversion), quantized


def test_bytes_are_those_of_the_tensors_before_and_after():
    model, _ = weak()
    found, quantized = by_module(model, backend="plain", modules=["encoder", "bridge"])
    encoder, decoder, bridge = 4 * 4 * 32 * (24 + 32 + 2), 4 * (32 * 10 + 10), 4 * (32 * 32 + 32)
    assert [(m.name, m.kind, m.float_bytes, m.converted) for m in found.modules] == [
        ("encoder", "LSTM", encoder, True),
        ("bridge", "Linear", bridge, True),
        ("decoder", "Linear", decoder, False),
    ]
    after = {m.name: m.int8_bytes for m in found.modules}
    assert after["decoder"] == decoder
    for name in ("encoder", "bridge"):
        held = quantized.get_submodule(name).state_dict().values()
        assert after[name] == sum(tensor.nbytes for tensor in held)
    assert found.total_bytes == encoder + decoder + bridge
    assert (found.others, found.others_bytes) == (0, 0)
    share = encoder / found.total_bytes
    assert found.table().rows[0][2:] == (
        f"{encoder:,} bytes ({share:.0%})", f"{after['encoder']:,} bytes", "INT8"
    )  # fmt: skip
    assert found.table().rows[2][4] == "stays FP32"


def test_the_largest_are_listed_and_the_others_summed_up():
    model = nn.Sequential(*[nn.Linear(4, 4 + place) for place in range(15)])
    found, _ = by_module(nn.ModuleList(model).eval(), backend="plain")
    assert [m.name for m in found.modules] == [str(place) for place in range(14, 2, -1)]
    assert (found.others, found.others_bytes) == (3, 4 * 5 * (4 + 5 + 6))
    assert found.total_bytes == sum(p.nbytes for p in model.parameters())
    assert found.table().rows[-1][:3] == ("3 others", "", "300 bytes")


def test_what_modules_share_counts_once_and_buffers_that_are_saved_count():
    tied, _ = by_module(Language().eval(), backend="plain")
    sizes = {m.name: m.float_bytes for m in tied.modules}
    assert (sizes["embed"], sizes["head"]) == (4 * 40 * 16, 0)
    shared, _ = by_module(Shared().eval(), backend="plain")
    assert sum(m.float_bytes for m in shared.modules) == 2 * 4 * (64 * 64 + 64)
    model = Masked().eval()
    model.register_buffer("unsaved", torch.ones(99), persistent=False)
    masked, _ = by_module(model, backend="plain")
    assert {m.name: m.float_bytes for m in masked.modules}[""] == 4 * 25


class Mixed(nn.Module):
    """An LSTM, which ONNX Runtime quantizes, and a GRU, which it does not."""

    def __init__(self):
        super().__init__()
        self.lstm, self.gru, self.linear = nn.LSTM(24, 48), nn.GRU(48, 16), nn.Linear(16, 9)

    def forward(self, x):
        return self.linear(self.gru(self.lstm(x)[0])[0])


def test_a_graph_in_the_same_terms():
    model = Mixed().eval()
    made = rh.quantize_onnx(model, torch.randn(5, 1, 24))
    conversion, size, found = described_graph(model, made)
    assert {one.after for one in conversion.converted} == {"DynamicQuantizeLSTM", "MatMulInteger"}
    (left,) = conversion.left_alone
    assert (left.kind, left.parameters) == ("GRU", sum(p.numel() for p in model.gru.parameters()))
    assert "no dynamic quantization" in left.reason
    assert size.candidate_bytes == len(made.graph)
    assert size.reference_bytes == rh.state_dict_bytes(model)
    sizes = {one.kind: one for one in found.modules}
    lstm, gru, linear = (sizes[k] for k in ("DynamicQuantizeLSTM", "GRU", "MatMulInteger"))
    # FP32 is counted number by number: the biases of an LSTM stay FP32, a scale was not there.
    assert lstm.float_bytes == sum(p.nbytes for p in model.lstm.parameters())
    weights = 4 * 48 * (24 + 48)
    assert weights < lstm.int8_bytes < weights + 16 * 8 * 48
    assert linear.float_bytes == 4 * 16 * 9
    assert gru.float_bytes == gru.int8_bytes == 4 * left.parameters
    assert [one.converted for one in (lstm, gru, linear)] == [True, False, True]
