"""The workflow that GitHub runs, and that it calls what a laptop calls."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .tool import tool

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "test.yml"
SCHEMA = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
JOBS = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]


def commands():
    for job in JOBS.values():
        for step in job["steps"]:
            yield from step.get("run", "").splitlines()


def test_it_runs_on_every_system_and_python_that_is_supported():
    matrix = JOBS["test"]["strategy"]["matrix"]
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"] == ["3.10", "3.11", "3.12", "3.13"]


def test_every_target_that_it_calls_is_one_of_the_makefile():
    called = {
        word
        for line in commands()
        if line.startswith("make ")
        for word in line.split()[1:]
        if "=" not in word
    }
    assert {"test", "lint", "unit", "run"} <= called
    made = re.findall(r"^([a-z./]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert called <= set(made)


def test_both_editions_run_where_their_stored_outputs_are_not_compared():
    step = next(s for s in JOBS["test"]["steps"] if "recipe" in s.get("name", ""))
    lines = step["run"].splitlines()
    assert any("LANGUAGE=ko" in line and " run " in line for line in lines)
    assert any("LANGUAGE" not in line and " run " in line for line in lines)


def test_the_test_that_it_leaves_out_is_there():
    for file, name in re.findall(r"--deselect (\S+)::(\w+)", "\n".join(commands())):
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "spoilt"),
    [("", ""), ("runs-on: ubuntu-latest", "runs_on: ubuntu-latest"), ("    steps:", "    step:")],
)
def test_make_lint_refuses_a_workflow_that_is_none(tmp_path, line, spoilt):
    words = subprocess.run(
        ["make", "-n", "lint"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "check-jsonschema --builtin-schema vendor.github-workflows .github" in words
    text = WORKFLOW.read_text(encoding="utf-8")
    assert line in text
    (tmp_path / "test.yml").write_text(text.replace(line, spoilt, 1), encoding="utf-8")
    done = subprocess.run(
        [*SCHEMA, str(tmp_path / "test.yml")], capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) == (line == spoilt), done.stdout


def test_browsers_are_looked_for_on_linux_alone():
    """Elsewhere a missing Chromium would fail the run: where `CI` is set nothing may be skipped."""
    for step in JOBS["test"]["steps"]:
        if "unit" in step.get("run", "").split():
            assert step["if"] == "runner.os != 'Linux'"
            assert shlex.split(step["env"]["PYTEST_ADDOPTS"]) == ["-m", "not browser"]


@pytest.mark.skipif(os.name == "nt", reason="a program that is a shell script")
def test_make_lint_runs_actionlint_where_it_is_and_passes_its_verdict_on(tmp_path, monkeypatch):
    words = subprocess.run(
        ["make", "-n", "lint"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "tools/actionlint.py" in words
    actionlint = tool("actionlint")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert actionlint.main() == 0
    for status in (0, 1):
        (tmp_path / "actionlint").write_text(f"#!/bin/sh\nexit {status}\n", encoding="utf-8")
        (tmp_path / "actionlint").chmod(0o755)
        assert actionlint.main() == status


def test_the_container_is_set_up_by_make():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    target = container["postCreateCommand"].removeprefix("make ")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{re.escape(target)}:", makefile, re.M)
    python = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert python == "${containerWorkspaceFolder}/.venv/bin/python"
    version = container["image"].partition(":")[2]
    assert version in JOBS["test"]["strategy"]["matrix"]["python"]


def test_every_target_of_the_makefile_is_listed_by_make_alone():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.M))
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.M)
    assert set(phony.split()) == targets
    command = ["make", "--no-print-directory"]  # which make within make prints
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in shown.splitlines()} == targets


@pytest.mark.parametrize(("system", "folder"), [("Windows_NT", "Scripts"), ("", "bin")])
def test_make_calls_the_python_that_the_system_has(system, folder):
    words = subprocess.run(
        ["make", "-n", "run", "slides", "bundle", f"OS={system}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f".venv/{folder}/python tools/slides.py notebooks/dynamic_quantization.ipynb" in words
    assert f".venv/{folder}/python tools/bundle.py" in words
