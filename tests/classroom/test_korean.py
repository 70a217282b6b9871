"""A class's ledgers, compared once and shown in both languages."""

import json
import re
from dataclasses import replace

import pytest

import recipe_helpers as rh
from recipe_helpers.classroom import plots
from recipe_helpers.classroom.survey import Survey, SurveyPoint
from recipe_helpers.common.language import speaking
from recipe_helpers.recipe.timing import Ratio

from ..korean import english_in, figure_in_both, in_both, untold_in
from .made_up import compared, ledger_data
from .test_reading import BAD


def test_the_table_of_machines():
    _, korean = in_both(lambda: str(compared()))
    assert korean.startswith("컴퓨터 3대")
    assert "AVX2, VNNI 없음" in korean
    assert re.search(r"third .* 없음", korean), "a machine without a crossover"
    assert english_in(korean) == []
    with speaking("ko"):
        assert untold_in(compared().table()) == {}


def test_who_says_what():
    _, korean = in_both(lambda: str(compared().disagreement_table()))
    with speaking("ko"):
        assert untold_in(compared().disagreement_table().table()) == {}
    assert "성립하지 않음: first, third; 성립: second" in korean
    assert english_in(korean) == []
    alone = type(compared())(compared().ledgers[:1])
    _, agreed = in_both(lambda: str(alone.disagreement_table()))
    assert "판정이 같습니다" in agreed


@pytest.mark.parametrize("name", BAD)
def test_why_a_file_was_left_out(tmp_path, name):
    content, says = BAD[name]
    content = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "good.json").write_text(json.dumps(ledger_data()), encoding="utf-8")
    (tmp_path / f"{name}.json").write_bytes(content)
    (sentence,) = rh.compare_ledgers(tmp_path).refused
    assert says in sentence
    _, korean = in_both(lambda: str(sentence))
    assert korean.startswith(f"{name}.json 파일은 제외했습니다: ")
    assert english_in(korean.partition(": ")[2].partition("(")[0]) == []


def test_the_figures():
    for draw in (plots.speedups, plots.crossovers):
        said = figure_in_both(lambda draw=draw: draw(compared()))
        assert english_in(said) == []


def test_an_error_says_korean_first(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    with speaking("ko"), pytest.raises(rh.ArgumentError) as caught:
        rh.compare_ledgers(tmp_path)
    with speaking("ko"):
        korean, english = str(caught.value).splitlines()
    assert korean.startswith("folder에 주장 장부가 없습니다.")
    assert korean.endswith("broken.json 파일은 제외했습니다: UTF-8로 쓴 JSON이 아닙니다.")
    assert english.endswith("broken.json was left out: it is not JSON in UTF-8.")


def test_a_survey():
    point = SurveyPoint(8, 1, 4573, 3549, 0.012, 80.0, 200.0, Ratio(0.4, 0.3, 0.5), "slower", "CPU")
    found = Survey((point, replace(point, seed=2, verdict="faster")))
    english, korean = in_both(lambda: str(found))
    assert "1 faster, 1 slower" in english
    assert "더 빠름 1개, 더 느림 1개" in korean
    with speaking("ko"):
        assert untold_in(found.table()) == {}
    with pytest.raises(rh.ArgumentError) as caught:
        rh.survey([8], [1], client="a client")
    assert english_in(in_both(lambda: str(caught.value))[1].split("\n")[0]) == []
