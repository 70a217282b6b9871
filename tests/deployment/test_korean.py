"""The ways into use, shown in both languages."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common.language import speaking
from recipe_helpers.deployment import plots
from recipe_helpers.deployment.serving import Server
from recipe_helpers.deployment.streaming import StreamCheck

from ..korean import english_in, figure_in_both, in_both
from .test_decision import BROKEN, A, B, C
from .test_load import LOADS


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (
            rh.decide_deployment([A, B, C]),
            "오차 5% 이내에서, 가장 빠름: b 또는 c; 가장 작은 파일: c; 가장 적은 메모리: b.",
        ),
        (rh.decide_deployment([BROKEN]), "오차가 5% 이내인 방법이 없습니다."),
        (rh.decide_deployment([replace(A, peak_bytes=None)]), "가장 빠름: a"),
        (LOADS, "초당 응답 수"),
        (StreamCheck(30, 29, 1e-7), "비트까지 같음"),
        (Server(1, 2, 1234), "가중치 1,234 bytes의 서버"),
    ],
)
def test_a_result_in_both_languages(result, says):
    _, korean = in_both(lambda: str(result))
    assert says in korean
    assert english_in(korean) == []


def test_the_figure_in_both_languages():
    assert english_in(figure_in_both(lambda: plots.loads(LOADS))) == []


def test_an_error_says_korean_first():
    with speaking("ko"), pytest.raises(rh.InputError) as caught:
        rh.check_streaming(nn.Identity().eval(), torch.ones(0, 2))
    with speaking("ko"):
        assert str(caught.value).splitlines() == [
            "steps가 비어 있습니다. 시점을 하나 이상 넣으십시오.",
            "steps is empty; pass at least one step.",
        ]
