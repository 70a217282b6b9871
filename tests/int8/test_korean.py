"""What the int8 modules refuse, and what they leave alone, in both languages."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common.errors import ArgumentError, InputError, ModelError, SavedModelError
from recipe_helpers.common.language import speaking
from recipe_helpers.int8.conversion import convert_modules
from recipe_helpers.int8.scheme import Scheme, chosen_scheme, most_activation_bits
from recipe_helpers.int8.weights import quantize_weight

from ..korean import english_in, error_in_both, in_both, untold_in

LSTM = rh.Int8LSTM.from_float(nn.LSTM(3, 4).eval())


def hooked():
    """A Linear that cannot be converted, for a reason that is said within another sentence."""
    linear = nn.Linear(2, 2)
    linear.register_forward_hook(lambda *given: None)
    return linear


def no_module_of_ours(path):
    safetensors.torch.save_file({"w": torch.ones(2)}, path)
    return rh.load_int8(path, nn.Linear(2, 2))


def other_shape(path):
    rh.save_int8(rh.quantize_dynamic(nn.Linear(2, 3).eval(), backend="plain"), path)
    return rh.load_int8(path, nn.Linear(2, 4).eval())


REFUSED = {
    "input": (
        lambda path: LSTM(torch.ones(5, 2)),
        InputError,
        "input의 값: shape이 (5, 2)인 float32 Tensor. shape이 (시점, 배치, 3)",
        "input is a float32 tensor of shape (5, 2); pass a float32 tensor of shape (steps, batch, ",
    ),
    "state": (
        lambda path: LSTM(torch.ones(5, 1, 3), torch.ones(1)),
        InputError,
        "hx의 값: shape이 (1,)인 float32 Tensor. 이 입력에 맞는 hx는 다음과 같습니다: shape이",
        "hx is float32 tensor of shape (1,); for this input pass (hidden, cell), float32 tensors",
    ),
    "hook": (
        lambda path: rh.Int8Linear.from_float(hooked()),
        ModelError,
        "linear(Linear)는 FP32로 남아야 합니다: forward 훅이 있으며",
        "linear, a Linear, has to stay in float: it has forward hooks",
    ),
    "nothing": (
        lambda path: convert_modules(nn.Sequential(hooked(), nn.Embedding(2, 2))),
        ModelError,
        "model에 변환할 모듈이 없습니다: 0 (Linear; forward 훅이 있으며, 변환하면 이것이 사라짐)",
        "model has no module to convert: 0 (Linear; it has forward hooks, which a conversion would",
    ),
    "NaN": (
        lambda path: quantize_weight("w", torch.tensor([[torch.nan]])),
        ModelError,
        "w의 문제: NaN이나 무한대.",
        "w has NaN or infinity; such a tensor has no scale",
    ),
    "bits": (
        lambda path: most_activation_bits(2**25),
        ArgumentError,
        "activation_bits의 값: None. int8 가중치와의 곱 33554432개의 합",
        "activation_bits is None; sums of 33554432 products",
    ),
    "scheme": (
        lambda path: chosen_scheme(Scheme(columns=False), 8),
        ArgumentError,
        "activation_bits의 값 8을 다음 방식과 함께 넣었습니다: Scheme(",
        "activation_bits is 8 beside the scheme Scheme(",
    ),
    "file": (
        no_module_of_ours,
        SavedModelError,
        "{path}: safetensors 파일이지만 save_int8로 저장한 것이 아닙니다.",
        "{path} is a safetensors file, but not one from save_int8;",
    ),
    "other": (
        other_shape,
        SavedModelError,
        "{path}: weight의 값이 파일과 model에서 다릅니다. 파일: shape이 (3, 2)인 int8 Tensor.",
        "{path} has int8 tensor of shape (3, 2) for weight, where model has int8 tensor of",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_error_says_korean_first(tmp_path, name):
    call, kind, korean, english = REFUSED[name]
    path = str(Path(tmp_path, "a.safetensors"))
    first, second = error_in_both(kind, lambda: call(path))
    assert first.startswith(korean.replace("{path}", path))
    assert second.startswith(english.replace("{path}", path))


def test_why_a_module_was_left_alone():
    model = nn.Sequential(nn.Linear(2, 2), hooked(), nn.LayerNorm(2), nn.RNN(2, 2)).eval()
    found = rh.converted_modules(model, rh.quantize_dynamic(model, backend="plain"))
    _, korean = in_both(lambda: str(found))
    assert "forward 훅이 있으며" in korean
    assert "nn.Linear에만 있음" in korean
    assert english_in(korean, "Linear", "forward") == []
    with speaking("ko"):
        assert untold_in(found.table()) == {}
