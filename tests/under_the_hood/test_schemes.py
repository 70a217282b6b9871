"""The measured choices of design: whose error is measured, and how it is shown."""

import copy
from dataclasses import replace

import pytest
import torch
from int8_rnn.scheme import EXACT as DEFAULT, TORCH_AO

import recipe_helpers as rh
from recipe_helpers.under_the_hood import schemes


def test_a_case_is_the_same_for_one_seed_and_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    first, again = (schemes.draw_case("uneven", 3) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(first.lstm.weight_hh_l0, again.lstm.weight_hh_l0)
    assert not torch.equal(first.inputs, schemes.draw_case("uneven", 4).inputs)


def test_uneven_models_are_uneven_and_even_ones_are_not():
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


def test_the_table_shows_the_median_and_the_range():
    option = schemes.SchemeErrors("per row", (0.09, 0.01, 0.02), (0.9, 0.3, 0.4))
    shown = str(schemes.ChoiceErrors("scales", (option,), (1, 2, 3)))
    assert "2.00% (1.00% to 9.00%)" in shown
    assert "40.00% (30.00% to 90.00%)" in shown
    assert shown.index("2.00%") < shown.index("40.00%")
    assert "3 seeds" in shown


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


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: rh.compare_schemes("question", {}), "schemes is empty"),
        (lambda: rh.compare_schemes("question", {"a": DEFAULT}, seeds=[]), "seeds is empty"),
        (lambda: rh.compare_schemes("question", {"a": DEFAULT}, seeds=[1.5]), "seeds is 1.5"),
        (lambda: schemes.draw_case("odd", 1), "kind is 'odd'"),
    ],
)
def test_what_does_not_fit(refuses, call, says):
    with refuses(rh.ArgumentError, says):
        call()
