"""What is published: both packages, built as PyPI gets them, and what a wheel brings along."""

import email
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import int8_rnn
import recipe_helpers

from .files import ROOT, run, tracked

# The distribution -> its folder here, and where its package lies in that.
PLACES = {"recipe_helpers": (".", "recipe_helpers"), "int8_rnn": ("int8_rnn", "src/int8_rnn")}
SHOWN = {
    "License-Expression": "BSD-3-Clause",
    "Requires-Python": ">=3.10",
    "Description-Content-Type": "text/markdown",
}
# What a wheel must not pull in: Jupyter, figures and the data of one notebook come with an extra.
HEAVY = ("jupyter", "notebook", "nbval", "ipywidgets", "ipython", "matplotlib", "scikit-learn")
FOREIGN = re.compile(r"(^|/)(tests?|notebooks|benchmarks|build|docs)(/|$)|\.(pt|safetensors)$")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the source archive of each distribution, from copies of what is tracked."""
    copy, made = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    for place, _ in PLACES.values():
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", made]
        done = run(*command, copy / place)
        assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.mark.parametrize("package", [recipe_helpers, int8_rnn])
def test_a_wheel_holds_every_file_of_its_package_and_no_other_and_brings_no_jupyter(built, package):
    name = package.__name__
    inside = Path(*PLACES[name])
    expected = {f"{name}/{Path(file).relative_to(inside).as_posix()}" for file in tracked(inside)}
    (path,) = built.glob(f"{name}-*.whl")
    with zipfile.ZipFile(path) as opened:
        entries = opened.namelist()
        (entry,) = [entry for entry in entries if entry.endswith(".dist-info/METADATA")]
        said = email.message_from_bytes(opened.read(entry))
    assert any(entry.endswith("licenses/LICENSE") for entry in entries)
    assert {entry for entry in entries if ".dist-info/" not in entry} == expected
    assert f"{name}/py.typed" in expected

    assert {key: said[key] for key in SHOWN} == SHOWN
    assert (said["Name"], said["Version"]) == (name.replace("_", "-"), package.__version__)
    assert said.get_payload().lstrip().startswith("# ")
    assert len(said["Summary"]) > 20
    base = [line for line in said.get_all("Requires-Dist") if "extra ==" not in line]
    assert "torch>=2.6" in base
    assert [line for line in base if line.startswith(HEAVY)] == []
    if name == "int8_rnn":
        assert {re.split(r"\W", line)[0] for line in base} == {"torch", "numpy", "safetensors"}


@pytest.mark.parametrize("name", PLACES)
def test_a_source_archive_builds_by_itself_and_holds_no_tests(built, name):
    (path,) = built.glob(f"{name}-*.tar.gz")  # `build` made the wheel from it
    with tarfile.open(path) as opened:
        held = {entry.partition("/")[2] for entry in opened.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE"} <= held
    assert list(filter(FOREIGN.search, held)) == []
