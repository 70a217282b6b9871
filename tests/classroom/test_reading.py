"""Ledger files from strangers: what is refused, in which words, and that the others count."""

import io
import json
import pickle

import pytest

import recipe_helpers as rh
from recipe_helpers.classroom import reading

from ..korean import english_in, error_in_both, in_both
from .made_up import ledger_data


def changed(path, value):
    """A ledger's JSON with one value replaced, or taken away where it is `...`."""
    data = ledger_data()
    place = data
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(data)


POINT = ("findings", "C17", "numbers", "points", 0)
BAD = {
    "empty": ("", "it is not JSON in UTF-8"),
    "other_encoding": (changed(("machine", "cpu"), "é").encode("utf-16"), "not JSON in UTF-8"),
    "list": ("[]", 'the file is not as a ledger has it (type: "object")'),
    "long": (" " * 300_000, "longer than 262,144 bytes"),
    "deep": ("[" * 100_000, "it is nested too deeply"),
    "nan": (changed((*POINT, "fp32_us"), float("nan")), "NaN, which is no number"),
    "infinite": (changed((*POINT, "int8_us"), 0.25).replace("0.25", "1e999"), "too large"),
    "negative": (changed((*POINT, "speedup", "median"), -1.0), "speedup/median"),
    "newer": (changed(("version",), 2), "version is not as a ledger has it"),
    "no_machine": (changed(("machine",), ...), 'required: ["format"'),
    "host_name": (changed(("machine", "host"), "mine"), "additionalProperties: false"),
    "owner": (changed(("owner",), "me"), "the file is not as a ledger has it"),
    "in_sweep": (changed((*POINT, "user"), "me"), "additionalProperties: false"),
    "long_name": (changed(("machine", "cpu"), "x" * 121), "machine/cpu"),
    "verdict": (changed(("findings", "C2", "verdict"), "great"), "findings/C2/verdict"),
    "claim": (changed(("findings", "D1"), {}), "findings is not as a ledger has it"),
    "falling": (changed((*POINT, "width"), 99), "rising order of width"),
    "repeated": (changed((*POINT, "width"), 16), "rising order of width"),
    "no_sweep": (changed(("findings", "C17", "numbers"), {}), 'required: ["threads"'),
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "good.json").write_text(json.dumps(ledger_data()), encoding="utf-8")
    return tmp_path


def test_each_bad_file_gets_one_sentence_in_both_languages_and_the_others_count(folder):
    for name, (content, _) in BAD.items():
        content = content if isinstance(content, bytes) else content.encode()
        (folder / f"{name}.json").write_bytes(content)
    found = rh.compare_ledgers(folder)
    assert [ledger.name for ledger in found.ledgers] == ["good"]
    assert len(found.refused) == len(BAD)
    for name, sentence in zip(sorted(BAD), found.refused, strict=True):
        english, korean = in_both(lambda sentence=sentence: str(sentence))
        assert english.startswith(f"{name}.json was left out: ")
        assert BAD[name][1] in english
        assert (len(english) < 300, "\n" in english) == (True, False)
        assert english in str(found)
        assert korean.startswith(f"{name}.json 파일은 제외했습니다: ")
        assert english_in(korean.partition(": ")[2].partition("(")[0]) == []


def test_an_error_of_a_folder_says_korean_first(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    korean, english = error_in_both(rh.ArgumentError, lambda: rh.compare_ledgers(tmp_path))
    assert korean.startswith("folder에 검증 기록표가 없습니다.")
    assert korean.endswith("broken.json 파일은 제외했습니다: UTF-8로 쓴 JSON이 아닙니다.")
    assert english.endswith("broken.json was left out: it is not JSON in UTF-8.")


def test_nothing_is_unpickled_and_a_folder_is_no_file(folder):
    class Trap:
        def __reduce__(self):
            return (folder / "sprung").touch, ()

    (folder / "folder.json").mkdir()
    (folder / "trap.json").write_bytes(pickle.dumps(Trap()))
    left, _trap = rh.compare_ledgers(folder).refused
    assert str(left) == "folder.json was left out: it is not a file."
    assert not (folder / "sprung").exists()


def test_a_file_keeps_its_limit_without_being_read_whole(folder, monkeypatch):
    asked = []

    class Endless(io.BytesIO):
        def read(self, count=-1):
            asked.append(count)
            return b" " * count

    monkeypatch.setattr(reading, "MOST_BYTES", 5)
    monkeypatch.setattr(reading.Path, "open", lambda *_: Endless())
    with pytest.raises(rh.ArgumentError, match=r"good\.json was left out: it is longer than 5 "):
        rh.compare_ledgers(folder)
    assert asked == [6]


def test_a_file_of_just_the_limit_counts(folder, monkeypatch, refuses):
    size = (folder / "good.json").stat().st_size
    monkeypatch.setattr(reading, "MOST_BYTES", size)
    assert [ledger.name for ledger in rh.compare_ledgers(folder).ledgers] == ["good"]
    monkeypatch.setattr(reading, "MOST_BYTES", size - 1)
    with refuses(rh.ArgumentError, f"longer than {size - 1:,} bytes"):
        rh.compare_ledgers(folder)


def test_names_of_strangers_are_shown_short_and_printable(folder):
    for name in ("a\x1b[31m\n", "b" * 90):
        (folder / f"{name}.json").write_text("")
    first, second = map(str, rh.compare_ledgers(folder).refused)
    assert first.startswith("a?[31m?.json was left out: ")
    assert second.startswith("b" * 77 + "... was left out: ")


def test_folders_that_are_none(refuses, tmp_path, monkeypatch):
    with refuses(rh.ArgumentError, "folder is", "nowhere"):
        rh.compare_ledgers(tmp_path / "nowhere")
    with refuses(rh.ArgumentError, "folder holds no ledger", "Ledger.to_json"):
        rh.compare_ledgers(tmp_path)
    monkeypatch.setattr(reading, "MOST_FILES", 1)
    (tmp_path / "a.json").write_text(json.dumps(ledger_data()), encoding="utf-8")
    assert len(rh.compare_ledgers(tmp_path).ledgers) == 1
    (tmp_path / "b.json").write_text(json.dumps(ledger_data()), encoding="utf-8")
    with refuses(rh.ArgumentError, "folder holds 2 JSON files", "at most 1"):
        rh.compare_ledgers(tmp_path)
