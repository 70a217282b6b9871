"""The package by itself: installed anew, with nothing beside it but what it asks for."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

import pytest
import torch

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "src")


def needed(names):
    """These distributions and what they bring along, without any extra."""
    from packaging.requirements import Requirement

    found = {}
    while names:
        name = names.pop()
        if name not in found:
            found[name] = metadata.distribution(name)
            lines = map(Requirement, found[name].requires or [])
            names |= {line.name for line in lines if not line.marker or line.marker.evaluate()}
    return found.values()


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of a new environment that holds the package, and PyTorch by links."""
    folder = tmp_path_factory.mktemp("alone")
    venv.create(folder / "env", with_pip=False)
    paths = sysconfig.get_paths("venv", vars={"base": str(folder / "env")})
    site = Path(paths["purelib"])
    for name in SOURCES:  # a copy, so that no build is left beside the sources
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        (folder / "source").mkdir(exist_ok=True)
        copy(PROJECT / name, folder / "source" / name)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--target", str(site)]
    command = [sys.executable, "-m", "pip", "install", *options, str(folder / "source")]
    subprocess.run(command, check=True, capture_output=True)
    for found in needed({"torch", "numpy", "safetensors"}):
        for name in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            if not (site / name).exists():
                (site / name).symlink_to(found.locate_file(name))
    return Path(paths["scripts"], "python")


@pytest.mark.skipif(os.name == "nt", reason="an environment of links")
def test_the_example_of_the_readme_prints_what_it_says(python, tmp_path):
    (code, *_), (expected,) = (
        re.findall(rf"```{kind}\n(.*?)```", README, re.DOTALL) for kind in ("python", "text")
    )
    done = subprocess.run(
        [python, "-I", "-W", "error", "-W", "ignore::UserWarning", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected
    assert [path.name for path in tmp_path.iterdir()] == ["tagger.safetensors"]


@pytest.mark.filterwarnings("ignore")
def test_the_other_examples_of_the_readme_run(monkeypatch, tmp_path, capsys):
    for needed in ("onnxscript", "torchao.quantization"):
        pytest.importorskip(needed)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "readme"}
    with torch.random.fork_rng():
        for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
            exec(code, names)
    said = capsys.readouterr().out
    assert "the same bits compiled: True\nnearly the same: True\n" in said
    assert all((tmp_path / name).exists() for name in ("tagger.pt2", "tagger.onnx"))
    assert str(names["model"]) == str(names["quantized"])


@pytest.mark.skipif(os.name == "nt", reason="an environment of links")
def test_nothing_else_is_there(python):
    code = "import int8_rnn, importlib.util as u; print([*map(u.find_spec, %r)])"
    others = ["recipe_helpers", "IPython", "matplotlib", "numba", "scipy"]
    done = subprocess.run(
        [python, "-I", "-c", code % others], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str([None] * len(others))


def test_the_readme_names_everything_that_is_public():
    import int8_rnn

    assert [name for name in int8_rnn.__all__ if f"`{name}" not in README] == []
