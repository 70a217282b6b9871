"""The project's own files: what they say in two places must agree."""

import ast
import re
import sys
from importlib import metadata

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import int8_rnn
import recipe_helpers

from .files import text, tracked

SETTINGS, LIBRARY = (tomllib.loads(text(f"{name}/pyproject.toml")) for name in (".", "int8_rnn"))
PROJECTS = [SETTINGS["project"], LIBRARY["project"]]
OWN = {"int8-rnn", "recipe-helpers"}
CONDA_NAMES = {"torch": "pytorch-cpu", "matplotlib": "matplotlib-base"}
LINES = [line for line in text("constraints.txt").splitlines() if line and line[0] != "#"]
PINS = [Requirement(line) for line in LINES]


def needed(*extras):
    """What both packages need, with these extras or with all: name -> its ranges."""
    found = {}
    for project in PROJECTS:
        optional = project["optional-dependencies"]
        named = [lines for extra, lines in optional.items() if extra in extras or not extras]
        for line in sum(named, project["dependencies"]):
            one = Requirement(line)
            found.setdefault(canonicalize_name(one.name), set()).add(str(one.specifier))
    return {name: ranges for name, ranges in found.items() if name not in OWN}


def test_conda_and_pip_name_the_same_dependencies():
    """The readers' environment: both packages, the notebooks, and the compiled kernels."""
    readers = {CONDA_NAMES.get(n, n): r for n, r in needed("notebooks", "fast").items()}
    environment = yaml.safe_load(text("environment.yml"))
    *listed, inner = environment["dependencies"]
    conda = {(one := Requirement(item)).name: {str(one.specifier)} for item in listed}
    assert conda.pop("python") == {PROJECTS[0]["requires-python"]}
    assert conda.pop("pip") == {""}
    assert conda == readers, "both packages give the same range"
    assert environment["channels"] == ["conda-forge"]
    # conda writes these lines into a requirements file and hands that to pip.
    assert inner == {"pip": ["--editable ./int8_rnn", "--editable .[notebooks,fast,ko]"]}
    assert {"notebooks", "fast", "ko"} <= set(PROJECTS[0]["optional-dependencies"])


def test_every_way_to_install_brings_what_the_notebooks_need():
    assert '--editable int8_rnn --editable ".[notebooks,fast,test]"' in text("Makefile")
    for page in ("START.html", "START.ko.html"):
        lines = re.sub(r" [\\`]\n *", " ", text(f"tools/{page}")).splitlines()  # that go on
        installs = [line for line in lines if "pip install" in line]
        assert len(installs) >= 4
        for line in installs:
            assert '"./WHEEL[notebooks,fast' in line, line
            assert "--find-links ." in line, "the library lies beside it"


def test_every_dependency_is_pinned_and_a_newer_pytorch_is_not_refused():
    """Its releases come faster than ours; the weekly workflow runs on the newest."""
    assert set(needed()) <= {canonicalize_name(pin.name) for pin in PINS}
    assert needed()["torch"] == {">=2.6"}


def test_what_is_installed_is_what_is_pinned():
    """The tests ran against the pinned set, not against whatever was there before."""
    names = set(needed("notebooks"))
    pins = [p for p in PINS if p.name in names and (not p.marker or p.marker.evaluate())]
    assert {pin.name for pin in pins} == names
    for pin in pins:
        assert pin.specifier.contains(metadata.version(pin.name).partition("+")[0]), pin.name


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_what_is_pinned_can_be_installed_on_every_supported_python(python):
    """As far as what is installed here says on which versions of Python it runs."""
    there = {"python_version": python, "python_full_version": f"{python}.9"}
    installed = {canonicalize_name(found.name): found for found in metadata.distributions()}
    checked = 0
    for pin in PINS:
        found = installed.get(canonicalize_name(pin.name))
        applies = found and (pin.marker is None or pin.marker.evaluate(there))
        if applies and pin.specifier.contains(found.version.partition("+")[0]):
            needs = SpecifierSet(found.metadata.get("Requires-Python") or "")
            assert needs.contains(f"{python}.9"), pin
            checked += 1
    assert checked > 100


def test_the_versions_agree():
    newest = re.search(r"^## (\S+)", text("CHANGELOG.md"), re.M)[1]
    cited = yaml.safe_load(text("CITATION.cff"))["version"]
    assert newest == cited == recipe_helpers.__version__ == int8_rnn.__version__


def test_type_checkers_see_the_public_names():
    """mypy holds against the code what `tests/typed_names.py` says of it."""
    mypy = SETTINGS["tool"]["mypy"]
    assert {"tests/typed_names.py", "recipe_helpers"} <= set(mypy["files"])
    assert mypy["warn_unused_ignores"]
    assert "import recipe_helpers as rh" in text("tests/typed_names.py")


def test_no_module_and_no_function_is_too_long_and_no_test_module_imports_another():
    sources = [name for name in tracked() if name.endswith(".py")]
    assert len(sources) > 20
    for name in sources:
        source = text(name)
        assert len(source.splitlines()) <= (300 if name.startswith("recipe_helpers/") else 365), (
            name
        )
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                described = len((ast.get_docstring(node) or "").splitlines())
                assert node.end_lineno - node.lineno - described < 60, f"{name}: {node.name}"
            elif isinstance(node, ast.ImportFrom) and name.startswith("tests/"):
                assert not re.search(r"\btest_", node.module or ""), f"{name}: {node.module}"
