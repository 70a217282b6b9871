"""The gates themselves: what `make test`, pytest's options and `.ci/run` let through.

What nbval and the conftest beside it let through is tried in `test_nbval.py`.
"""

import os
import stat
import subprocess
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from .. import conftest
from .tool import ROOT, commands, tracked, words_of

NARROWER = ("--nbval-lax", "--ignore", "--deselect", "-k", "-m", "--lf", "--sw", "-x", "--co")


def test_make_takes_every_test_and_notebook_but_the_korean_ones_which_their_runs_show():
    every = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("notebooks/*.ipynb")]
    every += [
        path.relative_to(ROOT).as_posix() for path in ROOT.glob("exercises/solutions/*.ipynb")
    ]
    assert len(every) >= 9
    for target, program in (("test", "pytest"), ("execute", "tools/run_recipe.py")):
        words = words_of(target, program)
        notebooks = [word for word in words if word.endswith(".ipynb")]
        assert sorted(notebooks) == sorted(every)
        assert notebooks[0] == "notebooks/trained_models.ipynb", "the longest first"
        if target == "test":
            assert {"tests", "int8_rnn/tests", "--nbval"} <= set(words)
            assert [word for word in words if word.startswith(NARROWER)] == []
        else:
            assert "--store" in words


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
    (found,) = [c for c in commands("run", *words, **environment) if "tools/run_recipe.py" in c]
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
    assert len(copied) > 10
    assert copied == {name: f"build/lab/{name}" for name in tracked("notebooks")}
    assert every[-1][-2:] == ["lab", "build/lab/notebooks/dynamic_quantization.ipynb"]


def test_make_test_checks_style_format_and_types_first():
    every = " ; ".join(" ".join(words) for words in commands("test"))
    programs = ("ruff check", "ruff format --check", "mypy", "codespell", "check-jsonschema")
    places = [every.index(program) for program in (*programs, "actionlint", "pytest")]
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
    assert said[:2] == ["set -euo pipefail", 'cd "$(dirname "$0")/.."']
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
