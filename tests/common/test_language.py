"""Which language is spoken, by whom, and that English is what it was."""

import importlib.util
import pickle
import threading

import pytest
from babel.messages import Catalog
from babel.messages.mofile import write_mo

import recipe_helpers as rh
from recipe_helpers.common import language as spoken
from recipe_helpers.common.errors import ArgumentError, RecipeError
from recipe_helpers.common.language import N_, _, language, named, plural, speaking, told
from recipe_helpers.recipe.timing import Ratio

SLOW = N_("slow")
KOREAN = {
    "slow": "느림",
    "{name} is {count:,} bytes": "{name}: {count:,} bytes",
    "It is {what}.": "{what}입니다.",
    "{names} and {last}": "{names}와 {last}",
    "{count} others": "그 밖에 {count}개",
    "{median:.2f} (95 % interval {low:.2f} to {high:.2f})": "{median:.2f} ({low:.2f}~{high:.2f})",
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
    rh.use_language("en")
    spoken._catalogue.cache_clear()


def said():
    """A message with a value, one with a count, a constant."""
    dogs = [
        plural("{count} dog in {place}", "{count} dogs in {place}", count, place="town")
        for count in (1, 2)
    ]
    return [_("{name} is {count:,} bytes", name="x", count=1234), *dogs, _(SLOW)]


IN_ENGLISH = ["x is 1,234 bytes", "1 dog in town", "2 dogs in town", "slow"]
IN_KOREAN = ["x: 1,234 bytes", "town의 개 1마리", "town의 개 2마리", "느림"]


def test_english_unless_korean_is_asked_for():
    assert (language(), said()) == ("en", IN_ENGLISH)
    assert _("100 % {as it is}") == "100 % {as it is}"
    with speaking("ko"):
        assert (language(), said()) == ("ko", IN_KOREAN)
        assert _("never heard of") == "never heard of"
        assert _("") == "", "the empty message is the head of a catalogue"
    rh.use_language("ko")
    assert said() == IN_KOREAN


def test_a_block_puts_back_what_was_before_whatever_happens():
    rh.use_language("ko")
    with speaking("en"):
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
        rh.use_language(code)
    with refuses(ArgumentError, "code is", repr(code)), speaking(code):
        pass


def test_an_error_says_the_korean_sentence_first_and_the_english_one_after():
    error = ArgumentError("It is {what}.", what="slow")
    assert str(error) == told(error) == "It is slow."
    with speaking("ko"):
        assert str(error) == "느림입니다.\nIt is slow."
        assert told(error) == "느림입니다."
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
        assert str(RecipeError("not in the catalogue")) == "not in the catalogue"
        own_name = ArgumentError("{name} is {count:,} bytes", name="slow", count=1234)
        assert told(own_name) == "slow: 1,234 bytes"
        result = ArgumentError("It is {what}.", what=Ratio(2.0, 1.0, 3.0))
        assert str(result).splitlines() == [
            "2.00 (1.00~3.00)입니다.",
            "It is 2.00 (95 % interval 1.00 to 3.00).",
        ]


@pytest.mark.parametrize(
    ("names", "most", "english", "korean"),
    [
        (["a"], None, "a", "a"),
        (["a", "b"], None, "a and b", "a와 b"),
        (["a", "b", "c"], 3, "a, b and c", "a, b와 c"),
        (["a", "b", "c", "d"], 3, "a, b and 2 others", "a, b와 그 밖에 2개"),
    ],
)
def test_names_as_a_sentence_lists_them(names, most, english, korean):
    assert named(names, most) == english
    with speaking("ko"):
        assert named(names, most) == korean


@pytest.mark.parametrize("code", [None, "", "en", "ko", "fr"])
def test_the_environment_chooses_the_first_language_and_the_locale_does_not(monkeypatch, code):
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    monkeypatch.setattr(RecipeError, "say", RecipeError.say)
    monkeypatch.delenv("RECIPE_LANGUAGE", raising=False)
    if code is not None:
        monkeypatch.setenv("RECIPE_LANGUAGE", code)
    spec = importlib.util.spec_from_file_location(f"{spoken.__package__}.again", spoken.__file__)
    again = importlib.util.module_from_spec(spec)
    if code == "fr":
        with pytest.raises(ArgumentError, match="RECIPE_LANGUAGE is 'fr'; pass one of 'en', 'ko'"):
            spec.loader.exec_module(again)
    else:
        spec.loader.exec_module(again)
        assert again.language() == (code or "en")
