"""Which language is spoken, by whom, and that English is what it was."""

import copy
import json
import os
import pickle
import subprocess
import sys
import threading

import pytest
from babel.messages import Catalog
from babel.messages.mofile import write_mo

import recipe_helpers as rh
from recipe_helpers.common import language as spoken
from recipe_helpers.common.errors import ArgumentError, RecipeError
from recipe_helpers.common.language import (
    N_,
    Text,
    _,
    language,
    plural,
    speaking,
    use_language,
)

SLOW = N_("slow")
KOREAN = {
    "slow": "느림",
    "{name} is {count:,} bytes": "{name}: {count:,} bytes",
    "It is {what}.": "{what}입니다.",
    ("{count} dog in {place}", "{count} dogs in {place}"): ("{place}의 개 {count}마리",),
}


@pytest.fixture(autouse=True)
def small_catalogue(tmp_path, monkeypatch):
    """These tests' own translations instead of the package's."""
    catalog = Catalog(locale="ko", fuzzy=False)
    for message, said in KOREAN.items():
        catalog.add(message, said)
    path = tmp_path / "ko" / "LC_MESSAGES" / "recipe_helpers.mo"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        write_mo(file, catalog)
    monkeypatch.setattr(spoken, "LOCALE", tmp_path)
    spoken._catalogue.cache_clear()
    yield
    use_language("en")
    spoken._catalogue.cache_clear()


def dogs(count):
    return plural("{count} dog in {place}", "{count} dogs in {place}", count, place="town")


def test_english_is_the_default_and_what_it_was():
    assert language() == "en"
    assert _("{name} is {count:,} bytes", name="x", count=1234) == "x is 1,234 bytes"
    assert (dogs(1), dogs(2)) == ("1 dog in town", "2 dogs in town")
    assert _("100 % {as it is}") == "100 % {as it is}"


def test_korean_where_it_is_asked_for():
    with speaking("ko"):
        assert language() == "ko"
        assert _("{name} is {count:,} bytes", name="x", count=1234) == "x: 1,234 bytes"
        assert (dogs(1), dogs(2)) == ("town의 개 1마리", "town의 개 2마리")
        assert _(SLOW) == "느림"
        assert _("never heard of") == "never heard of"
        assert _("") == "", "the empty message is the head of a catalogue"
    assert _(SLOW) == "slow"


def test_use_language_lasts():
    rh.use_language("ko")
    assert _(SLOW) == "느림"
    use_language("en")
    assert _(SLOW) == "slow"


def test_a_block_puts_back_what_was_before_whatever_happens():
    use_language("ko")
    with speaking("en"):
        assert language() == "en"
        with speaking("ko"), speaking("ko"):
            assert language() == "ko"
        assert language() == "en"
    with pytest.raises(KeyError), speaking("en"):
        raise KeyError
    assert language() == "ko"


def test_a_block_holds_in_its_own_thread():
    heard = []
    inside, leave = threading.Event(), threading.Event()

    def speaks_korean():
        with speaking("ko"):
            inside.set()
            leave.wait(10)
            heard.append(_(SLOW))

    thread = threading.Thread(target=speaks_korean)
    thread.start()
    inside.wait(10)
    assert _(SLOW) == "slow"
    leave.set()
    thread.join()
    assert heard == ["느림"]


@pytest.mark.parametrize("code", ["fr", "KO", "", None, 1])
def test_an_unknown_language(code, refuses):
    with refuses(ArgumentError, "code is", repr(code), "'en', 'ko'"):
        use_language(code)
    with refuses(ArgumentError, "code is", repr(code)), speaking(code):
        pass


def test_a_text_speaks_when_it_is_shown():
    text = Text("{name} is {count:,} bytes", name="x", count=1234)
    with speaking("ko"):
        made_in_korean = Text("{name} is {count:,} bytes", name="x", count=1234)
        assert str(text) == f"{text}" == "x: 1,234 bytes"
        assert f"{text:>16}" == "  x: 1,234 bytes"
        assert text.english == "x is 1,234 bytes"
    assert str(text) == str(made_in_korean) == "x is 1,234 bytes"
    assert type(text.english) is str


def test_a_text_is_its_english_sentence_to_a_program():
    use_language("ko")
    text = Text("It is {what}.", what=Text("slow"))
    assert text == "It is slow."
    assert repr(text) == "'It is slow.'"
    assert json.dumps({"sentence": text}) == '{"sentence": "It is slow."}'
    assert {text: 1}["It is slow."] == 1
    assert text == Text("It is {what}.", what="slow")
    assert "slow" in text


def test_a_text_within_another_and_one_that_counts():
    text = Text("It is {what}.", what=Text("slow"))
    many = Text.plural("{count} dog in {place}", "{count} dogs in {place}", 3, place=text)
    assert (str(text), str(many)) == ("It is slow.", "3 dogs in It is slow.")
    with speaking("ko"):
        assert (str(text), str(many)) == ("느림입니다.", "느림입니다.의 개 3마리")
        assert _("It is {what}.", what=Text("slow")) == "느림입니다."


@pytest.mark.parametrize("again", [lambda t: pickle.loads(pickle.dumps(t)), copy.deepcopy])
def test_a_text_can_be_copied_and_sent(again):
    for text, said in [
        (Text("It is {what}.", what=Text("slow")), "느림입니다."),
        (Text.plural("{count} dog in {place}", "{count} dogs in {place}", 2, place="x"), None),
        (Text("slow"), "느림"),
    ]:
        copied = again(text)
        assert copied == text
        with speaking("ko"):
            assert str(copied) == str(text) == (said or "x의 개 2마리")


def test_an_error_says_the_korean_sentence_first_and_the_english_one_after():
    error = ArgumentError(Text("It is {what}.", what=Text("slow")))
    assert str(error) == "It is slow."
    assert str(RecipeError("plain")) == "plain"
    assert str(RecipeError("{a} of {b}", a=1, b=Text("two"))) == "1 of two"
    assert str(pickle.loads(pickle.dumps(RecipeError("{a}", a=1)))) == "1"
    with speaking("ko"):
        assert str(error) == "느림입니다.\nIt is slow."
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
        assert str(RecipeError("plain")) == "plain"
        assert str(RecipeError(Text("not in the catalogue"))) == "not in the catalogue"


def started(language, *words):
    code = ["-c", "from recipe_helpers.common.language import language\nprint(language())"]
    environment = {
        **os.environ,
        "LANG": "ko_KR.UTF-8",
        "LANGUAGE": "ko",
        "RECIPE_LANGUAGE": language,
    }
    if language is None:
        del environment["RECIPE_LANGUAGE"]
    return subprocess.run(
        [sys.executable, *(words or code)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )


def test_the_environment_chooses_the_first_language_and_the_locale_does_not():
    assert [started(code).stdout.strip() for code in (None, "", "en", "ko")] == [
        *["en"] * 3,
        "ko",
    ]
    assert "RECIPE_LANGUAGE is 'fr'; pass one of 'en', 'ko'." in started("fr").stderr


def test_the_command_line_speaks_the_language_of_the_environment():
    command = ("-X", "utf8", "-m", "recipe_helpers")
    korean, english = started("ko", *command, "--help"), started(None, *command, "--help")
    assert korean.returncode == english.returncode == 0
    assert korean.stderr == english.stderr == ""
    assert english.stdout.startswith("usage: python -m recipe_helpers")
    assert korean.stdout.startswith("usage: python -m recipe_helpers")
    assert "측정하여 판정합니다" in korean.stdout
    assert "측정하여 판정합니다" not in english.stdout
    wrong = started("fr", *command, "--help")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    said = "python -m recipe_helpers: RECIPE_LANGUAGE is 'fr'; pass one of 'en', 'ko'.\n"
    assert wrong.stderr == said
