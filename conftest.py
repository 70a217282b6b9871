"""What nbval leaves out: the pictures of a notebook, the texts that stand for them, its Korean.

nbval compares text and skips PNGs, so a stored picture could be a stale one. Here each cell whose
output is compared also has its pictures compared, with those that nbval has just drawn anew. Then
its last statement is run once more in Korean, and what that shows is compared with the outputs that
are stored in the Korean notebook, which need not be run itself.
"""

from __future__ import annotations

import ast
import base64
import functools
import io
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import nbformat
import numpy as np
import pytest
from matplotlib.image import imread
from nbval.plugin import IPyNbCell

from recipe_helpers.common.settings import BUDGET
from tools import korean

# What is compared was written in English, and kernels inherit the environment.
os.environ.pop("RECIPE_LANGUAGE", None)

BLOCK = 8  # pixels; text may move by a fraction of one, a curve that is another one by more
SAME = 0.15  # the largest difference of two blocks' mean brightness, of 1


class StalePictureError(AssertionError):
    """A stored picture is not what its cell draws."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let the kernel of a notebook, which starts here, measure for a tenth of the usual times.

    What is measured differs from run to run in any case, and is not compared.
    """
    if isinstance(item, IPyNbCell):
        os.environ[BUDGET] = "0.1"
    try:
        return (yield)
    finally:
        os.environ.pop(BUDGET, None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Compare what is left of a cell once nbval has found its texts to be the same."""
    result = yield
    if isinstance(item, IPyNbCell):
        if item.options["check"]:
            compare_pictures(item.cell.outputs, item.test_outputs)
        written = korean_cells(item.path).get(item.cell.id)
        if written is not None and item.test_outputs:
            compare_korean(item, written)
    return result


@functools.cache
def korean_cells(path: Path) -> dict[str, nbformat.NotebookNode]:
    """The cells of the Korean edition of a notebook, by their ids."""
    edition = path.parent / "ko" / path.name
    return {c.id: c for c in nbformat.read(edition, 4).cells} if edition.exists() else {}


def compare_korean(item: IPyNbCell, written: nbformat.NotebookNode) -> None:
    """Show the result of a cell in Korean and compare that with what the Korean notebook holds.

    Of cells whose output is not compared only a bare name is shown again, which measures nothing:
    it has to speak Korean if it does in the Korean notebook.
    """
    checked = item.options["check"]
    statement, _ = korean.last_statement(item.cell.source)
    if not checked and not isinstance(getattr(statement, "value", None), ast.Name):
        return
    again = []
    if source := korean.shown_again(item.cell.source):
        try:
            again = run(item, source)
        finally:
            run(item, korean.BACK_TO_ENGLISH)
    if checked:
        outputs = korean.outputs_in_korean(item.test_outputs, again)
        if not item.compare_outputs(outputs, written.outputs):
            item.raise_cell_error(
                "Cell outputs differ in Korean", "\n".join(item.comparison_traceback)
            )
        compare_pictures(written.outputs, outputs)
    elif bool(korean.HANGUL.search(str(written.outputs))) != bool(korean.HANGUL.search(str(again))):
        item.raise_cell_error("Only one of the stored Korean output and the new one is Korean")


def run(item: IPyNbCell, source: str) -> list[nbformat.NotebookNode]:
    """What more code shows in the kernel of a cell; nbval reports it if it raises."""
    cell = nbformat.NotebookNode(source=source, outputs=[], execution_count=1)
    options = item.options.copy()
    options["check"] = False
    more = type(item).from_parent(
        item.parent, name="in Korean", cell_num=item.cell_num, cell=cell, options=options
    )
    more.runtest()
    return more.test_outputs


def compare_pictures(before: list[Any], after: list[Any]) -> None:
    """Raise StalePictureError unless these outputs have the same pictures, with the same texts."""
    stored, drawn = list(pictures(before)), list(pictures(after))
    if len(stored) != len(drawn):
        raise StalePictureError(f"{len(stored)} pictures are stored, {len(drawn)} were drawn.")
    for (old, old_text), (new, new_text) in zip(stored, drawn, strict=True):
        if old_text != new_text:
            raise StalePictureError(
                f"the stored alternative text is not the figure's own:\n{old_text}\n{new_text}"
            )
        if difference := how_different(old, new):
            raise StalePictureError(f"the stored picture is not what the cell draws: {difference}")


def pictures(outputs: list[Any]) -> Generator[tuple[bytes, str | None], None, None]:
    """Each PNG among the outputs of a cell, and its alternative text."""
    for output in outputs:
        if "image/png" in output.get("data", {}):
            text = output.get("metadata", {}).get("image/png", {}).get("alt")
            yield base64.b64decode(output["data"]["image/png"]), text


def how_different(stored: bytes, drawn: bytes) -> str:
    """In what two pictures differ, or nothing where they look the same.

    Another version of Matplotlib may set its labels otherwise: then the size alone is compared.
    """
    before, after = (imread(io.BytesIO(png))[..., :3] for png in (stored, drawn))
    if f"Matplotlib version{mpl.__version__}".encode() not in stored:
        return ""
    if before.shape != after.shape:
        return f"{before.shape[:2]} pixels are stored, {after.shape[:2]} were drawn"
    largest = float(np.abs(_blocks(before) - _blocks(after)).max())
    return "" if largest <= SAME else f"a block differs by {largest:.2f}"


def _blocks(picture: np.ndarray) -> np.ndarray:
    """Mean colours of blocks of pixels."""
    rows, columns = (size // BLOCK for size in picture.shape[:2])
    cut = picture[: rows * BLOCK, : columns * BLOCK]
    return cut.reshape(rows, BLOCK, columns, BLOCK, 3).mean(axis=(1, 3))
