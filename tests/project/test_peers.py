"""The comparison with other runtimes: what is concluded from made-up rows, and a real small one."""

import numpy as np
import pytest
import torch

from .files import tool

peers = tool("peers", "benchmarks")
TIMES = {"default": 100, "16 bits": 130, "8 bits": 80, "torch FP32": 400, "torch.ao": 300}
ERRORS = {"default": 4e-3, "16 bits": 3e-3, "8 bits": 7e-3, "torch FP32": 0, "torch.ao": 1.2e-2}


def row(**others):
    """A row of steady times in µs; the control is 2 % slower than the default."""
    wobble = np.linspace(0.9, 1.1, 7)
    times = {name: list(us * wobble) for name, us in {**TIMES, **others}.items()}
    errors = {**dict.fromkeys(others, 9e-3), **ERRORS}
    return peers.Row(peers.Case("LSTM", 8, 8), times, list(102 * wobble), errors)


def test_a_row_says_who_is_fastest_and_by_how_much():
    cells = dict(zip(peers.HEADERS, row().cells(), strict=True))
    assert cells["best peer"] == "torch.ao"
    assert (cells["peer / default"], cells["peer / 8 bits"]) == ("3.00", "3.75")
    assert (cells["control"], cells["default (µs)"]) == ("1.02", "100")
    assert (cells["error: default"], cells["8 bits"]) == ("0.40%", "0.70%")
    assert cells["least of peers"] == "1.20%"


def test_pytorch_is_told_apart_from_a_faster_peer_of_another_kind():
    cells = dict(zip(peers.HEADERS, row(ncnn=50).cells(), strict=True))
    assert (cells["best peer"], cells["peer / default"]) == ("ncnn", "0.50")
    assert (cells["PyTorch / default"], cells["least of peers"]) == ("3.00", "0.90%")


def test_every_case_can_be_asked_for_by_name():
    cases = list(peers.all_cases())
    assert len(cases) == len(set(cases)) > 40
    assert {case.kind for case in cases} == {"LSTM", "GRU"}
    (named,) = [case for case in cases if "GRU-80-512-8" in peers.named(case)]
    assert (named.inputs, named.width, named.batch, named.layers) == (80, 512, 8, 2)
    assert "LSTM-512" not in {name for case in cases[:1] for name in peers.named(case)}


@pytest.mark.parametrize(("kind", "int8_in_onnx"), [("LSTM", True), ("GRU", False)])
def test_all_contenders_compute_the_same_layers(kind, int8_in_onnx):
    threads = torch.get_num_threads()
    found = peers.measure(peers.Case(kind, 6, 16, batch=2, layers=2, steps=4), budget_s=0.01)
    assert torch.get_num_threads() == threads
    assert found.errors["torch FP32"] == 0
    default, exact, eight = (found.errors[name] for name in ("default", "16 bits", "8 bits"))
    assert 0 < max(default, exact) < eight < 0.02
    assert default != exact
    assert ("ONNX Runtime" in found.errors) == int8_in_onnx
    assert max(found.errors.values()) < 0.05
    assert all(len(times) >= peers.FEWEST_ROUNDS for times in found.times_us.values())
    assert f"| {kind} 6 -> 16 x 2, batch 2 |" in peers.table([found])


def test_ncnn_is_given_its_gates_in_its_order():
    contenders = tool("contenders", "benchmarks")
    lstm = torch.nn.LSTM(3, 5)
    blocks = b"".join(contenders._ncnn_weights(lstm))
    i, f, g, o = lstm.weight_ih_l0.detach().chunk(4)
    rows = torch.cat([i, f, o, g])
    integers = (rows * (127 / rows.abs().amax(dim=1, keepdim=True))).round().to(torch.int8)
    assert blocks[4 : 4 + integers.numel()] == integers.numpy().tobytes()
    assert len(blocks) == 3 * 4 + 60 + 80 + 100 + 2 * 80
