"""Files that are there as a whole or not at all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from int8_rnn.files import write_atomically


@pytest.mark.parametrize("broken", [(os, "fsync"), (Path, "replace")])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(path, monkeypatch, broken):
    path.write_bytes(b"old")

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(*broken, fail)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_bytes_are_on_the_disk_before_the_name_is_and_the_name_at_last(path, monkeypatch):
    done, replace, fsync = [], Path.replace, os.fsync

    def synced(handle):
        done.append(("fsync", os.fstat(handle)))
        fsync(handle)

    def replaced(one, other):
        done.append(("replace", one.stat()))
        return replace(one, other)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    write_atomically(path, b"content")
    assert [(what, state.st_size) for what, state in done[:2]] == [("fsync", 7), ("replace", 7)]
    assert os.path.samestat(done[2][1], path.parent.stat())


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
    with pytest.raises(IsADirectoryError, match="is a folder; pass the name of a file"):
        write_atomically(tmp_path, b"new")


WRITES = """
import sys
from int8_rnn.files import write_atomically
content = bytes([int(sys.argv[2])]) * 10_000_000
write_atomically(sys.argv[1], content)
print("go", flush=True)
while True:
    write_atomically(sys.argv[1], content)
"""


def test_killed_writers_leave_a_whole_file(path):
    commands = [[sys.executable, "-c", WRITES, str(path), str(value)] for value in (1, 2)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for command in commands]
    for writer in writers:
        writer.stdout.readline()
    for writer in writers:
        time.sleep(0.1)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        content = path.read_bytes()
        assert len(content) == 10_000_000
        assert len(set(content)) == 1
