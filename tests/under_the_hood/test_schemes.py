"""The measured choices of design, and the hard cases: whose error is measured, and how shown."""

import copy
from dataclasses import replace

import pytest
import torch
from int8_rnn.scheme import EXACT as DEFAULT, TORCH_AO

import recipe_helpers as rh
from recipe_helpers.under_the_hood import schemes
from recipe_helpers.under_the_hood.schemes import SchemeErrors, StressPoint, StressTest


def test_a_case_is_the_same_for_one_seed_and_uneven_ones_are_uneven(untouched):
    with untouched():
        first, again = (schemes.draw_case("uneven", 3) for _ in range(2))
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(first.lstm.weight_hh_l0, again.lstm.weight_hh_l0)
    assert not torch.equal(first.inputs, schemes.draw_case("uneven", 4).inputs)
    for kind, uneven in (("even", False), ("uneven", True)):
        lstm, inputs = schemes.draw_case(kind, 0)
        peaks = lstm.weight_ih_l0.abs().amax(dim=1)
        loudness = inputs.abs().amax(dim=2)
        assert bool(peaks.max() > 20 * peaks.min()) == uneven
        assert bool(loudness.max() > 20 * loudness.min()) == uneven
        beside = loudness.amax(dim=1) / loudness.amin(dim=1)  # of the sequences of one step
        assert bool(beside.median() > 4) == uneven


def test_the_error_is_that_of_the_scheme_named():
    coarse, fine = replace(DEFAULT, activation_bits=4), DEFAULT
    found = rh.compare_schemes("bits", {"4": coarse, "all": fine}, seeds=[2, 5])
    assert found.seeds == (2, 5)
    assert [option.label for option in found.options] == ["4", "all"]
    for option, scheme in zip(found.options, (coarse, fine), strict=True):
        for kind in schemes.CASES:
            for seed, relative in zip((2, 5), getattr(option, kind), strict=True):
                lstm, inputs = schemes.draw_case(kind, seed)
                outputs = rh.Int8LSTM.from_float(lstm, scheme=scheme, fast=False)(inputs)[0]
                with torch.inference_mode():
                    exact = copy.deepcopy(lstm).double()(inputs.double())[0]
                expected = float((outputs - exact).abs().sum() / exact.abs().sum())
                assert relative == pytest.approx(expected, rel=1e-9)
    assert found.options[0].median("even") > 5 * found.options[1].median("even")


def test_tables_show_the_median_and_the_range_or_the_worst():
    option = SchemeErrors("per row", (0.09, 0.01, 0.02), (0.9, 0.3, 0.4))
    table = schemes.ChoiceErrors("scales", (option,), (1, 2, 3)).table()
    assert table.rows == [("per row", "2.00% (1.00% to 9.00%)", "40.00% (30.00% to 90.00%)")]
    assert table.headers == ("scales", "even model", "uneven model")
    assert "3 seeds" in table.caption
    point = StressPoint("outlier rows", (0.3, 0.1, 0.7), (1.0, 0.9, 0.99))
    table = StressTest((point,), 2).table()
    assert table.rows == [("outlier rows", "0.3000 (0.1000)", "0.9900 (0.9000)")]
    assert table.headers == ("case", "torch.ao", "Int8LSTM")
    assert table.caption == "2 layers: cosine to the FP32 outputs, median (worst) of 3"


def test_the_answers_lead_from_torch_aos_scheme_to_the_default():
    """The path of the notebook: each step lowers the error where the notebook says that it does."""
    per_channel = replace(TORCH_AO, weights="channel", weight_limit=127.0)
    per_row = replace(per_channel, activations="row")
    fine = replace(per_row, activation_bits=12, smallest_scale=DEFAULT.smallest_scale)
    symmetric = replace(fine, symmetric=True, activation_bits=None)
    least_squares = replace(symmetric, weight_candidates=8)
    columns = replace(least_squares, columns=True)
    residual = replace(columns, residual=True)
    assert residual == DEFAULT
    path = (TORCH_AO, per_channel, per_row, fine, symmetric, least_squares, columns, residual)
    found = rh.compare_schemes("path", {str(i): s for i, s in enumerate(path)}, seeds=range(3))
    even, uneven = ([o.median(kind) for o in found.options] for kind in schemes.CASES)
    assert uneven[1] < uneven[0]
    assert uneven[2] < uneven[1] / 5
    assert even[2] < even[1] / 1.4
    assert even[3] < even[2] / 2
    assert even[4] == pytest.approx(even[3], rel=0.05)
    assert even[5] < even[4]
    assert even[6] == pytest.approx(even[5], rel=0.02)
    assert uneven[5] < uneven[4] < 1.5 * even[4]


def test_hard_cases_break_torch_ao_and_not_the_plain_backend():
    found = {point.case: point for point in rh.stress_test(seeds=range(2), layers=2).points}
    assert list(found) == list(schemes.STRESS_CASES)
    assert min(found["ordinary"].torch_ao) > 0.999
    for case, point in found.items():
        assert case == "ordinary" or max(point.torch_ao) < 0.7
        assert min(point.plain) >= 0.99
        for seed, cosine in enumerate(point.plain):
            model, inputs = schemes.draw_stress(case, seed, 2)
            plain = rh.quantize_dynamic(model, backend="plain")
            assert cosine == rh.compare_outputs(model, plain, inputs).cosine


def test_hard_cases_are_what_their_names_say(untouched):
    with untouched():
        model, inputs = schemes.draw_stress("outlier rows", 0)
    assert model.lstm.num_layers == 3
    for name, weight in model.lstm.named_parameters():
        if name.startswith("bias"):
            assert not weight.any()
        else:
            peaks = weight.abs().amax(dim=1)
            assert peaks.argmax() == 3
            assert peaks[3] > 1000 * peaks.median()
    assert 0.5 < inputs.std() < 2
    model, inputs = schemes.draw_stress("heavy-tailed inputs", 0, layers=1)
    assert model.lstm.num_layers == 1
    assert (inputs > 1e-3).double().mean() < 0.02
    assert inputs.max() > 0.5 > 1e-4 > inputs.median()
    quiet = inputs[1] @ model.lstm.weight_ih_l0.T
    assert 0.1 < quiet.std() < 10, "the weights are large enough for the small ones"
