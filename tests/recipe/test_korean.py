"""What the recipe measures, shown in both languages."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common.language import speaking
from recipe_helpers.recipe.accuracy import SeedErrors
from recipe_helpers.recipe.claims import FAILS, IN_PART, INCONCLUSIVE
from recipe_helpers.recipe.costs import Cost, OperatorCounts, StepCosts
from recipe_helpers.recipe.inspection import Conversion, Converted, LeftAlone
from recipe_helpers.recipe.latency import LatencySweep
from recipe_helpers.recipe.memory import MemoryComparison, MemorySweep, MemoryUse
from recipe_helpers.recipe.model import Machine
from recipe_helpers.recipe.pair import Point
from recipe_helpers.recipe.quantize import why_not_converted
from recipe_helpers.recipe.timing import FASTER, SLOWER, Ratio, Timing

from ..korean import english_in, in_both, untold, untold_in
from . import made_up as made
from .test_judges import CASES

NO_PEAK = MemoryComparison(MemoryUse(0, 10**7, None, 0), MemoryUse(0, 10**6, None, 0))
COSTS = StepCosts(512, 16, Cost(10.0, 100.0), Cost(80.0, 50.0), Ratio(2.0, 1.8, 2.2), 2)


def reasons():
    """Why torch.ao leaves each of these modules alone."""

    class Mine(nn.LSTM):
        pass

    class Weights(nn.Module):
        pass

    modules = (Mine(2, 2), nn.LSTMCell(2, 2), nn.Embedding(2, 2), nn.LayerNorm(2), Weights())
    left = [why_not_converted(module, root=False, plain=False) for module in modules]
    return [*left, why_not_converted(nn.LSTM(2, 2), root=True, plain=False)]


def sweep(*verdicts):
    """A sweep of these verdicts at widths 8, 64, 256."""
    points = zip(made.SWEEP.points, verdicts, strict=True)
    return LatencySweep(
        tuple(
            replace(point, comparison=replace(point.comparison, verdict=verdict))
            for point, verdict in points
        ),
        2,
        1,
    )


RESULTS = {
    "machine": Machine("2.13", "3.11", "Linux x86_64", "a CPU", "AVX2", "x86", 2),
    "rounding": rh.round_to_grid(torch.tensor([0.5, -1.0])),
    "scales": made.SCALES,
    "conversion": Conversion(
        (Converted("lstm", "LSTM", "DynamicQuantizedLSTM"),),
        tuple(LeftAlone(f"part{i}", "Part", 3, reason) for i, reason in enumerate(reasons())),
    ),
    "whole model": Conversion((), (LeftAlone("", "LSTM", 3, reasons()[-1]),)),
    "breakdown": made.SIZES.points[0].comparison.reference,
    "size": made.SIZES.points[0].comparison,
    "sizes": made.SIZES,
    "memory": made.MEMORY,
    "one memory": made.MEMORY.points[0].comparison,
    "no peak": MemorySweep((Point(8, 100, 1, NO_PEAK),)),
    "one without a peak": NO_PEAK,
    "latency": made.LATENCY,
    "slower": replace(made.LATENCY, verdict=SLOWER),
    "inconclusive": replace(made.LATENCY, verdict=INCONCLUSIVE),
    "sweep": made.SWEEP,
    "no crossover": made.NO_CROSSOVER,
    "always faster": sweep(FASTER, FASTER, FASTER),
    "never slower": sweep(INCONCLUSIVE, FASTER, FASTER),
    "slower in between": sweep(INCONCLUSIVE, SLOWER, FASTER),
    "costs": COSTS,
    "operators": OperatorCounts({f"aten::{i}": i for i in range(12)}, {"aten::mm": 3}),
    "outputs": rh.compare_outputs(nn.Linear(2, 2).eval(), nn.Linear(2, 2).eval(), torch.ones(1, 2)),
    "steps": made.STEPS,
    "seeds": SeedErrors((1, 2), (0.01, 0.02)),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_shown_in_both_languages(name):
    result = RESULTS[name]
    in_both(lambda: str(result))
    in_both(result._repr_html_)
    with speaking("ko"):
        assert untold_in(result.table(), "output") == {}, "but for the name of what is returned"


@pytest.mark.parametrize(("claim", "results", "verdict", "says"), CASES)
def test_a_finding_is_made_once_and_said_in_both(claim, results, verdict, says):
    with speaking("ko"):
        found = rh.judge(claim, *results)
    in_both(lambda: str(found))
    assert says in found.row()[3]
    assert found.verdict == verdict
    assert found == rh.judge(claim, *results)
    with speaking("ko"):
        assert untold_in(found.table()) == {}
        assert untold(str(found.measured)) == untold(str(found.reason)) == []


def test_the_whole_ledger():
    ledger = rh.Ledger()
    for claim, results, verdict, _ in CASES:
        if verdict in (FAILS, IN_PART):
            ledger.judge(claim, *results)
    with speaking("ko"):
        in_korean = ledger.to_json()
        table = ledger.table()
        assert untold_in(table) == {}
        assert table.caption == "주장 장부"
        assert table.note.startswith("주장 19개 가운데 일부 성립 1개, 성립하지 않음 18개")
    found = json.loads(in_korean)["findings"]
    assert found == json.loads(ledger.to_json())["findings"], "a file is English in any language"
    assert {finding["verdict"] for finding in found.values()} <= {FAILS, IN_PART}


def test_a_measured_machine_and_numbers_in_words():
    with speaking("ko"):
        assert untold_in(rh.machine().table()) == {}
        assert str(Timing((100.0, 200.0))) == "150 µs (125 µs ~ 175 µs)"
        assert str(Ratio(2.0, 1.5, 2.5)) == "2.00 (95 % 신뢰구간 1.50~2.50)"
    assert str(Ratio(2.0, 1.5, 2.5)) == "2.00 (95 % interval 1.50 to 2.50)"
    assert rh.CLAIMS["C2"] == "the model gets smaller"


@pytest.mark.parametrize(
    "call",
    [
        lambda: rh.demonstration(dimension=0),
        lambda: rh.round_to_grid([1.0]),
        lambda: rh.round_to_grid(torch.tensor([])),
        lambda: rh.round_to_grid(torch.ones(2, dtype=torch.float64)),
        lambda: rh.round_to_grid(torch.ones(2), scale=-1),
        lambda: rh.compare_scales(torch.ones(2), {}),
        lambda: rh.activation_step(torch.ones(3)),
        lambda: rh.quantize_dynamic(nn.Sequential(nn.Linear(2, 2))),
        lambda: rh.quantize_dynamic(nn.Sequential(nn.Linear(2, 2)).eval(), modules=["no"]),
        lambda: rh.quantize_dynamic(nn.Sequential(nn.LSTM(2, 2, bias=False)).eval()),
        lambda: rh.quantize_dynamic(nn.Sequential(nn.ReLU()).eval()),
        lambda: rh.quantize_dynamic(nn.Sequential(nn.LayerNorm(2)).eval(), backend="plain"),
        lambda: rh.quantize_dynamic("model"),
        lambda: rh.size_sweep([8, 8]),
        lambda: made.SIZES.at(9),
        lambda: rh.error_over_seeds([]),
        lambda: rh.compare_outputs(*2 * [nn.Linear(2, 2).eval()], torch.ones(3)),
        lambda: rh.compare_latency(*2 * [nn.Linear(2, 2).eval()], torch.ones(2), budget_s=0),
        lambda: rh.judge("C20"),
    ],
)
def test_an_error_is_said_in_korean_and_then_in_english(call):
    with pytest.raises(rh.RecipeError) as caught:
        call()
    english = str(caught.value)
    with speaking("ko"):
        korean, same = str(caught.value).split("\n")
    assert same == english
    # A name, PyTorch's own words, and nothing else is left of it.
    assert english_in(korean, "mat1 and mat2 shapes cannot be multiplied") == []
    assert in_both(lambda: str(caught.value))
