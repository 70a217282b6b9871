"""The library under the names of this package: one and the same, and its errors speak."""

from dataclasses import replace

import pytest
import safetensors.torch
import torch
from torch import nn

import int8_rnn
import recipe_helpers as rh
from recipe_helpers.common.language import speaking

from ..korean import english_in, error_in_both, in_both, untold_in


def test_old_names_lead_to_the_library():
    names = "FastPathWarning Int8GRU Int8LSTM Int8Linear Scheme quantize_activations"
    for name in [*names.split(), "without_parametrizations"]:
        assert getattr(rh, name) is getattr(int8_rnn, name)
    assert (rh.save_int8, rh.load_int8) == (int8_rnn.save, int8_rnn.load)
    assert rh.RecipeError is int8_rnn.Int8Error


def test_the_fast_path_shows_itself():
    found = rh.fast_path()
    assert found.available == int8_rnn.fast_path().available
    _, korean = in_both(lambda: str(found))
    assert english_in(korean, "Int8LSTM") == []
    for available, state in ((True, "compiled"), (False, "reference in plain torch")):
        shown = replace(found, available=available, ready_s=1.25, reason="why").table()
        assert (shown.rows[0], shown.note) == ([state, "1.2 s"], "why")


def hooked():
    """A Linear that cannot be converted, for a reason that is said within another sentence."""
    linear = nn.Linear(2, 2)
    linear.register_forward_hook(lambda *given: None)
    return linear


def no_module_of_ours(path):
    safetensors.torch.save_file({"w": torch.ones(2)}, path)
    return rh.load_int8(path, nn.Linear(2, 2))


REFUSED = {
    "hook": (
        lambda path: rh.Int8Linear.from_float(hooked()),
        rh.ModelError,
        "linear(Linear)는 FP32로 남아야 합니다: forward 훅이 있으며",
        "linear, a Linear, has to stay in float: it has forward hooks",
    ),
    "nothing": (
        lambda path: rh.quantize_dynamic(nn.Sequential(hooked()).eval(), backend="plain"),
        rh.NothingQuantizedError,
        "model에 변환할 모듈이 없습니다: 0 (Linear; forward 훅이 있으며, 변환하면 이것이 사라짐)",
        "model has no module to convert: 0 (Linear; it has forward hooks, which a conversion would",
    ),
    "file": (
        no_module_of_ours,
        rh.SavedModelError,
        "{path}: safetensors 파일이지만",
        "{path} is a safetensors file, but not one from save;",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_error_says_korean_first(tmp_path, name):
    call, kind, korean, english = REFUSED[name]
    path = str(tmp_path / "a.safetensors")
    first, second = error_in_both(kind, lambda: call(path))
    assert first.startswith(korean.replace("{path}", path))
    assert second.startswith(english.replace("{path}", path))


def test_why_a_module_was_left_alone():
    model = nn.Sequential(nn.Linear(2, 2), hooked(), nn.LayerNorm(2), nn.RNN(2, 2)).eval()
    found = rh.converted_modules(model, rh.quantize_dynamic(model, backend="plain"))
    _, korean = in_both(lambda: str(found))
    assert "forward 훅이 있으며" in korean
    with speaking("ko"):
        assert untold_in(found.table()) == {}
