"""Files that are damaged, foreign, or of another model, and models that cannot be saved."""

import json
import random

import pytest
import safetensors.torch
import torch
from made_up import Weak, copied, equal_states, metadata, same_output
from torch import nn

from int8_rnn import (
    Int8Linear,
    ModelError,
    SavedModelError,
    load,
    quantize,
    save,
)

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


def test_every_flipped_bit_is_found(saved, path, refuses):
    content, fresh = path.read_bytes(), Weak()
    before = copied(fresh.state_dict())
    draw, header = random.Random(0), 8 + int.from_bytes(content[:8], "little")
    places = [draw.randrange(header) for _ in range(40)]
    places += [draw.randrange(header, len(content)) for _ in range(40)]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(SavedModelError, match=r"model\.safetensors"):
            load(path, fresh)
    assert equal_states(before, fresh.state_dict())
    for length in (0, 4, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(SavedModelError, match="damaged"):
            load(path, fresh)
    path.write_bytes(content)
    assert same_output(load(path, fresh), saved)


def rewritten(path, change):
    """The file with another layout and a checksum that fits."""
    from int8_rnn.saving import _digest

    tensors, data = safetensors.torch.load_file(path), metadata(path)
    layout = json.loads(data["layout"])
    change(layout["modules"])
    data["layout"] = json.dumps(layout)
    data["sha256"] = _digest(data, tensors)
    safetensors.torch.save_file(tensors, path, data)


@pytest.mark.parametrize(
    "change",
    [
        lambda modules: modules["encoder"].update(type="Int8RNN"),
        lambda modules: modules["encoder"]["scheme"].update(activations="column"),
        lambda modules: modules["encoder"]["scheme"].update(zeros=3),
        lambda modules: modules["encoder"]["scheme"].update(hidden_bits=99),
        lambda modules: modules["encoder"].pop("type"),
    ],
)
def test_what_this_package_does_not_know_is_refused(saved, path, change, refuses):
    rewritten(path, change)
    with refuses(SavedModelError, "has a scheme that this package does not know"):
        load(path, Weak())


def test_foreign_files_and_versions_are_refused(saved, path, refuses):
    tensors, model = safetensors.torch.load_file(path), Weak()
    torch.save(model.state_dict(), path)
    with pytest.raises(SavedModelError, match="no safetensors file"):
        load(path, model)
    safetensors.torch.save_file(model.state_dict(), path)
    with refuses(SavedModelError, "not one from save"):
        load(path, model)
    data = {"format": "recipe_helpers.int8", "version": "2", "layout": "{}"}
    safetensors.torch.save_file(tensors, path, data)
    with refuses(SavedModelError, "version '2'"):
        load(path, model)


def changed_model(**parts):
    model = Weak()
    for name, part in parts.items():
        setattr(model, name, part)
    return model


@pytest.mark.parametrize(
    ("model", "pattern"),
    [
        (lambda: changed_model(decoder=nn.Linear(6, 70)), "decoder.weight"),
        (lambda: changed_model(decoder=nn.Linear(5, 70, bias=False)), "decoder.bias"),
        (lambda: changed_model(decoder=nn.Identity()), "model.decoder is a Identity; pass a"),
        (lambda: changed_model(bridge=nn.LSTM(8, 5, bias=False)), "model.bridge is a LSTM"),
        (lambda: changed_model(encoder=nn.LSTM(3, 6, 1, bidirectional=True)), "encoder.weight"),
        (lambda: changed_model(norm=nn.LayerNorm(6)), "norm.weight"),
        (lambda: changed_model(norm=Int8Linear(2, 2)), "norm.weight"),
        (lambda: changed_model(scale=nn.Parameter(torch.ones(3))), "scale"),
        (lambda: nn.Sequential(nn.Linear(2, 2)), "which model has not"),
    ],
)
def test_a_file_of_another_model_is_refused_and_the_model_is_untouched(saved, path, model, pattern):
    other = model()
    before = copied(other.state_dict())
    with pytest.raises((SavedModelError, ModelError), match=pattern) as caught:
        load(path, other)
    assert "\n" not in str(caught.value)
    assert equal_states(before, other.state_dict())


def test_a_residual_that_cannot_be_is_refused(saved, path, refuses):
    with torch.no_grad():
        saved.encoder.weight_ih_l0_residual_rows.add_(1000)
    save(saved, path)
    with refuses(SavedModelError, "does not fit:", "the residual of encoder.weight_ih_l0 is"):
        load(path, Weak())


def test_missing_files_are_told_by_the_system(tmp_path):
    int8 = quantize(nn.LSTM(2, 2))
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing", Weak())
    with pytest.raises(IsADirectoryError):
        load(tmp_path, Weak())
    with pytest.raises(FileNotFoundError):
        save(int8, tmp_path / "no" / "file")
    with pytest.raises(IsADirectoryError):
        save(int8, tmp_path)
    assert list(tmp_path.iterdir()) == []


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 2)

    def get_extra_state(self):
        return {"not": "a tensor"}


@pytest.mark.parametrize(
    ("make", "fragment"),
    [
        (Weak, "holds no Int8LSTM"),
        (lambda: quantize(Weak().eval()).to("meta"), "on the device meta"),
        (lambda: quantize(Odd()), "_extra_state, which is dict"),
        (lambda: 3, "of type int"),
    ],
)
def test_what_cannot_be_saved_leaves_no_file(tmp_path, make, fragment, refuses):
    with refuses(ModelError, fragment):
        save(make(), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
