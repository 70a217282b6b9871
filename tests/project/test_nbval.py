"""What nbval and the conftest beside it find in a stored notebook that is not what its code shows.

One run of two notebooks with their Korean editions: nothing is wrong in the first; each cell of the
second has a fault of its own, and is named with it.
"""

import base64
import importlib.util
import os
import subprocess
import sys
from xml.etree import ElementTree

import nbformat
import pytest

import recipe_helpers as rh
from recipe_helpers.common.language import speaking
from recipe_helpers.recipe import timing

from .tool import ROOT, words_of

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


SHAPE = plain("torch.Size([1])")
EN, KO = (
    {code: shown(code, lang) for code in (SIZES, OTHER, SMALL, LARGE)} for lang in ("en", "ko")
)
SET_UP = ("import torch\nimport recipe_helpers as rh\n\ndemo = rh.demonstration()", [], [])
GOOD = [  # code, stored in English, stored in Korean
    SET_UP,
    ("1 + 1", [plain("2")], [plain("2")]),
    (f"print(1)\n{SIZES}", [printed("1\n"), EN[SIZES]], [printed("1\n"), KO[SIZES]]),
    ("for one in 'ab':\n    print(one)", [printed("a\nb\n")], [printed("a\nb\n")]),
    (SMALL, [EN[SMALL]], [KO[SMALL]]),
    (SMALL, [EN[LARGE]], [EN[LARGE]], IGNORED),
    (f"sizes = {SIZES}\nsizes", [plain("old")], [plain("오래된 것")], IGNORED),
    ("sizes", [EN[SIZES]], [KO[SIZES]]),
    ("torch.manual_seed(0)\ntorch.rand(1).shape", [SHAPE], [SHAPE]),
    ("drawn = torch.rand(1)\ndrawn", [plain("tensor([0.7682])")], [plain("tensor([0.7682])")]),
    ("import os\n\nos.environ['RECIPE_BUDGET']", [plain("'0.1'")], [plain("'0.1'")]),
]
FAULTS = [  # the same, and what is said of it
    (("1 + 1", [plain("3")], [plain("2")]), "Cell outputs differ\n"),
    ((SIZES, [EN[OTHER]], [KO[SIZES]]), "Cell outputs differ\n"),
    ((SIZES, [EN[SIZES]], [KO[OTHER]]), "Cell outputs differ in Korean"),
    ((SIZES, [EN[SIZES]], [EN[SIZES]]), "Cell outputs differ in Korean"),
    ((f"print(1)\n{SIZES}", [printed("1\n"), EN[SIZES]], [KO[SIZES]]), "differ in Korean"),
    ((SMALL, [with_picture_of(EN[SMALL], EN[LARGE])], [KO[SMALL]]), "is not what the cell draws"),
    ((SMALL, [EN[SMALL]], [with_picture_of(KO[SMALL], KO[LARGE])]), "is not what the cell draws"),
    ((SMALL, [with_picture_of(EN[LARGE], EN[SMALL])], [KO[SMALL]]), "is not the figure's own"),
    ((SMALL, [EN[SMALL]], [with_picture_of(KO[LARGE], KO[SMALL])]), "is not the figure's own"),
    ((f"sizes = {SIZES}\nsizes", [plain("old")], [plain("old")], IGNORED), "is Korean"),
]


def store(folder, name, rows):
    """Write the English notebook of these rows, and the Korean one beside it."""
    (folder / "ko").mkdir(exist_ok=True)
    for language, place in (("", 1), ("ko", 2)):
        cells = []
        for number, row in enumerate(rows, 1):
            cell = nbformat.v4.new_code_cell(row[0], id=f"c{number}", execution_count=number)
            cell.outputs, cell.metadata["tags"] = row[place], list(row[3:])
            cells.append(cell)
        made = nbformat.v4.new_notebook(cells=cells)
        made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(made, folder / language / name)


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """What is said of each cell of each notebook, run as `make test` runs them; "" if nothing."""
    folder = tmp_path_factory.mktemp("stored")
    store(folder, "good.ipynb", GOOD)
    store(folder, "faults.ipynb", [SET_UP, *(row for row, _ in FAULTS)])
    options = [word for word in words_of("test", "pytest") if word.startswith("--nbval")]
    words = ["-p", "conftest", "-p", "no:cacheprovider", "--junitxml=said.xml", *options]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "good.ipynb", "faults.ipynb"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found = {"good": [], "faults": []}
    for case in ElementTree.parse(folder / "said.xml").iter("testcase"):
        failure = case.find("failure")
        name = "good" if "good" in case.get("classname") else "faults"
        found[name].append("" if failure is None else failure.text)
    return found


def test_a_notebook_without_a_fault_passes(failures):
    assert failures["good"] == [""] * len(GOOD)


def test_each_fault_is_found_and_named(failures):
    set_up, *said = failures["faults"]
    assert set_up == ""
    assert len(said) == len(FAULTS)
    for ((code, *_), expected), failure in zip(FAULTS, said, strict=True):
        assert expected in failure, code


def test_pictures_that_look_the_same_are_the_same_and_others_are_not():
    # Another conftest.py, the library's, may have the same name in this process.
    place = importlib.util.spec_from_file_location("root_conftest", ROOT / "conftest.py")
    root = importlib.util.module_from_spec(place)
    place.loader.exec_module(root)
    how_different = root.how_different

    def png(code, **options):
        return eval(code, {"rh": rh}).png(**options)

    assert how_different(png(SMALL), png(SMALL)) == ""
    assert "differs by" in how_different(png(SMALL), png(SMALL.replace("16", "17")))
    assert "were drawn" in how_different(png(SMALL), png(SMALL, dpi=150))


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
