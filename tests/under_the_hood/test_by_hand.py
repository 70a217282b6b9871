"""What torch.ao computes: the lines that the reader writes, what judges them, and pairs of sums."""

import ast
from functools import partial
from pathlib import Path

import nbformat
import pytest
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as npst
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common.settings import deprecations_silenced, engine_set
from recipe_helpers.under_the_hood.by_hand import (
    TOLERANCE,
    Agreement,
    AgreementPoint,
    pair_sums,
)

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "under_the_hood.ipynb"
THIRTY_LINES = ("quantize_weight", "quantize_activations", "multiply", "linear", "step", "run")


@pytest.fixture(scope="module")
def reader():
    """What the reader has defined at the end of section 1."""
    names = {"torch": torch, "partial": partial, "rh": rh}
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type == "code" and cell.source.startswith("def "):
            for part in ast.parse(cell.source).body:
                if isinstance(part, ast.FunctionDef):
                    names[f"source of {part.name}"] = ast.unparse(part)
            exec(compile(cell.source, str(NOTEBOOK), "exec"), names)
    return names


def rounding_once(reader, **how):
    """The reader's LSTM with the second version of the activations."""
    quantize = partial(reader["rounded_once"], **how)
    return partial(reader["run"], linear=partial(reader["linear"], quantize=quantize))


def off(run, demo, engine):
    """The largest difference from torch.ao, and the relative error of the lines themselves."""
    from torch.ao.quantization import quantize_dynamic

    with deprecations_silenced(), engine_set(engine), torch.inference_mode():
        theirs = quantize_dynamic(demo.model, {nn.LSTM}, dtype=torch.qint8)(*demo.arguments)[0]
        outputs = run(demo.model.lstm, demo.inputs, *(part[0] for part in demo.hidden))
        exact = demo.model(*demo.arguments)[0]
    return float((outputs - theirs).abs().max()), rh.relative_error(outputs, exact)


def test_the_reader_writes_about_thirty_lines_of_plain_tensors(reader):
    sources = [reader[f"source of {name}"] for name in THIRTY_LINES]
    assert 20 <= sum(len(source.splitlines()) for source in sources) <= 35
    assert not [word for word in ("quantized", "qint", "rh.") if word in "\n".join(sources)]


def test_rounding_once_gives_the_numbers_of_torch_ao_but_for_a_rare_tie(reader):
    """The notebook's own 60 runs; without AVX2 one `tanh` falls on the other side of a tie."""
    run = rounding_once(reader)
    agreement = rh.compare_by_hand(run)
    assert agreement.runs == 60
    assert agreement.agreeing >= 58
    for width, batch_size in ((8, 5), (80, 1)):
        demo = rh.demonstration(width=width, batch_size=batch_size)
        assert off(run, demo, "fbgemm")[0] <= 1e-6


def test_the_errors_of_both_ranges_are_those_that_were_published(reader):
    full = rounding_once(reader, largest=255)
    for run, engine, published in (
        (reader["run"], "fbgemm", "1.21%"),
        (full, "qnnpack", "0.72%"),
    ):
        difference, relative = off(run, rh.demonstration(), engine)
        assert difference <= 1e-6
        assert f"{relative:.2%}" == published
    agreement = rh.compare_by_hand(full, widths=[8, 80], seeds=range(3), engine="qnnpack")
    assert agreement.agreeing == agreement.runs == 12


def test_every_element_of_every_run_counts(reader):
    calls, run = [], rounding_once(reader)

    def off_in_one_element(lstm, inputs, hidden, cell):
        outputs = run(lstm, inputs, hidden, cell)
        calls.append(inputs)
        if len(calls) == 3:
            outputs[7, 0, 3] += 3 * TOLERANCE
        return outputs

    agreement = rh.compare_by_hand(
        off_in_one_element, widths=[4, 8], batch_sizes=[1, 2], seeds=[5, 6]
    )
    sizes = [(w, b, seed) for w in (4, 8) for b in (1, 2) for seed in (5, 6)]
    for inputs, (width, batch_size, seed) in zip(calls, sizes, strict=True):
        demo = rh.demonstration(width=width, batch_size=batch_size, seed=seed)
        assert torch.equal(inputs, demo.inputs)
    assert agreement.table().rows == [
        ("4", "1", "2 of 2"),
        ("4", "2", "1 of 2"),
        ("8", "1", "2 of 2"),
        ("8", "2", "2 of 2"),
    ]
    assert "7 of 8 runs agree" in str(agreement)


def test_an_lstm_that_was_not_quantized_does_not_agree_and_a_difference_of_the_tolerance_does():
    def unquantized(lstm, inputs, hidden, cell):
        return lstm(inputs, (hidden[None], cell[None]))[0]

    agreement = rh.compare_by_hand(unquantized, widths=[8], seeds=range(3))
    assert (agreement.agreeing, agreement.runs) == (0, 6)
    point = AgreementPoint(8, 1, (0.0, TOLERANCE, 1.01 * TOLERANCE))
    found = Agreement((point, point))
    assert (point.agreeing, found.agreeing, found.runs) == (2, 4, 6)
    assert rh.relative_error(torch.tensor([1.5, -3.0]), torch.tensor([1.0, -3.0])) == 0.125


# --- products of integers, added in pairs in 16 bits ----------------------------------------------


def by_python(row, weights):
    """One sum, product by product, in whole numbers without a size."""
    products = [int(a) * int(w) for a, w in zip(row, weights, strict=True)]
    pairs = [sum(products[i : i + 2]) for i in range(0, len(products), 2)]
    return sum(min(max(pair, -32768), 32767) for pair in pairs)


SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 9))


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.data())
def test_the_sums_are_those_of_whole_numbers(shape, data):
    rows, outputs, columns = shape
    a = torch.from_numpy(data.draw(npst.arrays("uint8", (2, rows, columns))))
    w = torch.from_numpy(data.draw(npst.arrays("int8", (outputs, columns))))
    result = rh.saturating_product(a, w)
    assert result.dtype == torch.int32
    assert result.tolist() == [[[by_python(r, weight) for weight in w] for r in part] for part in a]


@pytest.mark.parametrize(
    ("a", "w", "exact", "kept", "share"),
    [
        ([127, 127], [127, 127], [32258], 32258, 0),  # reduced range cannot saturate
        ([127, 127], [-128, -128], [-32512], -32512, 0),
        ([255, 191], [127, 2], [32767], 32767, 0),  # the ends of 16 bits are kept
        ([255, 192], [127, 2], [32769], 32767, 1),
        ([255, 1], [-128, -128], [-32768], -32768, 0),
        ([255, 2], [-128, -128], [-32896], -32768, 1),
        ([255, 255, 1, 1], [127] * 4, [64770, 254], 33021, 0.5),  # pairs are counted
    ],
)
def test_what_does_not_fit_into_16_bits_is_cut_off(a, w, exact, kept, share):
    a, w = torch.tensor([a], dtype=torch.uint8), torch.tensor([w], dtype=torch.int8)
    assert pair_sums(a, w).flatten().tolist() == exact
    assert rh.saturating_product(a, w).item() == kept
    assert rh.saturated_share(a, w) == share


@pytest.mark.parametrize(
    "engine", [e for e in ("qnnpack", "fbgemm") if e in torch.backends.quantized.supported_engines]
)
def test_an_engine_gives_the_true_sums_or_on_x86_without_vnni_those_emulated(engine, untouched):
    a = torch.randint(256, (16, 64)).to(torch.uint8)
    a[0, :2] = torch.tensor([0, 255])
    w = torch.randint(-128, 128, (32, 64)).to(torch.int8)
    cpu = getattr(torch.cpu, "get_capabilities", dict)()
    wide = engine == "qnnpack" or any(cpu.get(name) for name in ("avx_vnni", "avx512_vnni"))
    expected = a.int() @ w.int().T if wide else rh.saturating_product(a, w)
    with untouched():
        found = rh.engine_product(a, w, engine=engine)
    assert torch.equal(found, expected)
