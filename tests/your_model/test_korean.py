"""A report that was made in English, shown in Korean: its numbers and its JSON stay the same."""

import re

import pytest
import torch

from recipe_helpers.common.language import speaking, use_language
from recipe_helpers.common.plots import RecipeFigure
from recipe_helpers.your_model import command_line
from recipe_helpers.your_model.preparation import InputSet, steady_outputs
from recipe_helpers.your_model.promises import Limits
from recipe_helpers.your_model.verdict import KEEP, decide

from ..korean import english_in, in_both, untold_in
from .made_up import NAMES, TABLE, candidate, measured, quickly, weak

MODEL = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(2, 2)})
NUMBER = re.compile(r"\d+\.\d+")


@pytest.fixture(scope="module")
def found():
    model, x = weak()
    return quickly(model, input_sets=[x, 2 * x], max_relative_error=0.02, backends=["torch.ao"])


def test_a_verdict_speaks_when_it_is_shown(found):
    english, korean = in_both(lambda: str(found.verdict))
    assert english.startswith("Ship INT8 with some modules left FP32. The conversion")
    assert korean.startswith("일부 모듈만 FP32로 두고 INT8로 배포. ")
    assert '"torch.ao"(FP32로 남긴 모듈: decoder) 변환의 측정 결과: ' in korean
    assert sorted(NUMBER.findall(korean)) == sorted(NUMBER.findall(english))
    assert english_in(korean) == []


@pytest.mark.parametrize(("case", "relative", "speed", "size", "given", "advice"), TABLE)
def test_every_advice_is_whole_in_korean(case, relative, speed, size, given, advice):
    one = measured(relative, *speed, size_ratio=size, limits=Limits(**given))
    other = measured(0.9, 0.5, 0.6, limits=Limits(**given))
    for tried in ([one], [other, one]):
        made = [candidate(name, found) for name, found in zip(NAMES, tried, strict=False)]
        _, korean = in_both(lambda made=made: str(decide(made, MODEL)))
        assert korean.startswith("FP32 유지. " if advice == KEEP else "INT8로 배포. ")
        assert english_in(korean) == [], case
    mended = [candidate("plain", other, one, left=("lstm", ""))]
    _, korean = in_both(lambda: str(decide(mended, MODEL)))
    assert "lstm, 모델 자체" in korean


def test_the_tables_the_notes_and_the_next_steps(found):
    for say in (
        lambda: str(found.table().headers),
        lambda: str(found.table().caption),
        lambda: found.meaning,
        lambda: "\n".join(map(str, found.notes)),
        lambda: "\n".join(f"{step.title} {step.code}" for step in found.next_steps),
        lambda: str(found.candidates[0].sensitivity),
        lambda: str(found.candidates[0].whole.modules),
    ):
        english, korean = in_both(say)
        assert english_in(korean, *found.inputs) == [], english
    with speaking("ko"):
        tables = [found.table(), *(table for one in found.candidates for table in one.tables())]
        assert [untold_in(table, "output") for table in tables] == [{}] * len(tables)


def test_the_page_says_its_language_and_holds_the_same_numbers(found, monkeypatch):
    monkeypatch.setattr(RecipeFigure, "png", lambda figure: b"")  # pictures have their own tests
    english, korean = (re.sub(r"<style>.*?</style>|base64,[^\"]*", "", page, flags=re.S)
                       for page in in_pages(found))  # fmt: skip
    assert '<html lang="en">' in english
    assert '<html lang="ko">' in korean
    for said in ("양자화 보고서", "한도", "컴퓨터", "자세한 결과", 'alt="그림 세 개가'):
        assert said in korean
    assert sorted(NUMBER.findall(korean)) == sorted(NUMBER.findall(english))


def in_pages(found):
    yield found.to_html()
    with speaking("ko"):
        yield found.to_html()


def test_json_is_english_whatever_is_spoken(found):
    english = found.to_json()
    with speaking("ko"):
        assert found.to_json() == english
    assert not re.search(r"[가-힣]", english)


def test_a_failure_is_stored_as_a_text():
    model = torch.nn.Sequential(torch.nn.LSTM(4, 4, bias=False)).eval()
    found = quickly(model, torch.ones(3, 1, 4), backends=["torch.ao", "plain"])
    _, korean = in_both(lambda: str(found.table().rows))
    assert "실패: " in korean


def test_an_error_with_a_part_that_is_a_text():
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(2, 2)).eval()
    model.forward = lambda x: torch.nn.functional.dropout(x)
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (what it says is the test)
        steady_outputs(model, InputSet((torch.ones(64),)))
    _, korean = in_both(lambda: str(caught.value).split("\n")[0])
    assert "output의 차이" in korean
    assert "난수를 쓰거나 호출 사이에 상태를" in korean


@pytest.fixture
def korean():
    use_language("ko")
    yield
    use_language("en")


@pytest.mark.parametrize("words", [[], ["report"], ["recipe"], ["demo"], ["ledger"]])
def test_the_help_of_the_command_line(korean, capsys, words):
    with pytest.raises(SystemExit) as caught:
        command_line.main([*words, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    # What argparse itself says stays English.
    own = "show this help message and exit", "channel,plain,onnxruntime", "weights only"
    assert english_in(out, *own) == []


def test_wrong_use_of_the_command_line(korean, capsys):
    assert command_line.main(["report", "nothing"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("python -m recipe_helpers: 'nothing'에서 모델과 입력을")
    assert "'nothing' gives no model and inputs (ModuleNotFoundError: " in err
