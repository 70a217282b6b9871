"""A stale picture in a notebook is found, also where its text is that of the new one."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import recipe_helpers as rh

ROOT = Path(__file__).parents[2]
CODE = """
import recipe_helpers as rh
rh.plots.size_sweep(rh.size_sweep([8, 16, 32]))
"""


def stored(drawn, described):
    """The output of the cell above, with the picture of one figure and the text of another."""
    data, _ = drawn._repr_mimebundle_()
    _, metadata = described._repr_mimebundle_()
    data["image/png"] = base64.b64encode(data["image/png"]).decode("ascii")
    return nbformat.v4.new_output("execute_result", data, metadata=metadata, execution_count=1)


def figure(*dimensions):
    return rh.plots.size_sweep(rh.size_sweep(dimensions))


@pytest.mark.parametrize(
    ("drawn", "described", "tags", "code", "says"),
    [
        ((8, 16, 32), (8, 16, 32), [], 0, ""),
        ((8, 16, 64), (8, 16, 32), [], 1, "the stored picture is not what the cell draws"),
        ((8, 16, 32), (8, 16, 64), [], 1, "the stored alternative text is not the figure's own"),
        ((8, 16, 64), (8, 16, 64), ["nbval-ignore-output"], 0, ""),
    ],
    ids=["fresh", "stale picture", "stale text", "not compared"],
)
def test_a_stale_picture_is_found(tmp_path, drawn, described, tags, code, says):
    cell = nbformat.v4.new_code_cell(CODE.strip(), execution_count=1, metadata={"tags": tags})
    cell.outputs = [stored(figure(*drawn), figure(*described))]
    made = nbformat.v4.new_notebook(cells=[cell])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(made, tmp_path / "notebook.ipynb")
    words = ["-p", "conftest", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, str(tmp_path / "notebook.ipynb")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == code, done.stdout
    assert says in done.stdout


def test_pictures_that_look_the_same_are_the_same_and_others_are_not():
    from conftest import how_different

    one, again, other = figure(8, 16, 32).png(), figure(8, 16, 32).png(), figure(8, 16, 33).png()
    assert how_different(one, again) == ""
    assert "differs by" in how_different(one, other)
    assert "were drawn" in how_different(one, figure(8, 16, 32).png(dpi=150))
