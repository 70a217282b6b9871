"""`save` and `load`: every format version, what is refused, and that files are whole."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch
from int8_rnn.files import write_atomically
from made_up import Weak, X, copied, equal_states, metadata, reference, same_output
from torch import nn

from int8_rnn import (
    Int8LSTM,
    Scheme,
    load,
    quantize,
    save,
)

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")
DATA = Path(__file__).parent / "data"


class Shared(nn.Module):
    """One module under three names, and an embedding tied to another."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b, self.sequence = self.a, nn.Sequential(self.a)
        self.words, self.same = nn.Embedding(9, 4), nn.Embedding(9, 4)
        self.same.weight = self.words.weight


# -- what comes back -------------------------------------------------------------------------


def test_a_model_built_anew_computes_the_same_after_loading(saved, path):
    fresh = Weak()
    before = copied(fresh.state_dict())
    loaded = load(path, fresh)
    assert same_output(loaded, saved)
    assert equal_states(loaded.state_dict(), saved.state_dict())
    assert not any(part.training for part in loaded.modules())
    assert fresh.training
    assert type(fresh.decoder) is nn.Linear
    assert equal_states(before, fresh.state_dict())


@pytest.mark.parametrize("scheme", ["default", "torch.ao", Scheme("tensor", columns=False)])
def test_a_quantized_model_may_be_filled_too_whatever_its_scheme(saved, path, scheme):
    other = quantize(Weak().eval(), scheme=scheme)
    before = copied(other.state_dict())
    loaded = load(path, other)
    assert same_output(loaded, saved)
    assert loaded.encoder.scheme == saved.encoder.scheme
    assert equal_states(before, other.state_dict())


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
    stored = safetensors.torch.load_file(path)
    assert len([name for name in stored if name.endswith(".weight")]) == 2


def test_a_square_matrix_and_its_transpose_are_two(path):
    model = nn.Module()
    model.lstm = nn.LSTM(2, 2)
    model.matrix = nn.Parameter(torch.arange(9.0).view(3, 3), requires_grad=False)
    model.turned = nn.Parameter(model.matrix.T, requires_grad=False)
    model.row = nn.Parameter(model.matrix[0], requires_grad=False)
    save(quantize(model), path)
    loaded = load(path, model)
    for name in ("matrix", "turned", "row"):
        assert torch.equal(getattr(loaded, name), getattr(model, name))


def test_the_file_is_one_that_other_tools_read(saved, path):
    tensors = safetensors.torch.load_file(path)
    modules = json.loads(metadata(path)["layout"])["modules"]
    assert {name: how["type"] for name, how in modules.items()} == {
        "encoder": "Int8LSTM",
        "bridge": "Int8GRU",
        "decoder": "Int8Linear",
    }
    aliases = json.loads(metadata(path)["layout"])["aliases"]
    whole = {**tensors, **{name: tensors[first] for name, first in aliases.items()}}
    assert equal_states(saved.state_dict(), whole)


def test_saving_changes_nothing(saved, path):
    before, content = copied(saved.state_dict()), metadata(path)
    save(saved, path)
    assert equal_states(before, saved.state_dict())
    assert metadata(path) == content  # the checksum among them


# -- earlier versions ------------------------------------------------------------------------


class OfVersion10(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 4, 2, bidirectional=True), nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.lstm(x)[0])


class OfVersion20(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.gru = nn.LSTM(3, 6, 2, proj_size=4), nn.GRU(4, 3, bidirectional=True)
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.gru(self.lstm(x)[0])[0])


def expected_of(name):
    if name == "version_1_0":
        return torch.load(DATA / "version_1_0.pt", weights_only=True)
    found = torch.load(DATA / "version_2_0.pt", weights_only=True)
    return found[8 if name.endswith("8_bits") else 16]


EARLIER = {
    "version_1_0": (OfVersion10, (16, None)),
    "version_2_0": (OfVersion20, (16, 16)),
    "version_2_0_8_bits": (OfVersion20, (8, 8)),
}


@pytest.mark.parametrize("name", EARLIER)
@pytest.mark.parametrize("converted", [True, False])
def test_files_of_earlier_versions_load_and_are_written_again_as_they_were(
    tmp_path, name, converted
):
    """With the bits they were saved with; what is saved again, the earlier version reads."""
    kind, (bits, hidden) = EARLIER[name]
    model, expected = kind().eval(), expected_of(name)
    loaded = reference(load(DATA / f"{name}.safetensors", quantize(model) if converted else model))
    assert loaded.lstm.activation_bits == bits
    assert loaded.lstm.hidden_bits == (hidden or 16)
    torch.testing.assert_close(loaded(X), expected["output"], rtol=0, atol=1e-6)
    assert equal_states(loaded.state_dict(), expected["state"])
    save(loaded, tmp_path / "again")
    before, after = (metadata(path) for path in (DATA / f"{name}.safetensors", tmp_path / "again"))
    old, new = (json.loads(one["layout"])["modules"] for one in (before, after))
    if name != "version_1_0":  # whose schemes say less
        assert new == old
    assert {one["format"] for one in (before, after)} == {"recipe_helpers.int8"}
    assert before["version"] == after["version"]
    again = reference(load(tmp_path / "again", kind()))
    assert torch.equal(again(X), loaded(X))


def test_the_default_says_what_earlier_versions_do_not_know(saved, path):
    modules = json.loads(metadata(path)["layout"])["modules"]
    assert modules["encoder"]["scheme"]["hidden_bits"] == 8
    assert "hidden_bits" not in modules["decoder"]["scheme"], "a linear layer has no hidden state"


# -- whole or not at all ---------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(path, monkeypatch, broken):
    path.write_bytes(b"old")

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(*((os, "fsync") if broken == "fsync" else (Path, "replace")), fail)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_bytes_are_on_the_disk_before_the_name_is(path, monkeypatch):
    done, replace, fsync = [], Path.replace, os.fsync

    def synced(handle):
        done.append(("fsync", os.fstat(handle).st_size))
        fsync(handle)

    def replaced(one, other):
        done.append(("replace", one.stat().st_size))
        return replace(one, other)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    write_atomically(path, b"content")
    assert done[:2] == [("fsync", 7), ("replace", 7)]


def test_links_and_permissions_are_kept(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    write_atomically(target, b"old")
    (tmp_path / "plain").write_bytes(b"")
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode
    target.chmod(0o640)
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o640


WRITES = """
import sys
from int8_rnn.files import write_atomically
content = bytes([int(sys.argv[2])]) * 10_000_000
write_atomically(sys.argv[1], content)
print("go", flush=True)
while True:
    write_atomically(sys.argv[1], content)
"""


def test_killed_writers_leave_a_whole_file(tmp_path):
    path = tmp_path / "file"
    commands = [[sys.executable, "-c", WRITES, str(path), str(value)] for value in (1, 2)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for command in commands]
    for writer in writers:
        writer.stdout.readline()
    for moment in range(2):
        time.sleep(0.1)
        writers[moment].send_signal(signal.SIGKILL)
        writers[moment].communicate()
        content = path.read_bytes()
        assert len(content) == 10_000_000
        assert len(set(content)) == 1


def test_a_bare_module_is_a_model_too(path):
    int8 = quantize(nn.LSTM(3, 4))
    save(int8, path)
    loaded = load(path, Int8LSTM(3, 4))
    assert equal_states(loaded.state_dict(), int8.state_dict())
    assert loaded.scheme == int8.scheme
