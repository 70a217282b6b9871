"""The package as a whole: cheap to import, complete, honest about what it has."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import recipe_helpers as rh

# What editors and type checkers see: module -> public names.
STUB = {
    f"recipe_helpers.{node.module}": [alias.name for alias in node.names]
    for node in ast.parse(Path(rh.__file__).with_suffix(".pyi").read_text("utf-8")).body
    if isinstance(node, ast.ImportFrom)
}
HEAVY = ["matplotlib", "ipywidgets", "numba", "scipy", "sklearn", "IPython", "pandas", "tabulate"]
IMPORT = f"""
import sys
import torch
before = set(sys.modules)
import recipe_helpers
assert [name for name in {HEAVY} if name in set(sys.modules) - before] == []
assert [name for name in sys.modules if name.startswith("recipe_helpers.")] == []
assert set(recipe_helpers.__all__) <= set(dir(recipe_helpers))
recipe_helpers.demonstration
recipe_helpers.latency_sweep
recipe_helpers.compare_outputs
heavy = ("matplotlib", "ipywidgets", "numba", "scipy")
assert [name for name in heavy if name in set(sys.modules) - before] == []
recipe_helpers.plots
pair = recipe_helpers.plots.PairedOutputs(torch.ones(2), torch.ones(2))
steps = recipe_helpers.plots.StepErrors((0.1, 0.2))
assert recipe_helpers.plots.accuracy(pair, steps).png()
assert "matplotlib.pyplot" not in sys.modules
"""


def test_importing_it_loads_nothing_heavy():
    command = [sys.executable, "-c", IMPORT]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("name", sorted(set(rh.__all__)))
def test_every_public_name_is_there(name):
    value = getattr(rh, name)
    if name == "plots":
        assert value is importlib.import_module("recipe_helpers.recipe.plots")
        return
    (home,) = [module for module, names in STUB.items() if name in names]
    assert value is getattr(importlib.import_module(home), name)
    if hasattr(value, "__module__"):
        assert value.__module__ == home or value.__module__.startswith("int8_rnn.")
    if callable(value):
        assert value.__doc__


def test_a_name_that_is_none():
    with pytest.raises(AttributeError, match=r"recipe_helpers.*quantise"):
        _ = rh.quantise


def test_names_are_given_once():
    assert len(rh.__all__) == len(set(rh.__all__))
    assert dir(rh) == sorted(dir(rh))
