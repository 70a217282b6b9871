"""The gates themselves: what `make test`, pytest's options, nbval and `.ci/run` let through.

They are tried by what they do, with notebooks and tests that have to fail.
"""

import os
import re
import shlex
import stat
import subprocess
import sys
import unicodedata
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]


def commands(*target, **environment):
    """What `make` would run for a target, one list of words each."""
    found = subprocess.run(
        ["make", "-n", *target],
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


def test_make_test_runs_every_notebook_and_every_test():
    words = words_of("test", "pytest")
    given = {word for word in words if not word.startswith("-")}
    folders = {"notebooks": 6, "notebooks/ko": 6, "exercises/solutions": 3}
    for folder, fewest in folders.items():
        found = {path.relative_to(ROOT).as_posix() for path in ROOT.glob(f"{folder}/*.ipynb")}
        assert len(found) >= fewest
        assert found <= given
    assert "tests" in given
    options = [word for word in words if word.startswith("-")]
    assert "--nbval" in options
    refused = ("--nbval-lax", "--ignore", "--deselect", "-k", "-m", "--lf", "--sw", "-x", "--co")
    assert [option for option in options if option.startswith(refused)] == []


def test_make_test_starts_with_the_longest_notebook_on_each_worker():
    given = [word for word in words_of("test", "pytest") if word.endswith(".ipynb")]
    assert given[:2] == ["notebooks/trained_models.ipynb", "notebooks/ko/trained_models.ipynb"]
    assert len(given) == len(set(given))


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


def test_make_test_checks_style_format_and_types_first():
    every = [" ".join(words) for words in commands("test")]
    places = [
        next(place for place, line in enumerate(every) if wanted in line)
        for wanted in (
            "ruff check .",
            "ruff format --check .",
            "mypy",
            "check-jsonschema",
            "pytest",
        )
    ]
    assert places == sorted(places)


@pytest.mark.skipif(os.name == "nt", reason="scripts for a POSIX shell")
@pytest.mark.parametrize(
    "failing", ["none", "ruff check", "ruff format", "mypy", "check-jsonschema", "python -m pytest"]
)
def test_make_test_fails_where_one_of_its_commands_does(tmp_path, failing):
    """With programs that do nothing but succeed or fail."""
    for name in ("ruff", "mypy", "check-jsonschema", "python"):
        path = tmp_path / name
        script = f'case "{name} $*" in "{failing}"*) exit 1;; esac'
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    command = ["make", "--old-file=.venv/ready", "test", f"BIN={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (failing == "none"), done.stderr


def pytest_on(folder, *words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(("stored", "code"), [("2", 0), ("3", 1)])
def test_nbval_as_make_calls_it_refuses_another_output(tmp_path, stored, code):
    """With --nbval-lax the second of these would pass."""
    cell = nbformat.v4.new_code_cell("1 + 1", execution_count=1)
    output = nbformat.v4.new_output("execute_result", {"text/plain": stored}, execution_count=1)
    cell.outputs = [output]
    made = nbformat.v4.new_notebook(cells=[cell])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(made, tmp_path / "notebook.ipynb")
    options = [word for word in words_of("test", "pytest") if word.startswith("--nbval")]
    done = pytest_on(tmp_path, *options, "notebook.ipynb")
    assert done.returncode == code, done.stdout


def test_pytest_collects_every_test_file():
    """Whatever hides one: an option in pyproject.toml, a conftest, a name that is not found."""
    done = pytest_on(ROOT, "--collect-only", "-q", "tests")
    assert done.returncode == 0, done.stdout[-2000:]
    collected = {line.split("::")[0] for line in done.stdout.splitlines() if "::" in line}
    files = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/test_*.py")}
    assert collected == files
    assert len(files) > 50
    assert "deselected" not in done.stdout


def test_a_warning_is_an_error_and_an_unknown_marker_too(tmp_path):
    (tmp_path / "test_warns.py").write_text(
        "import warnings\n\ndef test():\n    warnings.warn('look here')\n", encoding="utf-8"
    )
    (tmp_path / "test_marks.py").write_text(
        "import pytest\n\n@pytest.mark.browsr\ndef test():\n    pass\n", encoding="utf-8"
    )
    config = ("-c", str(ROOT / "pyproject.toml"), f"--rootdir={tmp_path}")
    assert pytest_on(tmp_path, *config, "test_warns.py").returncode == 1
    assert pytest_on(tmp_path, *config, "test_marks.py").returncode == 2


@pytest.mark.parametrize(
    ("forbidden", "workers", "code"), [("", (), 0), ("1", (), 1), ("1", ("-n", "2"), 1)]
)
def test_skips_fail_the_run_where_they_are_forbidden(tmp_path, forbidden, workers, code):
    source = "import pytest\n\ndef test():\n    pytest.skip('no browser')\n"
    (tmp_path / "test_skips.py").write_text(source, encoding="utf-8")
    words = ("-p", "tests.conftest", *workers, str(tmp_path / "test_skips.py"))
    done = pytest_on(ROOT, *words, RECIPE_FORBID_SKIPS=forbidden)
    assert done.returncode == code, done.stdout


@pytest.mark.skipif(os.name == "nt", reason="a script for bash")
def test_ci_calls_make_test_with_skips_forbidden_and_passes_its_failure_on(tmp_path):
    for name, script in {
        "make": 'echo "make $* forbid=$RECIPE_FORBID_SKIPS"; exit 3',
        "chromium": "exit 0",
        "apt-get": "exit 0",
    }.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("RECIPE_FORBID_SKIPS", None)
    done = subprocess.run(
        ["bash", str(ROOT / ".ci" / "run")],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.stdout.splitlines()[-1] == "make test forbid=1"
    assert done.returncode == 3


def test_the_environment_file_holds_what_pip_takes(tmp_path):
    """conda writes the lines below `pip:` into a requirements file and hands that to pip."""
    import yaml

    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (lines,) = [item["pip"] for item in listed if isinstance(item, dict)]
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("\n".join(lines) + "\n", encoding="utf-8")
    # Everything but the package itself comes from conda.
    options = ["--dry-run", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "-r", str(requirements)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Would install recipe-helpers" in done.stdout


FILL = "\0"


def ledger_rows(text):
    """The rows of a ledger printed as text, cells that were wrapped put together again.

    A Hangul syllable is two columns wide, so each is filled up to two characters on the way.
    """
    wide = [letter for letter in set(text) if unicodedata.east_asian_width(letter) in "WF"]
    text = text.translate({ord(letter): letter + FILL for letter in wide})
    lines = text.strip().splitlines()
    rule = next(place for place, line in enumerate(lines) if re.fullmatch(r"[- ]+", line))
    columns = [match.span() for match in re.finditer(r"-+", lines[rule])]
    rows = []
    for line in lines[rule + 1 :]:
        cells = [line[start : end + 1].strip() for start, end in columns]
        if re.fullmatch(r"C\d+", cells[0]):
            rows.append(cells)
        elif rows and line.startswith(" "):
            rows[-1] = [f"{a} {b}".strip() for a, b in zip(rows[-1], cells, strict=True)]
    return {row[0]: [cell.replace(FILL, "") for cell in row[1:]] for row in rows}


def test_the_rows_of_a_ledger_are_read_in_both_languages():
    text = """
claim    claimed          measured
-------  ---------------  --------
C1       모델이 작아진다  4 -> 3
C2       gets smaller,    10
         then larger
"""
    assert ledger_rows(text) == {
        "C1": ["모델이 작아진다", "4 -> 3"],
        "C2": ["gets smaller, then larger", "10"],
    }


@pytest.mark.parametrize(
    ("readme", "folder"), [("README.md", "notebooks"), ("README.ko.md", "notebooks/ko")]
)
def test_the_ledger_in_the_readme_is_the_one_in_the_notebook(readme, folder):
    text = (ROOT / readme).read_text(encoding="utf-8")
    (shown,) = [b for b in re.findall(r"```text\n(.*?)```", text, re.DOTALL) if "\nC2 " in b]
    recipe = nbformat.read(ROOT / folder / "dynamic_quantization.ipynb", as_version=4)
    (closing,) = [c for c in recipe.cells if "summary" in c.metadata.get("tags", [])]
    stored = ledger_rows(closing.outputs[0].data["text/plain"])
    quoted = ledger_rows(shown)
    assert len(quoted) >= 3
    for claim, (claimed, measured, verdict) in quoted.items():
        assert (claimed, verdict) == (stored[claim][0], stored[claim][2]), claim
        ratio = re.compile(r"^FP32 / INT8 \d\.\d\d")  # a time: another one in every run
        assert ratio.sub("", measured) == ratio.sub("", stored[claim][1]), claim
