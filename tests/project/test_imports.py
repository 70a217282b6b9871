"""The house: who may import whom, and where the heavy libraries live."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "recipe_helpers"
LIBRARY = PACKAGE.parent / "int8_rnn" / "src" / "int8_rnn"
FLOORS = [
    {"common"},
    {"recipe"},
    {
        "explorer",
        "trained_models",
        "under_the_hood",
        "your_model",
        "deployment",
        "classroom",
        "exercises",
    },
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = {".".join(p.relative_to(PACKAGE).with_suffix("").parts): p for p in PACKAGE.rglob("*.py")}


def modules_named(name):
    """The file of a dotted name below the package, and of every package on the way to it."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        prefix = ".".join(parts[:length])
        yield from (found for found in (prefix, f"{prefix}.__init__") if found in FILES)


def imports_of(source, module):
    """All files of the package that a file imports, wherever in it: also in functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = module.split(".")[: -node.level]
            base = ".".join([*above, *filter(None, [node.module])])
            targets = [f"{base}.{alias.name}".strip(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        else:
            continue
        for target in targets:
            inside = target.removeprefix("recipe_helpers.")
            if getattr(node, "level", 0) or inside != target:
                # A package's own __init__ runs first in any case: no arrow worth drawing.
                yield from (
                    found
                    for found in modules_named(inside)
                    if not found.endswith("__init__") and found != module
                )


GRAPH = {
    module: set(imports_of(path.read_text(encoding="utf-8"), module))
    for module, path in FILES.items()
}


def room(module):
    return module.split(".")[0]


def arrows_against(graph):
    """Every import from a room to one above it, or beside it on the same floor."""
    return [
        (module, target)
        for module, targets in graph.items()
        if room(module) in FLOOR
        for target in targets
        if room(target) != room(module) and FLOOR[room(target)] >= FLOOR[room(module)]
    ]


def circle_in(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def test_the_graph_is_not_empty():
    assert "recipe.model" in GRAPH["recipe.pair"]
    assert "common.checks" in GRAPH["recipe.latency"], "from ..common import checks"
    assert "your_model.plots" in GRAPH["your_model.findings"], "an import within a function counts"
    assert sum(map(len, GRAPH.values())) > 150


def test_every_room_has_a_floor_and_says_what_it_is_for():
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms <= set(FLOOR)
    for name in rooms:
        described = ast.get_docstring(
            ast.parse((PACKAGE / name / "__init__.py").read_text("utf-8"))
        )
        modules = {path.stem for path in (PACKAGE / name).glob("[a-z]*.py")}
        assert [module for module in modules if f"`{module}`" not in described] == [], name


def test_imports_run_one_way():
    assert arrows_against(GRAPH) == []


def test_no_circle_between_files():
    assert circle_in(GRAPH) is None


@pytest.mark.parametrize(
    ("module", "line", "refused"),
    [
        ("common.int8", "from ..recipe import plots", True),
        ("common.int8", "from recipe_helpers.recipe.plots import drawn", True),
        ("recipe.size", "def f():\n    from ..trained_models import data", True),
        ("trained_models.data", "from ..under_the_hood.by_hand import compare_by_hand", True),
        ("common.tables", "from ..recipe import rounding", True),
        ("trained_models.data", "from ..recipe.model import SEED", False),
        ("recipe.model", "from . import latency", True),
    ],
)
def test_such_an_import_would_be_seen(module, line, refused):
    changed = {**GRAPH, module: GRAPH[module] | set(imports_of(line, module))}
    assert bool(arrows_against(changed) or circle_in(changed)) == refused


def imported_libraries(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("matplotlib", lambda path: path.name == "plots.py"),
        ("ipywidgets", lambda path: path.parent.name == "explorer"),
        ("numba", lambda path: path.parent.name == "fast"),
        ("llvmlite", lambda path: path.parent.name == "fast"),
    ],
)
def test_heavy_libraries_have_one_home(library, home):
    files = [*FILES.values(), *LIBRARY.rglob("*.py")]
    users = [path for path in files if library in set(imported_libraries(path))]
    assert users
    assert [path for path in users if not home(path)] == []


def test_the_top_of_the_package_is_short():
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert {"__init__.py", "__init__.pyi", "__main__.py", "py.typed"} <= files
    assert len(files) <= 5


def test_the_library_imports_nothing_of_the_helpers_and_no_private_part_of_pytorch():
    files = sorted(LIBRARY.rglob("*.py"))
    assert len(files) > 15
    for path in files:
        assert not {"recipe_helpers", "IPython", "matplotlib"} & set(imported_libraries(path)), path
        text = path.read_text(encoding="utf-8")
        assert "torch._C" not in text, path
        assert "_lazy_clone" not in text, path
