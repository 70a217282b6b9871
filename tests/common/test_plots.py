"""What all figures have in common: colours, panels, and a font for Korean, or English without."""

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
from recipe_helpers.common.language import N_, _, speaking
from recipe_helpers.recipe.timing import Ratio

HANGUL = re.compile("[가-힣]")
LABEL = N_("time of one call")  # a message that figures have


@plots.drawn
def simple():
    figure, axes = plots.new_figure(_(LABEL))
    axes.plot([0, 1])
    axes.set_xlabel(_(LABEL))
    unit = _("answers per second")
    axes.xaxis.set_major_formatter(lambda value, place: f"{value:.1f} {unit}")
    figure.alt = _(LABEL)
    return figure


def drawn_in_korean():
    """The figure, and the warnings that drawing and saving it raised."""
    with warnings.catch_warnings(record=True) as raised, speaking("ko"):
        warnings.simplefilter("always")
        figure = simple()
        assert figure.png(dpi=40)
    return figure, [str(warning.message) for warning in raised]


def labels(figure):
    """Every text that can be seen, ticks that are made when the figure is saved included."""
    texts = (text.get_text().strip() for text in figure.findobj(Text) if text.get_visible())
    return [said for said in texts if said]


def families(figure):
    return {tuple(text.get_fontfamily()) for text in figure.findobj(Text)}


def test_new_figure_has_the_panels_it_was_asked_for():
    figure, axes = plots.new_figure("three by two", columns=3, rows=2, width=6, height=4)
    assert axes.shape == (2, 3)
    assert tuple(figure.get_size_inches()) == (6, 4)
    assert figure.title == figure.alt == "three by two"
    assert len(set(plots.COLORS)) == len(plots.COLORS)


def test_ticks_are_those_within_the_axis_and_at_its_ends():
    _figure, axes = plots.new_figure("one")
    axes.set(yscale="log", ylim=(0.5, 8))
    plots.plain_ticks(axes, [0.1, 0.5, 1, 2.5, 8, 16])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0.5", "1", "2.5", "8"]
    assert axes.get_ylim() == (0.5, 8)


def test_an_interval_reaches_from_its_low_to_its_high_end():
    _figure, axes = plots.new_figure("one")
    plots.draw_ratios(axes, [8, 16], [Ratio(2, 1.5, 4), Ratio(3, 2.5, 3.1)])
    (bars,) = axes.collections
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [pytest.approx([1.5, 4]), pytest.approx([2.5, 3.1])]


def test_nothing_of_the_readers_own_changes_and_nothing_of_theirs_matters():
    with mpl.rc_context({"font.family": "serif", "lines.marker": "x"}):
        before = dict(mpl.rcParams)
        (korean, raised), english = drawn_in_korean(), simple()
        assert dict(mpl.rcParams) == before
    assert raised == []
    assert families(korean) == {plots.korean_fonts()} == {("NanumGothic", "DejaVu Sans")}
    assert families(english) == {("sans-serif",)}
    assert english.axes[0].lines[0].get_marker() == "None"
    assert not any(HANGUL.search(said) for said in labels(english))


def test_the_package_with_the_font_is_not_imported():
    code = (
        "import sys\n"
        "from recipe_helpers.common import plots\n"
        "assert plots.korean_fonts()[0] == 'NanumGothic'\n"
        "assert not [name for name in sys.modules if name.startswith('koreanize')]"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.fixture
def no_korean_font(monkeypatch):
    """A machine without the extra and without a Korean font of the system's."""

    def none(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", none)
    bare = [font for font in fontManager.ttflist if font.name not in plots._KOREAN_FONTS]
    monkeypatch.setattr(fontManager, "ttflist", bare)
    plots._register_font_of_the_extra.cache_clear()
    yield bare
    plots._register_font_of_the_extra.cache_clear()


def test_without_a_korean_font_the_labels_are_english_and_one_sentence_says_why(no_korean_font):
    figure, raised = drawn_in_korean()
    assert raised == []
    assert not any(HANGUL.search(said) for said in labels(figure))
    assert len([said for said in labels(figure) if "no Korean font was found" in said]) == 1
    assert "한글 글꼴을 찾지 못해" in figure.alt


def test_a_font_of_the_system_will_do(no_korean_font, monkeypatch):
    monkeypatch.setattr(plots, "_KOREAN_FONTS", ("No Such Font", "DejaVu Serif"))
    assert plots.korean_fonts() == ("DejaVu Serif", "DejaVu Sans")
