"""What still works where something is missing: the packages of the extras, or torch.ao."""

import os
import sys
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from .files import ROOT, run

SOURCES = [ROOT / "int8_rnn" / "src", ROOT]
MEASURED = """
import warnings
import recipe_helpers as rh

demo = rh.demonstration()
quantized = rh.quantize_dynamic(demo.model, backend="plain")
assert type(quantized.lstm) is rh.Int8LSTM
assert len(rh.converted_modules(demo.model, quantized).converted) == 1
assert rh.compare_size(demo.model, quantized).ratio > 1
assert str(rh.compare_latency(demo.model, quantized, *demo.arguments, budget_s=0.05))
assert 0 < rh.compare_outputs(demo.model, quantized, *demo.arguments).relative < 0.02
assert len(rh.size_sweep([8, 16], backend="plain").points) == 2
few = {"backends": ["plain"], "budget_s": 0.02, "memory": False}
report = rh.report(demo.model, *demo.arguments, **few)
assert "plain" in str(report)
assert list(rh.progress_bar([1], "one")) == [1]
"""
EXTRAS = f"""
import torch
{MEASURED}
def said(use):
    try:
        use()
    except rh.MissingExtraError as error:
        assert isinstance(error, ImportError)
        return str(error)

for use in (lambda: rh.plots, lambda: rh.explore(), lambda: rh.digits(), report.to_html):
    sentence = said(use)
    expected = 'is not installed; it comes with the extra `notebooks`: pip install "recipe-help'
    assert expected in sentence and sentence.endswith("."), sentence
"""
NO_TORCH_AO = f"""
import sys
import torch
for name in [*sys.modules, "torch.ao", "torch.ao.quantization", "torch.ao.nn"]:
    if name in ("torch.ao", "torch.quantization") or name.startswith("torch.ao."):
        sys.modules[name] = None
del torch.ao
{MEASURED}
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    default = rh.quantize_dynamic(demo.model)
    rh.quantize_dynamic(demo.model)
assert type(default.lstm) is rh.Int8LSTM
assert len(said) == 1 and 'backend="plain" instead' in str(said[0].message), said
"""


def brought(name, found):
    """What these distributions bring along, themselves included, without any extra."""
    if name not in found:
        found[name] = metadata.distribution(name)
        for one in map(Requirement, found[name].requires or []):
            if not one.marker or one.marker.evaluate():
                brought(one.name, found)


@pytest.fixture(scope="module")
def wheels_alone(tmp_path_factory):
    """A folder with what `pip install recipe-helpers` brings, and nothing of its extras."""
    folder, found = tmp_path_factory.mktemp("site"), {}
    brought("recipe-helpers", found)
    for name in found.keys() - {"recipe-helpers", "int8-rnn"}:
        top = {file.parts[0] for file in found[name].files or [] if file.parts[0] != ".."}
        for entry in top - {"__pycache__"}:
            if not (folder / entry).exists():
                (folder / entry).symlink_to(found[name].locate_file(entry))
    return folder


def runs(code, *path):
    """Run code in a Python that finds the packages in these folders and in its own library."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    done = run(sys.executable, "-S", "-c", code, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a folder of links")
def test_the_helpers_measure_without_the_extras_and_say_which_one_brings_what(wheels_alone):
    there = {path.name for path in wheels_alone.iterdir()}
    assert not {"IPython", "matplotlib", "sklearn", "ipywidgets", "numba"} & there
    runs(EXTRAS, wheels_alone, *SOURCES)


def test_all_but_the_cells_about_it_run_without_torch_ao():
    runs(NO_TORCH_AO, *SOURCES, *(path for path in sys.path if "site-packages" in path))
