import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch
from int8_rnn.files import write_atomically
from torch import nn

import recipe_helpers as rh
from recipe_helpers.int8.conversion import convert_modules

from ..your_model.made_up import Language, Shared, Tagger, Weak, weak


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def saved(path):
    model, x = weak()
    quantized = rh.quantize_dynamic(model, backend="plain")
    rh.save_int8(quantized, path)
    return quantized, x


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(before, after):
    return before.keys() == after.keys() and all(torch.equal(before[k], after[k]) for k in before)


def test_a_model_built_anew_computes_the_same_after_loading(saved, path):
    quantized, x = saved
    fresh = Weak()
    before, expected = state(fresh), quantized(x)
    loaded = rh.load_int8(path, fresh)
    assert torch.equal(loaded(x), expected)
    assert not loaded.training
    assert fresh.training
    assert equal(before, state(fresh))
    assert type(fresh.decoder) is nn.Linear


def test_a_converted_model_may_be_filled_too(saved, path):
    quantized, x = saved
    other = rh.quantize_dynamic(Weak().eval(), backend="plain")
    before = state(other)
    assert torch.equal(rh.load_int8(path, other)(x), quantized(x))
    assert equal(before, state(other))


@pytest.mark.parametrize("kind", [Tagger, Language, Shared])
def test_embeddings_ties_and_shared_modules(path, kind):
    model = kind().eval()
    quantized = rh.quantize_dynamic(model, backend="plain")
    rh.save_int8(quantized, path)
    loaded = rh.load_int8(path, kind())
    assert equal(state(quantized), state(loaded))
    if kind is Shared:
        assert loaded.a is loaded.b is loaded.sequence[0]


def test_modules_left_fp32_stay_so(path):
    model, x = weak()
    quantized = rh.quantize_dynamic(model, backend="plain", modules=["encoder"])
    rh.save_int8(quantized, path)
    loaded = rh.load_int8(path, Weak())
    assert type(loaded.decoder) is nn.Linear
    assert torch.equal(loaded(x), quantized(x))


def test_another_scheme_is_kept(path):
    model, x = weak()
    quantized = convert_modules(model, scheme="torch.ao")
    rh.save_int8(quantized, path)
    loaded = rh.load_int8(path, Weak())
    assert loaded.encoder.scheme == quantized.encoder.scheme
    assert torch.equal(loaded(x), quantized(x))
    with pytest.raises(rh.SavedModelError, match="another scheme"):
        rh.load_int8(path, convert_modules(model))


def test_the_file_is_one_that_other_tools_read(saved, path):
    quantized, _ = saved
    tensors = safetensors.torch.load_file(path)
    assert equal(state(quantized), tensors)
    assert tensors["decoder.weight"].dtype == torch.int8


def test_every_flipped_bit_is_found(saved, path):
    content, (quantized, x) = path.read_bytes(), saved
    draw, header = random.Random(0), int.from_bytes(path.read_bytes()[:8], "little")
    places = [draw.randrange(8 + header) for _ in range(60)]
    places += [draw.randrange(8 + header, len(content)) for _ in range(60)]
    fresh = Weak()
    before = state(fresh)
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(rh.SavedModelError, match=r"model\.safetensors"):
            rh.load_int8(path, fresh)
    assert equal(before, state(fresh))
    path.write_bytes(content)
    assert torch.equal(rh.load_int8(path, fresh)(x), quantized(x))


def test_truncated_files_are_refused(saved, path):
    content = path.read_bytes()
    for length in (0, 4, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(rh.SavedModelError, match="damaged"):
            rh.load_int8(path, Weak())


def test_foreign_files_are_refused(path):
    model = Weak()
    torch.save(model.state_dict(), path)
    with pytest.raises(rh.SavedModelError, match="no safetensors file"):
        rh.load_int8(path, model)
    safetensors.torch.save_file(model.state_dict(), path)
    with pytest.raises(rh.SavedModelError, match="not one from save_int8"):
        rh.load_int8(path, model)


def test_another_version_is_refused(saved, path):
    tensors = safetensors.torch.load_file(path)
    metadata = {"format": "recipe_helpers.int8", "version": "2", "layout": "{}"}
    safetensors.torch.save_file(tensors, path, metadata)
    with pytest.raises(rh.SavedModelError, match="version '2'"):
        rh.load_int8(path, Weak())


def test_a_file_of_another_model_is_refused_and_the_model_is_untouched(saved, path):
    wider = Weak()
    wider.bridge, wider.decoder = nn.Linear(32, 40), nn.Linear(40, 10)
    fewer = Weak()
    fewer.decoder = nn.Identity()
    more = Weak()
    more.scale = nn.Parameter(torch.ones(3))
    for model, pattern in ((wider, r"for bridge\.weight"), (fewer, "decoder"), (more, "scale")):
        before = state(model)
        with pytest.raises(rh.SavedModelError, match=pattern):
            rh.load_int8(path, model)
        assert equal(before, state(model))


def test_missing_files_are_told_by_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        rh.load_int8(tmp_path / "nothing", Weak())
    with pytest.raises(IsADirectoryError):
        rh.load_int8(tmp_path, Weak())
    with pytest.raises(FileNotFoundError):
        rh.save_int8(rh.quantize_dynamic(Weak().eval(), backend="plain"), tmp_path / "no" / "file")
    with pytest.raises(IsADirectoryError):
        rh.save_int8(rh.quantize_dynamic(Weak().eval(), backend="plain"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "pattern"),
    [
        (lambda: Weak(), "holds no Int8LSTM"),
        (lambda: rh.quantize_dynamic(Weak().eval()), "holds no Int8LSTM"),
        (lambda: rh.quantize_dynamic(Weak().eval(), backend="plain").to("meta"), "meta"),
        (lambda: 3, "of type int"),
    ],
)
def test_what_cannot_be_saved_leaves_no_file(tmp_path, make, pattern):
    with pytest.raises(rh.ModelError, match=pattern):
        rh.save_int8(make(), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("unnamed", [True, False])
@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(path, monkeypatch, broken, unnamed):
    path.write_bytes(b"old")
    if not unnamed:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(*((os, "fsync") if broken == "fsync" else (Path, "replace")), fail)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("unnamed", [True, False])
def test_links_and_permissions_are_kept(tmp_path, monkeypatch, unnamed):
    if not unnamed:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o640


KILLED = """
import sys
from int8_rnn.files import write_atomically
content = bytes([int(sys.argv[2])]) * 30_000_000
print("go", flush=True)
while True:
    write_atomically(sys.argv[1], content)
"""


def test_a_killed_save_leaves_a_whole_file(tmp_path):
    path = tmp_path / "file"
    for value in (1, 2, 3):
        command = [sys.executable, "-c", KILLED, str(path), str(value)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(0.1 * value)
            process.send_signal(signal.SIGKILL)
        if path.exists():
            content = path.read_bytes()
            assert len(content) == 30_000_000
            assert len(set(content)) == 1


def metadata(path):
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size])["__metadata__"]


def test_the_metadata_say_what_is_quantized_and_how(saved, path):
    modules = json.loads(metadata(path)["layout"])["modules"]
    kinds = {name: entry["type"] for name, entry in modules.items()}
    assert kinds == {"encoder": "Int8LSTM", "bridge": "Int8Linear", "decoder": "Int8Linear"}


def test_saving_changes_nothing(saved, path):
    quantized, _ = saved
    before, content = state(quantized), metadata(path)
    rh.save_int8(quantized, path)
    assert equal(before, state(quantized))
    assert metadata(path) == content  # the checksum among them
