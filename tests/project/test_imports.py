"""The house: who may import whom, where the heavy libraries live, and that nothing is fetched."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name

import pytest

from .files import ROOT, text

PACKAGE = ROOT / "recipe_helpers"
LIBRARY = ROOT / "int8_rnn" / "src" / "int8_rnn"
FLOORS = (
    {"common"},
    {"recipe"},
    {
        *("explorer", "trained_models", "under_the_hood", "your_model"),
        *("deployment", "classroom", "exercises"),
    },
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")
}


def imported(source, package=""):
    """All that a file imports, wherever in it, also in functions: modules or names in them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_of(source, module):
    """The files of the package among them, but its `__init__`, which runs first in any case."""
    for name in imported(source, module.rpartition(".")[0]):
        found = name if name in FILES else name.rpartition(".")[0]
        if found in FILES and found != module:
            yield found


GRAPH = {module: set(imports_of(text(path), module)) for module, path in FILES.items()}


def room(module):
    return module.split(".")[1]


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


def test_imports_run_one_way_and_there_is_no_circle_between_files():
    assert sum(map(len, GRAPH.values())) > 150
    assert arrows_against(GRAPH) == []
    assert circle_in(GRAPH) is None


@pytest.mark.parametrize(
    ("module", "line", "refused"),
    [
        ("common.int8", "from ..recipe import plots", True),
        ("common.int8", "from recipe_helpers.recipe.plots import drawn", True),
        ("common.tables", "import recipe_helpers.recipe.rounding", True),
        ("recipe.size", "def f():\n    from ..trained_models import data", True),
        ("trained_models.data", "from ..under_the_hood.by_hand import compare_by_hand", True),
        ("trained_models.data", "from ..recipe.model import SEED", False),
        ("recipe.model", "from . import latency", True),
    ],
)
def test_such_an_import_would_be_seen(module, line, refused):
    module = f"recipe_helpers.{module}"
    changed = {**GRAPH, module: GRAPH[module] | set(imports_of(line, module))}
    assert bool(arrows_against(changed) or circle_in(changed)) == refused


def test_every_room_has_a_floor_and_says_what_it_is_for_and_the_top_is_short():
    rooms = {path.parent.name: ast.get_docstring(ast.parse(text(path)))
             for path in PACKAGE.glob("*/__init__.py")}  # fmt: skip
    assert set(rooms) <= set(FLOOR)
    for name, described in rooms.items():
        modules = {path.stem for path in (PACKAGE / name).glob("[a-z]*.py")}
        assert [module for module in modules if f"`{module}`" not in described] == [], name
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert {"__init__.py", "__init__.pyi", "__main__.py", "py.typed"} <= files
    assert len(files) <= 5


LIBRARIES = {
    path: {name.partition(".")[0] for name in imported(text(path))}
    for path in [*FILES.values(), *LIBRARY.rglob("*.py")]
}


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
    users = [path for path, libraries in LIBRARIES.items() if library in libraries]
    assert users
    assert [path for path in users if not home(path)] == []


def test_the_library_imports_nothing_of_the_helpers_and_no_private_part_of_pytorch():
    own = [path for path in LIBRARIES if path.is_relative_to(LIBRARY)]
    assert len(own) > 15
    for path in own:
        assert not {"recipe_helpers", "IPython", "matplotlib"} & LIBRARIES[path], path
        assert not re.search(r"torch\._C|_lazy_clone", text(path)), path


NETWORK = {"urllib", "requests", "socket", "http", "httpx", "aiohttp", "ftplib"}
# A server and its clients, on the reader's own machine.
SERVES = {PACKAGE / "deployment" / "server.py", PACKAGE / "deployment" / "serving.py"}


def test_nothing_is_unpickled_and_nothing_fetched():
    for path in FILES.values():
        for call in re.findall(r"torch\.load\([^)]*\)", text(path)):
            assert "weights_only=True" in call, path
    assert {path for path, libraries in LIBRARIES.items() if libraries & NETWORK} == SERVES
    for path in SERVES:
        assert re.findall(r"(?:HTTPConnection|with Server)\(+([^,)]+)", text(path)) == [
            '"127.0.0.1"'
        ]
