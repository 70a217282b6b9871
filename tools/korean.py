"""Hold the Korean notebooks in step with the English ones.

    python tools/korean.py                        list every cell that is not in step; 1 where any
    python tools/korean.py all                    the helpers' messages as well: `make translations`
    python tools/korean.py carry [NAME ...]       carry ids, order, code and tags over
    python tools/korean.py text NAME              print the English cells that wait for Korean prose
    python tools/korean.py write NAME FILE        put prose from a file into the Korean notebook
    python tools/korean.py current NAME ID ...    these Korean cells say what the English ones say

`notebooks/ko/NAME.ipynb` has the cells of `notebooks/NAME.ipynb`: the same ids, order, tags and
code, but for the language that its first code cell chooses and the way to files. Its prose is
written, not made; each of its markdown cells carries in `metadata["written_from"]` a hash of the
English cell that it was written from, so a changed English cell names the Korean one that is stale.

A file of prose holds blocks that begin with a line `== cell-id`, as `text` prints them.

No Korean notebook is run for its outputs: in the run of the English one the last statement of each
cell, which is what shows a result, is run once more in Korean (`shown_again`). `make execute`
stores what it then shows (`outputs_in_korean`), and `make test` compares with that.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
KOREAN = NOTEBOOKS / "ko"
SOLUTIONS = "exercises/solutions"  # of which the students' versions are made, in each language
LANGUAGE_CALL = 'rh.use_language("ko")'
SETUP = "import recipe_helpers as rh"
# What the code reads beside the English notebook, and where that lies for the Korean one.
PATHS = {'"class_ledgers"': '"../class_ledgers"'}
MESSAGES = Path(__file__).with_name("translations.py")
TO_KOREAN = (
    'get_ipython().drawn = __import__("torch").get_rng_state()\n'
    '__import__("recipe_helpers").use_language("ko")\n'
)
BACK_TO_ENGLISH = (
    '__import__("recipe_helpers").use_language("en")\n'
    '__import__("torch").set_rng_state(get_ipython().drawn)'
)
SHOWS_NOTHING = (
    *(ast.Assign, ast.AugAssign, ast.AnnAssign, ast.FunctionDef, ast.ClassDef),
    *(ast.Import, ast.ImportFrom, ast.Pass),
)
MAGIC = re.compile(r"(?m)^(\s*)%.*$")  # IPython's, which is no Python
HANGUL = re.compile("[가-힣]")
# What may stand without a Korean word: code, formulas, the targets of links.
NO_PROSE = re.compile(r"```.*?```|`[^`]*`|\$[^$]*\$|\]\([^)]*\)|<[^>]*>", re.DOTALL)


def written_from(source: str) -> str:
    """The hash of an English cell, as its Korean cell keeps it."""
    return hashlib.sha256(source.strip().encode()).hexdigest()[:12]


def korean_code(source: str) -> str:
    """The code of a Korean cell: the English one's, but for the language and the way to files."""
    for here, there in PATHS.items():
        source = source.replace(here, there)
    if SETUP not in source:
        return source
    body = ast.parse(MAGIC.sub(r"\1pass", source)).body
    end = max(node.end_lineno for node in body if isinstance(node, ast.Import | ast.ImportFrom))
    lines = source.splitlines()
    imports, rest = lines[:end], lines[end:]
    return "\n".join([*imports, "", LANGUAGE_CALL, *"\n".join(rest).strip().splitlines()])


def last_statement(source: str) -> tuple[ast.stmt | None, str]:
    """The last statement of a cell, and its lines."""
    body = ast.parse(MAGIC.sub(r"\1pass", source)).body
    return (body[-1], "\n".join(source.splitlines()[body[-1].lineno - 1 :])) if body else (None, "")


def shown_again(source: str) -> str:
    """The code that shows in Korean what a cell has shown; BACK_TO_ENGLISH has to follow it.

    Nothing where the last statement of the cell is one that shows nothing.
    """
    statement, lines = last_statement(source)
    shows = statement is not None and not isinstance(statement, SHOWS_NOTHING)
    return TO_KOREAN + lines if shows else ""


def outputs_in_korean(english: list[NotebookNode], again: list[NotebookNode]) -> list[NotebookNode]:
    """The outputs of a Korean cell.

    Args:
        english: those of the English cell.
        again: those of its last statement, run once more in Korean. What the other statements
            print stands as it is.
    """
    first = len(english) - len(again)
    if first < 0:
        raise ValueError("The last statement of this cell shows more when it is run again.")
    made = english[:first]
    for before, after in zip(english[first:], again, strict=True):
        same = "text" in before and before.text.endswith(after.get("text", "\0"))
        made.append(nbformat.from_dict(before if same else after))
        if "execution_count" in before and "execution_count" in made[-1]:
            made[-1].execution_count = before.execution_count
    return made


def says_something(source: str) -> bool:
    """Whether a cell has words that a reader reads, beside code and links."""
    return re.search(r"[A-Za-z]{2}", NO_PROSE.sub(" ", source)) is not None


def differences(english: NotebookNode, korean: NotebookNode) -> list[str]:
    """One sentence per cell of a Korean notebook that is not in step with the English one."""
    ids = [[cell.id for cell in notebook.cells] for notebook in (english, korean)]
    found = [f"{name}: missing in Korean" for name in ids[0] if name not in ids[1]]
    found += [f"{name}: gone in English" for name in ids[1] if name not in ids[0]]
    if not found and ids[0] != ids[1]:
        found = ["the cells stand in another order"]
    written = {cell.id: cell for cell in korean.cells}
    for cell in english.cells:
        if cell.id in written and (reason := _difference(cell, written[cell.id])):
            found.append(f"{cell.id}: {reason}")
    return found


def _difference(english: NotebookNode, korean: NotebookNode) -> str:
    if english.cell_type != korean.cell_type:
        return f"{english.cell_type} in English, {korean.cell_type} in Korean"
    if english.metadata.get("tags", []) != korean.metadata.get("tags", []):
        return "other tags"
    own = {name: value for name, value in korean.metadata.items() if name != "written_from"}
    if own != english.metadata:
        return "other metadata"
    if english.cell_type == "code":
        return "" if korean.source == korean_code(english.source) else "other code"
    if "written_from" not in korean.metadata:
        return "not yet written in Korean"
    if korean.metadata["written_from"] != written_from(english.source):
        return "stale; its English cell has changed"
    if says_something(korean.source) and not HANGUL.search(korean.source):
        return "no Korean word in it"
    return ""


def carried(english: NotebookNode, korean: NotebookNode | None) -> NotebookNode:
    """The English notebook with the Korean prose and outputs that there are already."""
    kept = {cell.id: cell for cell in korean.cells} if korean else {}
    made = nbformat.from_dict(english)
    for cell in made.cells:
        old = kept.get(cell.id)
        if cell.cell_type == "markdown":
            if old is not None and "written_from" in old.metadata:
                cell.source = old.source
                cell.metadata["written_from"] = old.metadata["written_from"]
            continue
        cell.source = korean_code(cell.source)
        same = old is not None and old.get("source") == cell.source
        cell.outputs = old.outputs if same else []
        cell.execution_count = old.execution_count if same else None
    return made


def blocks(text: str) -> dict[str, str]:
    """A file of prose as the id and the source of each cell."""
    parts = re.split(r"(?m)^== *(\S+) *$", text)
    return {name: source.strip() for name, source in zip(parts[1::2], parts[2::2], strict=True)}


def names() -> list[str]:
    """All notebooks, in both languages or not; the solutions with their folder in front."""
    solutions = (NOTEBOOKS.parent / SOLUTIONS).glob("*.ipynb")
    found = [path.stem for path in NOTEBOOKS.glob("*.ipynb")]
    return sorted(found) + sorted(f"{SOLUTIONS}/{path.stem}" for path in solutions)


def places(name: str) -> tuple[Path, Path]:
    """Where the English notebook and the Korean one of this name lie."""
    folder, _, stem = name.rpartition("/")
    english = (NOTEBOOKS.parent / folder if folder else NOTEBOOKS) / f"{stem}.ipynb"
    return english, english.parent / "ko" / english.name


def pair(name: str) -> tuple[NotebookNode, NotebookNode | None]:
    """The English notebook and the Korean one, if there is one."""
    english, path = places(name)
    written = nbformat.read(path, as_version=4) if path.exists() else None
    return nbformat.read(english, as_version=4), written


def report() -> list[str]:
    """Everything that is not in step, one line each."""
    found = [
        f"ko/{path.stem}: gone in English"
        for path in sorted(KOREAN.glob("*.ipynb"))
        if path.stem not in names()
    ]
    for name in names():
        english, korean = pair(name)
        if korean is None:
            found.append(f"ko/{name}: no Korean notebook yet")
        else:
            found += [f"ko/{name}: {line}" for line in differences(english, korean)]
    return found


def waiting(name: str) -> str:
    """The English cells whose Korean ones are stale or missing, as blocks of prose."""
    english, korean = pair(name)
    made = {cell.id: cell for cell in carried(english, korean).cells}
    return "\n".join(
        f"== {cell.id}\n{cell.source}\n"
        for cell in english.cells
        if cell.cell_type == "markdown" and _difference(cell, made[cell.id])
    )


def write(name: str, prose: dict[str, str]) -> None:
    """Carry a notebook over and set the prose of some of its cells, each of them then current."""
    english, korean = pair(name)
    made = carried(english, korean)
    sources = {cell.id: cell.source for cell in english.cells if cell.cell_type == "markdown"}
    if unknown := sorted(set(prose) - set(sources)):
        raise SystemExit(f"{name} has no text cell {', '.join(unknown)}; nothing was written.")
    for cell in made.cells:
        if cell.id in prose:
            cell.source = prose[cell.id] or cell.source
            cell.metadata["written_from"] = written_from(sources[cell.id])
    path = places(name)[1]
    path.parent.mkdir(exist_ok=True)
    nbformat.write(made, path)


def listed(messages: bool) -> int:
    """Print everything that waits for its Korean text; 1 where something does."""
    done = subprocess.run([sys.executable, str(MESSAGES)], check=False) if messages else None
    found = report()
    print("\n".join(found) or "The Korean notebooks are in step with the English ones.")
    return int(bool(found) or (done is not None and done.returncode != 0))


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = ["list", "all", "carry", "text", "write", "current"]
    parser.add_argument("command", nargs="?", default="list", choices=commands)
    parser.add_argument("name", nargs="?", choices=names())
    parser.add_argument("rest", nargs="*", metavar="NAME, FILE or ID")
    chosen = parser.parse_args(arguments)
    if chosen.command in ("list", "all"):
        return listed(messages=chosen.command == "all")
    if chosen.command == "carry":
        for name in [chosen.name, *chosen.rest] if chosen.name else names():
            write(name, {})
        return 0
    if chosen.name is None:
        parser.error(f"{chosen.command} needs the name of a notebook: {', '.join(names())}")
    if chosen.command == "text":
        print(waiting(chosen.name))
    elif chosen.command == "write":
        for path in chosen.rest:
            write(chosen.name, blocks(Path(path).read_text(encoding="utf-8")))
    else:
        write(chosen.name, dict.fromkeys(chosen.rest, ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
