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

from ..korean import english_in, figure_in_both, in_both, untold_in
from .made_up import BROKEN, LOADS, A, B, C


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (
            rh.decide_deployment([A, B, C]),
            "오차가 5% 이내인 방법 가운데, 가장 빠른 것: b 또는 c; 가장 작은 파일: c; "
            "메모리를 가장 적게 쓰는 것: b.",
        ),
        (rh.decide_deployment([BROKEN]), "오차가 5% 이내인 방법이 없습니다."),
        (rh.decide_deployment([replace(A, peak_bytes=None)]), "가장 빠른 것: a"),
        (rh.decide_deployment([replace(A, needs="onnxruntime alone")]), "onnxruntime만"),
        (LOADS, "초당 응답 수"),
        (StreamCheck(30, 29, 1e-7), "비트까지 같음"),
    ],
)
def test_a_result_in_both_languages(result, says):
    _, korean = in_both(lambda: str(result))
    assert says in korean
    assert english_in(korean) == []
    with speaking("ko"):
        assert untold_in(result.table(), "nothing", "broken") == {}  # names in there


def test_a_server_in_both_languages():
    _, korean = in_both(lambda: str(Server(1, 2, 1234)))
    assert korean == "가중치 1,234 bytes의 서버"


def test_the_figure_in_both_languages():
    assert english_in(figure_in_both(lambda: plots.loads(LOADS))) == []


def test_an_error_says_korean_first():
    with speaking("ko"), pytest.raises(rh.InputError) as caught:
        rh.check_streaming(nn.Identity().eval(), torch.ones(0, 2))
    with speaking("ko"):
        assert str(caught.value).splitlines() == [
            "steps가 비어 있습니다. 시점을 하나 이상 넘기십시오.",
            "steps is empty; pass at least one step.",
        ]
