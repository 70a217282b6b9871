"""What was measured on trained models, shown in both languages."""

import pytest
import torch

from recipe_helpers.common.errors import ArgumentError, InputError
from recipe_helpers.common.intervals import Interval
from recipe_helpers.common.language import Text, speaking
from recipe_helpers.recipe.accuracy import StepErrors
from recipe_helpers.trained_models import fragility, plots
from recipe_helpers.trained_models.classification import disagreements
from recipe_helpers.trained_models.data import Sequences, corpus, digits
from recipe_helpers.trained_models.fragility import Cliff, loud_passage_cliff
from recipe_helpers.trained_models.language_model import (
    PartSize,
    PartSizes,
    PerplexityComparison,
)
from recipe_helpers.trained_models.rounded_parts import (
    ALL,
    MEASURED,
    PARTS,
    Sensitivity,
    fake_quantized,
)
from recipe_helpers.trained_models.training import DigitClassifier

from ..korean import english_in, error_in_both, figure_in_both, in_both, untold_in
from .test_classification import FIRST, LABELS, SECOND, study

STUDY = study({4: [-0.02, 0.00, 0.01], 8: [0.00, 0.02, 0.03]})
SQUARES = Sequences(torch.rand(3, 4, 3), LABELS.labels)
DIFFER, AGREE = disagreements(FIRST, SECOND, SQUARES), disagreements(FIRST, FIRST, SQUARES)
CLIFF = Cliff(
    Text("factor on the numbers of one feature"),
    (1.0, 64.0),
    dict.fromkeys((*fragility.QUANTIZERS, fragility.RESCALED, fragility.APART), (0.9, 0.5)),
    True,
)


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (STUDY, "시드 3개의 평균"),
        (DIFFER, "4개 가운데 3개"),
        (digits(), "한 행씩 읽는 숫자"),
        (corpus({"a": "one two two", "b": "three"}, 0, 0.4, 1), "단어"),
        (CLIFF, "채널별 INT8"),
        (PerplexityComparison(9.0, 9.1, Interval(0.1, 0.0, 0.2), 1234), "평가용 단어 1,234개"),
        (PartSizes((PartSize("rnn", 10, 40, 10),)), "모든 부분을 합하면 4.00 : 1입니다."),
        (Sensitivity({"lstm": dict.fromkeys((*PARTS, ALL, MEASURED), 40.0)}), "은닉 상태"),
    ],
)
def test_a_result_in_both_languages(result, says):
    _, korean = in_both(lambda: str(result))
    assert says in korean
    assert english_in(korean) == []
    with speaking("ko"):
        assert untold_in(result.table()) == {}
    with speaking("ko"):
        assert says in result._repr_html_()


def test_what_the_factor_multiplies_is_said_when_it_is_shown():
    model = DigitClassifier(2, width=3).eval()
    found = loud_passage_cliff(model, Sequences(torch.rand(2, 4, 3), torch.zeros(4)), [1, 2])
    assert found.table().caption == "Accuracy against factor on the brightness of what follows"
    with speaking("ko"):
        assert found.table().caption == "뒤따르는 이미지의 밝기에 곱한 배수에 따른 정확도"
    said = figure_in_both(lambda: plots.cliff(found))
    assert english_in(said) == []


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.pareto(STUDY),
        lambda: plots.differences(STUDY),
        lambda: plots.disagreements(DIFFER),
        lambda: plots.disagreements(AGREE),
        lambda: plots.cliff(CLIFF),
        lambda: plots.error_along({"lstm": StepErrors((0.02,) * 100)}),
    ],
)  # fmt: skip
def test_a_figure_in_both_languages(draw):
    assert english_in(figure_in_both(draw)) == []


def test_what_the_notebook_calls_its_lstms_is_said_in_korean():
    parts = Sensitivity({"language model": dict.fromkeys((*PARTS, ALL, MEASURED), 40.0)})
    assert "언어 모델" in in_both(lambda: str(parts))[1]
    errors = {"random, forget gates held open": StepErrors((0.02,) * 100)}
    said = figure_in_both(lambda: plots.error_along(errors))
    assert said.count("무작위, 망각 게이트를 열어 둠") == 2  # the legend and the alternative text


@pytest.mark.parametrize(
    ("call", "error", "korean", "english"),
    [
        (
            lambda: digits(test_fraction=2),
            ArgumentError,
            "test_fraction의 값: 2. 0보다 크고",
            "test_fraction is 2; pass",
        ),
        (
            lambda: fake_quantized(torch.nn.LSTM(2, 2), torch.ones(3)),
            InputError,
            "inputs의 값: shape이 (3,)인 float32 Tensor. shape이",
            "inputs is a float32 tensor of shape (3,); pass",
        ),
    ],
)
def test_an_error_says_korean_first(call, error, korean, english):
    first, second = error_in_both(error, call)
    assert first.startswith(korean)
    assert second.startswith(english)
