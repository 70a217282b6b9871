"""Make the students' version of the exercises from the solutions: `python tools/exercises.py`.

A notebook in `exercises/solutions` is the source, in Korean one in its folder `ko`. What a cell
becomes depends on its tag:

- `solution`: a stub. A function keeps its signature and docstring, an answer becomes `...`; kept is
  what the untagged cells below use, and the comment that the cell begins with. Where a comment
  asks for something that no other cell uses, `...` stands below it. A cell of which nothing is
  left, and text with this tag, is dropped.
- `hint`: the same text, folded up.

Outputs are left out; links are made to start one folder higher.
"""

from __future__ import annotations

import ast
import sys
from itertools import takewhile
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode
from pages import language_of

ROOT = Path(__file__).parents[1]
SOLUTIONS = ROOT / "exercises" / "solutions"
SOLUTION, HINT = "solution", "hint"
FOLDED = "<details>\n<summary><b>{hint}</b></summary>\n\n{text}\n\n</details>"
HINTS = {"en": "Hint", "ko": "힌트"}


def has(cell: NotebookNode, tag: str) -> bool:
    """Whether a cell carries a tag."""
    return tag in cell.metadata.get("tags", [])


def names_used(cells: list[NotebookNode]) -> set[str]:
    """The names that code reads which is left as it is."""
    plain = TransformerManager().transform_cell  # without IPython's own commands
    return {
        node.id
        for cell in cells
        if cell.cell_type == "code" and not has(cell, SOLUTION)
        for node in ast.walk(ast.parse(plain(cell.source)))
        if isinstance(node, ast.Name)
    }


def stub(source: str, wanted: set[str]) -> str:
    """What is left of a solution: the comment at its top, signatures, and `name = ...`."""
    lines = source.splitlines()
    comment = "\n".join(takewhile(lambda line: line.startswith("#"), lines))
    blocks: list[str] = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name in wanted:
            blocks.append("\n" * bool(blocks) + _signature(node, lines))
        elif isinstance(node, ast.Assign):
            assigned = [n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)]
            blocks += [f"{name} = ..." for name in assigned if name in wanted]
    if comment and not blocks:
        blocks = ["..."]
    return "\n".join(filter(None, (comment, *blocks)))


def _signature(function: ast.FunctionDef, lines: list[str]) -> str:
    """The lines of a function up to its body, its docstring among them, and three dots."""
    described = ast.get_docstring(function) is not None
    last = function.body[0].end_lineno if described else function.body[0].lineno - 1
    return "\n".join([*lines[function.lineno - 1 : last], "    ..."])


def student_version(solved: NotebookNode, language: str = "en") -> NotebookNode:
    """The notebook with stubs in place of solutions, hints folded up, and no outputs."""
    made = nbformat.from_dict(solved)
    made.cells = []
    for place, cell in enumerate(solved.cells):
        changed = nbformat.from_dict(cell)
        changed.metadata = {}
        if cell.cell_type == "code":
            changed.update(outputs=[], execution_count=None)
        if has(cell, SOLUTION):
            wanted = names_used(solved.cells[place + 1 :])
            changed.source = stub(cell.source, wanted) if cell.cell_type == "code" else ""
        elif has(cell, HINT):
            changed.source = FOLDED.format(hint=HINTS[language], text=cell.source)
        changed.source = changed.source.replace("](../../", "](../")
        if changed.source:
            made.cells.append(changed)
    return made


def students_text(path: Path) -> str:
    """The file of the students' version of one solution notebook, as text."""
    made = student_version(nbformat.read(path, as_version=4), language_of(path))
    return nbformat.writes(made) + "\n"


def main(solutions: Path = SOLUTIONS) -> None:
    """Write the students' version of each notebook into the folder above, Korean ones into `ko`."""
    for path in [*solutions.glob("*.ipynb"), *solutions.glob("ko/*.ipynb")]:
        name = path.relative_to(solutions)
        made = solutions.parent / name
        made.parent.mkdir(exist_ok=True)
        made.write_text(students_text(path), encoding="utf-8")
        print(f"{name}: made from {solutions.name}/{name}.")


if __name__ == "__main__":
    sys.exit(main())
