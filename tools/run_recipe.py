"""Execute a notebook, write it as an HTML page, and print the summary that it ends with.

    python tools/run_recipe.py notebooks/dynamic_quantization.ipynb
    python tools/run_recipe.py notebooks/*.ipynb --store

The first leaves the notebook as it is; the page and the executed copy go to the folder `build`, and
with them a page for each notebook that it links to, made from its stored outputs. The summary is
the text of the cell that is tagged `summary`. The second stores the outputs in the notebooks
themselves, clean for a commit.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from pages import as_page, title_of, write_linked
from tqdm import tqdm

CELL_TIMEOUT_S = 300
DONE, FAILED, INTERRUPTED = 0, 1, 130


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run every cell in place, with `folder` as the kernel's working directory."""
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
    )
    code_cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    with tqdm(total=code_cells, unit="cell", desc="running") as progress:
        client.on_cell_executed = lambda **_: progress.update()
        asyncio.run(_until_interrupted(client))


async def _until_interrupted(client: NotebookClient) -> None:
    """Run the cells; Ctrl+C shuts the kernel down and raises KeyboardInterrupt.

    The client's own answer to the signal is to kill the kernel and to fail for want of one.
    """
    running, loop = asyncio.current_task(), asyncio.get_running_loop()
    interrupted = asyncio.Event()

    def interrupt() -> None:
        interrupted.set()
        running.cancel()

    def listen(**_: object) -> None:
        with contextlib.suppress(NotImplementedError):  # Windows raises KeyboardInterrupt by itself
            loop.add_signal_handler(signal.SIGINT, interrupt)

    client.on_notebook_start = listen
    try:
        await client.async_execute()
    except (asyncio.CancelledError, DeadKernelError):
        if interrupted.is_set():
            raise KeyboardInterrupt from None
        raise


def summary(notebook: nbformat.NotebookNode) -> str:
    """The text output of the cell tagged `summary`."""
    for cell in notebook.cells:
        if "summary" in cell.metadata.get("tags", []):
            return "\n".join(
                output["data"]["text/plain"] for output in cell.outputs if "data" in output
            )
    return ""


def store(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook without what differs from run to run: widget state, cells' times."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, path)


def report(notebook: nbformat.NotebookNode, path: Path, output: Path) -> Path:
    """Write the executed copy and the pages into a folder; returns where its page is."""
    output.mkdir(parents=True, exist_ok=True)
    store(notebook, output / path.name)
    page = output / path.with_suffix(".html").name
    page.write_text(as_page(notebook, title_of(path)), encoding="utf-8")
    write_linked(path, output)
    return page


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; 1 where a cell raised, 130 after Ctrl+C."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebooks", type=Path, nargs="+", metavar="notebook.ipynb")
    parser.add_argument("--store", action="store_true", help="store outputs in the notebooks")
    parser.add_argument("--output", type=Path, default=Path("build"), help="folder of the pages")
    chosen = parser.parse_args(arguments)
    for path in chosen.notebooks:
        notebook = nbformat.read(path, as_version=4)
        started = time.perf_counter()
        try:
            execute(notebook, path.parent)
        except CellExecutionError as error:
            print(f"{path}: a cell failed.\n{error}", file=sys.stderr)
            return FAILED
        except KeyboardInterrupt:
            print(f"\n{path}: interrupted; nothing was written.", file=sys.stderr)
            return INTERRUPTED
        elapsed_s = time.perf_counter() - started
        if chosen.store:
            store(notebook, path)
            print(f"{path}: stored, ran in {elapsed_s:.0f} s.")
        else:
            page = report(notebook, path, chosen.output)
            print(summary(notebook))
            print(f"\nRan in {elapsed_s:.0f} s. Read the whole report: {page}")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
