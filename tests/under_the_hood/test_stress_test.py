"""The hard cases: what they are, and that they break torch.ao and not the plain backend."""

import pytest

import recipe_helpers as rh
from recipe_helpers.under_the_hood import stress_test
from recipe_helpers.under_the_hood.stress_test import StressPoint, StressTest


def test_hard_cases_break_torch_ao_and_not_the_plain_backend():
    test = rh.stress_test(seeds=range(2), layers=2)
    points = {point.case: point for point in test.points}
    assert list(points) == list(stress_test.CASES)
    assert min(points["ordinary"].torch_ao) > 0.999
    for case in stress_test.CASES[1:]:
        assert max(points[case].torch_ao) < 0.7
    for point in points.values():
        assert min(point.plain) >= 0.99
        assert len({*point.plain}) == 2, "each seed draws its own model"


def test_the_table_shows_the_median_and_the_worst_of_each_side():
    made = StressTest((StressPoint("outlier rows", (0.3, 0.1, 0.7), (1.0, 0.9, 0.99)),), 2)
    assert made.table().rows == [("outlier rows", "0.3000 (0.1000)", "0.9900 (0.9000)")]
    assert made.table().headers == ("case", "torch.ao", "Int8LSTM")
    assert made.table().caption.startswith("2 layers: ")
    assert made.table().caption.endswith("of 3")


def test_stress_cases_are_what_their_names_say(untouched):
    with untouched():
        model, inputs = stress_test.draw_stress("outlier rows", 0)
    assert model.lstm.num_layers == 3
    for name, weight in model.lstm.named_parameters():
        if name.startswith("bias"):
            assert not weight.any()
        else:
            peaks = weight.abs().amax(dim=1)
            assert peaks.argmax() == 3
            assert peaks[3] > 1000 * peaks.median()
    assert 0.5 < inputs.std() < 2
    model, inputs = stress_test.draw_stress("heavy-tailed inputs", 0, layers=1)
    assert model.lstm.num_layers == 1
    assert (inputs > 1e-3).double().mean() < 0.02
    assert inputs.max() > 0.5 > 1e-4 > inputs.median()
    quiet = inputs[1] @ model.lstm.weight_ih_l0.T
    assert 0.1 < quiet.std() < 10, "the weights are large enough for the small ones"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: stress_test.draw_stress("odd", 1), "case is 'odd'"),
        (lambda: rh.stress_test(seeds=[]), "seeds is empty"),
        (lambda: rh.stress_test(layers=0), "layers is 0"),
    ],
)
def test_what_does_not_fit(refuses, call, says):
    with refuses(rh.ArgumentError, says):
        call()
