"""Every kind of result of every room, shown in both languages; a kind without a row here fails."""

import importlib
import pkgutil
from dataclasses import replace

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common.intervals import Interval
from recipe_helpers.common.language import N_, speaking
from recipe_helpers.common.tables import Ready, Shown
from recipe_helpers.deployment.serving import Server
from recipe_helpers.deployment.streaming import StreamCheck
from recipe_helpers.recipe.compare import Comparison
from recipe_helpers.recipe.inspection import Conversion
from recipe_helpers.recipe.latency import LatencySweep
from recipe_helpers.recipe.model import Machine
from recipe_helpers.recipe.quantize import left_alone
from recipe_helpers.recipe.timing import FASTER, INCONCLUSIVE, SLOWER
from recipe_helpers.trained_models import fragility
from recipe_helpers.trained_models.data import corpus, digits
from recipe_helpers.trained_models.fragility import Cliff
from recipe_helpers.trained_models.language_model import PartSize, PartSizes, PerplexityComparison
from recipe_helpers.trained_models.rounded_parts import ALL, MEASURED, PARTS, Sensitivity
from recipe_helpers.under_the_hood.by_hand import Agreement, AgreementPoint
from recipe_helpers.under_the_hood.planes_and_tiles import ProductPoint, Products
from recipe_helpers.under_the_hood.schemes import (
    STRESS_CASES,
    ChoiceErrors,
    SchemeErrors,
    StressPoint,
    StressTest,
)

from ..classroom.made_up import compared, surveyed
from ..deployment.made_up import BROKEN, LOADS, A, B, C
from ..explorer.made_up import exploration
from ..korean import HANGUL, english_in, error_in_both, in_both, untold_in
from ..recipe import made_up as made
from . import made_up

ELSEWHERE = (  # the rooms, and the ledger's tests, have more to say than tables hold
    "recipe_helpers.your_model",
    "recipe_helpers.exercises",
    "recipe_helpers.recipe.ledger.Ledger",
    "recipe_helpers.recipe.claims.Finding",
)


class Weights(nn.Module):
    """A module with a parameter that torch.ao does not convert."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))


class Mine(nn.LSTM):
    """A subclass, which torch.ao leaves alone."""


LEFT = (Mine(2, 2), nn.LSTMCell(2, 2), nn.Embedding(2, 2), nn.LayerNorm(2), Weights())
ALONE = [left_alone(f"part{i}", module, plain=False) for i, module in enumerate(LEFT)]


def sweep(*verdicts):
    """A sweep of these verdicts at widths 8, 64, 256."""
    points = zip(made.SWEEP.points, verdicts, strict=True)
    return LatencySweep(
        tuple(replace(p, comparison=replace(p.comparison, verdict=v)) for p, v in points), 2, 1
    )


def labelled(question, *labels):
    """Answers to a question of design by these names, which the notebook may have given."""
    options = (SchemeErrors(label, (0.01,), (0.1,)) for label in labels)
    return ChoiceErrors(question, tuple(options), (1, 2, 3))


OUTPUTS = rh.compare_outputs(nn.Linear(2, 2).eval(), nn.Linear(2, 2).eval(), torch.ones(1, 2))
ROUGH = dict.fromkeys((*PARTS, ALL, MEASURED), 40.0)
CLIFF = Cliff(
    N_("factor on the numbers of one feature"),
    (1.0, 64.0),
    dict.fromkeys((*fragility.QUANTIZERS, fragility.RESCALED, fragility.APART), (0.9, 0.5)),
    True,
)
# A result, and what it says in Korean where that depends on its numbers.
RESULTS = [
    Machine("2.13", "3.11", "Linux x86_64", "a CPU", "AVX2", "x86", 2),
    rh.round_to_grid(torch.tensor([0.5, -1.0])), made.SCALES, made.STEPS, made.SEEDS,
    Conversion(made.CONVERTED.converted, tuple(ALONE)),
    Conversion((), (left_alone("", nn.LSTM(2, 2), plain=False),)),
    made.SIZES.points[0].comparison.reference, made.SIZES.points[0].comparison, made.SIZES,
    made.MEMORY, made.MEMORY.points[0].comparison, made.memory((10.0, 1.0), None),
    made.memory((10.0, 1.0), None).points[1].comparison, OUTPUTS, made.OPERATORS,
    made.costs(2.0, 1.8, 2.2), (made.LATENCY, "교차 측정 4회"),
    (replace(made.LATENCY, verdict=SLOWER), "더 느림"),
    (replace(made.LATENCY, verdict=INCONCLUSIVE), "판단 보류"),
    (made.SWEEP, "폭 64"), (made.NO_CROSSOVER, "교차점"), sweep(FASTER, FASTER, FASTER),
    sweep(INCONCLUSIVE, FASTER, FASTER), sweep(INCONCLUSIVE, SLOWER, FASTER),
    (Comparison(made.SIZES.points[0].comparison, made.LATENCY, OUTPUTS,
                made.MEMORY.points[0].comparison), "INT8의 결과"),
    (compared(), "컴퓨터 3대"), (surveyed(), "더 느림 2개, 판단 보류 1개"),
    (rh.decide_deployment([A, B, C]), "가장 빠른 것: b 또는 c; 가장 작은 파일: c; 메모리를"),
    (rh.decide_deployment([BROKEN]), "오차가 5% 이내인 방법이 없습니다."),
    (rh.decide_deployment([replace(A, peak_bytes=None)]), "가장 빠른 것: a"),
    (rh.decide_deployment([replace(A, needs="onnxruntime alone")]), "onnxruntime만"),
    LOADS, StreamCheck(30, 29, 1e-7), (exploration(8), "폭 8, 1계층, 배치 1, 20시점, 스레드 1개"),
    (made_up.STUDY, "시드 2개의 평균"), (made_up.DISAGREEMENTS, "4개 가운데 2개"),
    digits(), corpus({"a": "one two two", "b": "three"}, 0, 0.4, 1), CLIFF,
    (PerplexityComparison(9.0, 9.1, Interval(0.1, 0.0, 0.2), 1234), "평가용 단어 1,234개"),
    (PartSizes((PartSize("rnn", 10, 40, 10),)), "모든 부분을 합하면 4.00 : 1입니다."),
    Sensitivity({"lstm": ROUGH, "language model": ROUGH}),
    (made_up.GAINS, "가장 큰 요인: 폭 8, 64에서 융합."),
    (Agreement((AgreementPoint(8, 1, (0.0, 1.0)),)), "2번 가운데 1번의 실행에서"),
    labelled("weights, again", "per channel", "least squares"),
    StressTest(tuple(StressPoint(c, (1.0,), (0.5,)) for c in STRESS_CASES), 3),
    Products((ProductPoint(32, {"rows": made.LATENCY.reference}),), 1), rh.fast_path(),
]  # fmt: skip
PAIRS = [row if isinstance(row, tuple) else (row, "") for row in RESULTS]
# Names in them that are data, or stay as they are.
GIVEN = ("output", "nothing", "broken")


def kinds():
    """Every class of the package that shows itself as a table."""
    for module in pkgutil.walk_packages(rh.__path__, "recipe_helpers."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    below = [Shown]
    while below:
        kind = below.pop()
        below += kind.__subclasses__()
        if kind.__module__.startswith("recipe_helpers.") and "table" in vars(kind):
            yield kind


def test_every_kind_of_result_has_a_row():
    covered = {kind for result, _ in PAIRS for kind in type(result).__mro__} | {Shown, Ready}
    left = {f"{kind.__module__}.{kind.__qualname__}" for kind in {*kinds()} - covered}
    assert {name for name in left if not name.startswith(ELSEWHERE)} == set()


@pytest.mark.parametrize(("result", "says"), PAIRS, ids=[type(one).__name__ for one, _ in PAIRS])
def test_a_result_is_shown_in_both_languages(result, says):
    _, korean = in_both(lambda: str(result))
    assert says in korean
    with speaking("ko"):
        assert untold_in(result.table(), *GIVEN) == {}
        assert HANGUL.search(result._repr_html_())


def test_what_is_no_table():
    assert in_both(lambda: str(Server(1, 2, 1234)))[1] == "가중치 1,234 bytes의 서버"
    assert english_in(in_both(lambda: exploration(8).verdict)[1]) == []
    _, korean = in_both(lambda: str(compared().disagreement_table()))
    assert "성립하지 않음: first, third; 성립: second" in korean


ERRORS = [
    (lambda: rh.check_streaming(nn.Identity().eval(), torch.ones(0, 2)), rh.InputError,
     "steps가 비어 있습니다. 시점을 하나 이상", "steps is empty; pass at least one step."),
    (lambda: digits(test_fraction=2), rh.ArgumentError,
     "test_fraction의 값: 2. 0보다 크고", "test_fraction is 2; pass"),
    (lambda: rh.relative_error(torch.ones(2), torch.ones(3)), rh.InputError,
     "outputs의 값: shape이 (2,)인 float32 Tensor. expected의 값:", "outputs is a float32 tensor"),
    (lambda: rh.saturating_product(torch.ones(2), torch.ones(3)), rh.InputError,
     "activations의 값: shape이 (2,)인 float32 Tensor. shape이 (..., K)인 uint8 Tensor를",
     "activations is a float32 tensor of shape (2,); pass a tensor (..., K) of uint8."),
    (lambda: rh.demonstration(width=0), rh.ArgumentError, "width의 값이 0입니다.", "width is 0; "),
    (lambda: rh.quantize_dynamic("model"), rh.ModelError, "model의 타입이 str입니다.", "model is"),
    (lambda: rh.survey([8], [1], client="a client"), rh.ArgumentError, "client", "client"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "korean", "english"), ERRORS)
def test_an_error_says_korean_first(call, kind, korean, english):
    first, second = error_in_both(kind, call)
    assert first.startswith(korean)
    assert second.startswith(english)
    assert english_in(first) == []
