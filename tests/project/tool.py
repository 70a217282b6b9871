"""The programs in `tools`, which are no package, as modules; what make and git say."""

import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "tools"


def tool(name):
    """The module `tools/NAME.py`; it may import its neighbours, as it does when it is run."""
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(TOOLS))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(TOOLS))
    return module


def output(*command, **environment):
    """What a command prints in the root of the project."""
    options = {"cwd": ROOT, "capture_output": True, "check": True, "encoding": "utf-8"}
    return subprocess.run(command, env={**os.environ, **environment}, **options).stdout


def commands(*target, **environment):
    """What `make` would run for a target, one list of words each."""
    # `make test` runs this within make, which then names folders.
    found = output("make", "-n", "--no-print-directory", *target, **environment)
    lines = found.replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


def words_of(target, program):
    """The one command of a target that runs a program, from the program's name on."""
    (found,) = [words for words in commands(*target.split()) if program in words]
    return found[found.index(program) + 1 :]


def tracked(folder="."):
    """The files of a folder that git knows, as paths from the root."""
    return [
        name
        for name in output("git", "ls-files", folder).split("\n")
        if name
        if (ROOT / name).is_file()
    ]
