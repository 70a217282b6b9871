"""Put what the notebooks found into README.md and README.ko.md: `python tools/readme.py`.

The picture at the top is the recipe's figure of the crossover, stored in docs/, with its
alternative text; each quotation (a line that begins with `>`) is the last line that a cell of a
notebook shows. `make execute` calls this, so that they are of one run with the notebooks.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
FOLDERS = {"README.md": "notebooks", "README.ko.md": "notebooks/ko"}
FIGURE = ("dynamic_quantization", "cell-69")
QUOTED = (("dynamic_quantization", "found"), ("deployment", "deployment-29"))
PICTURE = re.compile(r"(?m)^!\[.*\]\((docs/.*\.png)\)$")
QUOTATION = re.compile(r"(?m)^( *)> .*$")


def output(folder: str, name: str, cell: str) -> NotebookNode:
    """What a cell of a notebook shows in the end."""
    notebook = nbformat.read(ROOT / folder / f"{name}.ipynb", as_version=4)
    return next(one for one in notebook.cells if one.id == cell).outputs[-1]


def filled(text: str, folder: str) -> str:
    """The text of a README with what the notebooks of this folder show."""
    alt = output(folder, *FIGURE).metadata["image/png"]["alt"]
    text = PICTURE.sub(lambda found: f"![{alt}]({found[1]})", text)
    said = iter(output(folder, *cell).data["text/plain"].splitlines()[-1] for cell in QUOTED)
    return QUOTATION.sub(lambda found: f"{found[1]}> {next(said)}", text)


def main() -> None:
    """Fill both of them, and store their pictures."""
    for name, folder in FOLDERS.items():
        path = ROOT / name
        text = filled(path.read_text(encoding="utf-8"), folder)
        path.write_text(text, encoding="utf-8")
        picture = base64.b64decode(output(folder, *FIGURE).data["image/png"])
        (ROOT / PICTURE.search(text)[1]).write_bytes(picture)


if __name__ == "__main__":
    main()
