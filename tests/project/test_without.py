"""What still works where something is missing: the packages of the extras, or torch.ao."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
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
EXTRAS = """
import sys
import torch
MEASURED
wrong = []
for use in (
    lambda: rh.plots,
    lambda: rh.explore(),
    lambda: rh.digits(),
    report.to_html,
):
    try:
        use()
    except rh.MissingExtraError as error:
        assert isinstance(error, ImportError)
        sentence = str(error)
        expected = 'is not installed; it comes with the extra `notebooks`: pip install "recipe-help'
        wrong += [] if expected in sentence and sentence.endswith(".") else [sentence]
    else:
        wrong.append("no error")
assert wrong == [], wrong
"""
NO_TORCH_AO = """
import sys
import torch
for name in [*sys.modules, "torch.ao", "torch.ao.quantization", "torch.ao.nn"]:
    if name in ("torch.ao", "torch.quantization") or name.startswith("torch.ao."):
        sys.modules[name] = None
del torch.ao
MEASURED
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    default = rh.quantize_dynamic(demo.model)
    rh.quantize_dynamic(demo.model)
assert type(default.lstm) is rh.Int8LSTM
assert len(said) == 1 and 'backend="plain" instead' in str(said[0].message), said
"""


def needed(names, found):
    """The distributions that these bring along, themselves included, without any extra."""
    for name in names:
        if name not in found:
            found[name] = metadata.distribution(name)
            lines = map(Requirement, found[name].requires or [])
            needed(
                {line.name for line in lines if not line.marker or line.marker.evaluate()}, found
            )
    return found


@pytest.fixture(scope="module")
def wheels_alone(tmp_path_factory):
    """A folder with what `pip install recipe-helpers` brings, and nothing of its extras."""
    folder = tmp_path_factory.mktemp("site")
    base = set()
    for place in (ROOT, ROOT / "int8_rnn"):
        project = tomllib.loads((place / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        base |= {Requirement(line).name for line in project["dependencies"]}
    for found in needed(base - {"int8-rnn"}, {}).values():
        top = {file.parts[0] for file in found.files or [] if file.parts[0] != ".."}
        for name in top - {"__pycache__"}:
            if not (folder / name).exists():
                (folder / name).symlink_to(found.locate_file(name))
    return folder


def run(code, *path):
    """Run code in a Python that finds the packages in these folders and in its own library."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    code = code.replace("MEASURED", MEASURED)
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a folder of links")
def test_the_helpers_measure_without_the_extras_and_say_which_one_brings_what(wheels_alone):
    assert not {"IPython", "matplotlib", "sklearn", "ipywidgets", "numba"} & {
        path.name for path in wheels_alone.iterdir()
    }
    run(EXTRAS, wheels_alone, *SOURCES)


def test_all_but_the_cells_about_it_run_without_torch_ao():
    libraries = [path for path in sys.path if "site-packages" in path]
    run(NO_TORCH_AO, *SOURCES, *libraries)
