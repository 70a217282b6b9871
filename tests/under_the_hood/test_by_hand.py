"""The lines that the reader writes in Under the hood, and the comparison that judges them."""

import ast
from functools import partial
from pathlib import Path

import nbformat
import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common.settings import deprecations_silenced, engine_set
from recipe_helpers.under_the_hood.by_hand import TOLERANCE, Agreement, AgreementPoint

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "under_the_hood.ipynb"
THIRTY_LINES = ("quantize_weight", "quantize_activations", "multiply", "linear", "step", "run")


@pytest.fixture(scope="module")
def reader():
    """What the reader has defined at the end of section 1, and the source of each function."""
    names, sources = {"torch": torch, "partial": partial, "rh": rh}, {}
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type == "code" and cell.source.startswith("def "):
            for part in ast.parse(cell.source).body:
                if isinstance(part, ast.FunctionDef):
                    sources[part.name] = ast.unparse(part)
            exec(compile(cell.source, str(NOTEBOOK), "exec"), names)
    return names, sources


@pytest.fixture(scope="module")
def run_once(reader):
    names, _ = reader
    return partial(names["run"], linear=partial(names["linear"], quantize=names["rounded_once"]))


def torch_ao(model, arguments, engine="fbgemm"):
    from torch.ao.quantization import quantize_dynamic

    with deprecations_silenced(), engine_set(engine), torch.inference_mode():
        return quantize_dynamic(model, {nn.LSTM}, dtype=torch.qint8)(*arguments)[0]


def by_hand(run, demo):
    with torch.inference_mode():
        return run(demo.model.lstm, demo.inputs, *(part[0] for part in demo.hidden))


def test_the_reader_writes_about_thirty_lines(reader):
    _, sources = reader
    lines = sum(len(sources[name].splitlines()) for name in THIRTY_LINES)
    assert 20 <= lines <= 35


def test_the_readers_lines_use_nothing_but_plain_tensors(reader):
    _, sources = reader
    for source in (sources[name] for name in THIRTY_LINES):
        assert "quantized" not in source
        assert "qint" not in source
        assert "rh." not in source


def test_rounding_once_agrees_but_for_a_rare_tie(run_once):
    """The notebook's own 60 runs; without AVX2 one `tanh` falls on the other side of a tie."""
    agreement = rh.compare_by_hand(run_once)
    assert agreement.runs == 60
    assert agreement.agreeing >= 58


@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize("width", [8, 80, 256])
def test_the_readers_lines_give_the_numbers_of_torch_ao(run_once, width, batch_size):
    for seed in (29592, 1, 2):
        demo = rh.demonstration(width=width, batch_size=batch_size, seed=seed)
        theirs = torch_ao(demo.model, demo.arguments)
        assert (by_hand(run_once, demo) - theirs).abs().max() <= 1e-6


def test_the_first_version_gives_the_published_error(reader):
    demo = rh.demonstration()
    with torch.inference_mode():
        exact = demo.model(*demo.arguments)[0]
    outputs = by_hand(reader[0]["run"], demo)
    assert (outputs - torch_ao(demo.model, demo.arguments)).abs().max() <= 1e-6
    assert f"{rh.relative_error(outputs, exact):.2%}" == "1.21%"


def test_the_full_range_gives_the_numbers_of_qnnpack(reader):
    names, _ = reader
    full = partial(names["linear"], quantize=partial(names["rounded_once"], largest=255))
    agreement = rh.compare_by_hand(
        partial(names["run"], linear=full), widths=[8, 80], seeds=range(3), engine="qnnpack"
    )
    assert agreement.agreeing == agreement.runs == 12
    demo = rh.demonstration()
    with torch.inference_mode():
        exact = demo.model(*demo.arguments)[0]
    outputs = by_hand(partial(names["run"], linear=full), demo)
    assert f"{rh.relative_error(outputs, exact):.2%}" == "0.72%"


def unquantized(lstm, inputs, hidden, cell):
    return lstm(inputs, (hidden[None], cell[None]))[0]


def test_an_lstm_that_was_not_quantized_does_not_agree():
    agreement = rh.compare_by_hand(unquantized, widths=[8], seeds=range(3))
    assert (agreement.agreeing, agreement.runs) == (0, 6)
    assert min(agreement.points[0].differences) > 1e-4
    assert "0 of 6 runs agree" in str(agreement)


def test_every_element_of_every_run_counts(run_once):
    calls = []

    def off_in_one_element(lstm, inputs, hidden, cell):
        outputs = run_once(lstm, inputs, hidden, cell)
        calls.append(inputs.shape)
        if len(calls) == 3:
            outputs[7, 0, 3] += 3 * TOLERANCE
        return outputs

    agreement = rh.compare_by_hand(
        off_in_one_element, widths=[4, 8], batch_sizes=[1, 2], seeds=[5, 6]
    )
    assert calls == [(20, batch, width) for width in (4, 8) for batch in (1, 2) for _ in range(2)]
    assert agreement.table().rows == [
        ("4", "1", "2 of 2"),
        ("4", "2", "1 of 2"),
        ("8", "1", "2 of 2"),
        ("8", "2", "2 of 2"),
    ]


def test_a_difference_of_the_tolerance_still_agrees():
    point = AgreementPoint(8, 1, (0.0, TOLERANCE, 1.01 * TOLERANCE))
    assert (point.agreeing, Agreement((point, point)).agreeing, Agreement((point,)).runs) == (
        2,
        4,
        3,
    )


@pytest.mark.parametrize(
    ("error", "changes", "says"),
    [
        (rh.InputError, {"by_hand": lambda *_: torch.zeros(3)}, "shape (3,); it must"),
        (rh.InputError, {"by_hand": lambda *_: torch.zeros(3)}, "of shape (20, 1, 8)."),
        (rh.InputError, {"by_hand": lambda *_: None}, "by_hand returned a NoneType"),
        (rh.ArgumentError, {"seeds": []}, "seeds is empty"),
        (rh.ArgumentError, {"dimensions": [8, 4]}, "widths is"),
        (rh.ArgumentError, {"batch_sizes": [0]}, "batch_sizes[0] is 0"),
    ],
)
def test_what_does_not_fit(refuses, error, changes, says):
    arguments = {"by_hand": unquantized, "seeds": [1], **changes}
    if "dimensions" not in arguments:
        arguments["widths"] = [8]
    with refuses(error, says):
        rh.compare_by_hand(arguments.pop("by_hand"), **arguments)


def test_the_relative_error_is_relative_to_the_expected_outputs(refuses):
    assert rh.relative_error(torch.tensor([1.5, -3.0]), torch.tensor([1.0, -3.0])) == 0.125
    with refuses(rh.InputError, "(2,) and expected a", "(2, 1)"):
        rh.relative_error(torch.zeros(2), torch.zeros(2, 1))
