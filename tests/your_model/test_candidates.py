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

from .made_up import candidate, filled, measured, speed
from .models import Model, language, masked, shared, weak

ILL = ConversionError("is {what}.", what="ill")


def test_a_row_for_the_failure_the_whole_and_the_mended():
    times = speed(1.5, 1.7), speed(9.0, 9.2, threads=1)  # the caller's threads first
    whole = measured(0.2, 1, 1, latencies=times, memory=None)
    made = candidate("plain", whole, measured(0.0123, 1.2, 1.3, size_ratio=2.0), left=("a", "b"))
    first, second = made.rows()
    assert first[:3] == ("plain", "3.00", "")
    assert first[3:5] == ("1.60 (95 % interval 1.50 to 1.70)", "20.00%")
    assert first[5] == "not nearly the same output"
    assert second[:2] == ("plain, 2 left FP32", "2.00")
    assert second[2].count("->") == 1
    assert second[3:] == ("1.25 (95 % interval 1.20 to 1.30)", "1.23%", "within the limits")
    assert (made.left_float, made.best) == (("a", "b"), made.partly)
    assert replace(made, partly=None).best is made.whole
    failed = replace(made, error=ILL, whole=None)
    assert next(failed.rows()) == ("plain", "", "", "", "", "fails: is ill.")
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


@pytest.mark.parametrize(
    ("relative", "interval", "broken", "close"),
    [
        (0.2, (1, 1), ["nearly the same output"], False),
        (0.01, (0.5, 0.6), ["faster"], True),
        (0.01, (0.95, 1.1), [], True),  # open is not broken
    ],
)
def test_what_broke_and_whether_the_output_is_close(relative, interval, broken, close):
    found = measured(relative, *interval)
    assert ([promise.name for promise in found.broken], found.close) == (broken, close)
    assert found.promise("faster").measured == sum(interval) / 2


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
        (range(24, 0, -1), 40, [1, 2, 3, 4, 5, 6, 7, 8, 12, 18]),
    ],
)
def test_ever_more_of_the_worst_modules_are_left_out(relatives, count, tried):
    modules = tuple(
        ModuleError("m", "Linear", math.nan, ILL) if one is None else ModuleError("m", "GRU", one)
        for one in relatives
    )
    lefts = list(Sensitivity(modules, 0).left_out(count))
    assert lefts == [modules[:length] for length in tried]


# --- bytes ----------------------------------------------------------------------------------------


def by_module(model, **options):
    quantized = rh.quantize_dynamic(model, backend="plain", **options)
    return bytes_by_module(model, quantized, rh.converted_modules(model, quantized)), quantized


def test_bytes_are_those_of_the_tensors_before_and_after():
    found, quantized = by_module(weak()[0], modules=["encoder", "bridge"])
    encoder, decoder, bridge = 4 * 4 * 32 * (24 + 32 + 2), 4 * (32 * 10 + 10), 4 * (32 * 32 + 32)
    held = [
        sum(tensor.nbytes for tensor in quantized.get_submodule(name).state_dict().values())
        for name in ("encoder", "bridge", "decoder")
    ]
    assert [(m.name, m.kind, m.float_bytes, m.int8_bytes, m.converted) for m in found.modules] == [
        ("encoder", "LSTM", encoder, held[0], True),
        ("bridge", "Linear", bridge, held[1], True),
        ("decoder", "Linear", decoder, decoder, False),
    ]
    first, *_, last = found.table().rows
    share = f"{encoder:,} bytes ({encoder / (encoder + decoder + bridge):.0%})"
    assert (first[2:], last[4]) == ((share, f"{held[0]:,} bytes", "INT8"), "stays FP32")


def test_the_largest_are_listed_and_the_others_summed_up():
    model = nn.ModuleList([nn.Linear(4, 4 + place) for place in range(15)]).eval()
    found, _ = by_module(model)
    assert [m.name for m in found.modules] == [str(place) for place in range(14, 2, -1)]
    assert (found.others, found.others_bytes) == (3, 4 * 5 * (4 + 5 + 6))
    assert found.total_bytes == sum(p.nbytes for p in model.parameters())
    first, *_, last = found.table().rows
    assert first[2] == f"360 bytes ({360 / found.total_bytes:.0%})"
    assert last[:3] == ("3 others", "", "300 bytes")


def test_what_modules_share_counts_once_and_buffers_that_are_saved_count():
    with_buffers = masked()
    with_buffers.register_buffer("unsaved", torch.ones(99), persistent=False)
    tied, parts, buffers = (
        {m.name: m.float_bytes for m in by_module(model)[0].modules}
        for model in (language(), shared(), with_buffers)
    )
    assert (tied["embed"], tied["head"]) == (4 * 40 * 16, 0)
    assert sum(parts.values()) == 2 * 4 * (64 * 64 + 64)
    assert buffers[""] == 4 * 25


def test_a_graph_in_the_same_terms():
    """An LSTM, which ONNX Runtime quantizes, and a GRU, which it does not."""
    parts = {"lstm": nn.LSTM(24, 48), "gru": nn.GRU(48, 24), "linear": nn.Linear(24, 9)}
    model = Model(lambda model, x: model.linear(model.gru(model.lstm(x)[0])[0]), **parts)
    made = rh.quantize_onnx(model, torch.randn(5, 1, 24))
    conversion, size, found = described_graph(model, made)
    (left,) = conversion.left_alone
    assert (left.kind, left.parameters) == ("GRU", sum(p.numel() for p in model.gru.parameters()))
    assert "no dynamic quantization" in left.reason
    assert size.candidate_bytes == len(made.graph)
    assert size.candidate.matrix_bytes == 4 * left.parameters
    assert size.reference_bytes == rh.state_dict_bytes(model)
    sizes = {one.kind: one for one in found.modules}
    assert list(sizes) == ["DynamicQuantizeLSTM", "GRU", "MatMulInteger"]
    lstm, gru, linear = sizes.values()
    assert {one.after for one in conversion.converted} == {lstm.kind, linear.kind}
    assert size.candidate.int8_bytes == lstm.int8_bytes + linear.int8_bytes
    # FP32 is counted number by number: the biases of an LSTM stay FP32, a scale was not there.
    assert lstm.float_bytes == sum(p.nbytes for p in model.lstm.parameters())
    weights = 4 * 48 * (24 + 48)
    assert weights < lstm.int8_bytes < weights + 16 * 8 * 48
    assert linear.float_bytes == 4 * 24 * 9
    assert gru.float_bytes == gru.int8_bytes == 4 * left.parameters
    assert [one.converted for one in (lstm, gru, linear)] == [True, False, True]
    with pytest.raises(rh.NothingQuantizedError, match="no product that ONNX Runtime quantizes"):
        described_graph(model.gru, rh.export_onnx(model.gru, torch.randn(5, 1, 48)))
