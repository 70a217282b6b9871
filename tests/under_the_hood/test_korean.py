"""What was found under the hood, shown in both languages."""

import pytest
import torch

from recipe_helpers.common.errors import ArgumentError, InputError
from recipe_helpers.common.language import speaking
from recipe_helpers.recipe.timing import Timing
from recipe_helpers.under_the_hood import plots
from recipe_helpers.under_the_hood.by_hand import Agreement, AgreementPoint, relative_error
from recipe_helpers.under_the_hood.causes_of_speed import GainPoint, Gains
from recipe_helpers.under_the_hood.saturation import pair_sums
from recipe_helpers.under_the_hood.schemes import compare_schemes
from recipe_helpers.under_the_hood.stress_test import CASES, StressPoint, StressTest

from ..korean import english_in, error_in_both, figure_in_both, in_both, untold_in
from .test_plots import question

GAINS = Gains(
    tuple(
        GainPoint(d, *(Timing((d * t,) * 9) for t in times))
        for d, times in ((8, (60, 90, 120, 10, 8, 4)), (512, (600, 400, 150, 200, 50, 40)))
    ),
    2,
)
# What a caller names comes out as it went in.
ASKED = question("Gewichte", "pro Matrix", "pro Kanal")


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (GAINS, "가장 큰 요인: 폭 8에서 융합; 폭 512에서 적은 바이트."),
        (Agreement((AgreementPoint(8, 1, (0.0, 1.0)),)), "2번 가운데 1번의 실행에서"),
        (ASKED, "시드 3개의 중앙값 (범위)"),
        (StressTest(tuple(StressPoint(c, (1.0,), (0.5,)) for c in CASES), 3), "이상치 행"),
    ],
)
def test_a_result_in_both_languages(result, says):
    _, korean = in_both(lambda: str(result))
    assert says in korean
    assert english_in(korean) == []
    with speaking("ko"):
        assert untold_in(result.table()) == {}


def test_what_the_notebook_calls_its_choices_is_said_in_korean():
    asked = question("weights, again", "per channel", "least squares")
    _, korean = in_both(lambda: str(asked))
    assert korean.splitlines()[1].startswith("다시 가중치 ")
    assert [line.split()[0] for line in korean.splitlines()[3:]] == ["채널별", "최소제곱"]
    said = figure_in_both(lambda: plots.choices([asked, asked]))
    for label in ("다시 가중치", "채널별", "최소제곱"):
        assert label in said


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.gains(GAINS),
        lambda: plots.choices([ASKED, ASKED]),
        lambda: plots.saturation(
            torch.full((1, 2), 255, dtype=torch.uint8),
            torch.full((1, 2), 127, dtype=torch.uint8),
            torch.full((3, 2), 127, dtype=torch.int8),
        ),
    ],
)
def test_a_figure_in_both_languages(draw):
    assert english_in(figure_in_both(draw)) == []


@pytest.mark.parametrize(
    ("call", "error", "korean", "english"),
    [
        (
            lambda: relative_error(torch.ones(2), torch.ones(3)),
            InputError,
            "outputs의 값: shape이 (2,)인 float32 Tensor. expected의 값:",
            "outputs is a float32 tensor of shape (2,) and expected",
        ),
        (
            lambda: pair_sums(torch.ones(2), torch.ones(3)),
            InputError,
            "activations의 값: shape이 (2,)인 float32 Tensor. shape이 (..., K)인 uint8 Tensor를",
            "activations is a float32 tensor of shape (2,); pass a uint8 tensor (..., K).",
        ),
        (
            lambda: compare_schemes("bits", {}),
            ArgumentError,
            "schemes가 비어 있습니다.",
            "schemes is empty; pass at least one scheme.",
        ),
    ],
)
def test_an_error_says_korean_first(call, error, korean, english):
    first, second = error_in_both(error, call)
    assert first.startswith(korean)
    assert second.startswith(english)
