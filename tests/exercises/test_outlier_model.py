"""The model of E8: one row of one matrix is to blame, whatever the seed."""

import torch

import recipe_helpers as rh
from recipe_helpers.exercises.outlier_model import outlier_model
from recipe_helpers.exercises.trained_tasks import rounded_alone


def test_the_culprit_is_one_row_of_one_matrix_and_not_the_one_of_the_largest_weights():
    blamed = set()
    for seed in range(6):
        drawn = outlier_model(seed)
        lstm = drawn.model.lstm
        errors = rounded_alone(lstm, drawn.inputs)
        worst, second = sorted(errors, key=errors.get, reverse=True)[:2]
        assert errors[worst] > 10 * errors[second]
        rows = lstm.get_parameter(worst).detach().abs().amax(dim=1)
        assert (rows > 100 * rows.median()).sum() == 1
        largest = max(errors, key=lambda name: float(lstm.get_parameter(name).detach().abs().max()))
        assert largest == "weight_ih_l0" != worst
        blamed.add(worst)
    assert len(blamed) > 2, "the seed decides"


def test_the_outlier_model_is_ruined_by_torch_ao_and_not_by_int8lstm():
    drawn = outlier_model()
    errors = [
        rh.compare_outputs(
            drawn.model, rh.quantize_dynamic(drawn.model, backend=backend), drawn.inputs
        ).relative
        for backend in ("torch.ao", "plain")
    ]
    assert errors[0] > 0.1
    assert errors[1] < 0.02


def test_the_seed_alone_decides_and_the_random_state_is_left():
    state = torch.random.get_rng_state()
    first, again = outlier_model(3), outlier_model(3)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first.inputs, again.inputs)
