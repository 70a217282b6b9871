"""Every figure in Korean: all letters there, in a font of our own, and English without one."""

import io
import re
import subprocess
import sys
import warnings
from importlib import metadata

import matplotlib as mpl
import pytest
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

from recipe_helpers.common import plots
from recipe_helpers.common.language import speaking

from .test_figures import FIGURES

HANGUL = re.compile("[가-힣]")
# Names stay as they are; a label of anything else that spells a word has Hangul in it.
NAMES = {"torch", "plain", "onnxruntime", "state_dict", "bytes", "lstm"}
# What the figures were given as data here: names of ledgers, of modules, of a quantity.
GIVEN = r"first|second|third|trained|text \d+|factor on a weight"
SIMPLE = next(iter(FIGURES))


def drawn_in_korean(function):
    """The figure, and the warnings that drawing and saving it raised."""
    with warnings.catch_warnings(record=True) as raised, speaking("ko"):
        warnings.simplefilter("always")
        figure = FIGURES[function].draw()
        assert figure.png(dpi=40)
    return figure, [str(warning.message) for warning in raised]


def labels(figure):
    """Every text that can be seen, ticks and legends included."""
    return [
        said
        for text in figure.findobj(Text)
        if text.get_visible() and (said := text.get_text().strip())
    ]


def left_in_english(said):
    if re.fullmatch(GIVEN, said) or said.startswith("$"):  # a number as a formula
        return False
    words = {word for word in re.findall(r"[A-Za-z_]+", said) if re.search("[a-z]{3}", word)}
    return bool(words - NAMES) and not HANGUL.search(said)


@pytest.fixture(scope="module", params=FIGURES, ids=lambda f: f"{f.__module__[15:-6]}.{f.__name__}")
def korean(request):
    return drawn_in_korean(request.param)


def test_no_letter_is_missing(korean):
    _, raised = korean
    assert [message for message in raised if "missing" in message] == []
    assert raised == []


def test_the_labels_and_the_alternative_text_are_korean(korean):
    figure, _ = korean
    assert [said for said in labels(figure) if left_in_english(said)] == []
    assert any(HANGUL.search(said) for said in labels(figure))
    assert HANGUL.search(figure.alt)
    assert HANGUL.search(figure.title)


def test_a_missing_letter_would_be_seen(monkeypatch):
    monkeypatch.setattr(plots, "korean_fonts", lambda: ("DejaVu Sans",))
    _, raised = drawn_in_korean(SIMPLE)
    assert any("missing" in message for message in raised)
    assert left_in_english("time of one call")
    assert not left_in_english("torch")


def test_english_figures_keep_the_usual_font():
    figure = FIGURES[SIMPLE].draw()
    assert {tuple(text.get_fontfamily()) for text in figure.findobj(Text)} == {("sans-serif",)}
    assert not any(HANGUL.search(said) for said in [*labels(figure), figure.alt, figure.title])


def test_nothing_of_the_readers_own_changes_and_nothing_of_theirs_matters():
    with mpl.rc_context({"font.family": "serif", "axes.unicode_minus": True}):
        before = dict(mpl.rcParams)
        figure, raised = drawn_in_korean(SIMPLE)
        assert dict(mpl.rcParams) == before
        figure.savefig(io.BytesIO(), format="png")
    assert raised == []
    families = {tuple(text.get_fontfamily()) for text in figure.findobj(Text)}
    assert families == {plots.korean_fonts()} == {("NanumGothic", "DejaVu Sans")}


def test_ticks_that_are_made_when_the_figure_is_saved_have_the_font_too():
    @plots.drawn
    def later():
        figure, axes = plots.new_figure("ticks")
        axes.plot([0, 1])
        axes.xaxis.set_major_formatter(lambda value, place: f"{value:.1f} 배")
        return figure

    with speaking("ko"):
        figure = later()
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        figure.png(dpi=40)
    assert raised == []
    assert any("배" in said for said in labels(figure))


def test_the_package_with_the_font_is_not_imported():
    code = (
        "import sys\n"
        "from recipe_helpers.common import plots\n"
        "assert plots.korean_fonts()[0] == 'NanumGothic'\n"
        "assert not [name for name in sys.modules if name.startswith('koreanize')]"
    )
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.fixture
def no_korean_font(monkeypatch):
    """A machine without the extra and without a Korean font of the system's."""

    def none(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", none)
    bare = [font for font in fontManager.ttflist if font.name not in plots._KOREAN_FONTS]
    monkeypatch.setattr(fontManager, "ttflist", bare)
    monkeypatch.setattr(plots, "_said_why", False)
    plots._register_font_of_the_extra.cache_clear()
    yield bare
    plots._register_font_of_the_extra.cache_clear()


def test_without_a_korean_font_the_labels_are_english_and_one_sentence_says_why(no_korean_font):
    figure, raised = drawn_in_korean(SIMPLE)
    again, _ = drawn_in_korean(SIMPLE)
    assert raised == []
    assert not any(HANGUL.search(said) for said in labels(figure))
    why = [said for said in labels(figure) if "no Korean font was found" in said]
    assert len(why) == 1
    assert [said for said in labels(figure) if said not in why] == labels(again)
    for one in (figure, again):
        assert HANGUL.search(one.title)
        assert "한글 글꼴을 찾지 못해" in one.alt


def test_a_font_of_the_system_will_do(no_korean_font, monkeypatch):
    font = next(font for font in no_korean_font if font.name == "DejaVu Serif")
    monkeypatch.setattr(plots, "_KOREAN_FONTS", ("No Such Font", font.name))
    assert plots.korean_fonts() == ("DejaVu Serif", "DejaVu Sans")
