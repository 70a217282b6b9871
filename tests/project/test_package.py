"""The package as a whole: cheap to import, complete, honest about what it has."""

import ast
import importlib
import sys
from pathlib import Path

import pytest

import recipe_helpers as rh

from .files import run, text

# What editors and type checkers see: a public name -> its module.
STUB = [
    (alias.name, f"recipe_helpers.{node.module}")
    for node in ast.parse(text(Path(rh.__file__).with_suffix(".pyi"))).body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
]
IMPORT = """
import sys
import torch
before = set(sys.modules)
import recipe_helpers as rh

def loaded(*names):
    return [name for name in names if name in set(sys.modules) - before]

heavy = ("matplotlib", "ipywidgets", "numba", "scipy")
assert loaded(*heavy, "sklearn", "IPython", "pandas", "tabulate") == []
assert [name for name in sys.modules if name.startswith("recipe_helpers.")] == []
assert set(rh.__all__) <= set(dir(rh))
rh.demonstration
rh.latency_sweep
rh.compare_outputs
assert loaded(*heavy) == []
pair = rh.plots.PairedOutputs(torch.ones(2), torch.ones(2))
assert rh.plots.accuracy(pair, rh.plots.StepErrors((0.1, 0.2))).png()
assert loaded("matplotlib.pyplot") == []
"""


def test_importing_it_loads_nothing_heavy():
    ran = run(sys.executable, "-c", IMPORT, timeout=120)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_every_public_name_is_there_once_and_has_a_docstring():
    assert sorted(rh.__all__) == dir(rh) == sorted(name for name, _ in STUB)
    for name, home in STUB:
        value = getattr(rh, name)
        assert value is getattr(importlib.import_module(home), name)
        if hasattr(value, "__module__"):
            assert value.__module__ == home or value.__module__.startswith("int8_rnn."), name
        assert not callable(value) or value.__doc__, name


def test_a_name_that_is_none():
    with pytest.raises(AttributeError, match=r"recipe_helpers.*quantise"):
        _ = rh.quantise
