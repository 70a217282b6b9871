"""The project's own files: what they say in two places must agree."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT, LIBRARY = (
    tomllib.loads((ROOT / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name in (".", "int8_rnn")
)
OWN = {"int8-rnn", "recipe-helpers"}
CONDA_NAMES = {"torch": "pytorch-cpu", "matplotlib": "matplotlib-base"}
SECTIONS = ["model", "quantize", "size", "latency", "accuracy"]


def requirement(text):
    """Name and range of one requirement: `numpy>=1.26` -> ("numpy", ">=1.26")."""
    name, spec = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[\w+\])?(.*)", text).groups()
    return name.lower().replace("_", "-"), spec.strip()


def tracked():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def test_conda_and_pip_name_the_same_dependencies():
    """The readers' environment: both packages, the notebooks, and the compiled kernels."""
    extras = [*PROJECT["optional-dependencies"]["notebooks"]]
    extras += LIBRARY["optional-dependencies"]["fast"]
    readers = [*PROJECT["dependencies"], *LIBRARY["dependencies"], *extras]
    named = [(name, spec) for name, spec in map(requirement, readers) if name not in OWN]
    expected = {CONDA_NAMES.get(name, name): spec for name, spec in named}
    assert set(named) == {*dict(named).items()}, "both packages give the same range"
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    listed = [item for item in environment["dependencies"] if isinstance(item, str)]
    conda = dict(requirement(item) for item in listed)
    assert conda.pop("python") == PROJECT["requires-python"]
    assert conda.pop("pip") == ""
    assert conda == expected
    assert environment["channels"] == ["conda-forge"]
    (pip,) = (item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert pip == ["--editable ./int8_rnn", "--editable .[notebooks,fast,ko]"]


def test_every_way_to_install_brings_what_the_notebooks_need():
    made = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert '--editable int8_rnn --editable ".[notebooks,fast,test]"' in made
    for page in ("START.html", "START.ko.html"):
        start = (ROOT / "tools" / page).read_text(encoding="utf-8")
        lines = re.sub(r" [\\`]\n *", " ", start).splitlines()  # a command that goes on
        installs = [line for line in lines if "pip install" in line]
        assert len(installs) >= 4
        for line in installs:
            assert '"./WHEEL[notebooks,fast' in line, line
            assert "--find-links ." in line, "the library lies beside it"


def test_a_newer_pytorch_is_not_refused():
    """PyTorch's own releases come faster than ours; the weekly workflow runs on the newest."""
    for project in (PROJECT, LIBRARY):
        assert dict(map(requirement, project["dependencies"]))["torch"] == ">=2.6"


def test_every_dependency_is_pinned():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {requirement(line.split("==")[0])[0] for line in lines if "==" in line}
    extras = [name for extra in PROJECT["optional-dependencies"].values() for name in extra]
    extras += [name for extra in LIBRARY["optional-dependencies"].values() for name in extra]
    for name, _ in map(requirement, [*PROJECT["dependencies"], *LIBRARY["dependencies"], *extras]):
        assert name in pinned | OWN, name


def test_what_is_installed_is_what_is_pinned():
    """The tests ran against the pinned set, not against whatever was there before."""
    from importlib.metadata import version

    from packaging.requirements import Requirement

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    needed = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["notebooks"]]
    names = {requirement(text)[0] for text in [*needed, *LIBRARY["dependencies"]]} - OWN
    checked = [
        pin for pin in pins if pin.name in names and (not pin.marker or pin.marker.evaluate())
    ]
    assert {pin.name for pin in checked} == names
    for pin in checked:
        assert pin.specifier.contains(version(pin.name).partition("+")[0]), pin.name


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_what_is_pinned_can_be_installed_on_every_supported_python(python):
    """As far as what is installed here says on which versions of Python it runs."""
    from importlib.metadata import PackageNotFoundError, metadata

    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    there = {"python_version": python, "python_full_version": f"{python}.9"}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    checked = 0
    for pin in (Requirement(line) for line in lines if not line.startswith("#")):
        try:
            installed = metadata(pin.name)
        except PackageNotFoundError:
            continue
        applies = pin.marker is None or pin.marker.evaluate(there)
        if applies and pin.specifier.contains(installed["Version"].partition("+")[0]):
            needed = SpecifierSet(installed.get("Requires-Python") or "")
            assert needed.contains(f"{python}.9"), pin
            checked += 1
    assert checked > 100


def test_no_module_and_no_function_is_too_long():
    import ast

    sources = [path for path in tracked() if path.suffix == ".py"]
    assert len(sources) > 20
    for path in sources:
        text = path.read_text(encoding="utf-8")
        most = 300 if path.is_relative_to(ROOT / "recipe_helpers") else 365
        if path == ROOT / "tests" / "project" / "figures.py":
            most = 460  # a table of all figures, and hardly any code
        assert len(text.splitlines()) <= most, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                described = len((ast.get_docstring(node) or "").splitlines())
                lines = node.end_lineno - node.lineno - described
                assert lines < 60, f"{path}: {node.name}"


PACKAGE = ROOT / "recipe_helpers"
NETWORK = {"urllib", "requests", "socket", "http", "httpx", "aiohttp", "ftplib"}
# A server and its clients, on the reader's own machine.
SERVES = {"deployment/server.py", "deployment/serving.py"}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_nothing_is_unpickled_and_nothing_fetched():
    users = set()
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for call in re.findall(r"torch\.load\([^)]*\)", text):
            assert "weights_only=True" in call, path
        if NETWORK & set(imported(ast.parse(text))):
            users.add(path.relative_to(PACKAGE).as_posix())
    assert users == SERVES


@pytest.mark.parametrize("name", sorted(SERVES))
def test_the_server_and_its_clients_stay_on_this_machine(name):
    text = (PACKAGE / name).read_text(encoding="utf-8")
    opened = re.findall(r"(?:HTTPConnection|with Server)\(+([^,)]+)", text)
    assert opened == ['"127.0.0.1"']


def test_the_recipe_has_five_sections_in_order():
    recipe = json.loads((ROOT / "notebooks/dynamic_quantization.ipynb").read_text(encoding="utf-8"))
    headings = [
        line
        for cell in recipe["cells"]
        if cell["cell_type"] == "markdown"
        for line in "".join(cell["source"]).splitlines()
        if line.startswith("#")
    ]
    assert headings[0] == "# Dynamic quantization"
    numbered = [heading for heading in headings if re.match(r"## \d\.", heading)]
    assert numbered == [
        "## 1. Set up",
        "## 2. Quantize",
        "## 3. Size",
        "## 4. Latency",
        "## 5. Accuracy",
    ]
    for section in SECTIONS:
        assert (ROOT / "recipe_helpers" / "recipe" / f"{section}.py").exists()
