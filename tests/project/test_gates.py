"""The gates themselves: what `make test`, pytest's options and `.ci/run` let through.

What nbval and the conftest beside it let through is tried in `test_nbval.py`.
"""

import os
import shlex
import stat
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from .. import conftest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def commands(*target, **environment):
    """What `make` would run for a target, one list of words each."""
    found = subprocess.run(
        ["make", "-n", "--no-print-directory", *target],  # `make test` runs this within make
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    joined = found.stdout.replace("\\\n", " ")
    return [shlex.split(line) for line in joined.splitlines() if line.strip()]


def words_of(target, program):
    """The one command of a target that runs a program, from the program's name on."""
    (found,) = [words for words in commands(target) if program in words]
    return found[found.index(program) + 1 :]


def notebooks_of(words):
    return {word for word in words if word.endswith(".ipynb")}


@pytest.mark.parametrize(
    ("target", "program"), [("test", "pytest"), ("execute", "tools/run_recipe.py")]
)
def test_make_takes_every_notebook_but_the_korean_ones_which_are_shown_in_their_runs(
    target, program
):
    folders = {"notebooks": 6, "exercises/solutions": 3}
    wanted = set()
    for folder, fewest in folders.items():
        found = {path.relative_to(ROOT).as_posix() for path in ROOT.glob(f"{folder}/*.ipynb")}
        assert len(found) >= fewest
        wanted |= found
    assert notebooks_of(words_of(target, program)) == wanted


def test_make_test_runs_every_test_and_compares_outputs():
    words = words_of("test", "pytest")
    assert "tests" in words
    assert next(word for word in words if word.endswith(".ipynb")) == (
        "notebooks/trained_models.ipynb"
    ), "the longest first"
    options = [word for word in words if word.startswith("-")]
    assert "--nbval" in options
    refused = ("--nbval-lax", "--ignore", "--deselect", "-k", "-m", "--lf", "--sw", "-x", "--co")
    assert [option for option in options if option.startswith(refused)] == []


def test_make_execute_stores():
    assert "--store" in words_of("execute", "tools/run_recipe.py")


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        ((), {}, "notebooks/dynamic_quantization.ipynb"),
        ((), {"LANGUAGE": "ko:en"}, "notebooks/dynamic_quantization.ipynb"),
        (("LANGUAGE=ko",), {}, "notebooks/ko/dynamic_quantization.ipynb"),
    ],
    ids=["English", "a locale of Linux", "Korean"],
)
def test_make_run_takes_the_language_that_is_asked_for(words, environment, expected):
    (found,) = [
        line for line in commands("run", *words, **environment) if "tools/run_recipe.py" in line
    ]
    assert found[found.index("tools/run_recipe.py") + 1 :] == [expected]


def test_make_refuses_a_language_that_there_is_not():
    command = ["make", "-n", "run", "LANGUAGE=de"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert 'LANGUAGE is "de"; pass LANGUAGE=en or LANGUAGE=ko' in done.stderr


def test_make_lab_opens_a_copy_with_all_that_it_reads():
    """JupyterLab saves by itself, and what is tracked must not change by that."""
    every = commands("--always-make", "lab")
    copied = {words[-2]: words[-1] for words in every if words[0] == "cp"}
    tracked = subprocess.run(
        ["git", "ls-files", "notebooks"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(tracked) > 10
    assert copied == {name: f"build/lab/{name}" for name in tracked}
    assert every[-1][-2:] == ["lab", "build/lab/notebooks/dynamic_quantization.ipynb"]


def test_make_test_checks_style_format_and_types_first():
    every = [" ".join(words) for words in commands("test")]
    programs = (
        "ruff check",
        "ruff format --check",
        "mypy",
        "codespell",
        "check-jsonschema",
        "pytest",
    )
    places = [
        next(place for place, line in enumerate(every) if wanted in line) for wanted in programs
    ]
    assert places == sorted(places)


@pytest.mark.skipif(os.name == "nt", reason="scripts for a POSIX shell")
def test_make_test_fails_where_one_of_its_commands_does(tmp_path):
    """With programs that do nothing but succeed or fail."""
    programs = ("ruff", "mypy", "codespell", "check-jsonschema", "python")
    for failing in ("none", "ruff check", "ruff format", *programs[1:4], "python -m pytest"):
        for name in programs:
            path = tmp_path / name
            script = f'case "{name} $*" in "{failing}"*) exit 1;; esac'
            path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        command = ["make", "--old-file=.venv/ready", "test", f"BIN={tmp_path}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == (failing == "none"), failing + done.stderr


def test_ci_calls_make_test_with_skips_forbidden_and_passes_its_failure_on():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    said = [line for line in lines if line.strip() and not line.startswith("#")]
    assert said[0] == "set -euo pipefail"
    assert said[1] == 'cd "$(dirname "$0")/.."'
    assert said[-2:] == [f"export {conftest.FORBID_SKIPS}=1", "make test"]


@pytest.mark.parametrize(
    ("forbidden", "skipped", "fails"),
    [("1", ["one"], True), ("1", [], False), ("", ["one"], False)],
)
def test_skips_fail_the_run_where_they_are_forbidden(monkeypatch, forbidden, skipped, fails):
    monkeypatch.setenv(conftest.FORBID_SKIPS, forbidden)
    reporter = SimpleNamespace(stats={"skipped": skipped})
    plugins = SimpleNamespace(get_plugin={"terminalreporter": reporter}.get)
    session = SimpleNamespace(config=SimpleNamespace(pluginmanager=plugins), exitstatus=0)
    conftest.pytest_sessionfinish(session)
    assert (session.exitstatus == pytest.ExitCode.TESTS_FAILED) == fails


def test_every_test_file_was_collected(request):
    """Whatever hides one: an option in pyproject.toml, a conftest, a name that is not found."""
    config = request.config
    if config.option.keyword or config.option.markexpr or config.option.deselect:
        return  # someone chose; that `make test` does not is tested above
    collected = {item.path for item in request.session.items}
    given = [(config.invocation_params.dir / a.split("::")[0]).resolve() for a in config.args]
    files = list(ROOT.glob("tests/**/test_*.py"))
    asked = [path for path in files if any(path.is_relative_to(one) for one in given)]
    assert Path(__file__) in collected
    assert [path for path in asked if path not in collected] == []
    assert len(files) > 50


def test_a_warning_is_an_error_and_an_unknown_marker_too():
    with pytest.raises(UserWarning):
        warnings.warn("look here", stacklevel=1)
    with pytest.raises(pytest.fail.Exception, match="browsr"):
        _ = pytest.mark.browsr


def test_type_checkers_see_the_public_names():
    """mypy holds against the code what `tests/typed_names.py` says of it."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert "tests/typed_names.py" in mypy["files"]
    assert "recipe_helpers" in mypy["files"]
    assert mypy["warn_unused_ignores"]
    assert "import recipe_helpers as rh" in (ROOT / "tests/typed_names.py").read_text("utf-8")


def test_the_environment_file_holds_what_pip_takes():
    """conda writes the lines below `pip:` into a requirements file and hands that to pip."""
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (lines,) = [item["pip"] for item in listed if isinstance(item, dict)]
    for line in lines:
        option, path = line.split(" ")
        folder, _, extras = path.partition("[")
        assert option == "--editable"
        project = (ROOT / folder / "pyproject.toml").read_text(encoding="utf-8")
        for extra in filter(None, extras.rstrip("]").split(",")):
            assert f"\n{extra} = [" in project
