"""The command line: `python -m recipe_helpers report package.module:factory`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..common.errors import RecipeError
from ..common.files import write_atomically
from ..common.language import Text, _
from ..common.wording import as_text
from ..recipe.ledger import Ledger, measure_ledger
from ..recipe.model import demonstration
from .arguments import WRONG_USE, Parser, add_ledger, add_recipe, add_report
from .candidates import WAYS
from .report import Report, report

WITHIN, OUTSIDE, INTERRUPTED = 0, 1, 130


class _WrongUseError(RecipeError):
    """What was asked for on the command line cannot be done."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: the words after `python -m recipe_helpers`; those of the process unless given.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        for path in (options.json, options.html):
            _refuse_unwritable(path)
        found = options.run(options)
        _write(options, found)
        _say(str(found))
        return options.status(found)
    except (RecipeError, OSError) as error:
        print(f"{parser.prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return WRONG_USE
    except KeyboardInterrupt:
        print(_("{program}: interrupted.", program=parser.prog), file=sys.stderr)
        return INTERRUPTED


def _parser() -> Parser:
    parser = Parser(
        prog="python -m recipe_helpers",
        description=_(
            "Quantize a PyTorch model to INT8 dynamically, measure what that does, and judge."
        ),
        epilog=_("Each command has its own help: python -m recipe_helpers report --help"),
    )
    commands = parser.add_subparsers(title=_("commands"), metavar="COMMAND", required=True)
    add_report(commands).set_defaults(
        run=_report, status=lambda found: WITHIN if found.passed else OUTSIDE
    )
    add_recipe(commands).set_defaults(run=_recipe, status=lambda found: WITHIN)
    add_ledger(commands).set_defaults(
        run=lambda options: measure_ledger(quickly=options.quickly),
        status=lambda found: WITHIN,
        html=None,
    )
    return parser


def _report(options: argparse.Namespace) -> Report:
    model, sets, metric = _made(options.factory)
    return _judged(options, model, sets, metric)


def _recipe(options: argparse.Namespace) -> Report:
    demo = demonstration(width=options.width, layers=options.layers, sequence_length=options.steps)
    return _judged(options, demo.model, [demo.arguments], None)


def _judged(options: argparse.Namespace, model: nn.Module, sets: list[Any], metric: Any) -> Report:
    return report(
        model,
        input_sets=sets,
        backends=options.backend or tuple(WAYS),
        metric=metric,
        threads=options.threads,
        budget_s=options.budget,
        memory=options.memory,
        max_relative_error=options.max_relative_error,
        min_size_ratio=options.min_size_ratio,
        min_speedup=options.min_speedup,
        max_metric_drop=options.max_metric_drop,
        worth_size_ratio=options.worth_size_ratio,
        worth_speedup=options.worth_speedup,
    )


def _made(named: str) -> tuple[nn.Module, list[Any], Any]:
    """The model, its input sets and the metric that the factory returns."""
    module_name, colon, function_name = named.partition(":")
    if not (module_name and colon and function_name):
        raise _WrongUseError(
            Text("{named!r} is no factory; pass MODULE:FUNCTION, as tagger:factory.", named=named)
        )
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        factory: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module may raise what it likes
        raise _WrongUseError(
            Text(
                "{module!r} cannot be imported ({kind}: {error}); pass a module that can be "
                "imported from the current folder.",
                module=module_name,
                kind=type(error).__name__,
                error=as_text(error),
            )
        ) from error
    for part in function_name.split("."):
        factory = getattr(factory, part, None)
    if not callable(factory):
        raise _WrongUseError(
            Text(
                "{module!r} has no function {function!r}.",
                module=module_name,
                function=function_name,
            )
        )
    try:
        made = factory()
    except (Exception, SystemExit) as error:
        raise _WrongUseError(
            Text(
                "{named} raised {kind}: {error}.",
                named=named,
                kind=type(error).__name__,
                error=as_text(error),
            )
        ) from error
    if not isinstance(made, tuple | list) or not 2 <= len(made) <= 3:
        raise _WrongUseError(
            Text(
                "{named} returned a {kind}; let it return the model and its inputs, and the metric "
                "if there is one.",
                named=named,
                kind=type(made).__name__,
            )
        )
    model, inputs, metric = (*made, None)[:3]
    sets = inputs if isinstance(inputs, list) else [inputs]
    return model, [one if isinstance(one, tuple | dict) else (one,) for one in sets], metric


def _say(text: str) -> None:
    """Print, also where a terminal lacks a character or nobody reads to the end."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # As Python's documentation has it: what is left must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refuse_unwritable(path: Path | None) -> None:
    """Before anything is measured: measuring takes long."""
    if path is None:
        return
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise _WrongUseError(
            Text("{path} cannot be written; pass a file in a folder that exists.", path=path)
        )


def _write(options: argparse.Namespace, found: Report | Ledger) -> None:
    if options.json is not None:
        write_atomically(options.json, found.to_json().encode())
    if options.html is not None and isinstance(found, Report):
        write_atomically(options.html, found.to_html().encode())
