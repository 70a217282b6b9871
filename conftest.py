"""What nbval leaves out: the pictures of a notebook, and the texts that stand for them.

nbval compares text and skips PNGs, so a stored picture could be a stale one. Here each cell whose
output is compared also has its pictures compared, with those that nbval has just drawn anew.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Generator
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread
from nbval.plugin import IPyNbCell

# What is compared was written in English, and kernels inherit the environment.
os.environ.pop("RECIPE_LANGUAGE", None)

BLOCK = 8  # pixels; text may move by a fraction of one, a curve that is another one by more
SAME = 0.15  # the largest difference of two blocks' mean brightness, of 1


class StalePictureError(AssertionError):
    """A stored picture is not what its cell draws."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Compare the pictures of a cell once nbval has found its texts to be the same."""
    result = yield
    if isinstance(item, IPyNbCell) and item.options["check"]:
        stored = list(pictures(item.cell.outputs))
        drawn = list(pictures(item.test_outputs))
        if len(stored) != len(drawn):
            raise StalePictureError(f"{len(stored)} pictures are stored, {len(drawn)} were drawn.")
        for (before, old_text), (after, new_text) in zip(stored, drawn, strict=True):
            if old_text != new_text:
                raise StalePictureError(
                    f"the stored alternative text is not the figure's own:\n{old_text}\n{new_text}"
                )
            if difference := how_different(before, after):
                raise StalePictureError(
                    f"the stored picture is not what the cell draws: {difference}"
                )
    return result


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
