"""The gates themselves: what `make test`, pytest's options and `.ci/run` let through.

What nbval and the conftest beside it let through is tried in `test_nbval.py`.
"""

import os
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from .. import conftest
from .files import ROOT, commands, run, text, tracked, words_of

NARROWER = ("--nbval-lax", "--ignore", "--deselect", "-k", "-m", "--lf", "--sw", "-x", "--co")


def test_make_takes_every_test_and_notebook_but_the_korean_ones_which_their_runs_show():
    every = [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("exercises/solutions/*.ipynb")]
    assert len(every) >= 9
    tested, stored = words_of("test", "pytest"), words_of("execute", "tools/run_recipe.py")
    for words in (tested, stored):
        notebooks = [word for word in words if word.endswith(".ipynb")]
        assert sorted(notebooks) == sorted(path.relative_to(ROOT).as_posix() for path in every)
        assert notebooks[0] == "notebooks/trained_models.ipynb", "the longest first"
    assert {"tests", "int8_rnn/tests", "--nbval"} <= set(tested)
    assert [word for word in tested if word.startswith(NARROWER)] == []
    assert "--store" in stored


def test_make_run_takes_the_language_that_is_asked_for_and_refuses_another():
    def taken(*words, **environment):
        return words_of(" ".join(["run", *words]), "tools/run_recipe.py", **environment)

    assert taken() == ["notebooks/dynamic_quantization.ipynb"]
    assert taken(LANGUAGE="ko:en") == taken(), "a locale of Linux"
    assert taken("LANGUAGE=ko") == ["notebooks/ko/dynamic_quantization.ipynb"]
    done = run("make", "-n", "run", "LANGUAGE=de")
    assert done.returncode != 0
    assert 'LANGUAGE is "de"; pass LANGUAGE=en or LANGUAGE=ko' in done.stderr


def test_make_lab_opens_a_copy_with_all_that_it_reads():
    """JupyterLab saves by itself, and what is tracked must not change by that."""
    every = commands("--always-make", "lab")
    copied = {words[-2]: words[-1] for words in every if words[0] == "cp"}
    assert len(copied) > 10
    assert copied == {name: f"build/lab/{name}" for name in tracked("notebooks")}
    assert every[-1][-2:] == ["lab", "build/lab/notebooks/dynamic_quantization.ipynb"]


@pytest.mark.skipif(os.name == "nt", reason="scripts for a POSIX shell")
def test_make_test_runs_every_check_before_the_tests_and_fails_where_one_does(tmp_path):
    """With programs that say that they were called, and succeed or fail."""
    programs = ("ruff", "mypy", "codespell", "check-jsonschema", "python")
    checks = ("ruff check", "ruff format --check", *programs[1:4], "python tools/actionlint.py")
    for failing in ("none", *checks, "python -m pytest"):
        for name in programs:
            said = f'echo "{name} $*"; case "{name} $*" in "{failing}"*) exit 1;; esac'
            (tmp_path / name).write_text(f"#!/bin/sh\n{said}\n", encoding="utf-8")
            (tmp_path / name).chmod(0o755)
        done = run("make", "--old-file=.venv/ready", "test", f"BIN={tmp_path}")
        assert (done.returncode == 0) == (failing == "none"), failing + done.stderr
        places = [done.stdout.find(f"\n{check}") for check in (*checks[1:], "python -m pytest")]
        assert places == sorted(places) or failing != "none"


def test_ci_calls_make_test_with_skips_forbidden_and_passes_its_failure_on():
    said = [line for line in text(".ci/run").splitlines() if line and not line.startswith("#")]
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
