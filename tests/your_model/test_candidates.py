"""How one conversion shows itself, and which modules hold the bytes, counted by hand."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common.errors import ConversionError
from recipe_helpers.recipe.inspection import Conversion, LeftAlone
from recipe_helpers.your_model.candidates import (
    Candidate,
    Measured,
    ModuleError,
    Sensitivity,
    bytes_by_module,
    described_graph,
)

from .made_up import Language, Masked, Shared, candidate, filled, measured, speed, weak

ILL = ConversionError("is {what}.", what="ill")


def test_a_row_for_the_failure_the_whole_and_the_mended():
    times = speed(1.5, 1.7), speed(9.0, 9.2, threads=1)  # the caller's threads first
    whole = measured(0.2, 1, 1, latencies=times)
    mended = measured(0.0123, 1.2, 1.3, size_ratio=2.0)
    made = candidate("plain", replace(whole, memory=None), mended, left=("a", "b"))
    first, second = made.rows()
    assert first == (
        "plain", "3.00", "", "1.60 (95 % interval 1.50 to 1.70)", "20.00%",
        "not nearly the same output",
    )  # fmt: skip
    assert second[:2] == ("plain, 2 left FP32", "2.00")
    assert second[2].count("->") == 1
    assert second[3:] == ("1.25 (95 % interval 1.20 to 1.30)", "1.23%", "within the limits")
    assert (made.left_float, made.best) == (("a", "b"), made.partly)
    assert replace(made, partly=None).best is made.whole
    failed = replace(made, error=ILL, whole=None)
    assert next(failed.rows()) == ("plain", "", "", "", "", "fails: is ill.")
    assert (failed.failure, made.failure) == ("is ill.", None)
    assert list(Candidate("plain").rows()) == Candidate("plain").tables() == []


def test_every_table_is_there_and_every_promise_in_the_first():
    found = filled(Measured)
    tables = list(found.tables())
    assert [row[2] for row in tables[0].rows] == [p.sentence for p in found.promises]
    assert tables[0].note == found.meaning
    assert [t.caption for t in tables[-3:]] == [f"outputs, input set {i}" for i in (1, 2, 3)]
    assert len(tables) == 1 + 4 + len(found.latencies) + 3
    without = list(replace(found, memory=None, outputs=found.outputs[:1]).tables())
    assert (without[-1].caption, len(without)) == ("outputs", len(tables) - 3)
    made = candidate("plain", found)
    assert len(made.tables()) == len(tables) + 1
    assert replace(made, whole=None).tables()[0].headers[0] == "converted alone"


def test_what_broke_and_whether_the_output_is_close():
    far, slow, fine = measured(0.2, 1, 1), measured(0.01, 0.5, 0.6), measured(0.01, 1.5, 1.6)
    assert ([p.name for p in far.broken], far.close) == (["nearly the same output"], False)
    assert ([p.name for p in slow.broken], slow.close) == (["faster"], True)
    assert (fine.broken, fine.close) == ((), True)
    assert fine.promise("faster").measured == pytest.approx(1.55)


def test_what_was_left_fp32_on_purpose_says_what_it_costs():
    alone = tuple(LeftAlone(name, "LSTM", 3, "a reason") for name in ("a", "b", "c"))
    left = ModuleError("b", "LSTM", 0.25), ModuleError("a", "LSTM", math.nan, ILL)
    found = measured(0.01, 1, 1, made=Conversion((), alone), left=left)
    assert [(one.name, one.reason) for one in found.conversion.left_alone] == [
        ("a", "left FP32: fails when converted: is ill."),
        ("b", "left FP32: alone it costs a relative error of 25.00%"),
        ("c", "a reason"),
    ]
    modules = ModuleError("", "GRU", math.nan, ILL), left[0]
    found = Sensitivity(modules, 0)
    assert found.table().rows == [("(the model)", "GRU", "is ill."), ("b", "LSTM", "25.000%")]
    assert (found.worst, found.table().note, Sensitivity((), 3).worst) == (modules[0], "", None)
    assert Sensitivity((), 3).table().note.startswith("3 smaller modules were not measured alone")


@pytest.mark.parametrize(
    ("relatives", "count", "tried"),
    [
        ((3, 2, 1), 3, [1, 2]),  # at least one module is converted
        ((3,), 1, []),
        ((3, 2), 9, [1, 2]),  # the others were not measured alone
        ((None, None, 0.1, 0.0), 4, [2, 3]),  # what cannot run is out from the start
        ((*range(24, 0, -1),), 40, [1, 2, 3, 4, 5, 6, 7, 8, 12, 18]),
    ],
)
def test_ever_more_of_the_worst_modules_are_left_out(relatives, count, tried):
    modules = tuple(
        ModuleError(f"m{place}", "Linear", math.nan if one is None else one, (one is None and ILL)
                    or None) for place, one in enumerate(relatives)
    )  # fmt: skip
    lefts = list(Sensitivity(modules, 0).left_out(count))
    assert [len(left) for left in lefts] == tried
    assert all(left == modules[: len(left)] for left in lefts)


# --- bytes ----------------------------------------------------------------------------------------


def by_module(model, **options):
    quantized = rh.quantize_dynamic(model, **options)
    conversion = rh.converted_modules(model, quantized)
    return bytes_by_module(model, quantized, conversion), quantized


def test_bytes_are_those_of_the_tensors_before_and_after():
    found, quantized = by_module(weak()[0], backend="plain", modules=["encoder", "bridge"])
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
    assert (found.total_bytes, found.others) == (encoder + decoder + bridge, 0)
    first, *_, last = found.table().rows
    share = f"{encoder:,} bytes ({encoder / found.total_bytes:.0%})"
    assert first[2:] == (share, f"{after['encoder']:,} bytes", "INT8")
    assert last[4] == "stays FP32"


def test_the_largest_are_listed_and_the_others_summed_up():
    model = nn.ModuleList([nn.Linear(4, 4 + place) for place in range(15)]).eval()
    found, _ = by_module(model, backend="plain")
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


def test_a_graph_in_the_same_terms():
    """An LSTM, which ONNX Runtime quantizes, and a GRU, which it does not."""

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.gru, self.linear = nn.LSTM(24, 48), nn.GRU(48, 16), nn.Linear(16, 9)

        def forward(self, x):
            return self.linear(self.gru(self.lstm(x)[0])[0])

    model = Mixed().eval()
    made = rh.quantize_onnx(model, torch.randn(5, 1, 24))
    conversion, size, found = described_graph(model, made)
    assert {one.after for one in conversion.converted} == {"DynamicQuantizeLSTM", "MatMulInteger"}
    (left,) = conversion.left_alone
    assert (left.kind, left.parameters) == ("GRU", sum(p.numel() for p in model.gru.parameters()))
    assert "no dynamic quantization" in left.reason
    assert size.candidate_bytes == len(made.graph)
    assert size.candidate.matrix_bytes == 4 * left.parameters
    int8 = [one.int8_bytes for one in found.modules if one.converted]
    assert size.candidate.int8_bytes == sum(int8) != size.candidate.matrix_bytes
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
    with pytest.raises(rh.NothingQuantizedError, match="no product that ONNX Runtime quantizes"):
        described_graph(model.gru, rh.export_onnx(model.gru, torch.randn(5, 1, 48)))
