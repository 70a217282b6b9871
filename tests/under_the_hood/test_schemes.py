"""The measured choices of design, and the hard cases."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from int8_rnn.scheme import EXACT as DEFAULT, TORCH_AO

import recipe_helpers as rh
from recipe_helpers.common.settings import threads_set
from recipe_helpers.under_the_hood import schemes, stress_test


@pytest.fixture(autouse=True)
def _one_thread():
    with threads_set(1):
        yield


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
    option = schemes.SchemeErrors("per row", (0.03, 0.01, 0.02), (0.5, 0.3, 0.4))
    shown = str(schemes.ChoiceErrors("scales", (option,), (1, 2, 3)))
    assert "2.00% (1.00% to 3.00%)" in shown
    assert "40.00% (30.00% to 50.00%)" in shown
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
    ("arguments", "message"),
    [
        (({}, [1]), "schemes is empty"),
        (({"a": DEFAULT}, []), "seeds is empty"),
        (({"a": DEFAULT}, [1.5]), "seeds is 1.5"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    schemes, seeds = arguments
    with pytest.raises(rh.ArgumentError, match=message):
        rh.compare_schemes("question", schemes, seeds=seeds)


def test_an_unknown_case_is_refused():
    with pytest.raises(rh.ArgumentError, match="kind is 'odd'"):
        schemes.draw_case("odd", 1)
    with pytest.raises(rh.ArgumentError, match="case is 'odd'"):
        stress_test.draw_stress("odd", 1)


def test_hard_cases_break_torch_ao_and_not_the_plain_backend():
    test = rh.stress_test(seeds=range(2))
    points = {point.case: point for point in test.points}
    assert list(points) == list(stress_test.CASES)
    assert min(points["ordinary"].torch_ao) > 0.999
    for case in stress_test.CASES[1:]:
        assert max(points[case].torch_ao) < 0.7
    for point in points.values():
        assert min(point.plain) >= 0.99
    rows = {row[0]: row for row in test.table().rows}
    median = np.median(points["heavy-tailed inputs"].torch_ao)
    assert rows["heavy-tailed inputs"][1].startswith(f"{median:.4f}")


def test_stress_cases_are_what_their_names_say():
    model, inputs = stress_test.draw_stress("outlier rows", 0)
    assert model.lstm.num_layers == 3
    peaks = model.lstm.weight_hh_l2.abs().amax(dim=1)
    assert peaks.argmax() == 3
    assert peaks[3] > 1000 * peaks.median()
    assert not any(p.any() for n, p in model.lstm.named_parameters() if n.startswith("bias"))
    _, inputs = stress_test.draw_stress("heavy-tailed inputs", 0)
    assert (inputs > 1e-3).double().mean() < 0.02
    assert inputs.max() > 0.5 > 1e-4 > inputs.median()


@pytest.mark.parametrize("arguments", [{"seeds": []}, {"layers": 0}])
def test_bad_stress_arguments_are_named(arguments):
    with pytest.raises(rh.ArgumentError, match=next(iter(arguments))):
        rh.stress_test(**arguments)
