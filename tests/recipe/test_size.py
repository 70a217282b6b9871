"""Section 3: bytes, against parameters counted by hand and against a real file."""

import builtins
import io
import tempfile
import zipfile

import pytest
import torch
from torch import nn

import recipe_helpers as rh


def counted(width):
    """Elements of a one-layer LSTM's matrices and of its biases."""
    return 2 * 4 * width * width, 2 * 4 * width


def pair(width):
    model = rh.demonstration(width=width).model
    return model, rh.quantize_dynamic(model)


@pytest.mark.parametrize("width", [3, 12, 24, 40, 100])
def test_the_size_is_a_law_to_the_byte(width, untouched):
    """A container, and 4 bytes a parameter; in INT8 1 byte a weight and 4 bytes a bias."""
    matrices, biases = counted(width)
    models = pair(width)
    with untouched():
        before, after = map(rh.size_breakdown, models)
    parts = (before.int8_bytes, before.matrix_bytes, before.other_bytes)
    assert parts == (0, 4 * matrices, 4 * biases)
    assert (after.int8_bytes, after.matrix_bytes, after.other_bytes) == (matrices, 0, 4 * biases)
    for found, model, small in zip((before, after), models, pair(8), strict=True):
        assert found.total_bytes == rh.state_dict_bytes(model)
        assert found.total_bytes == found.payload_bytes + found.container_bytes
        if width > 8:  # below, padding is another
            assert found.container_bytes == rh.size_breakdown(small).container_bytes
    assert 0 < before.container_bytes < after.container_bytes
    if torch.__version__.startswith("2.13.") and width > 8:
        assert (before.container_bytes, after.container_bytes) == (2269, 2781)


@pytest.mark.parametrize("side", [0, 1])
def test_it_is_the_size_of_the_file(tmp_path, side):
    """The archive names itself after the file and repeats its name in every record."""
    model, sizes = pair(24)[side], {}
    for name in ("m", "archive", "a_much_longer_name_of_a_file"):
        torch.save(model.state_dict(), tmp_path / f"{name}.pt")
        sizes[name] = (tmp_path / f"{name}.pt").stat().st_size
    assert sizes["archive"] == rh.state_dict_bytes(model)
    assert sizes["m"] != sizes["archive"] != sizes["a_much_longer_name_of_a_file"]
    with zipfile.ZipFile(tmp_path / "archive.pt") as archive:
        data = sum(i.file_size for i in archive.infolist() if "/data/" in i.filename)
    assert data == rh.size_breakdown(model).payload_bytes


def test_no_file_is_made(monkeypatch, demo, quantized, untouched):
    def refuse(*_, **__):
        raise AssertionError("a file was opened")

    for home, name in [(builtins, "open"), (io, "open"), (tempfile, "NamedTemporaryFile")]:
        monkeypatch.setattr(home, name, refuse)
    with untouched():
        assert rh.compare_size(demo.model, quantized).reference_bytes > 0


def test_the_integers_of_a_residual_are_weights():
    """A row a hundred times as coarse as the others gets a second line of integers."""
    model = nn.Sequential(nn.LSTM(16, 16)).eval()
    with torch.no_grad():
        model[0].weight_ih_l0[3] *= 100
    plain = rh.quantize_dynamic(model, backend="plain")
    residuals = [w.residual for w in rh.stored_weights(plain) if w.residual is not None]
    rows = sum(residual.values.numel() for residual in residuals)
    assert rows > 0
    found = rh.size_breakdown(plain)
    assert found.int8_bytes == found.weight_bytes == counted(16)[0] + rows


def test_parts_of_a_mixed_model():
    shared = nn.Linear(8, 8)
    parts = nn.Embedding(10, 6), shared, shared, nn.BatchNorm1d(8), nn.Conv1d(2, 3, 5)
    model = nn.Sequential(*parts).eval()
    found = rh.size_breakdown(model)
    assert found.matrix_bytes == 4 * (60 + 64 + 30)  # what two modules share is written once
    assert found.other_bytes == 4 * (8 + 4 * 8 + 3) + 8  # biases, statistics, a counter of int64
    after = rh.size_breakdown(rh.quantize_dynamic(model))
    assert after.matrix_bytes == 4 * (60 + 64 + 30)  # torch.ao leaves the second name in FP32
    assert after.int8_bytes == 64


def test_a_comparison_has_the_reference_first():
    model, quantized = pair(24)
    found = rh.compare_size(model, quantized)
    assert (found.reference, found.candidate) == tuple(map(rh.size_breakdown, (model, quantized)))
    before, after = found.reference_bytes, found.candidate_bytes
    assert found.ratio == before / after > 1
    table = found.table()
    assert table.headers == ("part of the state dict", "FP32", "INT8", "ratio")
    boxes = found.reference.container_bytes, found.candidate.container_bytes
    assert table.rows == [
        ("weight matrices", "18,432 bytes", "4,608 bytes", "4.00 to 1"),
        ("biases and scales", "768 bytes", "768 bytes", "1.00 to 1"),
        ("container", *(f"{box:,} bytes" for box in boxes), f"{boxes[0] / boxes[1]:.2f} to 1"),
        ("total", f"{before:,} bytes", f"{after:,} bytes", f"{before / after:.2f} to 1"),
    ]
    alone = found.candidate.table()
    assert alone.headers == ("part of the state dict", "size")
    assert alone.rows == [(row[0], row[2]) for row in table.rows]
    empty = nn.Sequential(nn.ReLU())
    for other in (empty, model):
        assert rh.compare_size(empty, other).table().rows[0][-1] == "", "a ratio with nothing"


@pytest.mark.parametrize("backend", ["torch.ao", "plain"])
def test_the_sweep_measures_each_width(untouched, backend):
    with untouched():
        sweep = rh.size_sweep(iter([24, 80]), backend=backend)
    for point in sweep.points:
        model = rh.demonstration(width=point.width).model
        assert point.parameters == sum(counted(point.width))
        assert point.comparison == rh.compare_size(
            model, rh.quantize_dynamic(model, backend=backend)
        )
    assert sweep.ratios == tuple(p.comparison.ratio for p in sweep.points)
    table, last = sweep.table(), sweep.points[1].comparison
    assert table.headers == ("width", "parameters", "FP32", "INT8", "ratio")
    assert table.rows[0][:2] == ("24", "4,800")
    assert table.rows[1] == (
        "80", "51,840", f"{last.reference_bytes:,} bytes", f"{last.candidate_bytes:,} bytes",
        f"{last.reference_bytes / last.candidate_bytes:.2f} to 1",
    )  # fmt: skip
