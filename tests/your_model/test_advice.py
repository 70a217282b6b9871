"""Which conversion the report recommends, and which it calls the nearest."""

import pytest
from hypothesis import given, strategies as st
from torch import nn

from recipe_helpers.your_model.advice import decide
from recipe_helpers.your_model.promises import KEEP, SHIP, SHIP_PARTLY

from .made_up import candidate, measured

NAMES = ["torch.ao", "torch.ao-per-channel", "plain"]
MODEL = nn.ModuleDict({"lstm": nn.LSTM(2, 2)})


@st.composite
def trios(draw, smallest_speedup, largest_error):
    """Three conversions with errors and speed-ups of their own, every interval about 20 % wide."""
    made = []
    for name in NAMES:
        low = draw(st.floats(smallest_speedup, 4.0))
        relative = draw(st.floats(0.001, largest_error))
        made.append(candidate(name, measured(relative, low, low * draw(st.floats(1.01, 1.4)))))
    return made


def interval(one):
    return one.whole.latencies[0].speedup


@given(trios(smallest_speedup=1.2, largest_error=0.049))
def test_the_least_error_wins_unless_another_is_faster_beyond_doubt(made):
    verdict = decide(made, MODEL)
    assert verdict.decision == SHIP
    chosen = next(one for one in made if one.name == verdict.candidate)
    best = min(made, key=lambda one: one.whole.relative)
    if chosen is not best:
        assert interval(chosen).low > interval(best).high
    worse = [one for one in made if one.whole.relative > chosen.whole.relative]
    assert not any(interval(one).low > interval(chosen).high for one in worse)


def test_overlapping_intervals_decide_nothing_whatever_their_medians():
    slow = candidate("plain", measured(0.01, 1.5, 2.1))
    quick = candidate("torch.ao", measured(0.02, 2.0, 3.0))
    beyond_doubt = candidate("torch.ao", measured(0.02, 2.2, 3.0))
    assert decide([quick, slow], MODEL).candidate == "plain"
    assert decide([beyond_doubt, slow], MODEL).candidate == "torch.ao"


@given(trios(smallest_speedup=0.2, largest_error=0.3))
def test_the_nearest_conversion_breaks_least_and_then_errs_least(made):
    verdict = decide(made, MODEL)
    if verdict.decision != KEEP:
        return
    named = next(one for one in made if one.name == verdict.candidate)

    def distance(one):
        return len(one.whole.broken), one.whole.relative

    assert distance(named) == min(map(distance, made))
    assert f'"{named.name}"' in verdict.reason


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_whole_conversion_comes_before_one_with_exceptions(order):
    names = ("lstm",)
    mended = candidate("plain", measured(0.2, 2, 2.1), measured(0.001, 3, 3.1), left=names)
    whole = candidate("torch.ao", measured(0.04, 1.5, 1.6))
    made = [[mended, whole][place] for place in order]
    assert decide(made, MODEL).decision == SHIP
    assert decide(made, MODEL).candidate == "torch.ao"
    alone = decide([mended], MODEL)
    assert (alone.decision, alone.left_float) == (SHIP_PARTLY, names)
