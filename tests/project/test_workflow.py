"""The workflows that GitHub runs, and that they call what a laptop calls."""

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
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in WORKFLOW.parent.glob("*.yml")
}
JOBS = WORKFLOWS["test"]["jobs"]


def commands():
    for workflow in WORKFLOWS.values():
        for job in workflow["jobs"].values():
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
    assert {"test", "lint", "unit", "run", "site"} <= called
    made = re.findall(r"^([a-z./]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert called <= set(made)


def test_both_editions_run_where_their_stored_outputs_are_not_compared():
    step = next(s for s in JOBS["test"]["steps"] if "recipe" in s.get("name", ""))
    lines = step["run"].splitlines()
    assert any("LANGUAGE=ko" in line and " run " in line for line in lines)
    assert any("LANGUAGE" not in line and " run " in line for line in lines)


def test_the_tests_that_they_name_are_there():
    text = "\n".join(commands())
    left_out = re.findall(r"--deselect (\S+)::(\w+)", text)
    assert left_out
    for file, name in left_out:
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")
    for path in re.findall(r"\b((?:tests|tools)/\S+\.py)\b", text):
        assert (ROOT / path).is_file(), path


def test_once_a_week_the_newest_pytorch_and_its_candidate_are_tried():
    weekly = WORKFLOWS["weekly"]
    assert weekly[True]["schedule"]  # YAML reads `on` as true
    job = weekly["jobs"]["newest-pytorch"]
    assert job["strategy"]["matrix"]["torch"] == ["release", "candidate"]
    steps = {step.get("if", ""): step["run"] for step in job["steps"] if "run" in step}
    assert "--upgrade torch --index" in steps["matrix.torch == 'release'"]
    assert "--pre torch --index" in steps["matrix.torch == 'candidate'"]
    assert "schedule" not in WORKFLOWS["test"][True]


def test_who_may_write_is_said_job_by_job():
    """Only the jobs that publish may do more than read, and they run nothing of this project."""
    for name, workflow in WORKFLOWS.items():
        assert workflow["permissions"] == {"contents": "read"}, name
        for job in workflow["jobs"].values():
            if "permissions" in job:
                assert not any("run" in step for step in job["steps"]), name
                assert job["environment"], name
    publish = WORKFLOWS["publish"]
    assert publish[True] == {"push": {"tags": ["v*"]}}
    assert publish["jobs"]["publish"]["permissions"] == {"id-token": "write"}


def test_every_workflow_and_form_is_checked_by_make_lint():
    words = subprocess.run(
        ["make", "-n", "lint"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for path in [*WORKFLOW.parent.glob("*.yml"), ROOT / "CITATION.cff"]:
        assert path.relative_to(ROOT).as_posix() in words
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        assert (path.as_posix().split(".github/")[1] in words) == (path.stem != "config"), path
    assert "/codespell" in words


def test_a_commit_is_held_to_what_make_lint_holds_it_to():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    ((hook,),) = (repo["hooks"] for repo in hooks["repos"])
    assert hook["entry"] == "make lint"
    assert hook["pass_filenames"] is False


def test_the_versions_agree():
    import int8_rnn
    import recipe_helpers

    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changes, re.M)[1]
    assert newest == cited["version"] == recipe_helpers.__version__ == int8_rnn.__version__


@pytest.mark.parametrize(
    ("line", "spoilt"),
    [("", ""), ("runs-on: ${{", "runs_on: ${{"), ("    steps:", "    step:")],
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
    for words in ([], ["help", "LANGUAGE=ko"]):
        command = ["make", "--no-print-directory", *words]  # which make within make prints
        shown = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
        assert {line.split()[0] for line in shown.splitlines()} == targets
        for line in shown.splitlines():
            assert bool(re.search("[가-힣]", line)) == bool(words), line


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
