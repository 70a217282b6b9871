"""The workflows that GitHub runs, that they call what a laptop calls, and what make says."""

import json
import os
import re
import shlex
import sys

import pytest
import yaml

from .files import HANGUL, ROOT, commands, output, run, text, tool

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in FOLDER.glob("*.yml")}
JOBS = WORKFLOWS["test"]["jobs"]
STEPS = [step for w in WORKFLOWS.values() for job in w["jobs"].values() for step in job["steps"]]
LINES = [line for step in STEPS for line in step.get("run", "").splitlines()]
TARGETS = re.findall(r"^([a-z./]+):", text("Makefile"), re.M)


def test_it_runs_on_every_system_and_python_that_is_supported_in_both_languages():
    matrix = JOBS["test"]["strategy"]["matrix"]
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"] == ["3.10", "3.11", "3.12", "3.13"]
    step = next(s for s in JOBS["test"]["steps"] if "recipe" in s.get("name", ""))
    runs = [line for line in step["run"].splitlines() if " run " in line]
    assert {"LANGUAGE=ko" in line for line in runs} == {True, False}
    # Elsewhere a missing Chromium would fail the run: where `CI` is set nothing may be skipped.
    assert step["if"] == "runner.os != 'Linux'"
    assert shlex.split(step["env"]["PYTEST_ADDOPTS"]) == ["-m", "not browser"]


def test_what_they_call_is_there():
    calls = [line.split()[1:] for line in LINES if line.startswith("make ")]
    called = {word for words in calls for word in words if "=" not in word}
    assert {"test", "lint", "unit", "run", "site"} <= called <= set(TARGETS)
    left_out = re.findall(r"--deselect (\S+)::(\w+)", "\n".join(LINES))
    assert left_out
    for file, name in left_out:
        assert f"def {name}(" in text(file)
    for path in re.findall(r"\b((?:tests|tools)/\S+\.py)\b", "\n".join(LINES)):
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


def test_make_lint_checks_every_file_that_github_reads_and_a_commit_is_held_to_it():
    words = {word for line in commands("lint") for word in line}
    forms = {path for path in ROOT.glob(".github/ISSUE_TEMPLATE/*.yml") if path.stem != "config"}
    read = {path.relative_to(ROOT).as_posix() for path in {*FOLDER.glob("*.yml"), *forms}}
    assert {word for word in words if word.endswith((".yml", ".cff"))} == {*read, "CITATION.cff"}
    ((hook,),) = (
        repo["hooks"] for repo in yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    )
    assert (hook["entry"], hook["pass_filenames"]) == ("make lint", False)


def test_make_lint_refuses_a_workflow_that_is_none(tmp_path):
    assert "    steps:" in text(FOLDER / "test.yml")
    spoilt = text(FOLDER / "test.yml").replace("    steps:", "    step:", 1)
    (tmp_path / "test.yml").write_text(spoilt, encoding="utf-8")
    checks = next(line for line in commands("lint") if "vendor.github-workflows" in line)
    command = [sys.executable, "-m", "check_jsonschema", *checks[1:3], tmp_path / "test.yml"]
    assert run(*command).returncode == 1


@pytest.mark.skipif(os.name == "nt", reason="a program that is a shell script")
def test_actionlint_is_run_where_it_is_and_its_verdict_passed_on(tmp_path, monkeypatch):
    actionlint = tool("actionlint")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert actionlint.main() == 0
    for status in (0, 1):
        (tmp_path / "actionlint").write_text(f"#!/bin/sh\nexit {status}\n", encoding="utf-8")
        (tmp_path / "actionlint").chmod(0o755)
        assert actionlint.main() == status


def test_the_container_is_set_up_by_make():
    container = json.loads(text(".devcontainer/devcontainer.json"))
    assert container["postCreateCommand"].removeprefix("make ") in TARGETS
    python = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert python == "${containerWorkspaceFolder}/.venv/bin/python"
    version = container["image"].partition(":")[2]
    assert version in JOBS["test"]["strategy"]["matrix"]["python"]


@pytest.mark.parametrize("words", [[], ["help", "LANGUAGE=ko"]], ids=["en", "ko"])
def test_make_alone_lists_every_target_in_either_language(words):
    targets = {target for target in TARGETS if target.isalpha()}
    assert set(re.search(r"^\.PHONY: (.*)$", text("Makefile"), re.M)[1].split()) == targets
    lines = output("make", "--no-print-directory", *words).splitlines()
    assert {line.split()[0] for line in lines} == targets
    assert {bool(HANGUL.search(line)) for line in lines} == {bool(words)}


@pytest.mark.parametrize(("system", "folder"), [("Windows_NT", "Scripts"), ("", "bin")])
def test_make_calls_the_python_that_the_system_has(system, folder):
    called = commands("slides", "bundle", f"OS={system}")
    python = f".venv/{folder}/python"
    assert [python, "tools/slides.py", "notebooks/dynamic_quantization.ipynb"] in called
    assert [python, "tools/bundle.py"] in called
