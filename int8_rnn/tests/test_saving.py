"""`save` and `load`: every format version, what is refused, and that files are whole."""

import json
import random

import pytest
import torch
from int8_rnn.saving import _digest
from made_up import (
    Weak,
    copied,
    equal_states,
    metadata,
    same_output,
)
from safetensors.torch import load_file, save_file
from torch import nn

from int8_rnn import Int8Linear, Int8LSTM, ModelError, SavedModelError, Scheme, load, quantize, save

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


class Shared(nn.Module):
    """One module under three names, and an embedding tied to another."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b, self.sequence = self.a, nn.Sequential(self.a)
        self.words, self.same = nn.Embedding(9, 4), nn.Embedding(9, 4)
        self.same.weight = self.words.weight


# -- what comes back -------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [None, "default", "torch.ao", Scheme("tensor", columns=False)])
def test_a_model_built_anew_or_quantized_somehow_computes_the_same_after_loading(
    saved, path, scheme
):
    fresh = Weak() if scheme is None else quantize(Weak(), scheme=scheme)
    before = copied(fresh.state_dict())
    loaded = load(path, fresh)
    assert same_output(loaded, saved)
    assert equal_states(loaded.state_dict(), saved.state_dict())
    assert loaded.encoder.scheme == saved.encoder.scheme
    assert not any(part.training for part in loaded.modules())
    assert fresh.training
    assert equal_states(before, fresh.state_dict())


@pytest.mark.parametrize(
    "choices",
    [
        {"activation_bits": 16},
        {"activation_bits": 8},
        {"scheme": "torch.ao"},
        {"scheme": Scheme(pairs=True, hidden_bits=7, activation_bits=11)},
        {"modules": ["encoder"]},
        {"modules": ["bridge", nn.Linear]},
    ],
)
def test_every_choice_is_kept(path, choices):
    int8 = quantize(Weak().eval(), **choices)
    save(int8, path)
    loaded = load(path, Weak())
    assert repr(loaded) == repr(int8)
    assert same_output(loaded, int8)
    for one, other in zip(loaded.modules(), int8.modules(), strict=True):
        assert type(one) is type(other)
        assert getattr(one, "scheme", None) == getattr(other, "scheme", None)


def test_what_is_shared_stays_shared_and_is_stored_once(path):
    int8 = quantize(Shared().eval())
    save(int8, path)
    loaded = load(path, Shared())
    assert loaded.a is loaded.b is loaded.sequence[0]
    assert loaded.words.weight is loaded.same.weight
    assert equal_states(int8.state_dict(), loaded.state_dict())
    stored = load_file(path)
    assert len([name for name in stored if name.endswith(".weight")]) == 2


def test_a_square_matrix_and_its_transpose_are_two(path):
    model = nn.Module()
    model.lstm = nn.LSTM(2, 2)
    model.matrix = nn.Parameter(torch.arange(9.0).view(3, 3), requires_grad=False)
    model.turned = nn.Parameter(model.matrix.T, requires_grad=False)
    model.row = nn.Parameter(model.matrix[0], requires_grad=False)
    model.zeros, model.integers = nn.Buffer(torch.zeros(9)), nn.Buffer(torch.zeros(9).int())
    model.square = nn.Buffer(torch.zeros(3, 3))
    int8 = quantize(model)
    int8.row = nn.Parameter(int8.matrix.data[0], requires_grad=False)  # its memory once more
    save(int8, path)
    loaded = load(path, model)
    for name in ("matrix", "turned", "row", "zeros", "integers", "square"):
        assert torch.equal(getattr(loaded, name), getattr(model, name))
        assert getattr(loaded, name).dtype == getattr(model, name).dtype


def test_the_file_is_one_that_other_tools_read_and_saving_changes_nothing(saved, path):
    before, content, tensors = copied(saved.state_dict()), metadata(path), load_file(path)
    layout = json.loads(content["layout"])
    assert {name: how["type"] for name, how in layout["modules"].items()} == {
        "encoder": "Int8LSTM",
        "bridge": "Int8GRU",
        "decoder": "Int8Linear",
    }
    assert layout["modules"]["encoder"]["scheme"]["hidden_bits"] == 8
    assert "hidden_bits" not in layout["modules"]["decoder"]["scheme"], "it has no hidden state"
    again = {name: tensors[first] for name, first in layout["aliases"].items()}
    assert equal_states(before, {**tensors, **again})
    save(saved, path)
    assert equal_states(before, saved.state_dict())
    assert metadata(path) == content  # the checksum among them


def test_a_bare_module_is_a_model_too(path):
    int8 = quantize(nn.LSTM(3, 4))
    save(int8, path)
    loaded = load(path, Int8LSTM(3, 4))
    assert equal_states(loaded.state_dict(), int8.state_dict())
    assert loaded.scheme == int8.scheme


# -- refusals ------------------------------------------------------------------------------


def test_every_flipped_bit_and_missing_end_is_found(saved, path):
    content, fresh = path.read_bytes(), Weak()
    before, draw, header = (
        copied(fresh.state_dict()),
        random.Random(0),
        8 + int.from_bytes(content[:8], "little"),
    )
    ranges = [(0, header)] * 40 + [(header, len(content))] * 40
    damaged = []
    for place in (draw.randrange(*limits) for limits in ranges):
        changed = content[place] ^ (1 << draw.randrange(8))
        damaged.append(content[:place] + bytes([changed]) + content[place + 1 :])
    damaged += [content[:size] for size in (0, 4, 8, 100, len(content) // 2, len(content) - 1)]
    for one in damaged:
        path.write_bytes(one)
        with pytest.raises(SavedModelError, match=r"model\.safetensors"):
            load(path, fresh)
    assert equal_states(before, fresh.state_dict())
    path.write_bytes(content)
    assert same_output(load(path, fresh), saved)


UNKNOWN = "has a scheme that this package does not know"
ROWS = "encoder.weight_ih_l0_residual_rows"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda modules, _: modules["encoder"].update(type="Int8RNN"), [UNKNOWN]),
        (lambda modules, _: modules["encoder"]["scheme"].update(activations="column"), [UNKNOWN]),
        (lambda modules, _: modules["encoder"]["scheme"].update(zeros=3), [UNKNOWN]),
        (lambda modules, _: modules["encoder"]["scheme"].update(hidden_bits=99), [UNKNOWN]),
        (lambda modules, _: modules["encoder"].pop("type"), [UNKNOWN]),
        (
            lambda _, tensors: tensors[ROWS].add_(1000),
            ["does not fit:", "the residual of encoder.weight_ih_l0 is"],
        ),
    ],
)
def test_what_cannot_be_is_refused_although_the_checksum_fits(saved, path, change, words, refuses):
    tensors, data = load_file(path), metadata(path)
    layout = json.loads(data["layout"])
    change(layout["modules"], tensors)
    data["layout"] = json.dumps(layout)
    data["sha256"] = _digest(data, tensors)
    save_file(tensors, path, data)
    with refuses(SavedModelError, *words):
        load(path, Weak())


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: torch.save({"x": torch.ones(1)}, path), "no safetensors file"),
        (lambda path: save_file({"x": torch.ones(1)}, path), "not one from save"),
        (
            lambda path: save_file(load_file(path), path, {**metadata(path), "version": "2"}),
            "version '2'",
        ),
    ],
)
def test_foreign_files_and_versions_are_refused(saved, path, write, words):
    write(path)
    with pytest.raises(SavedModelError, match=words):
        load(path, Weak())


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
