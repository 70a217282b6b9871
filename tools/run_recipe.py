"""Execute a notebook, write it as an HTML page, and print the summary that it ends with.

    python tools/run_recipe.py notebooks/dynamic_quantization.ipynb
    python tools/run_recipe.py notebooks/*.ipynb --store
    python tools/run_recipe.py notebooks/ko/dynamic_quantization.ipynb

The first leaves the notebook as it is; the page and the executed copy go to the folder `build`, and
with them a page for each notebook that it links to, made from its stored outputs. The summary is
the text of the cell that is tagged `summary`. The second stores the outputs in the notebooks
themselves, clean for a commit, and in their Korean editions what the same run shows in Korean. A
Korean notebook lies in a folder `ko`, and its page in `build/ko`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import korean
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from pages import as_page, language_of, place, title_of, write_linked
from tqdm import tqdm

CELL_TIMEOUT_S = 300
PROGRESS = re.compile(r"\A[^\n]*100%\|#*\| ")
DONE, FAILED, INTERRUPTED = 0, 1, 130
SAYS = {
    "en": {
        "running": "running",
        "done": "Ran in {seconds:.0f} s. Read the whole report: {page}",
        "stored": "{path}: stored, ran in {seconds:.0f} s.",
        "failed": "{path}: a cell failed.",
        "interrupted": "{path}: interrupted; nothing was written.",
    },
    "ko": {
        "running": "실행 중",
        "done": "{seconds:.0f}초 동안 실행했습니다. 전체 보고서: {page}",
        "stored": "{path}: {seconds:.0f}초 동안 실행하고 저장했습니다.",
        "failed": "{path}: 셀 하나가 실패했습니다.",
        "interrupted": "{path}: 중단되었습니다. 아무것도 쓰지 않았습니다.",
    },
}


class InBothLanguages(NotebookClient):
    """Shows the result of each cell in Korean as well, see `korean.shown_again`."""

    def __init__(self, notebook: nbformat.NotebookNode, **options: Any) -> None:
        super().__init__(notebook, **options)
        self.in_korean: dict[str, list[nbformat.NotebookNode]] = {}

    async def async_execute_cell(
        self, cell: nbformat.NotebookNode, cell_index: int, **options: Any
    ) -> nbformat.NotebookNode:
        """Run a cell, and its last statement once more if it showed something."""
        await super().async_execute_cell(cell, cell_index, **options)
        if cell.cell_type == "code" and cell.outputs:
            again = []
            if source := korean.shown_again(cell.source):
                again = await self._shown(source, cell, cell_index)
                await self._shown(korean.BACK_TO_ENGLISH, cell, cell_index)
            self.in_korean[cell.id] = korean.outputs_in_korean(cell.outputs, again)
        return cell

    async def _shown(
        self, source: str, cell: nbformat.NotebookNode, cell_index: int
    ) -> list[nbformat.NotebookNode]:
        more = nbformat.v4.new_code_cell(source, metadata=cell.metadata)
        progress, self.on_cell_executed = self.on_cell_executed, None
        executed = self.code_cells_executed
        self.nb.cells[cell_index] = more  # where updates of what is displayed go to
        try:
            await super().async_execute_cell(more, cell_index, store_history=False)
        finally:
            self.on_cell_executed, self.code_cells_executed = progress, executed
            self.nb.cells[cell_index] = cell
        return more.outputs


def client_of(
    notebook: nbformat.NotebookNode, path: Path, kind: type[NotebookClient] = NotebookClient
) -> NotebookClient:
    """What runs a notebook, with its folder as the kernel's working directory."""
    return kind(
        notebook,
        timeout=CELL_TIMEOUT_S,
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
        coalesce_streams=True,
    )


def execute(client: NotebookClient, path: Path) -> None:
    """Run every cell in place."""
    notebook = client.nb
    code_cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    says = SAYS[language_of(path)]["running"]
    with tqdm(total=code_cells, unit="cell", desc=says) as progress:
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


def is_progress(output: nbformat.NotebookNode) -> bool:
    """Whether an output is a bar that counted to its end."""
    return PROGRESS.search(output.get("data", {}).get("text/plain", "")) is not None


def store(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook without what differs from run to run: widgets, cells' times, progress."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_progress(output)]
    nbformat.write(notebook, path)


def store_korean(client: InBothLanguages, path: Path) -> None:
    """Write the Korean edition of a notebook that was run, if there is one."""
    edition = path.parent / korean.KOREAN.name / path.name
    if edition.exists():
        made = korean.carried(client.nb, nbformat.read(edition, as_version=4))
        for cell, ran in zip(made.cells, client.nb.cells, strict=True):
            if cell.cell_type == "code":
                cell.outputs = client.in_korean.get(cell.id, [])
                cell.execution_count = ran.execution_count
        store(made, edition)


def report(notebook: nbformat.NotebookNode, path: Path, output: Path) -> Path:
    """Write the executed copy and the pages into a folder; returns where its page is."""
    page = place(path, path, output)
    page.parent.mkdir(parents=True, exist_ok=True)
    store(notebook, page.with_suffix(".ipynb"))
    page.write_text(as_page(notebook, title_of(path), language_of(path)), encoding="utf-8")
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
    if chosen.store:  # what is committed does not depend on the language of who commits it
        os.environ.pop("RECIPE_LANGUAGE", None)
    for path in chosen.notebooks:
        notebook, says = nbformat.read(path, as_version=4), SAYS[language_of(path)]
        client = client_of(notebook, path, InBothLanguages if chosen.store else NotebookClient)
        started = time.perf_counter()
        try:
            execute(client, path)
        except CellExecutionError as error:
            print(says["failed"].format(path=path), error, sep="\n", file=sys.stderr)
            return FAILED
        except KeyboardInterrupt:
            print("\n" + says["interrupted"].format(path=path), file=sys.stderr)
            return INTERRUPTED
        seconds = time.perf_counter() - started
        if chosen.store:
            store(notebook, path)
            store_korean(client, path)
            print(says["stored"].format(path=path, seconds=seconds))
        else:
            page = report(notebook, path, chosen.output)
            print(summary(notebook))
            print("\n" + says["done"].format(seconds=seconds, page=page))
    return DONE


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a terminal without Hangul gets an exit code, too
    sys.exit(main())
