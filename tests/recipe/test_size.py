"""Section 3: bytes, against parameters counted by hand and against a real file."""

import builtins
import io
import tempfile
import zipfile

import pytest
import torch
from torch import nn

import recipe_helpers as rh

UNSEEN = [12, 24, 40, 100]  # widths that the recipe's own sweep does not have


def counted(width):
    """Elements of a one-layer LSTM's matrices and of its biases."""
    return 2 * 4 * width * width, 2 * 4 * width


def pair(width):
    model = rh.demonstration(dimension=width).model
    return model, rh.quantize_dynamic(model)


@pytest.mark.parametrize("width", [3, *UNSEEN])
def test_payload_is_elements_times_bytes(width, untouched):
    matrices, biases = counted(width)
    model, quantized = pair(width)
    with untouched():
        before, after = rh.size_breakdown(model), rh.size_breakdown(quantized)
    assert (before.int8_bytes, before.matrix_bytes, before.other_bytes) == (
        0,
        4 * matrices,
        4 * biases,
    )
    assert (after.int8_bytes, after.matrix_bytes, after.other_bytes) == (matrices, 0, 4 * biases)
    assert before.payload_bytes == 4 * (matrices + biases)
    assert after.payload_bytes == matrices + 4 * biases
    assert before.weight_bytes == 4 * after.weight_bytes == 4 * matrices
    for found, subject in ((before, model), (after, quantized)):
        assert found.total_bytes == rh.state_dict_bytes(subject)
        assert found.total_bytes == found.payload_bytes + found.container_bytes


@pytest.mark.parametrize("width", UNSEEN)
def test_the_size_is_a_law_to_the_byte(width):
    """A container, and 4 bytes a parameter; in INT8 1 byte a weight and 4 bytes a bias."""
    (small, small_int8), (wide, wide_int8) = map(pair, (8, width))
    fixed, fixed_int8 = (rh.size_breakdown(model).container_bytes for model in (small, small_int8))
    assert 0 < fixed < fixed_int8
    matrices, biases = counted(width)
    assert rh.state_dict_bytes(wide) == fixed + 4 * (matrices + biases)
    assert rh.state_dict_bytes(wide_int8) == fixed_int8 + matrices + 4 * biases
    if torch.__version__.startswith("2.13."):
        assert (fixed, fixed_int8) == (2269, 2781)


def test_a_file_of_another_name_has_another_size(tmp_path, demo):
    """The archive repeats its name in every record."""
    sizes = {}
    for name in ("m", "archive", "a_much_longer_name_of_a_file"):
        torch.save(demo.model.state_dict(), tmp_path / f"{name}.pt")
        sizes[name] = (tmp_path / f"{name}.pt").stat().st_size
    assert sizes["archive"] == rh.state_dict_bytes(demo.model)
    assert sizes["m"] != sizes["archive"] != sizes["a_much_longer_name_of_a_file"]


def test_the_integers_of_a_residual_are_weights():
    """A row a hundred times as coarse as the others gets a second line of integers."""
    model = nn.Sequential(nn.LSTM(16, 16)).eval()
    with torch.no_grad():
        model[0].weight_ih_l0[3] *= 100
    plain = rh.quantize_dynamic(model, backend="plain")
    residuals = [w.residual for w in rh.stored_weights(plain) if w.residual is not None]
    rows = sum(residual.values.numel() for residual in residuals)
    assert rows > 0
    matrices, _biases = counted(16)
    assert rh.size_breakdown(plain).int8_bytes == matrices + rows
    assert rh.size_breakdown(plain).weight_bytes == matrices + rows


@pytest.mark.parametrize("side", [0, 1])
def test_it_is_the_size_of_the_file(tmp_path, side):
    model = pair(24)[side]
    path = tmp_path / "archive.pt"  # the archive names itself after the file
    torch.save(model.state_dict(), path)
    assert rh.state_dict_bytes(model) == path.stat().st_size


def test_no_file_is_made(monkeypatch, demo, quantized, untouched):
    def refuse(*_, **__):
        raise AssertionError("a file was opened")

    for home, name in [(builtins, "open"), (io, "open"), (tempfile, "NamedTemporaryFile")]:
        monkeypatch.setattr(home, name, refuse)
    with untouched():
        assert rh.compare_size(demo.model, quantized).reference_bytes > 0


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


def test_a_breakdown_shows_its_parts():
    found = rh.size_breakdown(pair(24)[1])
    rows = dict(found.table().rows)
    assert rows["weight matrices"] == "4,608 bytes"
    assert rows["biases and scales"] == "768 bytes"
    assert rows["container"] == f"{found.container_bytes:,} bytes"
    assert rows["total"] == f"{rh.state_dict_bytes(pair(24)[1]):,} bytes"


def test_a_comparison_has_the_reference_first():
    model, quantized = pair(24)
    found = rh.compare_size(model, quantized)
    before, after = rh.state_dict_bytes(model), rh.state_dict_bytes(quantized)
    assert (found.reference_bytes, found.candidate_bytes) == (before, after)
    assert found.reference == rh.size_breakdown(model)
    assert found.candidate == rh.size_breakdown(quantized)
    assert found.ratio == before / after > 1
    table = found.table()
    assert table.headers[1:] == ("FP32", "INT8", "ratio")
    assert table.rows[0] == ("weight matrices", "18,432 bytes", "4,608 bytes", "4.00 to 1")
    assert table.rows[-1] == (
        "total",
        f"{before:,} bytes",
        f"{after:,} bytes",
        f"{before / after:.2f} to 1",
    )


def test_a_ratio_with_nothing_is_left_out():
    empty = nn.Sequential(nn.ReLU())
    assert rh.compare_size(empty, empty).table().rows[0][-1] == ""


def test_the_sweep_measures_each_width(untouched):
    with untouched():
        sweep = rh.size_sweep(iter([4, 24, 80]))
    assert sweep.dimensions == (4, 24, 80)
    for point in sweep.points:
        model, quantized = pair(point.dimension)
        assert point.parameters == sum(counted(point.dimension))
        assert point.comparison == rh.compare_size(model, quantized)
    assert sweep.ratios == tuple(p.comparison.ratio for p in sweep.points)
    assert sweep.ratios[0] < sweep.ratios[1] < sweep.ratios[2] < 4
    assert sweep.ratios[2] > 3.5
    assert sweep.at(24) is sweep.points[1]
    rows = sweep.table().rows
    assert rows[1][:2] == ("24", "4,800")
    last = sweep.points[2].comparison
    assert rows[2][2:4] == (f"{last.reference_bytes:,} bytes", f"{last.candidate_bytes:,} bytes")
    assert rows[2][4] == f"{last.reference_bytes / last.candidate_bytes:.2f} to 1"


def test_records_are_found_by_name_only():
    """The payload is what lies under data/, whatever else the archive holds."""
    buffer = io.BytesIO()
    torch.save(nn.Linear(5, 7).state_dict(), buffer)
    with zipfile.ZipFile(buffer) as archive:
        data = sum(i.file_size for i in archive.infolist() if "/data/" in i.filename)
    assert data == rh.size_breakdown(nn.Linear(5, 7)).payload_bytes == 4 * (35 + 7)
