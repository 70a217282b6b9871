"""Student's interval, against its definition."""

import numpy as np
import pytest
from scipy import stats

from recipe_helpers.common.errors import ArgumentError
from recipe_helpers.common.intervals import Interval, mean_interval
from recipe_helpers.common.language import speaking


def test_the_interval_is_students():
    values = [0.2, -0.1, 0.4, 0.35, 0.05]
    found = mean_interval(values)
    reach = stats.t.ppf(0.975, 4) * np.std(values, ddof=1) / np.sqrt(5)
    assert found.mean == pytest.approx(np.mean(values))
    assert (found.low, found.high) == pytest.approx((found.mean - reach, found.mean + reach))
    assert mean_interval([0.5, 0.5, 0.5]) == Interval(0.5, 0.5, 0.5), "all alike: no width"


@pytest.mark.parametrize("values", [[], [1.0]])
def test_fewer_than_two_values_have_none(refuses, values):
    with refuses(ArgumentError, f"values has {len(values)} elements; an interval needs"):
        mean_interval(values)
    assert mean_interval([1.0, 2.0]).mean == 1.5


def test_percentages_have_a_sign_and_no_negative_zero():
    found = Interval(-1e-9, -0.012, 0.02)
    assert found.percent() == f"{found:.2%}" == "+0.00 (-1.20 to +2.00)"
    assert found.percent(1) == f"{found:.1%}" == "+0.0 (-1.2 to +2.0)"
    with speaking("ko"):
        assert f"{found:.2%}" == "+0.00 (-1.20 ~ +2.00)"
    for spec in ("", ".2f", "2%", ".12%"):
        with pytest.raises(ValueError, match="unknown format"):
            format(found, spec)
