"""The ledger and its judges: each claim is fed a result for which it holds, and others."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

import recipe_helpers as rh
from recipe_helpers.recipe.accuracy import TensorComparison
from recipe_helpers.recipe.claims import ELSEWHERE, FAILS, HOLDS, IN_PART, OPEN
from recipe_helpers.recipe.costs import Cost, StepCosts
from recipe_helpers.recipe.inspection import Conversion, Converted, LeftAlone, StoredWeight
from recipe_helpers.recipe.latency import LatencyComparison, LatencySweep
from recipe_helpers.recipe.ledger import Ledger
from recipe_helpers.recipe.memory import MemoryComparison, MemorySweep, MemoryUse
from recipe_helpers.recipe.operators import OperatorCounts
from recipe_helpers.recipe.pair import Point
from recipe_helpers.recipe.rounding import ActivationStep, Rounding, ScaleChoice, ScaleChoices
from recipe_helpers.recipe.size import SizeBreakdown, SizeComparison, SizeSweep
from recipe_helpers.recipe.timing import FASTER, INCONCLUSIVE, SLOWER, Ratio, Timing

NAMES = [f"C{number}" for number in range(1, 20)]


def rounding(numbers, scale, integers):
    return Rounding(torch.tensor(numbers), scale, torch.tensor(integers, dtype=torch.int8))


def size(before, after):
    return SizeComparison(SizeBreakdown(0, before, 0, 0), SizeBreakdown(after, 0, 0, 0))


def sizes(*ratios):
    dimensions = (8, 80, 512)
    points = zip(dimensions, ratios, strict=True)
    return SizeSweep(tuple(Point(d, d, 1, size(int(1000 * r), 1000)) for d, r in points))


def latency(reference_us, candidate_us, verdict=FASTER):
    ratio = reference_us / candidate_us
    return LatencyComparison(
        Timing((reference_us,) * 3),
        Timing((candidate_us,) * 3),
        Ratio(ratio, ratio, ratio),
        Ratio(1, 1, 1),
        verdict,
        1,
    )


def sweep(*points, threads=1):
    """Points are (million multiply-adds, reference in µs, candidate in µs)."""
    made = [Point(2**i, 1, int(m * 1e6), latency(r, c)) for i, (m, r, c) in enumerate(points, 3)]
    return LatencySweep(tuple(made), threads, 1)


def scales(fixed_scale, dynamic_scale, fixed_error, dynamic_error):
    """One batch of the number 1, with these relative errors under either scale."""

    def grid(scale, error):
        return SimpleNamespace(scale=scale, relative=error)

    return ScaleChoices(
        (
            ScaleChoice("loud", grid(fixed_scale, 0.01), grid(fixed_scale, 0.01)),
            ScaleChoice(
                "quiet", grid(fixed_scale, fixed_error), grid(dynamic_scale, dynamic_error)
            ),
        )
    )


def costs(median, low, high, batch_size=1):
    return StepCosts(512, batch_size, Cost(1, 1), Cost(1, 1), Ratio(median, low, high), 1)


def memory(loaded, peak):
    """FP32 and INT8 in MB at width 1024; at width 8 there is nothing between the two."""
    sides = zip(loaded, peak or (None, None), strict=True)
    uses = [
        MemoryUse(0, int(h * 1e6), None if m is None else int((m - h) * 1e6), 0) for h, m in sides
    ]
    alike = MemoryComparison(MemoryUse(0, 9, 9, 0), MemoryUse(0, 9, 9, 0))
    return MemorySweep((Point(8, 1, 1, alike), Point(1024, 2, 1, MemoryComparison(*uses))))


def outputs(relative):
    return TensorComparison("output", 1.0, 1.0, relative, 30.0, 1.0, None)


CONVERTED = Conversion((Converted("lstm", "LSTM", "DynamicQuantizedLSTM"),), ())
LEFT = Conversion((), (LeftAlone("lstm", "LSTM", 576, "a subclass"),))
STORED = StoredWeight("w", torch.ones(4, 3, dtype=torch.int8), torch.ones(1))
FLOATS = StoredWeight("w", torch.ones(4, 3), torch.ones(1))
OPERATORS = OperatorCounts({"aten::lstm": 17}, {"aten::mul": 562})


def free(model, mapping=None, *, dtype=None):
    """A call whose arguments are all optional."""


def needs_data(model, calibration):
    """A call that wants data."""


# claim, what its judge is given, the verdict, and words that the finding must say.
CASES = [
    ("C1", (rounding([0.1, -0.52], 0.1, [1, -5]),), HOLDS, "0.0200, half a step 0.0500"),
    ("C1", (rounding([0.1, -0.52], 0.1, [1, -6]),), FAILS, "beyond the grid"),
    ("C2", (size(4573, 3549),), HOLDS, "4,573 bytes -> 3,549 bytes"),
    ("C2", (size(3549, 4573),), FAILS, "3,549 bytes -> 4,573 bytes: the container outweighs"),
    ("C2", (size(3549, 3549),), FAILS, ""),
    ("C3", (sweep((1, 100, 300), (10, 900, 400)),), HOLDS, "11.1 G multiply-adds per second in FP"),
    ("C3", (sweep((1, 100, 300), (10, 900, 950)),), FAILS, "no width was large enough"),
    ("C4", (scales(0.01, 0.0001, 0.8, 0.01),), HOLDS, "quiet: fixed 0.01, at run time 0.0001"),
    ("C4", (scales(0.01, 0.01, 0.8, 0.01),), FAILS, "the same scale"),
    ("C5", (ActivationStep(2, 2 / 127), ActivationStep(0.02, 0.02 / 127)), HOLDS, "range 0.02"),
    ("C5", (ActivationStep(2, 2 / 127), ActivationStep(0.02, 2 / 127)), FAILS, "did not follow"),
    ("C5", (ActivationStep(2, 2 / 127), ActivationStep(2, 2 / 127)), FAILS, "did not follow"),
    ("C5", (ActivationStep(2, 2 / 12.4), ActivationStep(3, 3 / 12.4)), FAILS, "did not follow"),
    ("C6", (scales(0.01, 0.0001, 0.8, 0.012),), HOLDS, "1.2% with a scale of its own, 80% with"),
    ("C6", (scales(0.01, 0.0001, 0.8, 0.3),), FAILS, "30.0% with a scale of its own"),
    ("C6", (scales(0.01, 0.01, 0.03, 0.03),), FAILS, "no difference here"),
    ("C7", (CONVERTED, (STORED, STORED)), HOLDS, "24 weights of 1 module as int8"),
    ("C7", (CONVERTED, (STORED, FLOATS)), FAILS, ""),
    ("C7", (CONVERTED, ()), FAILS, "nothing was converted"),
    ("C7", (LEFT, (STORED,)), FAILS, "12 weights of 0 modules"),
    ("C8", (sweep((1, 500, 500), (10, 900, 400)),), HOLDS, "25.0 G multiply-adds per second, scal"),
    ("C8", (sweep((10, 400, 900)),), FAILS, "not more than scalar code could do"),
    ("C8", (sweep((10, 900, 500), threads=2),), FAILS, "scalar code at most 24"),
    ("C9", (6464, 72000, 72000), HOLDS, "true sum 72000: int16 gives 6464, int32 72000"),
    ("C9", (72000, 72000, 72000), FAILS, "no overflow was seen"),
    ("C9", (6464, 6464, 72000), FAILS, ""),
    ("C10", (torch.float32, torch.qint8), HOLDS, "output float32, between two quantized layers q"),
    ("C10", (torch.float32, torch.float32), IN_PART, "each layer quantizes its own input anew"),
    ("C10", (torch.qint8, torch.qint8), FAILS, "the output is not FP32"),
    ("C11", (free,), HOLDS, "2 arguments besides the model"),
    ("C11", (needs_data,), FAILS, "must be chosen"),
    ("C12", (outputs(0.0121),), HOLDS, "1.21% of the mean output"),
    ("C12", (outputs(0.51),), FAILS, "ruined"),
    ("C13", (sizes(1.3, 3.7, 3.99),), HOLDS, "23% less at width 8, 73% (3.7x) at 80, 75% at 512"),
    ("C13", (sizes(1.3, 3.4, 3.99),), FAILS, "does not approach 4"),
    ("C13", (sizes(3.7, 3.7, 3.99),), FAILS, ""),
    ("C13", (sizes(1.3, 3.99, 3.7),), FAILS, ""),
    ("C14", (costs(3, 2.5, 3.5), costs(1.5, 1.2, 2.0, 16)), HOLDS, "3.00 (95 % interval 2.50 to 3"),
    ("C14", (costs(3, 1.8, 3.5), costs(1.5, 1.2, 2.0, 16)), INCONCLUSIVE, "intervals overlap"),
    ("C14", (costs(1.5, 1.2, 2.0), costs(1.8, 1.7, 2.5, 16)), INCONCLUSIVE, "intervals overlap"),
    ("C14", (costs(1.5, 1.2, 2.0), costs(3, 2.5, 3.5, 16)), FAILS, "no more is gained"),
    ("C14", (costs(0.9, 0.85, 0.95), costs(0.5, 0.4, 0.6, 16)), FAILS, "no more is gained"),
    ("C15", (costs(0.5, 0.4, 0.6), costs(1.5, 1.2, 2.0, 16)), HOLDS, "1.50 (95 % interval 1.20 to"),
    ("C15", (costs(3, 2.5, 3.5), costs(1.1, 0.9, 1.3, 16)), INCONCLUSIVE, "holds 1"),
    ("C15", (costs(3, 2.5, 3.5), costs(0.8, 0.7, 0.9, 16)), FAILS, "no gain is left"),
    ("C16", (latency(200, 100, FASTER), OPERATORS), HOLDS, "FP32 / INT8 2.00, faster"),
    ("C16", (latency(100, 200, SLOWER), OPERATORS), FAILS, "INT8 call runs 562 operators, FP32 17"),
    ("C16", (latency(102, 100, INCONCLUSIVE), OPERATORS), INCONCLUSIVE, "beyond the noise"),
    ("C17", (sweep((1, 100, 300), (10, 900, 400)),), HOLDS, "from 0.33 to 2.25 over the widths"),
    ("C17", (sweep((1, 100, 100), (10, 900, 800)),), FAILS, "hardly depends on width"),
    ("C18", (), ELSEWHERE, "trained_models.ipynb"),
    ("C19", (memory((34, 9), (68, 10)),), HOLDS, "34.0 MB -> 9.0 MB loaded, 68.0 MB -> 10.0 MB d"),
    ("C19", (memory((34, 9), (34, 40)),), IN_PART, "not less in both"),
    ("C19", (memory((9, 34), (68, 40)),), IN_PART, "not less in both"),
    ("C19", (memory((9, 9.4), (12, 12.3)),), FAILS, "no less in either"),
    ("C19", (memory((34, 9), None),), IN_PART, "does not tell the peak of a call"),
    ("C19", (memory((9, 9), None),), FAILS, "does not tell the peak of a call"),
]


@pytest.mark.parametrize(("claim", "results", "verdict", "says"), CASES)
def test_each_claim_is_judged_by_what_was_measured(claim, results, verdict, says):
    found = rh.judge(claim, *results)
    assert (found.claim, found.verdict) == (claim, verdict)
    row = found.row()
    assert row == (claim, rh.CLAIMS[claim], row[2], verdict)
    assert says in row[2]
    assert bool(found.reason) == (verdict in (FAILS, IN_PART, INCONCLUSIVE))
    assert found.table().rows == [row]


def test_every_claim_has_a_case_that_holds_and_one_that_does_not():
    verdicts = {
        name: {verdict for claim, _, verdict, _ in CASES if claim == name} for name in NAMES
    }
    assert verdicts.pop("C18") == {ELSEWHERE}
    assert all({HOLDS, FAILS} <= found for found in verdicts.values())


def test_judges_take_what_is_really_measured(demo, quantized):
    """The results of the helpers themselves, for the claims whose outcome is no matter of time."""
    ledger = rh.Ledger()
    time = torch.arange(60) / 6
    batches = {"loud": torch.sin(time), "quiet": 0.01 * torch.cos(time)}
    steps = [rh.activation_step(batch.repeat(8)) for batch in batches.values()]
    ledger.judge("C1", rh.round_to_grid(batches["loud"]))
    ledger.judge("C2", rh.compare_size(demo.model, quantized))
    ledger.judge("C4", rh.compare_scales(batches["loud"], batches))
    ledger.judge("C5", *steps)
    ledger.judge("C6", rh.compare_scales(batches["loud"], batches))
    ledger.judge("C7", rh.converted_modules(demo.model, quantized), rh.stored_weights(quantized))
    ledger.judge("C11", torch.ao.quantization.quantize_dynamic)
    ledger.judge("C12", rh.compare_outputs(demo.model, quantized, *demo.arguments))
    ledger.judge("C13", rh.size_sweep([8, 80, 128]))
    assert [finding.verdict for finding in ledger.findings.values()] == [HOLDS] * 9
    assert ledger.findings["C7"].measured == "512 weights of 1 module as int8"
    counts = rh.count_operators(demo.model, quantized, *demo.arguments)
    slower = ledger.judge("C16", replace(latency(100, 250), verdict=SLOWER), counts)
    assert (
        f"runs {counts.candidate_total} operators, FP32 {counts.reference_total}" in slower.reason
    )


def test_the_ledger_shows_all_claims_in_order():
    ledger = Ledger()
    found = ledger.judge("C9", 6464, 72000, 72000)
    ledger.judge("C2", size(1, 2))
    ledger.judge("C10", torch.float32, torch.float32)
    ledger.judge("C18")
    assert ledger.findings["C9"] is found
    table = ledger.table()
    assert table.headers == ("claim", "claimed", "measured here", "verdict")
    assert [row[0] for row in table.rows] == NAMES == list(rh.CLAIMS)
    assert [row[1] for row in table.rows] == list(rh.CLAIMS.values())
    verdicts = dict.fromkeys(NAMES, OPEN)
    verdicts |= {"C9": HOLDS, "C2": FAILS, "C10": IN_PART, "C18": ELSEWHERE}
    assert [row[3] for row in table.rows] == list(verdicts.values())
    assert table.rows[0][2] == ""
    assert OPEN == "not measured"
    assert table.note == "Of 19 claims: 1 holds, 1 in part, 1 fails, 1 elsewhere."
    assert ledger.count(HOLDS) == 1


def test_a_claim_judged_again_is_overwritten():
    ledger = Ledger()
    ledger.judge("C2", size(1, 2))
    ledger.judge("C2", size(2, 1))
    ledger.judge("C15", costs(1, 0.9, 1.1), costs(2, 1.9, 2.1, 16))
    assert ledger.table().rows[1][3] == HOLDS
    assert ledger.table().note == "Of 19 claims: 2 holds."


@pytest.mark.parametrize("claim", ["C0", "C20", "c1", "", 1, None, ["C1"]])
def test_claims_that_are_none(refuses, claim):
    ledger = Ledger()
    for judge in (rh.judge, ledger.judge):
        with refuses(rh.ArgumentError, f"claim is {claim!r}", "C1", "C19"):
            judge(claim)
    assert ledger.findings == {}
