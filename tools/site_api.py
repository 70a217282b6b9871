"""The API pages of the site, in reStructuredText: which public name stands where."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

from site_words import API, ROOMS

LIBRARY = ("quantize", "Int8LSTM", "Int8GRU", "Int8Linear", "save", "load", "Scheme")


def api_pages(language: str) -> dict[str, str]:
    """The text of each page by the name of its file."""
    words = API[language]
    return {
        "recipe_helpers.rst": page("recipe_helpers", words["recipe_helpers"], rooms()),
        "int8_rnn.rst": page("int8_rnn", words["int8_rnn"], [("", library())]),
    }


def rooms() -> list[tuple[str, list[str]]]:
    """The public names of the helpers by room, in the order of their modules."""
    stub = Path(importlib.import_module("recipe_helpers").__file__ or "").with_suffix(".pyi")
    found: dict[str, list[str]] = {}
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            names = found.setdefault(node.module.partition(".")[0], [])
            names += [alias.name for alias in node.names if alias.name != "plots"]
    return [(room, found.pop(room)) for room in ROOMS if room in found] + list(found.items())


def library() -> list[str]:
    """The public names of the library, those that everybody needs first."""
    package = importlib.import_module("int8_rnn")
    public = getattr(package, "__all__", None) or [n for n in dir(package) if n[0] != "_"]
    names = [name for name in public if not inspect.ismodule(getattr(package, name))]
    first = [name for name in LIBRARY if name in names]
    return [*first, *sorted(set(names) - set(first))]


def theirs(value: object) -> str:
    """Under which name the library has this value, or nothing."""
    package = importlib.import_module("int8_rnn")
    return next((name for name in library() if getattr(package, name) is value), "")


def page(package: str, words: str, parts: list[tuple[str, list[str]]]) -> str:
    """One page: what the package is for, then a section for each part."""
    lines = [f"``{package}``", "=" * 40, "", words, ""]
    module = importlib.import_module(package)
    for room, names in parts:
        if room:
            about = inspect.getdoc(importlib.import_module(f"{package}.{room}")) or ""
            lines += [room, "-" * 40, "", " ".join(about.split("\n\n")[0].split()), ""]
        lines += [line for name in names for line in entry(package, name, getattr(module, name))]
    return "\n".join(lines) + "\n"


def entry(package: str, name: str, value: object) -> list[str]:
    """The directive that documents one name from its docstring, or says whose name it is."""
    if package != "int8_rnn" and (home := theirs(value)):
        return [f".. py:data:: {package}.{name}", "", f"   :py:obj:`int8_rnn.{home}`", ""]
    if inspect.isclass(value):
        kind = "exception" if issubclass(value, BaseException) else "class"
        members = [] if kind == "exception" else ["   :members:"]
        return [f".. auto{kind}:: {package}.{name}", *members, ""]
    if inspect.isroutine(value):
        return [f".. autofunction:: {package}.{name}", ""]
    return [f".. py:data:: {package}.{name}", ""]
