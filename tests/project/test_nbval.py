"""What nbval and the conftest beside it find in a stored notebook that is not what its code shows.

One run of a notebook with its Korean edition: nothing is wrong in its first cells; each of the
others has a fault of its own, and is named with it.
"""

import base64
import importlib.util
import os
import sys
from xml.etree import ElementTree

import nbformat

import recipe_helpers as rh
from recipe_helpers.common.language import speaking
from recipe_helpers.recipe import timing

from .files import ROOT, run, words_of

SIZES = "rh.compare_size(demo.model, demo.model)"
OTHER = "rh.compare_size(rh.demonstration(dimension=16).model, demo.model)"
SMALL, LARGE = (f"rh.plots.size_sweep(rh.size_sweep({widths}))" for widths in ([8, 16], [8, 64]))
IGNORED = "nbval-ignore-output"


def shown(code, language):
    """The output that a notebook stores of an expression, in a language."""
    with speaking(language):
        found = eval(code, {"rh": rh, "demo": rh.demonstration()})._repr_mimebundle_()
    data, metadata = found if isinstance(found, tuple) else (found, {})
    if "image/png" in data:
        data["image/png"] = base64.b64encode(data["image/png"]).decode("ascii")
    return nbformat.v4.new_output("execute_result", data, metadata=metadata, execution_count=1)


def plain(text):
    return nbformat.v4.new_output("execute_result", {"text/plain": text}, execution_count=1)


def printed(text):
    return nbformat.v4.new_output("stream", text=text)


def with_picture_of(output, other):
    """An output with the picture of another under its own text."""
    made = nbformat.from_dict(output)
    made.data["image/png"] = other.data["image/png"]
    return made


EN, KO = (
    {code: shown(code, lang) for code in (SIZES, OTHER, SMALL, LARGE)} for lang in ("en", "ko")
)
# Code, stored in English, stored in Korean, a tag; what is said of it, if anything.
CELLS = [
    ("import torch\nimport recipe_helpers as rh\n\ndemo = rh.demonstration()", None, None),
    ("1 + 1", plain("2"), plain("2")),
    (f"print(1)\n{SIZES}", [printed("1\n"), EN[SIZES]], [printed("1\n"), KO[SIZES]]),
    ("for one in 'ab':\n    print(one)", printed("a\nb\n"), printed("a\nb\n")),
    (SMALL, EN[SMALL], KO[SMALL]),
    (SMALL, EN[LARGE], EN[LARGE], IGNORED),
    (f"sizes = {SIZES}\nsizes", plain("old"), plain("오래된 것"), IGNORED),
    ("sizes", EN[SIZES], KO[SIZES]),
    ("torch.manual_seed(0)\ntorch.rand(1).shape", *2 * [plain("torch.Size([1])")]),
    ("drawn = torch.rand(1)\ndrawn", *2 * [plain("tensor([0.7682])")]),
    ("import os\n\nos.environ['RECIPE_BUDGET']", plain("'0.1'"), plain("'0.1'")),
    ("1 + 1", plain("3"), plain("2"), "", "Cell outputs differ\n"),
    (SIZES, EN[OTHER], KO[SIZES], "", "Cell outputs differ\n"),
    (SIZES, EN[SIZES], KO[OTHER], "", "Cell outputs differ in Korean"),
    (SIZES, EN[SIZES], EN[SIZES], "", "Cell outputs differ in Korean"),
    (f"print(1)\n{SIZES}", [printed("1\n"), EN[SIZES]], KO[SIZES], "", "differ in Korean"),
    (SMALL, with_picture_of(EN[SMALL], EN[LARGE]), KO[SMALL], "", "is not what the cell draws"),
    (SMALL, EN[SMALL], with_picture_of(KO[SMALL], KO[LARGE]), "", "is not what the cell draws"),
    (SMALL, with_picture_of(EN[LARGE], EN[SMALL]), KO[SMALL], "", "is not the figure's own"),
    (SMALL, EN[SMALL], with_picture_of(KO[LARGE], KO[SMALL]), "", "is not the figure's own"),
    (f"sizes = {SIZES}\nsizes", plain("old"), plain("old"), IGNORED, "is Korean"),
]


def test_each_fault_is_found_and_named_and_nothing_else(tmp_path):
    (tmp_path / "ko").mkdir()
    for language, place in (("", 1), ("ko", 2)):
        cells = []
        for number, row in enumerate(CELLS, 1):
            cell = nbformat.v4.new_code_cell(row[0], id=f"c{number}", execution_count=number)
            outputs = row[place] or []
            cell.outputs = outputs if isinstance(outputs, list) else [outputs]
            cell.metadata["tags"] = list(filter(None, row[3:4]))
            cells.append(cell)
        made = nbformat.v4.new_notebook(cells=cells)
        made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(made, tmp_path / language / "stored.ipynb")
    options = [word for word in words_of("test", "pytest") if word.startswith("--nbval")]
    words = ["-p", "conftest", "-p", "no:cacheprovider", "--junitxml=said.xml", *options]
    path = {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    command = [sys.executable, "-m", "pytest", *words, "stored.ipynb"]
    done = run(*command, cwd=tmp_path, env={**os.environ, **path})
    assert done.returncode == 1, done.stdout + done.stderr
    cases = ElementTree.parse(tmp_path / "said.xml").iter("testcase")
    for row, case in zip(CELLS, cases, strict=True):
        said, expected = case.findtext("failure", ""), "".join(row[4:])
        assert expected in said, row[0]
        assert bool(said) == bool(expected), said


def test_pictures_that_look_the_same_are_the_same_and_others_are_not():
    # Another conftest.py, the library's, may have the same name in this process.
    place = importlib.util.spec_from_file_location("root_conftest", ROOT / "conftest.py")
    root = importlib.util.module_from_spec(place)
    place.loader.exec_module(root)

    def png(widths, **options):
        return rh.plots.size_sweep(rh.size_sweep(widths)).png(**options)

    stored = png([8, 16])
    assert root.how_different(stored, png([8, 16])) == ""
    assert "differs by" in root.how_different(stored, png([8, 17]))
    assert "were drawn" in root.how_different(stored, png([8, 16], dpi=150))


def test_what_runs_as_a_test_measures_for_a_tenth_of_the_time_and_the_tests_themselves_do_not(
    monkeypatch,
):
    monkeypatch.setattr(timing.timeit, "repeat", lambda call, **options: [1.0])
    monkeypatch.setattr(timing.timeit, "timeit", lambda call, number: 1.0)

    def rounds():
        (found,) = timing.interleave([lambda: None], budget_s=200)
        return len(found.times_us)

    assert rounds() == 100
    monkeypatch.setenv("RECIPE_BUDGET", "0.1")
    assert rounds() == 10
