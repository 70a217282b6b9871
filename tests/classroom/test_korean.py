"""A class's ledgers, compared once and shown in both languages."""

import json
import re

import pytest

import recipe_helpers as rh
from recipe_helpers.classroom import plots
from recipe_helpers.common.language import speaking

from ..korean import english_in, figure_in_both, in_both
from .made_up import compared, ledger_data
from .test_reading import BAD

# What the files say stays as it is there; so do the rules of the schema.
GIVEN = ("AVX2, without VNNI", "AVX512, with VNNI")


def test_the_table_of_machines():
    _, korean = in_both(lambda: str(compared()))
    assert korean.startswith("기계 3대")
    assert re.search(r"third .* 없음", korean), "a machine without a crossover"
    assert english_in(korean, *GIVEN) == []


def test_who_says_what():
    _, korean = in_both(lambda: str(compared().disagreement_table()))
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
        assert english_in(said, *GIVEN) == []


def test_an_error_says_korean_first(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    with speaking("ko"), pytest.raises(rh.ArgumentError) as caught:
        rh.compare_ledgers(tmp_path)
    with speaking("ko"):
        korean, english = str(caught.value).splitlines()
    assert korean.startswith("folder에 주장 장부가 없습니다.")
    assert korean.endswith("broken.json 파일은 제외했습니다: UTF-8로 쓴 JSON이 아닙니다.")
    assert english.endswith("broken.json was left out: it is not JSON in UTF-8.")
