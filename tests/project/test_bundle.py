"""The bundle for a class: what is in it, and that the recipe runs from it where nothing else is."""

import ast
import json
import os
import re
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from .tool import ROOT, tool, tracked

bundle = tool("bundle")
STARTS = {"START.html": "notebooks", "START.ko.html": "notebooks/ko"}

RUN = """
import json
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read("dynamic_quantization.ipynb", as_version=4)
place = next(n for n, cell in enumerate(notebook.cells) if cell.id == "cell-49")
where = "import sys, int8_rnn; print(sys.prefix, sys.path, rh.__file__, int8_rnn.__file__, sep='|')"
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


@pytest.fixture(scope="module")
def fresh(unpacked):
    """The Python of a new environment with both wheels, which borrows what these need.

    A line in a `.pth` file lends it the libraries of the environment that runs the tests, but not
    this repository: paths in the `.pth` files of a borrowed folder do not count.
    """
    home = unpacked.parent / "env"
    venv.create(home, with_pip=False, symlinks=os.name != "nt")
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wheels = [str(wheel) for wheel in unpacked.glob("*.whl")]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    # pip would take a repository on PYTHONPATH for the package, installed already.
    leading_nowhere = {k: value for k, value in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run(
        [*pip, "install", "-q", "--no-deps", "--no-index", *wheels],
        env=leading_nowhere,
        check=True,
    )
    own = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    Path(own, "borrowed.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")
    return python


@pytest.fixture(scope="module")
def alone(unpacked):
    """Variables of an environment in which nothing leads back to this repository."""
    kept = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "PATHEXT")
    home = unpacked.parent / "home"
    home.mkdir()
    folders = dict.fromkeys(
        ("HOME", "USERPROFILE", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"), str(home)
    )
    return {name: os.environ[name] for name in kept if name in os.environ} | folders


def test_it_holds_every_notebook_and_all_that_they_read(unpacked):
    held = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert set(tracked("notebooks")) <= held
    assert {*STARTS, "constraints.txt", "LICENSE"} <= held
    for name in held - {*STARTS}:
        if not name.endswith(".whl"):
            assert (unpacked / name).read_bytes() == (ROOT / name).read_bytes()


def test_students_get_exercises_and_no_solutions(tmp_path):
    for name in (
        "E1.ipynb",
        "solutions/E1.ipynb",
        "E1_solution.ipynb",
        "TEACHING.md",
        ".x/a.json",
        "ko/E1.ipynb",
    ):
        (tmp_path / "exercises" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "exercises" / name).touch()
    assert [name.as_posix() for name in bundle.handed_out(tmp_path)] == [
        "exercises/E1.ipynb",
        "exercises/ko/E1.ipynb",
    ]


@pytest.mark.parametrize(("start", "folder"), STARTS.items())
def test_the_start_page_names_files_that_are_there(unpacked, start, folder):
    text = (unpacked / start).read_text(encoding="utf-8")
    wheels = {wheel.name for wheel in unpacked.glob("*.whl")}
    assert len(wheels) == 2
    assert "WHEEL" not in text
    assert "LIBRARY" not in text
    named = re.findall(r"<code>([\w./-]+)</code>", text)
    assert wheels | {"constraints.txt", f"{folder}/dynamic_quantization.ipynb"} <= set(named)
    for name in [*named, *re.findall(r'href="([^"#]+)"', text)]:
        if not name.startswith("exercises/"):  # which it says may be missing
            assert (unpacked / name).exists(), name
    assert not re.search(r'(src|href)="http', text)


@pytest.mark.parametrize(("start", "folder"), STARTS.items())
def test_the_start_page_has_a_block_for_each_system(unpacked, start, folder):
    text = (unpacked / start).read_text(encoding="utf-8")
    parts = dict(zip(*(iter(re.split(r'<h2 id="(\w+)">', text)[1:]),) * 2, strict=True))
    assert list(parts)[:5] == ["linux", "macos", "windows", "colab", "there"]
    commands = {name: re.findall(r"<pre>(.*?)</pre>", part, re.S) for name, part in parts.items()}
    for name in ("linux", "macos", "windows"):
        (block,) = commands[name]
        assert all(word in block for word in ("-m venv env", "pip install -c", "jupyter lab"))
        assert f"{folder}/dynamic_quantization.ipynb" in block.replace("\\", "/")
        assert ("download.pytorch.org" in block) == (name == "linux")
        assert max(map(len, block.splitlines())) <= 75, "cut off or wrapped in a narrow window"
    assert "env\\Scripts" in commands["windows"][0]


def test_two_bundles_of_the_same_are_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "wheel", lambda *_: ROOT / "LICENSE")
    first, second = (bundle.bundle(output=tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_the_recipe_runs_from_it_in_a_fresh_environment(unpacked, fresh, alone):
    """As far as its first table, which both packages had to make."""
    place, options = unpacked / "notebooks", {"capture_output": True, "text": True, "check": False}
    done = subprocess.run([fresh, "-c", RUN], cwd=place, env=alone, **options)
    assert done.returncode == 0, done.stderr
    table, prefix, path, *modules = json.loads(done.stdout.splitlines()[-1])
    home = unpacked.parent / "env"
    assert Path(prefix).samefile(home)
    assert all(Path(module).is_relative_to(home) for module in modules)
    assert not {ROOT, ROOT / "int8_rnn" / "src"} & {*map(Path, ast.literal_eval(path))}
    assert "4,573 bytes  3,549 bytes" in table
