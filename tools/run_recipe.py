"""Execute a notebook, write it as an HTML page, and print the summary that it ends with.

    python tools/run_recipe.py notebooks/dynamic_quantization.ipynb build

The notebook itself is left as it is; the page and the executed copy go to the output folder. The
summary is the text of the cell that is tagged `summary`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from tqdm import tqdm

TEMPLATES = Path(__file__).parent
TEMPLATE = "recipe_page"
CELL_TIMEOUT_S = 300


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run every cell in place, with `folder` as the kernel's working directory."""
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    code_cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    with tqdm(total=code_cells, unit="cell", desc="running") as progress:
        client.on_cell_executed = lambda **_: progress.update()
        client.execute()


def summary(notebook: nbformat.NotebookNode) -> str:
    """The text output of the cell tagged `summary`."""
    for cell in notebook.cells:
        if "summary" in cell.metadata.get("tags", []):
            return "\n".join(
                output["data"]["text/plain"] for output in cell.outputs if "data" in output
            )
    return ""


def as_page(notebook: nbformat.NotebookNode, title: str) -> str:
    """The notebook as one HTML page."""
    exporter = HTMLExporter(template_name=TEMPLATE, extra_template_basedirs=[str(TEMPLATES)])
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    return page


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; 1 where a cell raised."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("output", type=Path, help="folder for the page and the executed copy")
    chosen = parser.parse_args(arguments)
    notebook = nbformat.read(chosen.notebook, as_version=4)
    started = time.perf_counter()
    try:
        execute(notebook, chosen.notebook.parent)
    except CellExecutionError as error:
        print(f"{chosen.notebook}: a cell failed.\n{error}", file=sys.stderr)
        return 1
    elapsed_s = time.perf_counter() - started
    chosen.output.mkdir(parents=True, exist_ok=True)
    name = chosen.notebook.stem
    nbformat.write(notebook, chosen.output / f"{name}.ipynb")
    page = chosen.output / f"{name}.html"
    page.write_text(as_page(notebook, name.replace("_", " ").capitalize()), encoding="utf-8")
    print(summary(notebook))
    print(f"\nRan in {elapsed_s:.0f} s. Read the whole report: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
