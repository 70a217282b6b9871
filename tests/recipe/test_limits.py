"""Each limit that a verdict turns on, tried just on either side of where it is documented."""

import inspect
from types import SimpleNamespace

import pytest
import torch

import recipe_helpers as rh
from recipe_helpers.common.intervals import Interval
from recipe_helpers.recipe.claims import FAILS, HOLDS, IN_PART
from recipe_helpers.recipe.judges import JUDGES
from recipe_helpers.recipe.rounding import ActivationStep
from recipe_helpers.recipe.timing import FASTER, INCONCLUSIVE, SLOWER, Ratio, judge

from .test_claims import costs, outputs, rounding, scales, size, sizes, sweep


def trained(accuracy_low, perplexity_high):
    study = SimpleNamespace(difference=lambda: Interval(0.0, accuracy_low, 0.1))
    return study, SimpleNamespace(relative=Interval(0.0, -0.1, perplexity_high))


def levels(count):
    return ActivationStep(2, 2 / count), ActivationStep(3, 3 / count)


# claim; results on the good side of the limit; results on the bad side; the verdict there.
EDGES = [
    ("half a step", "C1", (rounding([0.149], 0.1, [1]),), (rounding([0.151], 0.1, [1]),), FAILS),
    ("smaller at all", "C2", (size(1001, 1000),), (size(1000, 1000),), FAILS),
    ("1 % of a level", "C5", levels(12.12), levels(12.13), FAILS),
    ("5 % of a batch lost", "C6", (scales(1, 0.1, 0.8, 0.0499),), (scales(1, 0.1, 0.8, 0.0501),),
     FAILS),
    ("5 % lost to a fixed scale", "C6", (scales(1, 0.1, 0.0501, 0.011),),
     (scales(1, 0.1, 0.0499, 0.011),), FAILS),
    ("12 G multiply-adds a second", "C8", (sweep((12.01, 1e3, 1e3)),),
     (sweep((11.99, 1e3, 1e3)),), FAILS),
    ("12 G on each thread", "C8", (sweep((24.01, 1e3, 1e3), threads=2),),
     (sweep((23.99, 1e3, 1e3), threads=2),), FAILS),
    ("5 % of the output", "C12", (outputs(0.0499),), (outputs(0.0501),), FAILS),
    ("3.5 times smaller at width 80", "C13", (sizes(1.3, 3.51, 3.99),), (sizes(1.3, 3.49, 3.99),),
     FAILS),
    ("a spread of 1.5", "C17", (sweep((1, 100, 100), (1, 151, 100)),),
     (sweep((1, 100, 100), (1, 149, 100)),), FAILS),
    ("1 point of accuracy", "C18", trained(-0.0099, 0.0), trained(-0.0101, 0.0), IN_PART),
    ("1 % of perplexity", "C18", trained(0.0, 0.0099), trained(0.0, 0.0101), IN_PART),
    ("both", "C18", trained(-0.0099, 0.0099), trained(-0.0101, 0.0101), FAILS),
]  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "claim", "good", "bad", "verdict"), EDGES, ids=lambda x: str(x)[:30]
)
def test_a_claim_turns_at_its_limit(limit, claim, good, bad, verdict):
    assert rh.judge(claim, *good).verdict == HOLDS
    assert rh.judge(claim, *bad).verdict == verdict


def test_batch_against_single_turns_where_the_intervals_do():
    at_batch = costs(1.5, 1.2, 2.0, 16)
    assert rh.judge("C14", costs(3, 2.01, 3.5), at_batch).verdict == HOLDS
    assert rh.judge("C14", costs(3, 1.99, 3.5), at_batch).verdict == INCONCLUSIVE
    assert rh.judge("C14", costs(1.1, 1.0, 1.21), at_batch).verdict == INCONCLUSIVE
    assert rh.judge("C14", costs(1.1, 1.0, 1.19), at_batch).verdict == FAILS
    slower = costs(0.5, 0.4, 0.6, 16)
    assert rh.judge("C14", costs(0.9, 0.8, 0.99), slower).verdict == FAILS
    assert rh.judge("C14", costs(1.1, 1.01, 1.2), slower).verdict == HOLDS
    assert rh.judge("C15", at_batch, costs(1.2, 1.01, 1.5, 16)).verdict == HOLDS
    assert rh.judge("C15", at_batch, costs(1.2, 0.99, 1.5, 16)).verdict == INCONCLUSIVE
    assert rh.judge("C15", at_batch, costs(0.9, 0.8, 1.01, 16)).verdict == INCONCLUSIVE
    assert rh.judge("C15", at_batch, costs(0.9, 0.8, 0.99, 16)).verdict == FAILS


EXACT = Ratio(1, 1, 1)


@pytest.mark.parametrize(
    ("low", "high", "control", "verdict"),
    [
        (1.021, 1.5, EXACT, FASTER),
        (1.019, 1.5, EXACT, INCONCLUSIVE),  # 2 %, which two timings of one model may differ by
        (0.5, 0.9803, EXACT, SLOWER),
        (0.5, 0.9805, EXACT, INCONCLUSIVE),
        (1.11, 1.5, Ratio(1, 0.98, 1.10), FASTER),
        (1.09, 1.5, Ratio(1, 0.98, 1.10), INCONCLUSIVE),
        (1.26, 1.5, Ratio(1, 0.8, 1.02), FASTER),  # a control below 1 is noise as well
        (1.24, 1.5, Ratio(1, 0.8, 1.02), INCONCLUSIVE),
        (0.5, 0.90, Ratio(1, 0.98, 1.10), SLOWER),
        (0.5, 0.92, Ratio(1, 0.98, 1.10), INCONCLUSIVE),
    ],
)
def test_a_speed_up_counts_where_the_interval_leaves_the_noise(low, high, control, verdict):
    assert judge(Ratio((low + high) / 2, low, high), control) == verdict


class WrongError(Exception):
    """Raised by whatever a judge asks of its results."""


class Wrong:
    """A result of which nothing can be had."""

    def __getattribute__(self, name):
        raise WrongError(name)

    def __iter__(self):
        raise WrongError("iteration")

    def __eq__(self, other):
        raise WrongError("comparison")

    __hash__ = None


@pytest.mark.parametrize("claim", JUDGES)
def test_an_error_in_a_judge_comes_out(claim):
    """It is no finding: neither that the claim holds nor that it fails."""
    kinds = [parameter.kind for parameter in inspect.signature(JUDGES[claim]).parameters.values()]
    given = [Wrong() for _ in kinds]
    if claim == "C10":
        given = [torch.float32, Wrong()]
    with pytest.raises((WrongError, TypeError)):
        rh.judge(claim, *given)
    ledger = rh.Ledger()
    with pytest.raises((WrongError, TypeError)):
        ledger.judge(claim, *given)
    assert ledger.findings == {}
