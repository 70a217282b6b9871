"""The judges: each claim is fed results for which it holds, and others on both sides."""

from dataclasses import replace

import pytest
import torch

import recipe_helpers as rh
from recipe_helpers.common.intervals import Interval
from recipe_helpers.common.language import speaking
from recipe_helpers.recipe.claims import ELSEWHERE, FAILS, HOLDS, IN_PART
from recipe_helpers.recipe.rounding import ActivationStep
from recipe_helpers.recipe.timing import FASTER, INCONCLUSIVE, SLOWER, Ratio

from ..korean import in_both, untold, untold_in
from .made_up import (
    CONVERTED,
    FLOATS,
    LEFT,
    MB,
    OPERATORS,
    STORED,
    costs,
    latency,
    memory,
    outputs,
    rounding,
    scales,
    size,
    sizes,
    sweep,
)


def free(model, mapping=None, *, dtype=None):
    """A call whose arguments are all optional."""


def needs_data(model, calibration):
    """A call that wants data."""


class Study:
    """Results on trained models, reduced to the interval that is judged."""

    def __init__(self, low, high):
        self.relative = Interval((low + high) / 2, low, high)

    def difference(self):
        return self.relative


KEPT, LOST = Study(-0.0099, 0.0099), Study(-0.0101, 0.0101)
GRID = ActivationStep(2, 2 / 127)

STEPS_BY = ("fp32_overhead_us", "fp32_step_us", "int8_overhead_us", "int8_step_us")
ONE, MANY = costs(3, 2.5, 3.5), costs(2, 1.5, 2.5, 16)

# claim, what its judge is given, the verdict, and words that the finding must say.
CASES = [
    ("C1", (rounding([0.1, -0.52], 0.1, [1, -5]),), HOLDS, "0.0200, half a step 0.0500"),
    ("C1", (rounding([0.1, -0.55], 0.1, [1, -5]),), HOLDS, "0.0500, half a step 0.0500"),
    ("C1", (rounding([0.1, -0.551], 0.1, [1, -5]),), FAILS, "beyond the grid"),
    ("C2", (size(4573, 3549),), HOLDS, "4,573 bytes -> 3,549 bytes"),
    ("C2", (size(3549, 4573),), FAILS, "3,549 bytes -> 4,573 bytes: the container outweighs"),
    ("C2", (size(3549, 3549),), FAILS, ""),
    ("C3", (ONE, costs(2, 1.01, 3, 16)), HOLDS, "320.0 G multiply-adds per second in F"),
    ("C3", (ONE, costs(2, 1.0, 3, 16)), INCONCLUSIVE, "640.0 in INT8, in the steps of w"),
    ("C3", (ONE, costs(1, 0.5, 1.0, 16)), INCONCLUSIVE, "batch of 16; it holds if"),
    ("C3", (ONE, costs(0.9, 0.5, 0.99, 16)), FAILS, "not get more done"),
    ("C3", (ONE, costs(0.9, 0.5, 0.99, 1, 100, 60)), HOLDS, "20.0 G multiply-adds per s"),
    ("C4", (scales(0.01, 0.0001, 0.8, 0.01),), HOLDS, "quiet: fixed 0.01, at run time 0.0001"),
    ("C4", (scales(0.01, 0.01, 0.8, 0.01),), FAILS, "the same scale"),
    ("C5", (GRID, ActivationStep(0.02, 0.02 / 127)), HOLDS, "step 0.0157, range 0.02: step 0.0001"),
    ("C5", (GRID, ActivationStep(0.02, 2 / 127)), FAILS, "did not follow"),
    ("C5", (GRID, GRID), FAILS, "did not follow"),
    ("C5", (ActivationStep(2, 2 / 12.4), ActivationStep(3, 3 / 12.4)), FAILS, "did not follow"),
    ("C6", (scales(0.01, 0.0001, 0.8, 0.05),), HOLDS, "5.0% with a scale of its own, 80% with"),
    ("C6", (scales(0.01, 0.0001, 0.8, 0.051),), FAILS, "5.1% with a scale of its own"),
    ("C6", (scales(0.01, 0.0001, 0.05, 0.03),), FAILS, "no difference here"),
    ("C6", (scales(0.01, 0.0001, 0.051, 0.03),), HOLDS, ""),
    ("C7", (CONVERTED, (STORED, STORED)), HOLDS, "24 weights as int8, converted modules: 1"),
    ("C7", (CONVERTED, (STORED, FLOATS)), FAILS, ""),
    ("C7", (CONVERTED, ()), FAILS, "nothing was converted"),
    ("C7", (LEFT, (STORED,)), FAILS, "12 weights as int8, converted modules: 0"),
    ("C8", (sweep((1, 500, 500), (10, 900, 400)),), IN_PART, "25.0 G multiply-adds per second"),
    ("C8", (sweep((10, 900, 400)),), IN_PART, "vectors are multiplied, not that they hold INT8"),
    ("C8", (sweep((12, 400, 1000)),), FAILS, "not more than scalar code could do"),
    ("C8", (sweep((12.1, 400, 1000)),), IN_PART, "12.1 G"),
    ("C8", (sweep((10, 900, 500), threads=2),), FAILS, "scalar code at most 24"),
    ("C9", (6464, 72000, 72000), HOLDS, "true sum 72000: int16 gives 6464, int32 72000"),
    ("C9", (72000, 72000, 72000), FAILS, "no overflow was seen"),
    ("C9", (6464, 6464, 72000), FAILS, ""),
    ("C10", (torch.float32, torch.qint8), HOLDS, "output torch.float32, between two quantized la"),
    ("C10", (torch.float32, torch.float32), IN_PART, "each layer quantizes its own input anew"),
    ("C10", (torch.qint8, torch.float32), FAILS, "output torch.qint8, between two quantized layer"),
    ("C11", (free,), HOLDS, "2 arguments besides the model"),
    ("C11", (needs_data,), FAILS, "must be chosen"),
    ("C12", (outputs(0.05),), HOLDS, "5.00% of the mean output"),
    ("C12", (outputs(0.0501),), FAILS, "ruined"),
    ("C13", (sizes(1.3, 3.7, 3.99),), HOLDS, "23% less at width 8, 73% (3.7x) at 80, 75% at 512"),
    ("C13", (sizes(1.3, 3.5, 3.99),), FAILS, "does not approach 4"),
    ("C13", (sizes(1.3, 3.501, 3.99),), HOLDS, ""),
    ("C13", (sizes(3.7, 3.7, 3.99),), FAILS, ""),
    ("C13", (sizes(1.3, 3.99, 3.99),), FAILS, ""),
    ("C14", (ONE, costs(1.5, 1.2, 2.4, 16)), HOLDS, "3.00 (95 % interval 2.50 to 3"),
    ("C14", (ONE, costs(1.5, 1.2, 2.5, 16)), INCONCLUSIVE, "intervals overlap"),
    ("C14", (costs(1.5, 1.2, 2.0), costs(1.8, 1.7, 2.5, 16)), INCONCLUSIVE, "1.80 (95 % interval"),
    ("C14", (costs(1.5, 1.2, 2.0), costs(3, 2.5, 3.5, 16)), FAILS, "no more is gained"),
    ("C14", (costs(0.9, 0.85, 0.95), costs(0.5, 0.4, 0.6, 16)), FAILS, "no more is gained"),
    ("C14", (costs(1, 0.85, 1.1), costs(0.5, 0.4, 0.6, 16)), INCONCLUSIVE, "the first lies above"),
    ("C15", (costs(0.5, 0.4, 0.6), costs(1.5, 1.01, 2.0, 16)), HOLDS, "1.50 (95 % interval 1.01"),
    ("C15", (ONE, costs(1.1, 1.0, 1.3, 16)), INCONCLUSIVE, "holds 1"),
    ("C15", (ONE, costs(0.9, 0.7, 1.0, 16)), INCONCLUSIVE, "at batch 16, where a w"),
    ("C15", (ONE, costs(0.8, 0.7, 0.99, 16)), FAILS, "no gain is left"),
    ("C16", (latency(200, 100, FASTER), OPERATORS), HOLDS, "FP32 / INT8 2.00, faster"),
    ("C16", (latency(100, 200, SLOWER), OPERATORS), FAILS, "INT8 call runs 562 operators, FP32 17"),
    ("C16", (latency(102, 100, INCONCLUSIVE), OPERATORS), INCONCLUSIVE, "beyond the noise"),
    ("C17", (sweep((1, 100, 300), (10, 900, 400)),), IN_PART, "from 0.33 to 2.25 over the width"),
    ("C17", (sweep((1, 150, 100), (10, 100, 100)),), FAILS, "hardly depends on width"),
    ("C17", (sweep((1, 151, 100), (10, 100, 100)),), IN_PART, "the width alone was varied"),
    ("C18", (), ELSEWHERE, "trained_models.ipynb"),
    ("C18", (KEPT, KEPT), HOLDS, "accuracy +0.00 (-0.99 to +0.99) points; text: perplexity +0.00"),
    ("C18", (LOST, KEPT), IN_PART, "a loss of 1% or more is not excluded for the digits"),
    ("C18", (Study(-0.01, 0.0), KEPT), IN_PART, "for the digits"),
    ("C18", (KEPT, Study(0.0, 0.01)), IN_PART, "for the text"),
    ("C18", (KEPT, LOST), IN_PART, "a loss of 1% or more is not excluded for the text"),
    ("C18", (LOST, LOST), FAILS, "a loss of 1% or more is not excluded for either"),
    ("C19", (memory((34, 9), (68, 10)),), HOLDS, "34.0 MB -> 9.0 MB loaded, 68.0 MB -> 10.0 MB d"),
    ("C19", (memory((34, 9), (34, 40)),), IN_PART, "not less in both"),
    ("C19", (memory((9, 34), (68, 40)),), IN_PART, "not less in both"),
    ("C19", (memory((9, 9.4), (12, 12.3)),), FAILS, "no less in either"),
    ("C19", (memory((34, 9), None),), IN_PART, "does not tell the peak of a call"),
    ("C19", (memory((9, 9), None),), FAILS, "not known -> not known during a call: this system"),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "results", "verdict", "says"), CASES)
def test_each_claim_is_judged_by_what_was_measured(claim, results, verdict, says):
    with speaking("ko"):
        found = rh.judge(claim, *results)
        assert untold_in(found.table()) == {}
        assert untold(found.measured) == untold(found.reason) == []
    in_both(lambda: str(found))
    row = found.row()
    assert row == (claim, verdict, rh.CLAIMS[claim], row[3])
    assert says in row[3]
    assert (found.claim, found.verdict, found.table().rows) == (claim, verdict, [row])
    assert bool(found.reason) == (verdict in (FAILS, IN_PART, INCONCLUSIVE))


def test_every_claim_has_a_case_for_each_verdict_it_can_get():
    verdicts = {claim: {v for c, _, v, _ in CASES if c == claim} for claim in rh.CLAIMS}
    best = {"C8": IN_PART, "C17": IN_PART}
    assert all({best.get(claim, HOLDS), FAILS} <= found for claim, found in verdicts.items())


def numbers(claim, *results):
    return rh.judge(claim, *results).numbers


def times(fp32_us, int8_us, verdict):
    ratio = Ratio(*[fp32_us / int8_us] * 3)
    return {"fp32_us": fp32_us, "int8_us": int8_us, "speedup": ratio, "control": Ratio(1, 1, 1),
            "verdict": verdict}  # fmt: skip


def test_numbers_of_a_sweep_of_times():
    swept = sweep((1, 100, 300), (10, 900, 400), threads=3)
    points = [replace(swept.points[0], comparison=latency(100, 300, SLOWER)), swept.points[1]]
    assert numbers("C17", replace(swept, points=tuple(points))) == {
        "threads": 3, "batch_size": 1, "crossover_width": 16,
        "points": [
            {"width": 8, **times(100, 300, SLOWER)}, {"width": 16, **times(900, 400, FASTER)},
        ],
    }  # fmt: skip
    assert numbers("C8", swept) == {
        "fp32_macs_per_s": pytest.approx(10e6 / 900e-6),
        "int8_macs_per_s": pytest.approx(10e6 / 400e-6),
        "threads": 3,
    }


def test_numbers_of_costs_keep_both_batches_and_both_models_apart():
    single, batch = costs(3, 2.5, 3.5, 1, 30.0, 10.0), costs(2, 1.5, 2.5, 16, 60.0, 20.0)

    def of(found, *steps_us):
        return {
            "width": 500, "threads": 1, "batch_size": found.batch_size,
            "step_speedup": found.step_speedup, **dict(zip(STEPS_BY, steps_us, strict=True)),
        }  # fmt: skip

    apart = {"single": of(single, 7, 30, 9, 10), "batch": of(batch, 7, 60, 9, 20)}
    assert numbers("C14", single, batch) == numbers("C15", single, batch) == apart
    rates = numbers("C3", single, batch)
    assert rates.pop("fp32_macs_per_s") == pytest.approx(16 * 8 * 500**2 / 60e-6)
    assert rates.pop("int8_macs_per_s") == pytest.approx(16 * 8 * 500**2 / 20e-6)
    assert rates.items() <= apart["batch"].items()
    assert len(rates) == 4


QUIET = {
    "batch": "quiet", "fixed_scale": 0.01, "own_scale": 0.0001, "fixed_relative_error": 0.8,
    "own_relative_error": 0.02,
}  # fmt: skip
RANGES = [{"range": 2, "step": 2 / 127}, {"range": 0.02, "step": 0.01}]


@pytest.mark.parametrize(
    ("claim", "results", "key", "expected"),
    [
        ("C1", (rounding([0.1, -0.52], 0.1, [1, -5]),), None,
         {"largest_error": pytest.approx(0.02), "half_step": 0.05}),
        ("C2", (size(4573, 3549),), None, {"fp32_bytes": 4573, "int8_bytes": 3549}),
        ("C5", (GRID, ActivationStep(0.02, 0.01)), None, {"steps": RANGES}),
        ("C6", (scales(0.01, 0.0001, 0.8, 0.02),), ("batches", 1), QUIET),
        ("C7", (CONVERTED, (STORED,)), None, {"int8_weights": 12, "converted_modules": 1}),
        ("C9", (1, 2, 3), None, {"in_int16": 1, "in_int32": 2, "exact": 3}),
        ("C10", (torch.float32, torch.qint8), None,
         {"output": "torch.float32", "between": "torch.qint8"}),
        ("C11", (free,), None, {"arguments": 2}),
        ("C12", (outputs(0.0121),), None, {"relative_difference": 0.0121}),
        ("C13", (sizes(1.3, 3.7, 3.99),), ("points", 1),
         {"width": 80, "parameters": 80, "fp32_bytes": 3700, "int8_bytes": 1000}),
        ("C16", (latency(200, 100, threads=3), OPERATORS), None,
         {**times(200, 100, FASTER), "fp32_operators": 17, "int8_operators": 562, "threads": 3}),
        ("C18", (KEPT, LOST), None, {"accuracy": KEPT.relative, "perplexity": LOST.relative}),
        ("C19", (memory((34, 9), (68, 10)),), ("points", 1),
         {"width": 1024, "parameters": 2, "fp32_loaded_bytes": 34 * MB, "int8_loaded_bytes": 9 * MB,
          "fp32_peak_bytes": 68 * MB, "int8_peak_bytes": 10 * MB}),
    ],
)  # fmt: skip
def test_every_number_stands_under_its_name(claim, results, key, expected):
    found = numbers(claim, *results)
    assert (found[key[0]][key[1]] if key else found) == expected
