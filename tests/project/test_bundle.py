"""The bundle for a class: what is in it, and that the recipe runs from it where nothing else is."""

import json
import os
import re
import sys
import zipfile
from pathlib import Path

import pytest

from .files import ROOT, run, text, tool, tracked

bundle = tool("bundle")
STARTS = {"START.html": "notebooks", "START.ko.html": "notebooks/ko"}

RUN = """
import json
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read("dynamic_quantization.ipynb", as_version=4)
place = next(n for n, cell in enumerate(notebook.cells) if cell.id == "cell-49")
where = "import int8_rnn; print(rh.__file__, int8_rnn.__file__, sep='|')"
notebook.cells[place + 1:] = [nbformat.v4.new_code_cell(where)]
NotebookClient(notebook, timeout=300).execute()
table = notebook.cells[place].outputs[0].data["text/plain"]
print(json.dumps([table, *notebook.cells[-1].outputs[0].text.strip().split("|")]))
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The bundle, made of this repository and unpacked into an empty folder."""
    folder = tmp_path_factory.mktemp("class")
    archive = bundle.bundle(output=tmp_path_factory.mktemp("build"))
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    (top,) = folder.iterdir()
    return top


def test_it_holds_every_notebook_and_all_that_they_read(unpacked):
    held = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert set(tracked("notebooks")) <= held
    assert {*STARTS, "constraints.txt", "LICENSE"} <= held
    for name in held - {*STARTS}:
        if not name.endswith(".whl"):
            assert (unpacked / name).read_bytes() == (ROOT / name).read_bytes()


def test_students_get_exercises_and_no_solutions(tmp_path):
    handed_out = ["E1.ipynb", "ko/E1.ipynb"]
    kept = ["solutions/E1.ipynb", "E1_solution.ipynb", "TEACHING.md", ".x/a.json"]
    for name in (*handed_out, *kept):
        (tmp_path / "exercises" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "exercises" / name).touch()
    found = [name.relative_to("exercises").as_posix() for name in bundle.handed_out(tmp_path)]
    assert found == handed_out


@pytest.mark.parametrize(("start", "folder"), STARTS.items())
def test_the_start_page_names_files_that_are_there_and_has_a_block_for_each_system(
    unpacked, start, folder
):
    page = text(unpacked / start)
    wheels = {wheel.name for wheel in unpacked.glob("*.whl")}
    assert len(wheels) == 2
    assert not re.search("WHEEL|LIBRARY", page)
    named = re.findall(r"<code>([\w./-]+)</code>", page)
    assert wheels | {"constraints.txt", f"{folder}/dynamic_quantization.ipynb"} <= set(named)
    for name in [*named, *re.findall(r'href="([^"#]+)"', page)]:
        if not name.startswith("exercises/"):  # which it says may be missing
            assert (unpacked / name).exists(), name
    assert not re.search(r'(src|href)="http', page)

    parts = dict(zip(*(iter(re.split(r'<h2 id="(\w+)">', page)[1:]),) * 2, strict=True))
    assert list(parts)[:5] == ["linux", "macos", "windows", "colab", "there"]
    for name in ("linux", "macos", "windows"):
        (block,) = re.findall(r"<pre>(.*?)</pre>", parts[name], re.S)
        assert all(word in block for word in ("-m venv env", "pip install -c", "jupyter lab"))
        assert re.search(r'"./recipe_helpers-\S+\.whl\[', block)
        assert f"{folder}/dynamic_quantization.ipynb" in block.replace("\\", "/")
        assert ("download.pytorch.org" in block) == (name == "linux")
        assert ("env\\Scripts" in block) == (name == "windows")
        assert max(map(len, block.splitlines())) <= 75, "cut off or wrapped in a narrow window"


def test_two_bundles_of_the_same_are_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "wheel", lambda *_: ROOT / "LICENSE")
    first, second = (bundle.bundle(output=tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_the_recipe_runs_from_it_as_far_as_its_first_table_which_both_packages_make(unpacked):
    """With its wheels before the libraries of this environment, and no way to this repository."""
    installed, home = unpacked.parent / "installed", unpacked.parent / "home"
    for wheel in unpacked.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(installed)
    homes = ("HOME", "USERPROFILE", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR")
    kept = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "PATHEXT")
    alone = {name: os.environ[name] for name in kept if name in os.environ}
    alone |= dict.fromkeys(homes, str(home)) | {"PYTHONPATH": str(installed)}
    done = run(sys.executable, "-c", RUN, cwd=unpacked / "notebooks", env=alone)
    assert done.returncode == 0, done.stderr
    table, *modules = json.loads(done.stdout.splitlines()[-1])
    assert [module for module in modules if not Path(module).is_relative_to(installed)] == []
    assert "4,573 bytes  3,549 bytes" in table
